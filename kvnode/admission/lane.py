"""The requests of one stream that wait for their turn.

**Model.** Requests of a stream are handled in the order of their arrival, because one may rely on
another before it: a Rollback on its transaction's Lock. So a stream has one task for all that
waits, with the rank of the foremost of them: a request whose transaction holds locks, or that asks
for high priority, takes those before it along. A lane of elastic requests is not elastic while one
of them has such a rank.

**Invariants.** Each request is in here until it is handled, cancelled, or the stream closes. When
the waiting requests reach a bound, the stream is read no further until half of them are handled:
a flood stays in the client's socket. The same where the tenant has more than it may of the node's
room, until it has not; the streams of other tenants are read on.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, Protocol

from admission.queue import Priority
from kvapi.errors import BadRequest, KvError, Throttled
from kvapi.pb import kv_pb2
from kvnode.admission.scheduler import Scheduler
from kvnode.admission.shared_bytes import SharedBytes
from kvnode.admission.task import Task
from kvnode.admission.waits import kind_of

HIGH: Final = 1  # kv.proto, Request.priority
ELASTIC: Final = 2
_REPEATABLE: Final = frozenset({"get", "multi_get", "scan"})
_REQUEST_BYTES: Final = 400  # of the objects of one that waits, beside its bytes on the wire
_REQUEST_S: Final = 20e-6  # rough: for the retry hint only
_RETRY_MS: Final = (10, 1_000)


_Waiting = tuple[kv_pb2.Request, str | None, float, int, int]  # name, since, bytes, rank


class Room:
    """How much waits in the lanes of one tenant, or of the node: `requests` and `bytes`."""

    __slots__ = ("bytes", "requests")

    def __init__(self) -> None:
        self.requests = 0
        self.bytes = 0

    def add(self, count: int, size_bytes: int) -> None:
        """Count more, or less."""
        self.requests += count
        self.bytes += size_bytes


class LaneOwner(Protocol):
    """The stream, as its lanes see it."""

    is_paused: bool

    def begin_answers(self) -> None:
        """Gather answers."""
        ...

    def end_answers(self) -> None:
        """Send them."""
        ...

    def answer_error(self, request_id: int, error: KvError) -> None:
        """Answer that a request failed."""
        ...

    def waited(self, wait_s: float) -> None:
        """Learn how long the first of its waiting requests waited."""
        ...

    def newest_ts(self) -> int:
        """Return a timestamp for who begins now."""
        ...

    def holds_locks(self, txn_id: bytes) -> bool:
        """Tell whether others may be waiting for this transaction, or come to."""
        ...

    def holds_rows(self, txn_id: bytes) -> bool:
        """Tell the same, apart from staged rows that nobody has asked for."""
        ...


class LaneBounds(NamedTuple):
    """Requests and bytes of one stream, then reading pauses; requests of a tenant, then refusal.

    What waits in all lanes is counted in `node` and in `shared`, which has a bound as well.
    """

    requests: int
    bytes: int
    tenant_requests: int
    node: Room
    shared: SharedBytes


class Lane(Task):
    """Waiting requests in order. Owner: the event loop."""

    def __init__(
        self,
        owner: LaneOwner,
        scheduler: Scheduler,
        handle: Callable[[kv_pb2.Request, str | None], None],
        *,
        bounds: LaneBounds,
        is_for_elastic: bool = False,
    ) -> None:
        self._is_for_elastic = is_for_elastic
        self._owner = owner
        self._scheduler = scheduler
        self._handle = handle
        self._bounds = bounds
        self._node, self._shared = bounds.node, bounds.shared
        self._tenant = Room()
        self._own = Room()
        self._waiting: OrderedDict[int, _Waiting] = OrderedDict()
        self._ranks: dict[int, int] = {}  # above normal: how many of those
        self.txns: dict[bytes, int] = {}  # with requests in here; kept by the elastic lane
        self.on_full: Callable[[bool], None] = _ignore
        self.is_full = False

    def __len__(self) -> int:
        return len(self._waiting)

    def belongs_to(self, tenant_id: int, room: Room) -> None:
        """Learn the tenant, and where its waiting requests are counted."""
        self.tenant_id, self._tenant = tenant_id, room

    @property
    def is_elastic(self) -> bool:  # type: ignore[override]  # computed here, a constant elsewhere
        """Whether it takes what others leave: not with somebody's locks in it."""
        return self._is_for_elastic and not self._ranks

    @property
    def priority(self) -> int:  # type: ignore[override]  # the same
        """Rank of the foremost request."""
        return max(self._ranks, default=Priority.NORMAL)

    @property
    def txn_start(self) -> int:  # type: ignore[override]  # the same
        """Snapshot of the first request, by which transactions are told old from young.

        Who has none yet begins now, behind what is under way: else that might never go on.
        """
        first = next(iter(self._waiting.values()), None)
        return (first[0].read_ts if first is not None else 0) or self._owner.newest_ts()

    def extend(
        self, requests: Sequence[kv_pb2.Request], now_s: float, *, size_bytes: int = 0
    ) -> None:
        """Let requests of about `size_bytes` each wait; cancels among them act at once."""
        size_bytes += _REQUEST_BYTES
        highest = added = 0
        room = self._bounds.tenant_requests - self._tenant.requests
        for request in requests:
            is_crowded = added >= room
            if (rank := self._add(request, now_s, size_bytes, is_crowded)) is not None:
                added += 1
                highest = max(highest, rank)
        if added:
            self._count(added, added * size_bytes)
        self.resume()
        if highest and self.work is not None:
            self._scheduler.raise_priority(self, highest)

    def resume(self) -> None:
        """Ask for a turn if there is work and the client reads its answers."""
        if self._waiting and self.work is None and not self._owner.is_paused:
            self._scheduler.submit(self, priority=self.priority)

    def _add(
        self, request: kv_pb2.Request, now_s: float, size_bytes: int, is_crowded: bool
    ) -> int | None:
        """Let one request wait, and return its rank; or answer it."""
        name = request.WhichOneof("op")
        if name == "cancel":
            self._handle(request, name)
            return None
        if request.id in self._waiting:
            error = BadRequest(f"request id {request.id} is already outstanding")
            self._owner.answer_error(request.id, error)
            return None
        txn_id = request.txn_id
        if is_crowded and name in _REPEATABLE and not txn_id:
            self._owner.answer_error(request.id, _throttled(self._tenant.requests))
            return None
        rank = self._rank(request) if txn_id or request.priority else 0
        self._waiting[request.id] = (request, name, now_s, size_bytes, rank)
        if rank:
            self._ranks[rank] = self._ranks.get(rank, 0) + 1
        if self._is_for_elastic and txn_id:
            self.txns[txn_id] = self.txns.get(txn_id, 0) + 1
        return rank

    def _rank(self, request: kv_pb2.Request) -> Priority:
        rank = Priority.HIGH if request.priority == HIGH else Priority.NORMAL
        holds = self._owner.holds_rows if self._is_for_elastic else self._owner.holds_locks
        if request.txn_id and holds(request.txn_id):
            return rank.holding_locks()
        return rank

    def run(self, ends_s: float) -> bool:
        """Handle requests until `ends_s`, or until the client's buffer is full."""
        waiting, owner, handle, now = self._waiting, self._owner, self._handle, self._scheduler.now
        began_s, size, handled = now(), 0, 0
        kinds: dict[str | None, tuple[int, float]] = {}  # operation → how many, longest wait
        owner.begin_answers()
        try:
            while waiting and not owner.is_paused:
                _, (request, name, since_s, size_bytes, rank) = waiting.popitem(last=False)
                size, handled = size + size_bytes, handled + 1
                if rank or self.txns:
                    self._let_go(request, rank)
                count, wait_s = kinds.get(name, (0, began_s - since_s))
                kinds[name] = (count + 1, wait_s)
                handle(request, name)
                if now() >= ends_s:
                    break
        finally:
            owner.end_answers()
            if self._own.requests:  # else: cleared meanwhile
                self._count(-handled, -size)
            if kinds:
                owner.waited(next(iter(kinds.values()))[1])
            for name, (count, wait_s) in kinds.items():
                self._scheduler.waits.observe(kind_of(name), wait_s, count)
                self._scheduler.loads.waited(self.tenant_id, wait_s, count)
        return not waiting or owner.is_paused

    def cancel(self, request_id: int, error: KvError) -> bool:
        """Answer a waiting request with `error`; tell whether it waited."""
        entry = self._waiting.pop(request_id, None)
        if entry is None:
            return False
        self._count(-1, -entry[3])
        self._let_go(entry[0], entry[4])
        self._owner.answer_error(request_id, error)
        if not self._waiting:
            self._scheduler.withdraw(self)
        return True

    def end_txn(self, txn_id: bytes, error: KvError) -> None:
        """Answer all that waits of a transaction with `error`."""
        if txn_id in self.txns:
            for request in [entry[0] for entry in self._waiting.values()]:
                if request.txn_id == txn_id:
                    self.cancel(request.id, error)

    def clear(self) -> None:
        """Drop everything: the stream is closed."""
        self._waiting.clear()
        self._count(-self._own.requests, -self._own.bytes)
        self.txns.clear()
        self._ranks.clear()
        self._scheduler.withdraw(self)

    def _let_go(self, request: kv_pb2.Request, rank: int) -> None:
        if rank:
            _count_down(self._ranks, rank)
        if self.txns:
            _count_down(self.txns, request.txn_id)

    def _count(self, count: int, size_bytes: int) -> None:
        own, bounds = self._own, self._bounds
        for room in (own, self._tenant, self._node):
            room.add(count, size_bytes)
        self._shared.add(self.tenant_id, size_bytes)
        if self.is_full:
            is_half = own.requests <= bounds.requests // 2 and own.bytes <= bounds.bytes // 2
            if is_half and not (own.requests and self._shared.is_over(self.tenant_id)):
                self.is_full = False
                self.on_full(False)
        elif (
            own.requests >= bounds.requests
            or own.bytes >= bounds.bytes
            or (own.requests > 0 and self._shared.is_over(self.tenant_id))
        ):
            self.is_full = True
            self.on_full(True)


def _count_down(counts: dict[Any, int], key: object) -> None:
    if (count := counts.pop(key, 0)) > 1:
        counts[key] = count - 1


def _throttled(waiting_count: int) -> Throttled:
    low, high = _RETRY_MS
    retry_ms = min(max(int(waiting_count * _REQUEST_S * 1e3 / 2), low), high)
    message = "too many requests of this tenant wait for their turn"
    return Throttled(message, number=retry_ms, detail=Throttled.REPEAT)


def _ignore(_: bool) -> None:
    return None
