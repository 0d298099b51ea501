"""Client processes that work until they are told to stop."""

import contextlib
import json
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import IO, Any, Final

from bench.programs import ROOT, BenchFailed, own_environment

_READY_S_MAX: Final = 120.0
_STOP_S_MAX: Final = 100.0  # with the last request of each client


class Client:
    """A running process of `bench.noisy`; `result` is what it printed, after the block."""

    def __init__(self, process: "subprocess.Popen[str]", name: str) -> None:
        self._process = process
        self.name = name
        self.result: Any = None

    def pause(self) -> None:
        """Let it stand still."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """End `pause`."""
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Let it end; take what it printed. Raises: BenchFailed."""
        ended_itself = self._process.poll() is not None
        self._process.terminate()
        try:
            output, _ = self._process.communicate(timeout=_STOP_S_MAX)
        except subprocess.TimeoutExpired as error:
            raise BenchFailed(f"{self.name} did not end in {_STOP_S_MAX:.0f} s") from error
        result = json.loads(output) if output else {}
        if ended_itself or self._process.returncode != 0:
            reason = result.get("failed") or f"ended with {self._process.returncode}"
            raise BenchFailed(f"{self.name}: {reason}")
        self.result = result


@contextlib.contextmanager
def running(module: str, *arguments: str) -> Iterator[Client]:
    """Run a client for the block, which begins when it is ready. Raises: BenchFailed."""
    command = [sys.executable, "-P", "-m", f"bench.noisy.{module}", *arguments]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=own_environment()
    )
    assert process.stdout is not None
    words = [word for word in arguments[:1] if not word.startswith("-")]
    client = Client(process, " ".join(["client", module, *words]))
    try:
        _wait_ready(client, process.stdout)
        yield client
        client.stop()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()


def _wait_ready(client: Client, stdout: IO[str]) -> None:
    readable, _, _ = select.select([stdout], [], [], _READY_S_MAX)
    if not readable:
        raise BenchFailed(f"{client.name} did not get ready in {_READY_S_MAX:.0f} s")
    line = stdout.readline()
    if line.strip() != "ready":
        reason = json.loads(line).get("failed", "") if line else "it ended"
        raise BenchFailed(f"{client.name} did not get ready: {reason}")
