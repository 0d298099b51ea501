"""One child of the supervisor: how it is started, and what is known of it."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from runtime.os_process import die_with_parent
from runtime.restart_policy import RestartPolicy, RestartState


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """How to start a child. `arguments` is asked at every start: addresses are known later."""

    name: str
    module: str
    arguments: Callable[[], Sequence[str]]
    pass_fds: tuple[int, ...]
    is_announcing: bool = True  # it writes one line to the pipe named by --ready-fd


class Child:
    """A child process that is started again when it dies."""

    def __init__(self, spec: ChildSpec, policy: RestartPolicy) -> None:
        self.spec = spec
        self.restarts = RestartState(policy)
        self.process: subprocess.Popen[bytes] | None = None
        self.ready_fd: int | None = None
        self.ready_text = b""
        self.is_ready = False
        self.started_s = 0.0
        self.restart_at_s: float | None = None

    @property
    def pid(self) -> int | None:
        """The process id, or None while it is dead."""
        return None if self.process is None else self.process.pid

    def start(self, environment: Mapping[str, str], *, now_s: float) -> None:
        """Start the process. It is told to end when this supervisor ends."""
        arguments = list(self.spec.arguments())
        pass_fds = self.spec.pass_fds
        write_fd = None
        if self.spec.is_announcing:
            self.ready_fd, write_fd = os.pipe()
            os.set_blocking(self.ready_fd, False)
            arguments += ["--ready-fd", str(write_fd)]
            pass_fds = (*pass_fds, write_fd)
        self.ready_text, self.is_ready, self.restart_at_s = b"", False, None
        self.started_s = now_s
        # -P: a folder of the user's that is called like one of our packages must not be imported.
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", self.spec.module, *arguments],
            pass_fds=pass_fds,
            env={k: v for k, v in environment.items() if k != "NOTIFY_SOCKET"},
            stdin=subprocess.DEVNULL,
            process_group=0,  # Ctrl-C is for the supervisor, which stops them in order
            preexec_fn=die_with_parent,
        )
        if write_fd is not None:
            os.close(write_fd)

    def read_announcement(self) -> bytes | None:
        """Read from the ready pipe. Returns the whole announcement once it is complete."""
        assert self.ready_fd is not None, "asked for the announcement of a child that makes none"
        piece = os.read(self.ready_fd, 4096)
        self.ready_text += piece
        if piece and not self.ready_text.endswith(b"\n"):
            return None
        self.close_ready_fd()
        self.is_ready = bool(self.ready_text.strip())
        return self.ready_text

    def close_ready_fd(self) -> None:
        """Stop listening for the announcement."""
        if self.ready_fd is not None:
            os.close(self.ready_fd)
            self.ready_fd = None

    def ended(self, status: int) -> None:
        """Take note that the process was reaped with exit `status` (negative: the signal)."""
        assert self.process is not None, "a child that was not started has ended"
        self.process.returncode = status
        self.process = None
        self.is_ready = False
