"""When Python looks for cycles: seldom and briefly while the process works, thoroughly while not.

**Model.** What has no cycles is freed at once; the collector is for the rest. A full collection
looks at every container that lives, and Python runs one whenever those have grown by a quarter:
18 to 28 ms in a KV node that held 50,000 row locks, during which nobody is answered. So

    what lives since the start    frozen: never looked at again
    what is young                 collected by Python, 2,000 containers at a time
    everything                    collected when the process did nothing for a while

**Invariants.** A process that is never idle collects everything as well, after some millions of
containers: garbage is bounded, if loosely.

**Concurrency.** Owner: the event loop. The collector is the process's only one: one `start` each.

Source: CPython 3.11, Modules/gcmodule.c, "long_lived_pending".
"""

import asyncio
import gc
from collections.abc import Callable
from typing import Final

_YOUNG_OBJECTS: Final = 2_000  # looked at in about 0.2 ms
_YOUNG_ROUNDS: Final = 2  # then what survived those, once more
_FULL_ROUNDS: Final = 2_000
_LOOK_S: Final = 1.0


class CycleCollector:
    """Arranges when cycles are collected; `activity` counts what the process does."""

    def __init__(self, loop: asyncio.AbstractEventLoop, activity: Callable[[], int]) -> None:
        self._loop = loop
        self._activity = activity
        self._seen = -1
        self._timer: asyncio.TimerHandle | None = None
        self._before = gc.get_threshold()
        self.full_count = 0

    def start(self) -> None:
        """Set apart what lives now, and begin to watch for idle moments."""
        gc.collect()
        gc.freeze()
        gc.set_threshold(_YOUNG_OBJECTS, _YOUNG_ROUNDS, _FULL_ROUNDS)
        self._again()

    def stop(self) -> None:
        """End that, and leave the rest to Python."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        gc.set_threshold(*self._before)
        gc.unfreeze()

    def _again(self) -> None:
        self._timer = self._loop.call_later(_LOOK_S, self._look)

    def _look(self) -> None:
        seen, self._seen = self._seen, self._activity()
        if seen == self._seen and gc.get_count()[2]:  # something survived its youth since
            gc.collect()
            self.full_count += 1
        self._again()
