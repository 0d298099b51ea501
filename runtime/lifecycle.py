"""How a process learns that it shall end: signals, and the lifeline.

**Model.** The supervisor holds the write end of a pipe and every process of the stack inherits the
read end (its number is in `INSULA_LIFELINE_FD`). Nobody ever writes. When the supervisor dies,
even by kill -9, the kernel closes the write end and every reader sees end of file: no process
outlives the stack.
"""

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Mapping
from typing import Final

LIFELINE_ENV: Final = "INSULA_LIFELINE_FD"
_log = logging.getLogger(__name__)


def stop_event(
    loop: asyncio.AbstractEventLoop, environment: Mapping[str, str] | None = None
) -> asyncio.Event:
    """Return an event that SIGTERM, SIGINT or the end of the lifeline sets."""
    event = asyncio.Event()

    def request_stop(cause: str) -> None:
        if not event.is_set():
            _log.info("stop_requested", extra={"cause": cause})
            event.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, request_stop, signal.Signals(number).name)
    fd = lifeline_fd(os.environ if environment is None else environment)
    if fd is not None:
        watch_lifeline(loop, fd, lambda: request_stop("supervisor_gone"))
    return event


def lifeline_fd(environment: Mapping[str, str]) -> int | None:
    """Return the inherited read end of the lifeline, or None for a process that runs alone."""
    text = environment.get(LIFELINE_ENV, "")
    return int(text) if text.isdecimal() else None


def watch_lifeline(loop: asyncio.AbstractEventLoop, fd: int, on_end: Callable[[], None]) -> None:
    """Call `on_end` once, when the supervisor is gone."""

    def readable() -> None:
        loop.remove_reader(fd)
        on_end()

    loop.add_reader(fd, readable)
