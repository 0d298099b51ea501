"""Client processes that work until they are told to stop."""

import contextlib
import json
import select
import subprocess
import sys
from collections.abc import Iterator
from typing import IO, Any, Final

from bench.programs import ROOT, BenchFailed, own_environment

_READY_S_MAX: Final = 120.0
_STOP_S_MAX: Final = 60.0


class Client:
    """A running process of `bench.noisy`; `result` is what it printed, after the block."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.result: Any = None

    def check(self) -> None:
        """Make sure that it still runs. Raises: BenchFailed."""
        if self._process.poll() is not None:
            raise BenchFailed(f"{self._process.args!r} ended by itself")


@contextlib.contextmanager
def running(module: str, *arguments: str) -> Iterator[Client]:
    """Run a client for the block, which begins when it is ready. Raises: BenchFailed."""
    command = [sys.executable, "-P", "-m", f"bench.noisy.{module}", *arguments]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=own_environment()
    )
    assert process.stdout is not None
    client = Client(process)
    try:
        _wait_ready(process.stdout)
        yield client
        client.check()
        process.terminate()
        output, _ = process.communicate(timeout=_STOP_S_MAX)
        if process.returncode != 0:
            raise BenchFailed(f"{module} ended with {process.returncode}")
        client.result = json.loads(output)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()


def _wait_ready(stdout: IO[str]) -> None:
    readable, _, _ = select.select([stdout], [], [], _READY_S_MAX)
    if not readable or stdout.readline().strip() != "ready":
        raise BenchFailed("a client did not get ready")
