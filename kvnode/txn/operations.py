"""What goes through group commit: commits, counter values, and work of the system."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from kvapi.errors import KvError
from kvnode.admission.write_gate import Taken
from kvnode.mvcc.apply import apply_outcome, apply_writes
from kvnode.mvcc.formats import TENANT_BYTES, pack_counter
from kvnode.mvcc.intents import commit_layers, promote
from kvnode.mvcc.overlay import Layer
from kvnode.storage.engine import Table, WriteTxn
from kvnode.tenants.records import NEWEST_TS, catalog_key, change_sizes, write_u64

Finish = Callable[[KvError | None], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayersCommit:
    """What else a transaction with layers writes when it commits."""

    txn_no: int
    own: Sequence[Layer]
    dropped: Mapping[int, int]  # layer → bytes

    def apply(self, txn: WriteTxn, tenant: bytes, commit_ts: int, keys: Sequence[bytes]) -> None:
        """Flip the record; intents on `keys`, which the commit itself writes, are void."""
        promote(txn, self.own, keys, is_own=True)
        commit_layers(
            txn, tenant=tenant, txn_no=self.txn_no, commit_ts=commit_ts, dropped=self.dropped
        )


@dataclass(slots=True, eq=False)
class CommitOperation:
    """A sequenced transaction. `below`: layers that were committed before it, the lowest first."""

    tenant_id: int
    prefix: bytes
    commit_ts: int
    txn_id: bytes
    puts: Mapping[bytes, bytes]
    deletes: Sequence[bytes]
    schema_change: bool
    size_bytes: int
    on_finish: Callable[["CommitOperation", KvError | None], None]
    below: Sequence[Layer] = ()
    layers: LayersCommit | None = None
    taken: Taken | None = None  # write tokens
    is_regular: bool = True  # somebody's latency depends on it; not the end of a load
    cpu_s: float = 0.0

    def apply(self, txn: WriteTxn) -> None:
        if self.below or self.layers is not None:
            self._apply_over_layers(txn)
        change = apply_writes(
            txn,
            tenant=self.prefix,
            commit_ts=self.commit_ts,
            puts=self.puts,
            deletes=self.deletes,
        )
        change_sizes(txn, self.prefix, change)
        if self.txn_id:
            apply_outcome(txn, tenant=self.prefix, txn_id=self.txn_id, commit_ts=self.commit_ts)
        if self.schema_change:
            write_u64(txn, catalog_key(self.prefix), self.commit_ts)
        write_u64(txn, NEWEST_TS, self.commit_ts)

    def _apply_over_layers(self, txn: WriteTxn) -> None:
        """Keep the rule that an intent of a committed layer is newer than all below it."""
        keys = [*self.puts, *self.deletes]
        if self.below:
            change_sizes(txn, self.prefix, promote(txn, self.below, keys))
        if self.layers is not None:
            self.layers.apply(txn, self.prefix, self.commit_ts, keys)

    def finish(self, error: KvError | None) -> None:
        self.on_finish(self, error)  # not closed over there: a cycle for each commit


@dataclass(slots=True, eq=False)
class CounterOperation:
    """A counter's new value."""

    size_bytes: ClassVar[int] = 32
    commit_ts: ClassVar[int] = 0
    is_regular: ClassVar[bool] = False  # a load draws values as well

    tenant_id: int
    key: bytes
    value: int
    is_called: bool
    on_finish: Finish
    below: Sequence[Layer] = ()
    cpu_s: float = 0.0

    def apply(self, txn: WriteTxn) -> None:
        if self.below:  # one of them may delete the counter that was here before
            change = promote(txn, self.below, [self.key])
            change_sizes(txn, self.key[:TENANT_BYTES], change)
        packed = pack_counter(self.value, is_called=self.is_called)
        txn.put(Table.COUNTERS, self.key, packed)

    def finish(self, error: KvError | None) -> None:
        self.on_finish(error)


@dataclass(slots=True, eq=False)
class SystemOperation:
    """Work of the node itself: records, garbage, removal of a tenant."""

    is_upkeep: ClassVar[bool] = True

    tenant_id: int
    work: Callable[[WriteTxn], None]
    on_finish: Finish
    commit_ts: int = 0
    size_bytes: int = 1024
    cpu_s: float = 0.0

    def apply(self, txn: WriteTxn) -> None:
        self.work(txn)

    def finish(self, error: KvError | None) -> None:
        self.on_finish(error)
