"""Whose commit may go to the disk now: at once while that has room, else by the fair queue.

**Model.** While `admission.io_tokens` limits no commits, the gate is open: one comparison for each
commit, and nothing is kept. With a limit every write takes tokens, bytes that reach the disk, and
what finds none waits here, before locks, validation and timestamp, in a fair queue of its own whose
cost is bytes: tenants by recent use over weight, within one who holds locks goes first, then the
older transaction.

    commit, staged chunk ── open? ── yes ─────────────────────────────────────────► goes on
             │ no: takes the tokens it will need, by its size
             ├─ the only tenant that writes; or tokens, and nobody waits ─────────► goes on
             ├─ a tenant well within its share: in debt if need be ───────────────► goes on
             └─ fair queue ──(tokens drip in)──► the least served tenant's first ─► goes on
    batch durable ──► what it really wrote, by the operating system: the difference is charged

A lone tenant never waits: there is nobody to wait for.

**Invariants.** Who asked goes on once, or is told once why not: cancelled, out of time, too many.
What waits is bounded for each tenant, in number and in bytes. Tokens taken for a write that came to
nothing are given back. While somebody waits, a timer runs, for when the tokens that are owed now
will have dripped in: set again whenever some come back.

**Concurrency.** Owner: the event loop. At most a millisecond of it at a time.
"""

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from admission.io_tokens import PATH_BYTES, IoTier
from admission.queue import FairQueue, Priority, QueueConfig, Work
from kvapi.errors import KvError, Throttled
from kvnode.admission.io_gate import NOTHING, IoGate
from kvnode.admission.scheduler import Scheduler

_SHARED_S: Final = 10.0  # tenants that write within so long compete
_SLICE_S: Final = 0.001
_TICK_S: Final = 0.001
_DEBT_PART: Final = 0.1  # of the limit: who writes more waits for tokens, if it is but shortly


class Charged(Protocol):
    """An operation of a batch."""

    cpu_s: float

    @property
    def tenant_id(self) -> int:
        """Whose it is; below 1: nobody's."""
        ...

    @property
    def size_bytes(self) -> int:
        """Roughly what it writes."""
        ...


class Taken(NamedTuple):
    """What a write was charged before anybody knows what it writes."""

    tokens: float  # as they count against its tenant
    given: Sequence[float]  # what was there of them, of each tier
    at_s: float


class WriteBounds(NamedTuple):
    """Of one tenant: how many writes wait, how many bytes, and for how long."""

    writes: int
    bytes: int
    wait_s: float


@dataclass(slots=True, eq=False, kw_only=True)
class WriteTicket:
    """A write that asks to go on. `go` or `fail` is called later if it had to wait."""

    tenant_id: int
    size_bytes: int
    txn_start: int
    go: Callable[[], None]
    fail: Callable[[KvError], None]
    priority: int = Priority.NORMAL
    taken: Taken | None = None  # until the operation has it, or it is given back
    since_s: float = field(default=0.0, init=False)
    work: Work | None = field(default=None, init=False)

    def hand_over(self) -> Taken | None:
        """Return what was taken, for the operation that is submitted."""
        taken, self.taken = self.taken, None
        return taken


@dataclass(slots=True)
class _Share:
    """Of one tenant in a batch."""

    cost: float = 0.0
    tokens: float = 0.0  # that it had taken,
    left: float = 0.0  # and what of them still counts


class WriteGate:
    """Stands before the sequencer and before staging. `is_open`: nobody need ask."""

    def __init__(
        self,
        io: IoGate,
        scheduler: Scheduler,
        call_later: Callable[[float, Callable[[], None]], asyncio.TimerHandle],
        bounds: WriteBounds,
    ) -> None:
        self._io = io
        self._scheduler = scheduler
        self._call_later = call_later
        self._bounds = bounds
        self.queue = FairQueue(QueueConfig(tenant_items_max=bounds.writes))
        self.is_open = True
        self.wait_count = 0
        self._taken_count = 0  # writes that have tokens, and no outcome
        self._waiting_bytes: dict[int, int] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._last_tenant = 0
        self._last_seen_s = self._shared_until_s = -math.inf
        io.on_refit = self._refitted

    def __len__(self) -> int:
        return len(self.queue)

    def try_pass(self, ticket: WriteTicket) -> bool:
        """Tell whether a write may go on now; else it waits. Raises: Throttled, with a wait."""
        now_s = self._scheduler.now()
        self._seen(ticket.tenant_id, now_s)
        estimate = self._io.tokens.estimate(ticket.size_bytes)
        if self._may_pass(ticket.tenant_id, now_s):
            self.queue.reserve(ticket.tenant_id, estimate, now_s=now_s)
            self._take(ticket, estimate, now_s)
            return True
        self._wait(ticket, estimate, now_s)
        return False

    def cancel(self, ticket: WriteTicket) -> bool:
        """Take a write out of the queue; tell whether it waited."""
        if ticket.work is None or not self.queue.cancel(ticket.work):
            return False
        self._left(ticket)
        return True

    def give_back(self, ticket: WriteTicket | None) -> None:
        """Undo what was charged for a write that came to nothing; None: it did not ask."""
        if ticket is not None and (taken := ticket.hand_over()) is not None:
            self._undo(ticket.tenant_id, taken, self._scheduler.now())
            self.look()

    def failed(self, operations: Sequence[Charged]) -> None:
        """Undo what was charged for operations that the writer refused: nothing was written."""
        now_s = self._scheduler.now()
        for operation in operations:
            if (taken := getattr(operation, "taken", None)) is not None:
                self._undo(operation.tenant_id, taken, now_s)
        self.look()

    def ended(
        self, batch: Sequence[Charged], written_bytes: float, size_bytes: int
    ) -> Sequence[float]:
        """Charge tenants for what a batch wrote, split by size; return the tokens it had taken."""
        if self.is_open and not self._taken_count:
            return NOTHING
        now_s, (regular, elastic) = self._scheduler.now(), NOTHING
        each = written_bytes / (size_bytes + PATH_BYTES * len(batch))
        shares: dict[int, _Share] = {}
        for operation in batch:
            tenant_id, taken = operation.tenant_id, getattr(operation, "taken", None)
            if (share := shares.get(tenant_id)) is None:
                share = shares[tenant_id] = _Share()
            share.cost += (operation.size_bytes + PATH_BYTES) * each
            if taken is not None:
                self._taken_count -= 1
                share.tokens += taken.tokens
                share.left += taken.tokens * self.queue.part_left(now_s - taken.at_s)
                regular += taken.given[IoTier.REGULAR]
                elastic += taken.given[IoTier.ELASTIC]
        for tenant_id, share in shares.items():
            if tenant_id > 0:
                left = share.left / share.tokens if share.tokens else 1.0
                self.queue.correct(tenant_id, share.tokens, share.cost, left=left, now_s=now_s)
        return regular, elastic

    def look(self) -> None:
        """Take note that tokens came back: who waits goes on as soon as there are enough."""
        self._io.look()
        if self._timer is not None and len(self.queue):
            self._again(self._io.tokens.wait_s(IoTier.REGULAR))

    def set_weight(self, tenant_id: int, weight: float) -> None:
        """Give a tenant its share, from now on."""
        self.queue.set_weight(tenant_id, weight)

    # --- who may ----------------------------------------------------------------------------------

    def _may_pass(self, tenant_id: int, now_s: float) -> bool:
        if not len(self.queue) and self._io.tokens.may_take(IoTier.REGULAR, now_s=now_s):
            return True
        if self._shared_until_s <= now_s:
            return True
        queue = self.queue
        if queue.waiting(tenant_id):
            return False
        if queue.use_per_s(tenant_id, now_s=now_s) > _DEBT_PART * self._io.tokens.regular_limit:
            return False
        return queue.is_within_share(tenant_id) or queue.is_below_next(tenant_id)

    def _take(self, ticket: WriteTicket, tokens: float, now_s: float) -> None:
        self._taken_count += 1
        ticket.taken = Taken(tokens, self._io.tokens.reserve(tokens, now_s=now_s), now_s)

    def _undo(self, tenant_id: int, taken: Taken, now_s: float) -> None:
        self._taken_count -= 1
        self._io.tokens.settle(taken.given, 0.0, now_s=now_s)
        left = self.queue.part_left(now_s - taken.at_s)
        self.queue.correct(tenant_id, taken.tokens, 0.0, left=left, now_s=now_s)

    def _seen(self, tenant_id: int, now_s: float) -> None:
        if tenant_id != self._last_tenant:
            if now_s - self._last_seen_s < _SHARED_S:
                self._shared_until_s = now_s + _SHARED_S
            self._last_tenant = tenant_id
        self._last_seen_s = now_s

    def _refitted(self) -> None:
        """Learn of a new limit."""
        self.is_open = self._io.tokens.regular_limit == math.inf and not len(self.queue)
        if len(self.queue):
            self._again(0.0)

    # --- who waits --------------------------------------------------------------------------------

    def _wait(self, ticket: WriteTicket, estimate: float, now_s: float) -> None:
        tenant_id, size = ticket.tenant_id, ticket.size_bytes
        waiting = self._waiting_bytes.get(tenant_id, 0)
        if waiting and waiting + size > self._bounds.bytes:
            raise Throttled("too many bytes of this tenant wait for the disk", number=1000)
        work = Work(
            tenant_id=tenant_id,
            txn_start=ticket.txn_start,
            priority=ticket.priority,
            estimate=estimate,
            deadline_s=now_s + self._bounds.wait_s,
            payload=ticket,
        )
        self.queue.add(work, now_s=now_s)
        ticket.work, ticket.since_s = work, now_s
        if waiting + size:
            self._waiting_bytes[tenant_id] = waiting + size
        self.wait_count += 1
        if self._timer is None:
            self._again(self._io.tokens.wait_s(IoTier.REGULAR))

    def _left(self, ticket: WriteTicket) -> None:
        if ticket.work is not None:
            ticket.work.payload = None  # entries of the queue that are out of date refer to it
        ticket.work = None
        left = self._waiting_bytes.pop(ticket.tenant_id, 0) - ticket.size_bytes
        if left:
            self._waiting_bytes[ticket.tenant_id] = left

    def _again(self, wait_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._call_later(max(wait_s, _TICK_S), self._release)

    def _release(self) -> None:
        """Let go on who may, as far as the slice goes."""
        self._timer = None
        now_s = self._scheduler.now()
        ends_s = now_s + _SLICE_S
        try:
            self._expire(now_s)
            while len(self.queue) and now_s < ends_s and self._has_tokens(now_s):
                self._go(now_s)
                now_s = self._scheduler.now()
        finally:
            if len(self.queue):
                self._again(self._io.tokens.wait_s(IoTier.REGULAR))
            else:
                self.is_open = self._io.tokens.regular_limit == math.inf

    def _has_tokens(self, now_s: float) -> bool:
        is_alone = self._shared_until_s <= now_s
        return is_alone or self._io.tokens.may_take(IoTier.REGULAR, now_s=now_s)

    def _go(self, now_s: float) -> None:
        work = self.queue.take(now_s=now_s)
        assert work is not None, "somebody is next"
        ticket, tenant_id = work.payload, work.tenant_id
        assert isinstance(ticket, WriteTicket), "only tickets are queued"
        scheduler, wait_s = self._scheduler, now_s - ticket.since_s
        self._left(ticket)
        self._take(ticket, work.estimate, now_s)
        scheduler.waits.observe("write", wait_s)
        scheduler.loads.waited(tenant_id, wait_s)
        ticket.go()
        scheduler.used(tenant_id, scheduler.now() - now_s)

    def _expire(self, now_s: float) -> None:
        for work in self.queue.expire(now_s=now_s):
            ticket = work.payload
            assert isinstance(ticket, WriteTicket), "only tickets are queued"
            self._left(ticket)
            ticket.fail(Throttled("the write waited too long for the disk", number=1000))
