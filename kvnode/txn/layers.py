"""Large transactions of one tenant as the running node knows them: their layers, not their rows.

**Model.** A `StagedTxn` owns a stack of `Layer`s, whose intents are in the store. It goes

    open ──commit──→ committed ──moved, layer by layer──→ gone, its extent remembered for a while
      └──rollback──→ its layers are discarded

**Invariants.** An intent locks its key while its transaction holds, dropped layers included, until
the commit is durable or the rollback is done. `committed` is in the order of commit. `from_ts` is
the oldest commit that readers have to lay over the versions, and beyond all timestamps if there is
none.

**Concurrency.** Owner: the event loop.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from admission.queue import Priority
from kvapi.errors import BadRequest, KvError, RequestTooLarge
from kvapi.footprint import EMPTY_FOOTPRINT, Footprint
from kvapi.spans import Span, merged
from kvnode.admission.write_gate import WriteTicket
from kvnode.mvcc.overlay import Layer as SeenLayer
from kvnode.mvcc.overlay import find_intents
from kvnode.mvcc.point_read import Version
from kvnode.storage.engine import Snapshot
from kvnode.txn.lock_queue import LockRequest, Owner

if TYPE_CHECKING:
    from kvnode.tenants.tenant import Tenant
    from kvnode.txn.layer_operations import StageOperation

NEVER: Final = 1 << 63
_PARTS_MAX: Final = 1_000
_LAYERS_MAX: Final = 1000  # of one transaction


@dataclass(slots=True, eq=False)
class Layer:
    """One stretch of a transaction's staged writes. `number` is the client's."""

    no: int
    number: int
    prefix: bytes
    size_bytes: int = 0
    is_dropped: bool = False
    low: bytes = b""  # first and last key
    high: bytes = b""

    def seen(self, commit_ts: int) -> SeenLayer:
        """Return the layer as readers see it."""
        return SeenLayer(self.prefix, commit_ts)

    def widen(self, keys: Sequence[bytes]) -> None:
        """Take note of staged keys."""
        first, last = min(keys), max(keys)
        self.low = min(self.low, first) if self.low else first
        self.high = max(self.high, last)


@dataclass(slots=True, eq=False, kw_only=True)
class StageRequest:
    """A chunk to stage; keys are the store's. `answer` is called once, by `settle`.

    It is given the chunk, so that it need not refer to it: chunks in cycles are freed a hundred at
    a time, by Python's collector, which holds the loop for 10 ms.
    """

    tenant: Tenant
    owner: Owner
    txn_id: bytes
    number: int
    puts: dict[bytes, bytes]
    deletes: list[bytes]
    absent_keys: Sequence[bytes]
    statement: str
    size_bytes: int
    answer: Callable[[StageRequest, KvError | None], None]
    lock_request: LockRequest | None = None
    is_commit: bool = False  # the client waits for a commit's outcome, and is silent until then
    is_waiting: bool = False  # for commits on its absent keys, or for the disk
    cpu_s: float = 0.0  # what writing it took
    rank: int = Priority.NORMAL  # among its tenant's writes
    ticket: WriteTicket | None = None  # once it asked to be written
    pieces: Sequence[StageOperation] = ()  # once it is queued for the writer

    def settle(self, error: KvError | None) -> None:
        """Answer it."""
        self.ticket, self.pieces = None, ()  # they refer to the chunk
        self.answer(self, error)


class Staging(NamedTuple):
    """A key of a chunk that is being written."""

    owner: Owner
    request: StageRequest
    is_put: bool


class Extent:
    """Where a transaction's moved intents went: the stretches of keys, one for each quantum."""

    __slots__ = ("commit_ts", "highs", "lows")

    def __init__(self, commit_ts: int) -> None:
        self.commit_ts = commit_ts
        self.lows: list[bytes] = []
        self.highs: list[bytes] = []

    def add(self, low: bytes, high: bytes) -> None:
        """Add a stretch; one that overlaps others becomes one with them."""
        start, end = bisect_left(self.highs, low), bisect_right(self.lows, high)
        if start < end:
            low, high = min(low, self.lows[start]), max(high, self.highs[end - 1])
        self.lows[start:end] = [low]
        self.highs[start:end] = [high]

    def overlaps(self, span: Span) -> Iterator[Span]:
        """Yield the parts of `span` that may have been written."""
        for at in range(bisect_left(self.highs, span.start), len(self.lows)):
            if self.lows[at] >= span.end:
                break
            yield Span(max(self.lows[at], span.start), min(self.highs[at] + b"\x00", span.end))


@dataclass(slots=True, eq=False)
class StagedTxn:
    """A transaction with layers, the lowest first."""

    no: int
    tenant: Tenant
    owner: Owner
    txn_id: bytes
    seen_s: float  # when it last gave a sign of life
    layers: list[Layer] = field(default_factory=list)
    queue: deque[StageRequest] = field(default_factory=deque)
    is_advancing: bool = False
    is_scheduled: bool = False  # to advance in the next turn of the loop
    unwritten: int = 0  # chunks on their way to the disk
    waiting: list[Callable[[], None]] = field(default_factory=list)  # for quiet
    has_deletes: bool = False
    is_committing: bool = False
    commit_ts: int = 0
    is_durable: bool = False
    is_over: bool = False
    extent: Extent | None = None

    @property
    def is_quiet(self) -> bool:
        """Whether no chunk waits or is being written."""
        return not self.queue and not self.unwritten

    @property
    def is_served(self) -> bool:
        """Whether the node is at work for it, so that a client's silence says nothing."""
        if self.is_committing or self.unwritten:
            return True
        return bool(self.queue) and (self.queue[0].is_waiting or self.queue[0].is_commit)

    def tell_quiet(self) -> None:
        """Call back who waits for quiet, as long as it is."""
        while self.waiting and self.is_quiet:
            self.waiting.pop(0)()

    def top(self) -> Layer | None:
        """Return the topmost layer that was not dropped."""
        return next((layer for layer in reversed(self.layers) if not layer.is_dropped), None)

    def kept_layers(self) -> list[Layer]:
        """Return the layers that commit with the transaction, the lowest first."""
        return [layer for layer in self.layers if not layer.is_dropped]

    def own_overlay(self, layer_max: int = 0) -> list[SeenLayer]:
        """Return what the transaction itself sees, up to the client's `layer_max` (0: all)."""
        return [
            layer.seen(0)
            for layer in reversed(self.layers)
            if not layer.is_dropped and (not layer_max or layer.number <= layer_max)
        ]

    def intents_on(self, snapshot: Snapshot, keys: Sequence[bytes]) -> dict[bytes, Version]:
        """Return what the transaction has staged on those of `keys` that it did."""
        found: dict[bytes, Version] = {}
        for layer in reversed(self.layers):
            if not layer.is_dropped:
                inside = [
                    key for key in keys if layer.low <= key <= layer.high and key not in found
                ]
                found |= find_intents(snapshot, [layer.seen(0)], inside)
        return found

    def locks(self, snapshot: Snapshot, keys: Sequence[bytes]) -> Iterator[bytes]:
        """Yield those of `keys` that have an intent, of a dropped layer as well."""
        for layer in self.layers:
            inside = [key for key in keys if layer.low <= key <= layer.high]
            yield from find_intents(snapshot, [layer.seen(0)], inside)


class TenantLayers:
    """All of one tenant."""

    __slots__ = (
        "committed",
        "discarding",
        "from_ts",
        "holding",
        "is_closed",
        "is_moving",
        "moved",
        "size_bytes",
        "staging",
    )

    def __init__(self) -> None:
        self.holding: dict[Owner, StagedTxn] = {}  # open, or their commit is not durable yet
        self.staging: dict[bytes, Staging] = {}  # keys of chunks under way
        self.committed: list[StagedTxn] = []
        self.discarding: deque[tuple[StagedTxn, Layer]] = deque()
        self.moved: list[Extent] = []
        self.from_ts = NEVER
        self.size_bytes = 0
        self.is_moving = False  # an operation of this tenant's upkeep is on its way
        self.is_closed = False  # the tenant is being dropped: no more of those

    @property
    def is_in_use(self) -> bool:
        """Whether anything here has to stay in memory."""
        return bool(self.holding or self.staging or self.committed or self.discarding)

    def sequence(self, txn: StagedTxn, commit_ts: int) -> None:
        """Take note that the transaction commits at `commit_ts`, the newest so far."""
        txn.commit_ts = commit_ts
        txn.extent = Extent(commit_ts)
        self.committed.append(txn)
        self.from_ts = self.committed[0].commit_ts

    def unsequence(self, txn: StagedTxn) -> None:
        """Take that back, or note that nothing of the transaction is left to move."""
        self.committed.remove(txn)
        self.from_ts = self.committed[0].commit_ts if self.committed else NEVER

    def overlay(self, read_ts: int) -> list[SeenLayer]:
        """Return the committed layers that a reader at `read_ts` sees, the topmost first."""
        return [
            layer.seen(txn.commit_ts)
            for txn in reversed(self.committed)
            if txn.commit_ts <= read_ts
            for layer in reversed(txn.kept_layers())
        ]

    def seen_by(
        self, own: StagedTxn | None, read_ts: int, *, layer_max: int = 0
    ) -> list[SeenLayer]:
        """Return what a reader at `read_ts` sees, its transaction's own layers on top."""
        below = self.overlay(read_ts) if self.from_ts <= read_ts else []
        return below if own is None else own.own_overlay(layer_max) + below

    def lowest_first(self) -> list[SeenLayer]:
        """Return all committed layers in the order in which they are moved."""
        return self.overlay(NEVER)[::-1] if self.committed else []

    def moved_parts(self, footprint: Footprint, *, since_ts: int) -> Footprint:
        """Return the parts of a footprint that intents moved after `since_ts` may have changed.

        Keys are not told apart: looking at all of them in the store is as quick. Nor are spans,
        where there are many parts.
        """
        extents = self.extents(since_ts)
        if not extents:
            return EMPTY_FOOTPRINT
        if len(extents) * len(footprint.spans) > _PARTS_MAX:
            return footprint
        spans: list[Span] = []
        for extent in extents:
            for span in footprint.spans:
                spans.extend(extent.overlaps(span))
                if len(spans) > _PARTS_MAX:
                    return footprint
        return Footprint(footprint.keys, merged(spans))

    def extents(self, since_ts: int) -> list[Extent]:
        """Return where what committed after `since_ts` has been moved to so far."""
        moving = [txn.extent for txn in self.committed if txn.extent is not None]
        first = bisect_right(self.moved, since_ts, key=_commit_ts)  # they are in this order
        moving = [one for one in moving if one.commit_ts > since_ts]
        return [one for one in (*self.moved[first:], *moving) if one.lows]

    def forget_before(self, ts: int) -> None:
        """Let go of the extents of commits before `ts`."""
        del self.moved[: bisect_left(self.moved, ts, key=_commit_ts)]


def _commit_ts(extent: Extent) -> int:
    return extent.commit_ts


def check_layer(txn: StagedTxn, request: StageRequest) -> KvError | None:
    """Decide which layer a chunk belongs to; return why it cannot."""
    top = txn.top()
    request.number = request.number or (top.number if top is not None else 1)
    if top is not None and request.number == top.number:
        return None
    if any(layer.number >= request.number for layer in txn.layers):
        return BadRequest("a chunk for a layer that was dropped or has others above it")
    if len(txn.layers) >= _LAYERS_MAX:
        return RequestTooLarge("the transaction has too many layers", number=_LAYERS_MAX)
    return None
