"""Whose bulk is written next: tenants by what theirs put on the disk lately, over weight.

**Model.** Chunks of large transactions, moves and discards wait for the writer in a fair queue of
their own (`admission.queue`), whose cost is bytes that reach the disk. So one tenant with a hundred
loads gets as much of what commits leave as another with one, whether it is the writer that they
wait for or, on a slow disk, tokens (`io_gate.py`).

    chunk ──(pieces)──► fair queue ──(the writer is idle; tokens)──► the least served tenant's next
       └─ cancelled, rolled back, too late: if none of its pieces has begun, all are taken out

Within a tenant the order is that of submission: what is discarded was staged before.

**Invariants.** A chunk is written as a whole: what has begun is not taken out. What waits is
bounded for each tenant, in number here (`check_room`, before a chunk is cut), in bytes by
`server/stage_requests.py`, and in time: the first piece of a chunk may have a deadline.

**Concurrency.** Owner: the event loop. One batch is under way at a time.
"""

import math
from collections.abc import Callable, Collection, Sequence
from typing import Final, Generic, Protocol, TypeVar

from admission.io_tokens import PATH_BYTES
from admission.queue import FairQueue, QueueConfig, Work

_ITEMS_MAX: Final = 10_000  # of one tenant


class Sized(Protocol):
    """What is written. With `wait_s_max`: it may wait so long."""

    @property
    def tenant_id(self) -> int:
        """Whose it is."""
        ...

    @property
    def size_bytes(self) -> int:
        """Roughly what it writes."""
        ...


SizedT = TypeVar("SizedT", bound=Sized)


class BulkQueue(Generic[SizedT]):
    """The queue. `now`: monotonic seconds; without a clock nothing fades, and nothing is late."""

    def __init__(
        self, now: Callable[[], float] = lambda: 0.0, *, tenant_items_max: int = _ITEMS_MAX
    ) -> None:
        self._now = now
        self.queue = FairQueue(QueueConfig(tenant_items_max=tenant_items_max))
        self._works: dict[SizedT, Work] = {}  # of what waits, in the order in which it came
        self._batch: list[Work] = []  # what is under way, until it is settled

    def __len__(self) -> int:
        return len(self._works)

    def check_room(self, tenant_id: int) -> None:
        """Raise Throttled, with a wait in milliseconds, if no more of a tenant may wait."""
        self.queue.check_room(tenant_id, now_s=self._now())

    def add(self, operation: SizedT) -> None:
        """Queue an operation. Whoever cuts a chunk has asked for room."""
        now_s = self._now()
        self._works[operation] = work = Work(
            tenant_id=operation.tenant_id,
            txn_start=0,
            estimate=operation.size_bytes + PATH_BYTES,
            deadline_s=now_s + getattr(operation, "wait_s_max", math.inf),
            payload=operation,
        )
        self.queue.put_back(work, now_s=now_s)

    def take(self, size_bytes_max: int) -> list[SizedT]:
        """Remove the next batch: one operation, and more as long as they fit. May be called late.

        Requires: something waits.
        """
        self.settle(0.0)  # what failed put nothing on the disk
        now_s, size, batch = self._now(), 0, list[SizedT]()
        while (work := self.queue.peek()) is not None:
            operation: SizedT = work.payload  # type: ignore[assignment]  # as `add` has made it
            if batch and size + operation.size_bytes > size_bytes_max:
                break
            self.queue.take(now_s=now_s)
            del self._works[operation]
            self._batch.append(work)
            batch.append(operation)
            size += operation.size_bytes
        return batch

    def settle(self, written_bytes: float) -> None:
        """Charge tenants for what the batch wrote, split by size."""
        batch, self._batch = self._batch, []
        if batch:
            now_s, each = self._now(), written_bytes / sum(work.estimate for work in batch)
            for work in batch:
                self.queue.settle(work, work.estimate * each, now_s=now_s)

    def withdraw(self, operations: Sequence[SizedT]) -> bool:
        """Take out what waits, if none of `operations` has begun; tell whether that is so."""
        if not operations or not all(one in self._works for one in operations):
            return False
        for one in operations:
            self._remove(one)
        return True

    def withdraw_tenants(self, tenant_ids: Collection[int]) -> list[SizedT]:
        """Take out all of some tenants."""
        return self._withdraw_all([one for one in self._works if one.tenant_id in tenant_ids])

    def clear(self) -> list[SizedT]:
        """Take out everything."""
        return self._withdraw_all(list(self._works))

    def expire(self) -> list[SizedT]:
        """Take out what has waited too long; the rest of its chunk waits on."""
        expired: list[SizedT] = []
        for work in self.queue.expire(now_s=self._now()):
            operation: SizedT = work.payload  # type: ignore[assignment]  # as `add` has made it
            del self._works[operation]
            work.payload = None
            expired.append(operation)
        return expired

    def _withdraw_all(self, operations: list[SizedT]) -> list[SizedT]:
        for one in operations:
            self._remove(one)
        return operations

    def _remove(self, operation: SizedT) -> None:
        work = self._works.pop(operation)
        self.queue.cancel(work)
        work.payload = None  # entries of the queue that are out of date refer to it


def is_bulk(operation: object) -> bool:
    """Tell whether it is of a bulk load, and waits for commits."""
    return getattr(operation, "is_bulk", False)


def is_upkeep(operation: object) -> bool:
    """Tell whether it depends on no commit, and may make room."""
    return getattr(operation, "is_upkeep", False)


def is_regular(operation: object) -> bool:
    """Tell whether somebody's latency depends on it: bulk, its COMMIT and upkeep are not."""
    if is_bulk(operation) or is_upkeep(operation):
        return False
    return getattr(operation, "is_regular", True)
