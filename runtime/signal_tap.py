"""Lets another process know of a signal as soon as it arrives here, though Python be busy.

**Model.** Python runs handlers between two steps of its own: a long call into C holds them up. Only
the byte that it writes to the wake-up descriptor leaves at once. The loop has one, to wake itself;
we put a pair of sockets before it. Whoever has a descriptor of the *tap* too and watches it without
reading (edge-triggered) learns of each signal before the loop has passed it on.

    signal → wake-up descriptor ─▶ tap ─▶ the loop's own descriptor
                                   └──── watched from outside

Source: signal.set_wakeup_fd of Python; epoll(7), EPOLLET.
"""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Iterator


@contextlib.contextmanager
def tapped_signals(loop: asyncio.AbstractEventLoop) -> Iterator[socket.socket]:
    """Yield the tap. Requires: the main thread, in `loop`, whose handlers are all set."""
    written, tap = socket.socketpair()
    with written, tap:
        written.setblocking(False)
        tap.setblocking(False)
        former = signal.set_wakeup_fd(written.fileno(), warn_on_full_buffer=False)

        def pass_on() -> None:
            with contextlib.suppress(BlockingIOError):
                signals = tap.recv(256)
                if former >= 0:
                    os.write(former, signals)

        loop.add_reader(tap, pass_on)
        try:
            yield tap
        finally:
            loop.remove_reader(tap)
            signal.set_wakeup_fd(former, warn_on_full_buffer=False)
