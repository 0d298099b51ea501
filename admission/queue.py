"""Whose turn it is: a heap of tenants by recent use over weight, within each a heap of its work.

**Model.** Recent use is cost with an exponentially fading memory of `memory_s`. All tenants fade at
the same rate, so instead of shrinking old use the queue lets new use count for more: a cost at time
t is stored as cost · e^((t - origin) / memory_s). Stored use changes only when its tenant is
charged, so the order of the heap never changes by itself. Before the factor overflows, everything
is divided by it once.

    tenants:  heap of (stored use / weight)         the least served one is next
    work:     heap of (priority, transaction start)  strict within a tenant, meaningless across

A tenant whose queue was empty starts at the *floor*: the stored use over weight at which the last
work was taken, or at its own if that is higher. So nobody saves up a claim by being idle, which
would starve the others when it returns; and nobody loses use by a short pause. What a tenant really
spent is kept beside it: well below the floor, it is within its share, whoever else is there.

Work is charged by an estimate when it goes, and corrected later. Estimates count for whose turn it
is, but not for the floor: it never falls, so what was charged too much would stay in it, and a
tenant whose queue is empty for a moment would be lifted by what its neighbours get back.

**Invariants.** The floor never falls. A tenant that is served less than its share has the least use
and is next, behind at most one piece of work of each other such tenant. Everything is bounded:
`tenant_items_max` for each tenant, `items_max` in all, what is set aside included. Every operation
is O(log n), amortized: entries that are out of date stay in their heap until they surface, or until
they are the majority.

**Source.** CockroachDB, pkg/util/admission/work_queue.go (two heaps, lock holders); Goyal, Vin,
Cheng, "Start-time Fair Queuing" (the floor); Cormode et al., "Forward Decay" (stored use).
"""

import heapq
import math
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from kvapi.errors import Throttled

_EXPONENT_MAX: Final = 60.0  # then stored use is scaled down; e^60 is far from overflow
_SPENT_FORGOTTEN: Final = 1e-6  # by an idle tenant: a microsecond of CPU
_NOT_QUEUED: Final = -1
_RETRY_S: Final = (0.01, 5.0)
_WITHIN_SHARE: Final = 0.75  # of the floor: those who compete for the last of it are not


class Priority(IntEnum):
    """Of work within its tenant. Below NORMAL is elastic: it takes what regular work leaves."""

    BULK = -30
    NORMAL = 0
    LOCK_HOLDER = 10
    HIGH = 50
    HIGH_LOCK_HOLDER = 100

    def holding_locks(self) -> "Priority":
        """Return the priority of the same work when others wait for locks it holds."""
        return Priority.HIGH_LOCK_HOLDER if self >= Priority.HIGH else Priority.LOCK_HOLDER


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueConfig:
    """Bounds and memory. Cost is in the unit of the tokens it is taken for: seconds, bytes."""

    memory_s: float = 5.0
    tenant_items_max: int = 10_000
    items_max: int = 200_000

    def __post_init__(self) -> None:
        if min(self.memory_s, self.tenant_items_max, self.items_max) <= 0:
            raise ValueError("memory_s, tenant_items_max and items_max must be > 0")


@dataclass(slots=True, eq=False, kw_only=True)
class Work:
    """One piece of work; `payload` is its owner's business.

    `estimate` is charged when the work is taken, and corrected by `FairQueue.settle`.
    """

    tenant_id: int
    txn_start: int
    priority: int = Priority.NORMAL
    estimate: float = 0.0
    deadline_s: float = math.inf
    payload: object = None
    _arrival: int = field(default=_NOT_QUEUED, init=False)

    @property
    def is_queued(self) -> bool:
        """Whether it waits: neither taken nor cancelled nor expired."""
        return self._arrival != _NOT_QUEUED


class _Tenant:
    """A tenant's stored use, and its work."""

    __slots__ = ("count", "heap", "id", "spent", "taken_rate", "turn", "unsettled", "use", "weight")

    def __init__(self, tenant_id: int, weight: float) -> None:
        self.id = tenant_id
        self.weight = weight
        self.use = 0.0  # stored: what decides whose turn it is
        self.spent = 0.0  # stored: what it really cost, never raised to the floor
        self.unsettled = 0.0  # of what it was charged: estimates, as they were, not stored
        self.taken_rate = 0.0  # pieces of work taken, stored like use
        self.count = 0
        self.heap: list[tuple[int, int, int, Work]] = []
        self.turn = 0  # number of its valid entry in the heap of tenants


class FairQueue:
    """The queue. Times are the caller's monotonic seconds."""

    def __init__(self, config: QueueConfig | None = None) -> None:
        self._config = config or QueueConfig()
        self._tenants: dict[int, _Tenant] = {}
        self._weights: dict[int, float] = {}  # other than 1
        self._heap: list[tuple[float, int, _Tenant]] = []
        self._deadlines: list[tuple[float, int, Work]] = []
        self._floor = 0.0
        self._origin_s: float | None = None
        self._newest_scale = 1.0
        self._counter = 0
        self._count = 0
        self._aside: dict[int, int] = {}  # tenant → how much waits elsewhere
        self.aside_count = 0
        self._busy_count = 0
        self._sweep_at = 64

    def __len__(self) -> int:
        return self._count

    def waiting(self, tenant_id: int) -> int:
        """Return how much work of a tenant waits."""
        tenant = self._tenants.get(tenant_id)
        return tenant.count if tenant is not None else 0

    def add(self, work: Work, *, now_s: float) -> None:
        """Queue new work. Raises: Throttled, with a wait in milliseconds."""
        self.check_room(work.tenant_id, now_s=now_s)
        self.put_back(work, now_s=now_s)

    def check_room(self, tenant_id: int, *, now_s: float) -> None:
        """Raise Throttled, with a wait in milliseconds, if no more work of a tenant may wait."""
        tenant, config = self._tenant(tenant_id), self._config
        own = tenant.count + self._aside.get(tenant_id, 0)
        everything = self._count + self.aside_count
        if own >= config.tenant_items_max or everything >= config.items_max:
            retry_ms = math.ceil(self._retry_s(tenant, now_s) * 1e3)
            raise Throttled("too much work of this tenant waits already", number=retry_ms)

    def put_back(self, work: Work, *, now_s: float) -> None:
        """Queue work whose quantum is over: what is under way is not refused any more."""
        assert not work.is_queued, "work is queued once"
        self._scale(now_s)
        tenant = self._tenant(work.tenant_id)
        self._counter += 1
        work._arrival = self._counter
        heapq.heappush(tenant.heap, (-work.priority, work.txn_start, work._arrival, work))
        if work.deadline_s != math.inf:
            heapq.heappush(self._deadlines, (work.deadline_s, work._arrival, work))
        tenant.count += 1
        self._count += 1
        if tenant.count == 1:
            self._busy_count += 1
            tenant.use = max(tenant.use, self._floor * tenant.weight)
            self._enter(tenant)

    def set_aside(self, tenant_id: int) -> None:
        """Count taken work that cannot go on and waits elsewhere: it still takes room."""
        self._aside[tenant_id] = self._aside.get(tenant_id, 0) + 1
        self.aside_count += 1

    def take_back(self, tenant_id: int) -> None:
        """Count it no more: it is put back, or over."""
        self.aside_count -= 1
        if (left := self._aside.pop(tenant_id) - 1) > 0:
            self._aside[tenant_id] = left

    def next_tenant(self) -> int | None:
        """Return the tenant whose turn it is, or None if nothing waits."""
        tenant = self._least()
        return tenant.id if tenant is not None else None

    def peek(self) -> Work | None:
        """Return what `take` would take now."""
        tenant = self._least()
        return _first(tenant) if tenant is not None else None

    def take(self, *, now_s: float) -> Work | None:
        """Remove the next work and charge its estimate. Call `expire` before."""
        scale = self._scale(now_s)
        tenant = self._least()
        if tenant is None:
            return None
        work = _first(tenant)
        heapq.heappop(tenant.heap)
        self._floor = max(self._floor, (tenant.use - tenant.unsettled * scale) / tenant.weight)
        tenant.unsettled += work.estimate
        tenant.use += work.estimate * scale
        tenant.spent += work.estimate * scale
        tenant.taken_rate += scale
        self._leave(tenant, work)
        if tenant.count:
            self._enter(tenant)
        return work

    def settle(self, work: Work, cost: float, *, now_s: float) -> None:
        """Correct what was charged for taken work: it did cost `cost`."""
        self.correct(work.tenant_id, work.estimate, cost, now_s=now_s)

    def reserve(self, tenant_id: int, estimate: float, *, now_s: float) -> None:
        """Charge an estimate for work that did not wait; `correct` follows."""
        self.charge(tenant_id, estimate, now_s=now_s)
        self._tenants[tenant_id].unsettled += estimate

    def correct(
        self, tenant_id: int, estimate: float, cost: float, *, now_s: float, left: float = 1.0
    ) -> None:
        """Replace an estimate that was charged by what the work did cost.

        `left`: how much of the estimate still counts, if it was charged long ago.
        """
        self.charge(tenant_id, cost - estimate * left, now_s=now_s)
        tenant = self._tenants[tenant_id]
        tenant.unsettled = max(0.0, tenant.unsettled - estimate)

    def part_left(self, age_s: float) -> float:
        """Return how much of a charge still counts after `age_s`."""
        return math.exp(-age_s / self._config.memory_s)

    def charge(self, tenant_id: int, cost: float, *, now_s: float) -> None:
        """Add `cost` to a tenant's use, whether it waits or not."""
        scale = self._scale(now_s)
        tenant = self._tenant(tenant_id)
        tenant.use = max(0.0, tenant.use + cost * scale)
        tenant.spent = max(0.0, tenant.spent + cost * scale)
        if tenant.count:
            self._enter(tenant)

    def raise_priority(self, work: Work, priority: int) -> None:
        """Raise work, queued or not: others wait for what it holds. Never lowers."""
        if priority <= work.priority:
            return
        work.priority = priority
        if work.is_queued:
            tenant = self._tenants[work.tenant_id]
            heapq.heappush(tenant.heap, (-priority, work.txn_start, work._arrival, work))
            _compact_work(tenant)

    def cancel(self, work: Work) -> bool:
        """Remove work; tell whether it still waited."""
        if not work.is_queued:
            return False
        tenant = self._tenants[work.tenant_id]
        self._leave(tenant, work)
        _compact_work(tenant)
        return True

    def expire(self, *, now_s: float) -> list[Work]:
        """Remove and return the work whose deadline has come."""
        expired = []
        while (deadline_s := self.next_deadline_s()) is not None and deadline_s <= now_s:
            work = heapq.heappop(self._deadlines)[2]
            self.cancel(work)
            expired.append(work)
        return expired

    def next_deadline_s(self) -> float | None:
        """Return when the next deadline is, or None."""
        heap = self._deadlines
        while heap and heap[0][2]._arrival != heap[0][1]:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def set_weight(self, tenant_id: int, weight: float) -> None:
        """Give a tenant a share of `weight` for each 1 of others."""
        if weight <= 0:
            raise ValueError(f"a weight must be > 0, got {weight}")
        if weight == 1:
            self._weights.pop(tenant_id, None)
        else:
            self._weights[tenant_id] = weight
        if (tenant := self._tenants.get(tenant_id)) is not None:
            tenant.use *= weight / tenant.weight  # keeps its place
            tenant.weight = weight

    def use_per_s(self, tenant_id: int, *, now_s: float) -> float:
        """Return a tenant's recent cost per second."""
        scale = self._scale(now_s)
        tenant = self._tenants.get(tenant_id)
        return tenant.spent / scale / self._config.memory_s if tenant is not None else 0.0

    def is_within_share(self, tenant_id: int) -> bool:
        """Tell whether a tenant spent clearly less lately than those at the head of the queue."""
        tenant = self._tenants.get(tenant_id)
        return tenant is None or tenant.spent / tenant.weight <= _WITHIN_SHARE * self._floor

    def is_below_next(self, tenant_id: int) -> bool:
        """Tell whether a tenant spent clearly less lately than the one whose turn it is."""
        tenant, least = self._tenants.get(tenant_id), self._least()
        if tenant is None or least is None:
            return tenant is None
        return tenant.spent / tenant.weight <= _WITHIN_SHARE * least.use / least.weight

    def _tenant(self, tenant_id: int) -> _Tenant:
        tenant = self._tenants.get(tenant_id)
        if tenant is None:
            if len(self._tenants) >= self._sweep_at:
                self._sweep()
            tenant = _Tenant(tenant_id, self._weights.get(tenant_id, 1.0))
            self._tenants[tenant_id] = tenant
        return tenant

    def _least(self) -> _Tenant | None:
        heap = self._heap
        while heap and heap[0][1] != heap[0][2].turn:
            heapq.heappop(heap)
        return heap[0][2] if heap else None

    def _enter(self, tenant: _Tenant) -> None:
        """Give the tenant a new entry in the heap; that makes its old one invalid."""
        self._counter += 1
        tenant.turn = self._counter
        heapq.heappush(self._heap, (tenant.use / tenant.weight, tenant.turn, tenant))
        if len(self._heap) > 2 * self._busy_count + 64:
            self._heap = [entry for entry in self._heap if entry[1] == entry[2].turn]
            heapq.heapify(self._heap)

    def _leave(self, tenant: _Tenant, work: Work) -> None:
        work._arrival = _NOT_QUEUED
        tenant.count -= 1
        self._count -= 1
        if not tenant.count:
            self._busy_count -= 1
            tenant.turn = 0
            tenant.heap.clear()
        if len(self._deadlines) > 2 * self._count + 64:
            self._deadlines = [e for e in self._deadlines if e[2]._arrival == e[1]]
            heapq.heapify(self._deadlines)

    def _scale(self, now_s: float) -> float:
        """Return what one unit of cost counts for now."""
        if self._origin_s is None:
            self._origin_s = now_s
        exponent = (now_s - self._origin_s) / self._config.memory_s
        if exponent > _EXPONENT_MAX:
            self._rescale(now_s, math.exp(-min(exponent, 700.0)))
            exponent = 0.0
        self._newest_scale = math.exp(exponent)
        return self._newest_scale

    def _rescale(self, now_s: float, factor: float) -> None:
        self._origin_s, self._newest_scale = now_s, 1.0
        self._floor *= factor
        for tenant in self._tenants.values():
            tenant.use *= factor
            tenant.spent *= factor
            tenant.taken_rate *= factor
        valid = [entry for entry in self._heap if entry[1] == entry[2].turn]
        self._heap = [(use * factor, turn, tenant) for use, turn, tenant in valid]
        self._sweep()

    def _sweep(self) -> None:
        """Forget idle tenants that spent nothing lately and would return at the floor."""
        forgotten = _SPENT_FORGOTTEN * self._newest_scale
        for tenant in list(self._tenants.values()):
            use_max = max(forgotten, self._floor * tenant.weight)
            if not tenant.count and tenant.spent <= forgotten and tenant.use <= use_max:
                del self._tenants[tenant.id]
        self._sweep_at = max(64, 2 * len(self._tenants))

    def _retry_s(self, tenant: _Tenant, now_s: float) -> float:
        """Return how long half of a tenant's queue takes at its recent rate."""
        scale = self._scale(now_s)  # first: it may change what is stored
        rate = tenant.taken_rate / scale / self._config.memory_s
        low, high = _RETRY_S
        waiting = tenant.count + self._aside.get(tenant.id, 0)
        return min(max(waiting / 2 / rate, low), high) if rate else high


def _first(tenant: _Tenant) -> Work:
    """Return a busy tenant's next work, which then is the top of its heap."""
    heap = tenant.heap
    while True:
        rank, _, arrival, work = heap[0]
        if work._arrival == arrival and work.priority == -rank:
            return work
        heapq.heappop(heap)


def _compact_work(tenant: _Tenant) -> None:
    if len(tenant.heap) > 2 * tenant.count + 16:
        tenant.heap = [e for e in tenant.heap if e[3]._arrival == e[2] and e[3].priority == -e[0]]
        heapq.heapify(tenant.heap)
