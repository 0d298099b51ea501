"""The gateway's hold on its guard (`realtime_guard`): starts it, hands taps on, sees it end.

**Model.** A process may be real-time only while a guard has said that it watches it.

    watch ─▶ tap kept ─▶ guard: watched ─▶ `watches`
                 ▲           │ the guard ends: all of its processes are normal at once
                 └───────────┘ after a back-off a new one gets all the taps that are kept

What the guard could not take, for want of descriptors, stays unwatched. So does a process whose
tap never got here: `forget` makes it normal by its number alone.

**Concurrency.** One loop owns everything here. One tap is under way at a time, so that neither side
ever finds the other's socket full.
"""

import asyncio
import contextlib
import logging
import socket
import subprocess
import sys
from typing import Final

from gateway.realtime_guard import LOST, NOTICE, READY, WATCHED
from runtime import os_priority
from runtime.address import peer_credentials
from runtime.clock import Clock
from runtime.restart_policy import RestartPolicy, RestartState

_END_S_MAX: Final = 2.0
_RESTARTS: Final = RestartPolicy(first_s=0.1, wait_s_max=60.0, stable_s=60.0)
_log = logging.getLogger(__name__)


class GuardProcess:
    """A guard, and the next one when it ends, until `close`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._restarts = RestartState(_RESTARTS)
        self._taps: dict[int, socket.socket] = {}  # by pid; bound: SQL processes
        self._watched: set[int] = set()
        self._unsent: set[int] = set()
        self._sent: int | None = None  # what became of it has not been said yet
        self._timer: asyncio.TimerHandle | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._is_refused = False  # for good: it may not be real-time
        self.is_at_work = False
        self._start()

    @property
    def pid(self) -> int | None:
        """The process id of the guard that was started last."""
        return None if self._process is None else self._process.pid

    def watches(self, pid: int) -> bool:
        """Whether a guard has this process under watch, so that it may be real-time."""
        return pid in self._watched

    def watch(self, pid: int, tap: socket.socket) -> None:
        """Let the guard watch a SQL process; takes over `tap`."""
        if self._is_refused or not _is_made_by(pid, tap):  # it would make another normal, or us
            tap.close()
            return
        self._drop(pid)
        self._taps[pid] = tap
        self._unsent.add(pid)
        self._send_next()

    def forget(self, pid: int, tap: socket.socket | None) -> None:
        """Let go of a process that has closed its connection, with the tap that came on it."""
        kept = self._taps.get(pid)
        if kept is None or kept is tap:  # else it has connected anew
            self._drop(pid)
            _end_realtime(pid)

    def close(self) -> None:
        """End the guard. It makes the processes normal that it watches."""
        if self._timer is not None:
            self._timer.cancel()
        self._hang_up()
        self._drop_all()
        if self._process is not None:
            try:
                self._process.wait(_END_S_MAX)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _start(self) -> None:
        self._timer = None
        if self._process is not None and self._process.poll() is None:  # killed, but still there
            self._start_later()
            return
        self._began_s = self._clock.monotonic_s()
        try:
            self._socket, self._process = _start_guard()
        except OSError as error:
            self._lose(str(error))
            return
        self._loop.add_reader(self._socket, self._readable, self._socket)

    def _start_later(self) -> None:
        wait_s = self._restarts.next_wait_s(lived_s=self._clock.monotonic_s() - self._began_s)
        self._timer = self._loop.call_later(wait_s, self._start)

    def _readable(self, sock: socket.socket) -> None:
        try:
            word = sock.recv(1024)
        except BlockingIOError:
            return
        except ConnectionResetError:
            word = b""
        if word.startswith(NOTICE):
            reason = word.removeprefix(NOTICE).decode()
            _log.warning("realtime_not_ended", extra={"reason": reason})
        elif word == READY:
            _log.info("realtime_on")
            self.is_at_work, self._unsent = True, set(self._taps)
            self._send_next()
        elif word in (WATCHED, LOST):
            self._answered(is_watched=word == WATCHED)
        elif word:
            self._is_refused = True
            self._lose(word.decode())
        else:
            self._lose("the guard has ended")

    def _answered(self, *, is_watched: bool) -> None:
        pid, self._sent = self._sent, None
        if pid is not None and pid in self._taps and pid not in self._unsent:
            if is_watched:
                self._watched.add(pid)
            else:
                _log.warning("realtime_tap_lost", extra={"sql_pid": pid})
        self._send_next()

    def _send_next(self) -> None:
        if not self.is_at_work or self._socket is None or self._sent is not None:
            return
        if self._unsent:
            self._sent = self._unsent.pop()
            try:
                socket.send_fds(self._socket, [b"tap"], [self._taps[self._sent].fileno()])
            except OSError as error:
                self._lose(str(error))

    def _lose(self, reason: str) -> None:
        """See the guard end: nobody is real-time until there is another."""
        self._hang_up()
        if self._process is not None:
            self._process.kill()
        while self._watched:
            _end_realtime(self._watched.pop())
        _log.warning("realtime_off", extra={"reason": reason})
        if self._is_refused:  # another would be, too
            self._drop_all()
        else:
            self._start_later()

    def _hang_up(self) -> None:
        self.is_at_work, self._sent = False, None
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def _drop_all(self) -> None:
        for pid in list(self._taps):
            self._drop(pid)

    def _drop(self, pid: int) -> None:
        self._watched.discard(pid)
        self._unsent.discard(pid)
        if (tap := self._taps.pop(pid, None)) is not None:
            tap.close()


def _start_guard() -> tuple[socket.socket, "subprocess.Popen[bytes]"]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    with theirs:
        fd = theirs.fileno()
        command = [sys.executable, "-P", "-m", "gateway.realtime_guard", str(fd)]
        try:
            return ours, subprocess.Popen(command, pass_fds=(fd,), stdin=subprocess.DEVNULL)
        except OSError:
            ours.close()
            raise


def _is_made_by(pid: int, tap: socket.socket) -> bool:
    try:
        return peer_credentials(tap)[0] == pid
    except OSError:  # it is no socket
        return False


def _end_realtime(pid: int) -> None:
    with contextlib.suppress(OSError, ValueError):  # it has ended, or its number is another's now
        if os_priority.is_realtime(pid):
            os_priority.end_realtime(pid)
