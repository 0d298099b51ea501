"""The gateway's hold on its guard (`realtime_guard`): starts it, hands taps on, sees it end.

**Concurrency.** One loop owns everything here. Taps that arrive while the guard starts wait.
"""

import asyncio
import collections
import logging
import socket
import subprocess
import sys
from typing import Final

from gateway.realtime_guard import NOTICE, READY

_END_S_MAX: Final = 2.0
_log = logging.getLogger(__name__)


class GuardProcess:
    """A guard, from its start to `close`. Real-time is safe while `is_watching`."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.setblocking(False)
        with theirs:
            fd = theirs.fileno()
            command = [sys.executable, "-P", "-m", "gateway.realtime_guard", str(fd)]
            self._process = subprocess.Popen(command, pass_fds=(fd,), stdin=subprocess.DEVNULL)
        self.pid = self._process.pid
        self.is_watching = False
        self.ended_for: str | None = None
        self._taps: collections.deque[socket.socket] = collections.deque()  # bound: SQL processes
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._said)

    def watch(self, tap: socket.socket) -> None:
        """Let the guard watch a SQL process; takes over `tap`."""
        if self.ended_for is not None:
            tap.close()
            return
        self._taps.append(tap)
        if self.is_watching and len(self._taps) == 1:
            self._flush()

    def close(self) -> None:
        """End the guard."""
        self._lose("the gateway ends")
        try:
            self._process.wait(_END_S_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def _said(self) -> None:
        try:
            word = self._socket.recv(1024)
        except BlockingIOError:
            return
        except ConnectionResetError:
            word = b""
        if word == READY:
            self.is_watching = True
            self._flush()
        elif word.startswith(NOTICE):
            reason = word.removeprefix(NOTICE).decode()
            _log.warning("realtime_not_ended", extra={"reason": reason})
        else:
            self._lose(word.decode() or "the guard has ended")

    def _flush(self) -> None:
        while self._taps:
            try:
                socket.send_fds(self._socket, [b"tap"], [self._taps[0].fileno()])
            except BlockingIOError:
                self._loop.add_writer(self._socket, self._flush)
                return
            except OSError as error:
                self._lose(str(error))
                return
            self._taps.popleft().close()
        self._loop.remove_writer(self._socket)

    def _lose(self, reason: str) -> None:
        if self.ended_for is None:
            self.is_watching, self.ended_for = False, reason
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket.close()
            while self._taps:
                self._taps.popleft().close()
