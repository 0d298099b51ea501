"""What holds the event loop up: the longest stretches in which nobody else could run.

**Model.** A timer that comes late shows a stall, whoever caused it; the scheduler tells of single
chunks and tasks besides, and knows whose they were. A loop that did not get a CPU looks the same
from outside, so only CPU time of the thread counts as *held*; the lateness itself, by the clock on
the wall, is the scheduling latency by which elastic work is steered. The timer ticks every TICK_S
while there is work, and four times a second when there is none: a stall may be longer by TICK_S
than what the timer saw of it.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from kvnode.admission.scheduler import Scheduler
from kvnode.admission.stalls import Stalls
from runtime.clock import CpuClock

_log = logging.getLogger(__name__)
TICK_S: Final = 0.005
_TICK_IDLE_S: Final = 0.25
HELD_S: Final = 0.005
_SAID_S: Final = 0.020
_SAMPLES: Final = 500


class Watchdog:
    """Owner: the event loop. Call `start` once, `stop` at the end."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, scheduler: Scheduler, cpu: CpuClock
    ) -> None:
        self._loop = loop
        self._scheduler = scheduler
        self._cpu = cpu
        self._lateness: deque[float] = deque(maxlen=_SAMPLES)
        self._due_s = self._cpu_s = 0.0
        self._seen = -1
        self._timer: asyncio.TimerHandle | None = None
        self.stalls = Stalls()  # by CPU time
        self.delays = Stalls()  # of the timer
        self._told_s = 0.0  # longest since the last tick
        self.held_s_max = 0.0
        self.held_count = 0  # longer than HELD_S
        self.said_count = 0  # longer than what is logged
        self.name_of: Callable[[int], str] = _nameless  # of a tenant, by its id
        scheduler.on_held = self._held

    def start(self) -> None:
        """Begin to watch."""
        self._cpu_s = self._cpu.thread_s()
        self._again(TICK_S)

    def stop(self) -> None:
        """End it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def latency_p99_s(self) -> float:
        """Return how long what was ready had to wait for the loop, lately and at worst."""
        if not self._lateness:
            return 0.0
        ordered = sorted(self._lateness)
        return ordered[int(0.99 * (len(ordered) - 1))]

    def _again(self, tick_s: float) -> None:
        self._due_s = self._loop.time() + tick_s
        self._timer = self._loop.call_at(self._due_s, self._tick)

    def _tick(self) -> None:
        now_s, cpu_s = self._loop.time(), self._cpu.thread_s()
        late_s = max(0.0, now_s - self._due_s)
        self._lateness.append(late_s)
        held_s = min(late_s, cpu_s - self._cpu_s)
        self._cpu_s = cpu_s
        self.delays.observe(late_s)
        if held_s > max(HELD_S, self._told_s):
            self._held("loop", 0, held_s)
        self._told_s = 0.0
        tokens = self._scheduler.elastic.tokens
        if tokens.is_adjustment_due(self._scheduler.now()):
            latency_s = self.latency_p99_s()
            tokens.adjust(now_s=self._scheduler.now(), latency_p99_s=latency_s)
        is_busy = self._scheduler.activity_count != self._seen
        self._seen = self._scheduler.activity_count
        self._again(TICK_S if is_busy else _TICK_IDLE_S)

    def _held(self, what: str, tenant_id: int, held_s: float) -> None:
        self.held_s_max = max(self.held_s_max, held_s)
        self.held_count += 1
        self.stalls.observe(held_s)
        self._told_s = max(self._told_s, held_s)
        if held_s > _SAID_S:
            self.said_count += 1
            fields = {"what": what, "tenant_id": tenant_id, "tenant": self.name_of(tenant_id)}
            _log.info("loop_held", extra={**fields, "held_ms": round(held_s * 1e3, 1)})


def _nameless(_: int) -> str:
    return ""
