"""Keep an event loop awake for a moment, because what it waits for is near.

**Model.** A loop that sleeps lets its CPU halt, and waking a halted CPU takes 30 to 40 µs on a
virtual machine: longer than the KV node needs for a point read. So whoever has just sent something
polls for the answer for a few tens of microseconds before it sleeps. Measured on 2 cores, one
request at a time over a Unix socket: 78 µs a round trip asleep, 22 µs with one side polling, 12 µs
with both.

Polling that ends in vain makes polling rarer: after n times in a row the next 2**n chances are let
pass. So a busy pair of processes polls nearly always, an idle one never, and one whose answers take
longer (a commit, a lock) hardly.

**Concurrency.** Belongs to one loop; costs it one callback a turn while it polls.
"""

import asyncio
from collections.abc import Callable
from typing import Final

_MISSES_MAX: Final = 10
_POLLS_MAX: Final = 200  # in a row, however slowly the clock moves: in tests it stands still


class BusyPoll:
    """One thing that is waited for: `expect` when it may come, `arrived` when it did."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        monotonic_s: Callable[[], float],
        *,
        wait_s_max: float,
    ) -> None:
        self._loop = loop
        self._monotonic_s = monotonic_s
        self._wait_s_max = wait_s_max
        self._until_s = 0.0  # 0: nothing is expected
        self._is_polling = False
        self._polls = 0
        self._misses = 0
        self._skips = 0

    def expect(self) -> None:
        """Poll from now on, for `wait_s_max` at most."""
        if self._skips:
            self._skips -= 1
            return
        self._until_s = self._monotonic_s() + self._wait_s_max
        self._polls = 0
        if not self._is_polling:
            self._is_polling = True
            self._loop.call_soon(self._poll)

    def arrived(self) -> None:
        """Stop polling: it is here."""
        if self._until_s:
            self._until_s = 0.0
            self._misses = 0

    def _poll(self) -> None:
        self._polls += 1
        if self._polls < _POLLS_MAX and self._monotonic_s() < self._until_s:
            self._loop.call_soon(self._poll)  # the loop looks at its sockets in between
            return
        self._is_polling = False
        if self._until_s:
            self._until_s = 0.0
            self._misses = min(self._misses + 1, _MISSES_MAX)
            self._skips = 1 << self._misses
