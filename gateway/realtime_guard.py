"""The process that ends real-time of a SQL process, whatever that is busy with.

    python -m gateway.realtime_guard FD

**Model.** A SQL process that is real-time and computes for 10 ms at a stretch gets SIGXCPU from the
kernel. Its handler makes it normal, but not within a long call into C; and when there are as many
of those as CPUs, no normal process runs, nor the gateway, for a second. So each SQL process leaves
us its signal tap (`runtime/signal_tap.py`), and we come before all real-time:

    SQL process: SIGXCPU → tap ─▶ guard: the process is normal

Nothing arrives while nobody computes for so long, and nothing is done then. Who made the tap is
known from the kernel (SO_PEERCRED). Other signals, which are rare, end real-time too.

**Life.** A child of the gateway, at the other end of FD; it ends with the gateway, and then makes
normal whom it watched. The first word on FD is ours: real-time or refused. Then each tap is
answered: watched, or lost on its way for want of descriptors. In between there are notices.
"""

import contextlib
import select
import signal
import socket
import sys
from typing import Final

from runtime import os_priority
from runtime.address import peer_credentials

READY: Final = b"ready"
NOTICE: Final = b"notice: "  # what the gateway should log; we go on
WATCHED: Final = b"watched"  # the tap that was sent last
LOST: Final = b"lost"  # it was cut off: no file descriptor is left


class Guard:
    """The taps of all SQL processes, and where new ones come from."""

    def __init__(self, gateway: socket.socket) -> None:
        self._gateway = gateway
        self._taps: dict[int, socket.socket] = {}  # by descriptor
        self._fds: dict[int, int] = {}  # by pid: one each
        self._refused: set[int] = set()  # of those, whose process we could not make normal
        self._epoll = select.epoll()
        self._epoll.register(gateway, select.EPOLLIN)

    def run(self) -> None:
        """Serve until the gateway is gone."""
        try:
            while self._serve():
                pass
        finally:  # nobody watches them from now on
            for tap in self._taps.values():
                self._end_realtime(tap)

    def _serve(self) -> bool:
        is_needed = True
        for fd, events in self._epoll.poll():
            if fd == self._gateway.fileno():
                is_needed = self._take()
            elif (tap := self._taps.get(fd)) is None:
                pass  # it has just been replaced
            elif events & select.EPOLLHUP:
                self._drop(peer_credentials(tap)[0])
            else:
                self._end_realtime(tap)
        return is_needed

    def _take(self) -> bool:
        """Take a tap under watch, and answer; return whether the gateway is still there."""
        packet, fds, _, _ = socket.recv_fds(self._gateway, 64, 1)
        for fd in fds:
            tap = self._taps[fd] = socket.socket(fileno=fd)
            pid, _ = peer_credentials(tap)
            self._drop(pid)  # it has connected anew
            self._fds[pid] = fd
            self._epoll.register(fd, select.EPOLLIN | select.EPOLLET)
        # Without an answer the gateway would wait for ever; so we end if it cannot be told.
        return bool(packet) and self._say(WATCHED if fds else LOST)

    def _drop(self, pid: int) -> None:
        if (fd := self._fds.pop(pid, None)) is not None:
            self._epoll.unregister(fd)
            self._refused.discard(fd)
            self._taps.pop(fd).close()

    def _end_realtime(self, tap: socket.socket) -> None:
        try:
            pid, _ = peer_credentials(tap)
            if os_priority.is_realtime(pid):
                os_priority.end_realtime(pid)
        except ProcessLookupError:
            return
        except (OSError, ValueError) as error:  # of one process, and no reason to leave the others
            if tap.fileno() not in self._refused:
                self._refused.add(tap.fileno())
                self._say(NOTICE + str(error).encode())

    def _say(self, word: bytes) -> bool:
        try:
            self._gateway.send(word, socket.MSG_DONTWAIT)
        except (BlockingIOError, ConnectionError):  # it is busy, or gone
            return False
        return True


def main(arguments: list[str]) -> int:
    """Run the process; return its exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):  # it is the gateway that ends us
        signal.signal(number, signal.SIG_IGN)
    with socket.socket(fileno=int(arguments[0])) as gateway:
        gateway.set_inheritable(False)
        with contextlib.suppress(ConnectionError):  # the gateway was killed
            return _guard(gateway)
    return 0


def _guard(gateway: socket.socket) -> int:
    try:
        os_priority.set_realtime(0, os_priority.REALTIME_GUARD, inherit=False)
    except PermissionError as error:
        gateway.send(str(error).encode())
        return 1
    gateway.send(READY)
    Guard(gateway).run()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
