"""Long reads in turns: each gets about a millisecond, then the others, then the event loop.

**Model.** A read that does not finish at once becomes a `Read` in a ring. One turn steps through
the ring until the quantum is used up and comes back in the next turn of the loop, so that point
reads and commits get in between. Reads of a stream whose client does not read its answers stay out.
"""

import asyncio
from collections import deque
from typing import Protocol

from kvnode.storage.engine import Snapshot
from kvnode.txn.timeline import Timeline
from runtime.clock import Clock


class Read(Protocol):
    """A read that takes many steps."""

    def is_blocked(self) -> bool:
        """Tell whether its client cannot take answers now."""
        ...

    def step(self, snapshot: Snapshot) -> bool:
        """Read on for a while; tell whether it is over, which includes: cancelled."""
        ...


class ReadScheduler:
    """Runs reads in turns. Bounded by the outstanding requests of all streams."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        timeline: Timeline,
        *,
        quantum_s: float,
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._timeline = timeline
        self._quantum_s = quantum_s
        self._ring: deque[Read] = deque()
        self._blocked: list[Read] = []
        self._is_scheduled = False
        self._turn_ends_s = 0.0

    def __len__(self) -> int:
        return len(self._ring) + len(self._blocked)

    def begin_turn(self) -> None:
        """Start the budget for reads that are answered on the spot."""
        self._turn_ends_s = self._clock.monotonic_s() + self._quantum_s

    def run(self, read: Read) -> None:
        """Take the first step at once if this turn has time left, the rest in the ring."""
        has_time = self._clock.monotonic_s() < self._turn_ends_s and not read.is_blocked()
        if has_time and read.step(self._timeline.snapshot()):
            return
        self._ring.append(read)
        self._schedule()

    def unblock(self) -> None:
        """Look at the blocked reads again: some client reads its answers."""
        self._ring.extend(self._blocked)
        self._blocked.clear()
        self._schedule()

    def _schedule(self) -> None:
        if self._ring and not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._is_scheduled = False
        ends_s = self._clock.monotonic_s() + self._quantum_s
        while self._ring:
            read = self._ring.popleft()
            if read.is_blocked():
                self._blocked.append(read)
                continue
            if not read.step(self._timeline.snapshot()):
                self._ring.append(read)
            if self._clock.monotonic_s() >= ends_s:
                break
        self._schedule()
