"""Whose turn it is among elastic work, and when it has one beside work that is not.

**Model.** Backfills, garbage collection, bulk loads, exports have a fair queue of their own, and a
bucket of CPU time (`admission.elastic_cpu`) that is filled with a part of the loop's one core: at
first 12 %, steered by scheduling latency, and never less than 5 %. What the loop leaves idle, or
what there is while one tenant has the node, they take freely.

    regular work waits? ─┬ yes ──► tokens, and the last piece long enough ago? ─► a piece, paid
                         └ no ────► idle since the last turn, or one tenant? ─► a slice, free
                                    else: tokens? ─► a slice, paid

**Invariants.** Beside regular work elastic pieces take a tenth of the time at most, and come one at
a time, a millisecond apart or more: whoever asks waits for one of them. However busy the node is,
elastic work gets its 5 % of a core: nothing starves, and no lock is held for ever.

**Concurrency.** Owner: the scheduler.
"""

from typing import Final

from admission.elastic_cpu import ElasticConfig, ElasticCpu
from admission.queue import FairQueue, QueueConfig, Work

_CORES: Final = 1.0  # the loop is one thread, whatever the machine has
_ESTIMATE_S: Final = 0.0002  # of a piece, until it is known
_GAP_S: Final = 0.001
_GAP_PART: Final = 9.0  # of what the last piece took
_RETRY_S: Final = 0.001


class ElasticQueue:
    """The queue and the bucket. Times are the caller's monotonic seconds."""

    def __init__(self, config: QueueConfig | None = None, *, now_s: float) -> None:
        self.queue = FairQueue(config)
        self.tokens = ElasticCpu(ElasticConfig(cores=_CORES), now_s=now_s)
        self._next_s = now_s
        self._is_paid = False  # what was taken last

    def __len__(self) -> int:
        return len(self.queue)

    def take(self, *, now_s: float, is_beside: bool, is_idle: bool) -> Work | float:
        """Return the next work, or how long to wait. Requires: there is some.

        `is_beside`: regular work waits. `is_idle`: nobody would miss the time.
        """
        self._is_paid = is_beside or not is_idle
        if is_beside and now_s < self._next_s:
            return self._next_s - now_s
        if self._is_paid and not self.tokens.try_take(_ESTIMATE_S, now_s=now_s):
            return _RETRY_S
        work = self.queue.take(now_s=now_s)
        assert work is not None, "the caller has looked"
        return work

    def settle(self, work: Work, cost_s: float, *, now_s: float) -> None:
        """Charge what was taken last: it took `cost_s`."""
        self.queue.settle(work, cost_s, now_s=now_s)
        if self._is_paid:
            self.tokens.take(cost_s - _ESTIMATE_S)
            self._next_s = now_s + max(_GAP_S, _GAP_PART * cost_s)
