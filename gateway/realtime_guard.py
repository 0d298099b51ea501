"""The process that ends real-time of a SQL process, whatever that is busy with.

    python -m gateway.realtime_guard FD

**Model.** A SQL process that is real-time and computes for 10 ms at a stretch gets SIGXCPU from the
kernel. Its handler makes it normal, but not within a long call into C; and when there are as many
of those as CPUs, no normal process runs, nor the gateway, for a second. So each SQL process leaves
us its signal tap (`runtime/signal_tap.py`), and we come before all real-time:

    SQL process: SIGXCPU → tap ─▶ guard: the process is normal

Nothing arrives while nobody computes for so long, and nothing is done then. Who made the tap is
known from the kernel (SO_PEERCRED). Other signals, which are rare, end real-time too.

**Life.** A child of the gateway, at the other end of FD; it ends with the gateway. The first word
on FD is ours: real-time or refused. Later ones are notices, or why we end: a tap that got lost on
its way would leave a process without a guard, so then nobody is to be real-time.
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
_LOST: Final = b"a tap was cut off: no file descriptor is left"


class Guard:
    """The taps of all SQL processes, and where new ones come from."""

    def __init__(self, gateway: socket.socket) -> None:
        self._gateway = gateway
        self._taps: dict[int, socket.socket] = {}
        self._refused: set[int] = set()  # of those, whose process we could not make normal
        self._epoll = select.epoll()
        self._epoll.register(gateway, select.EPOLLIN)

    def run(self) -> None:
        """Serve until the gateway is gone."""
        is_needed = True
        while is_needed:
            for fd, events in self._epoll.poll():
                if fd == self._gateway.fileno():
                    is_needed = self._take()
                elif events & select.EPOLLHUP:
                    self._epoll.unregister(fd)
                    self._refused.discard(fd)
                    self._taps.pop(fd).close()
                else:
                    self._end_realtime(self._taps[fd])

    def _take(self) -> bool:
        packet, fds, _, _ = socket.recv_fds(self._gateway, 64, 1)
        for fd in fds:
            self._taps[fd] = socket.socket(fileno=fd)
            self._epoll.register(fd, select.EPOLLIN | select.EPOLLET)
        if packet and not fds:
            self._say(_LOST)
        return bool(fds)

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

    def _say(self, word: bytes) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionError):  # it is busy, or gone
            self._gateway.send(word, socket.MSG_DONTWAIT)


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
