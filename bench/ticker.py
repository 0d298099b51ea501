"""A timer finer than the event loop's.

epoll, and so every asyncio loop, rounds waits up to whole milliseconds. That would add up to one
millisecond to each latency of an open loop. A timerfd wakes the loop as any other file does, some
tens of microseconds after its time.

Source: timerfd_create(2). Python's `os` has it from 3.13 on.
"""

import asyncio
import ctypes
import os
from types import TracebackType
from typing import Final, Self

_CLOCK_MONOTONIC: Final = 1
_NONBLOCK_CLOEXEC: Final = os.O_NONBLOCK | os.O_CLOEXEC


class _TimerSpec(ctypes.Structure):
    """struct itimerspec: interval, then first expiry, each seconds and nanoseconds."""

    _fields_ = tuple(
        (name, ctypes.c_long) for name in ("interval_s", "interval_ns", "first_s", "first_ns")
    )


class Ticker:
    """Ticks every `interval_s` on the running loop, from __enter__ to __exit__."""

    def __init__(self, interval_s: float) -> None:
        self._seconds, self._nanoseconds = divmod(max(int(interval_s * 1e9), 1), 10**9)
        self._ticked = asyncio.Event()

    def __enter__(self) -> Self:
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd = libc.timerfd_create(_CLOCK_MONOTONIC, _NONBLOCK_CLOEXEC)
        spec = _TimerSpec(self._seconds, self._nanoseconds, self._seconds, self._nanoseconds)
        if self._fd < 0 or libc.timerfd_settime(self._fd, 0, ctypes.byref(spec), None) < 0:
            raise OSError(ctypes.get_errno(), "timerfd")
        asyncio.get_running_loop().add_reader(self._fd, self._read)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)

    def _read(self) -> None:
        os.read(self._fd, 8)
        self._ticked.set()

    async def wait(self) -> None:
        """Wait until at least one tick has passed since the last wait."""
        await self._ticked.wait()
        self._ticked.clear()
