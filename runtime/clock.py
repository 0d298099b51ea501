"""Clocks as arguments: the only module that asks the machine for the time.

**Model.** Everything that needs time takes a `Clock`. Production passes `SystemClock`, tests pass
`ManualClock`, so that no test sleeps and no logic depends on the speed of the machine.
"""

import time
from typing import Protocol


class Clock(Protocol):
    """Wall time for timestamps, monotonic time for durations."""

    def now_ns(self) -> int:
        """Return wall time in nanoseconds since 1970."""
        ...

    def monotonic_s(self) -> float:
        """Return seconds on a clock that never goes back."""
        ...


class SystemClock:
    """The machine's clocks."""

    now_ns = staticmethod(time.time_ns)
    monotonic_s = staticmethod(time.monotonic)


class ManualClock:
    """A clock that moves only when told to; wall and monotonic time move together."""

    def __init__(self, now_s: float = 1_700_000_000.0) -> None:
        self._now_ns = int(now_s * 1e9)

    def now_ns(self) -> int:
        return self._now_ns

    def monotonic_s(self) -> float:
        return self._now_ns / 1e9

    def advance(self, seconds: float) -> None:
        """Move time forward by `seconds`, which may be negative to model a clock step."""
        self._now_ns += int(seconds * 1e9)


class CpuClock(Protocol):
    """CPU time: of the thread that asks, and of the whole process."""

    def thread_s(self) -> float:
        """Return seconds of CPU time that the calling thread has used."""
        ...

    def process_s(self) -> float:
        """Return seconds of CPU time that the process has used."""
        ...


class SystemCpuClock:
    """The operating system's account."""

    thread_s = staticmethod(time.thread_time)
    process_s = staticmethod(time.process_time)


class WallCpuClock:
    """Takes time on a `Clock` for CPU time: where nothing else runs, as in a simulation."""

    def __init__(self, clock: Clock) -> None:
        self.thread_s = self.process_s = clock.monotonic_s
