"""Checking a store at rest: what must be true of its tables, whatever happened before.

**Model.** One pass over each table, with a seek for each reference to another table, so that memory
stays small however large the store is. A tenant that is being dropped is half gone: of its rows
only the form is checked.

**Invariants** (the checked ones):

    LIVE      belongs to a tenant; no commit is newer than the newest one known
    HISTORY   older than the live version; newest is a tombstone if there is no live version;
              below a tombstone lies what it deleted
    GARBAGE   each entry names a version that exists, and what it superseded; there are as many
              entries as superseded versions, so each of those will be collected
    TXNS      each outcome can be found by its transaction and by its time
    INTENTS   belong to a layer; those of a committed one are newer than the live version
    LAYERS    are records of a layer, or of a transaction that committed
    COUNTERS  belong to a tenant
    SYSTEM    names and records point at each other; sizes are the sum of the rows; limits belong to
              a tenant
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from kvnode.mvcc.apply import Sizes
from kvnode.mvcc.formats import (
    LAYER_BYTES,
    LAYER_RECORD_BYTES,
    LAYER_RECORDS,
    TENANT_BYTES,
    TOMBSTONE,
    TS_BYTES,
    TXN_RECORDS,
    VALUE,
    history_key,
    history_stem,
    layer_key,
    split_history_key,
    ts_bytes,
    txn_expiry_key,
    txn_key,
    txn_record_key,
    unpack_counter,
    unpack_keys,
    unpack_layer,
)
from kvnode.storage.engine import Row, Snapshot, StoreCorrupt, Table
from kvnode.tenants.bucket_row import BUCKET_ROWS, decode_row
from kvnode.tenants.records import (
    NEWEST_TS,
    NEXT_TENANT_ID,
    TENANT_RECORDS,
    TenantRecord,
    decode_record,
    name_key,
    read_sizes,
    read_u64,
    record_key,
)

_PROBLEMS_MAX: Final = 20  # told of each table; all are counted
_MARKS: Final = (TOMBSTONE, VALUE)


@dataclass(slots=True)
class TableReport:
    """What one table holds, and what is wrong with it."""

    table: Table
    row_count: int = 0
    bytes: int = 0
    problem_count: int = 0
    problems: list[str] = field(default_factory=list)

    def add_problem(self, text: str) -> None:
        """Count a problem, and tell the first ones."""
        self.problem_count += 1
        if len(self.problems) < _PROBLEMS_MAX:
            self.problems.append(text)


@dataclass(slots=True)
class _TenantSums:
    """What the rows of one tenant add up to."""

    sizes: Sizes = field(default_factory=Sizes)
    superseded_count: int = 0
    garbage_count: int = 0


def verify_store(snapshot: Snapshot) -> list[TableReport]:
    """Check every row of every table."""
    return _Verifier(snapshot).run()


def problems_of(reports: list[TableReport]) -> list[str]:
    """Return the problems told, each with its table."""
    return [f"{report.table}: {text}" for report in reports for text in report.problems]


class _Verifier:
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._newest_ts = read_u64(snapshot, NEWEST_TS)
        self._tenants: dict[bytes, TenantRecord] = {}
        self._sums: dict[bytes, _TenantSums] = {}
        self._report = TableReport(Table.SYSTEM)

    def run(self) -> list[TableReport]:
        checks: dict[Table, Callable[[], None]] = {
            Table.SYSTEM: self._check_system,  # first: it knows the tenants
            Table.LIVE: self._check_live,
            Table.HISTORY: self._check_history,
            Table.GARBAGE: self._check_garbage,
            Table.TXNS: self._check_txns,
            Table.LAYERS: self._check_layers,
            Table.INTENTS: self._check_intents,
            Table.COUNTERS: self._check_counters,
        }
        reports = []
        for table in sorted(Table, key=lambda table: table is not Table.SYSTEM):
            self._report = TableReport(table)
            checks.get(table, self._count)()
            reports.append(self._report)
        self._report = reports[0]
        self._check_sums()
        return reports

    def _rows(self, table: Table) -> Iterator[Row]:
        for key, value in self._snapshot.rows_from(table, b""):
            self._report.row_count += 1
            self._report.bytes += len(key) + len(value)
            yield key, value

    def _count(self) -> None:
        for _ in self._rows(self._report.table):
            pass

    def _problem(self, key: bytes, text: str) -> None:
        self._report.add_problem(f"{key.hex()}: {text}")

    def _sums_of(self, key: bytes) -> _TenantSums | None:
        """Return the sums of the tenant of a row; None if it is being dropped, or unknown."""
        prefix = key[:TENANT_BYTES]
        record = self._tenants.get(prefix)
        if record is None:
            self._problem(key, "belongs to no tenant")
            return None
        return None if record.is_dropping else self._sums[prefix]

    def _check_ts(self, key: bytes, ts: int) -> None:
        if not 0 < ts <= self._newest_ts:
            self._problem(key, f"commit {ts} is not between 0 and the newest, {self._newest_ts}")

    def _check_system(self) -> None:
        next_id = read_u64(self._snapshot, NEXT_TENANT_ID)
        for key, value in self._rows(Table.SYSTEM):
            if key.startswith(TENANT_RECORDS):
                self._check_record(key, value, next_id)
            elif (
                key.startswith(b"n") and self._snapshot.get(Table.SYSTEM, record_key(value)) is None
            ):
                self._problem(key, "names a tenant without record")
            elif key.startswith(BUCKET_ROWS):
                self._check_bucket(key, value)

    def _check_bucket(self, key: bytes, value: bytes) -> None:
        if self._snapshot.get(Table.SYSTEM, TENANT_RECORDS + key[len(BUCKET_ROWS) :]) is None:
            self._problem(key, "limits a tenant without record")
        try:
            decode_row(value)
        except StoreCorrupt as error:
            self._problem(key, str(error))

    def _check_record(self, key: bytes, value: bytes, next_id: int) -> None:
        prefix = key[len(TENANT_RECORDS) :]
        try:
            record = decode_record(value)
        except StoreCorrupt as error:
            self._problem(key, str(error))
            return
        if record.id.to_bytes(TENANT_BYTES, "big") != prefix or record.id >= next_id:
            self._problem(key, f"has the id {record.id}, the next one is {next_id}")
        if self._snapshot.get(Table.SYSTEM, name_key(record.name)) != prefix:
            self._problem(key, f"its name {record.name!r} points elsewhere")
        self._tenants[prefix] = record
        self._sums[prefix] = _TenantSums()

    def _check_live(self) -> None:
        for key, stored in self._rows(Table.LIVE):
            if len(stored) < TS_BYTES:
                self._problem(key, "has no timestamp")
                continue
            self._check_ts(key, int.from_bytes(stored[:TS_BYTES], "big"))
            if (sums := self._sums_of(key)) is not None:
                sums.sizes.live_bytes += len(key) + len(stored) - TS_BYTES
                sums.sizes.key_count += 1

    def _check_history(self) -> None:
        newer: tuple[bytes, int, bool] | None = None  # key, timestamp, is it a tombstone
        for stored_key, stored in self._rows(Table.HISTORY):
            key, ts = split_history_key(stored_key)
            if history_key(key, ts) != stored_key or stored[:1] not in _MARKS:
                self._problem(stored_key, "is not a version")
                continue
            self._check_ts(stored_key, ts)
            is_tombstone = stored == TOMBSTONE
            if (sums := self._sums_of(stored_key)) is not None:
                sums.sizes.history_bytes += len(key) + len(stored)
                sums.superseded_count += not is_tombstone
                self._check_order(stored_key, (key, ts, is_tombstone), newer)
                newer = key, ts, is_tombstone
        self._check_bottom(newer, None)

    def _check_order(
        self, stored_key: bytes, row: tuple[bytes, int, bool], newer: tuple[bytes, int, bool] | None
    ) -> None:
        """Check a version against the next newer one of its key: in the history or live."""
        key, ts, is_tombstone = row
        if newer is not None and newer[0] == key:
            if newer[2] and is_tombstone:
                self._problem(stored_key, "deleted twice, with nothing in between")
            return
        self._check_bottom(newer, key)
        live = self._snapshot.get(Table.LIVE, key)
        if live is None:
            if not is_tombstone:
                self._problem(stored_key, "is neither live nor deleted")
        elif int.from_bytes(live[:TS_BYTES], "big") <= ts:
            self._problem(stored_key, "is not older than the live version")

    def _check_bottom(self, last: tuple[bytes, int, bool] | None, key: bytes | None) -> None:
        """Check the oldest version of the key before `key`."""
        if last is not None and last[0] != key and last[2]:
            self._problem(history_key(*last[:2]), "deleted nothing")

    def _check_garbage(self) -> None:
        for row_key, packed in self._rows(Table.GARBAGE):
            prefix, ts = (
                row_key[:TENANT_BYTES],
                int.from_bytes(row_key[TENANT_BYTES:][:TS_BYTES], "big"),
            )
            self._check_ts(row_key, ts)
            keys = unpack_keys(packed)
            if len(set(keys)) != len(keys) or not keys:
                self._problem(row_key, "names a key twice, or none")
            if (sums := self._sums_of(row_key)) is None:
                continue
            sums.garbage_count += len(keys)
            for key in keys:
                if key[:TENANT_BYTES] != prefix:
                    self._problem(row_key, f"names {key.hex()}, of another tenant")
                elif not self._superseded(key, ts):
                    self._problem(row_key, f"names {key.hex()}, of which it superseded nothing")

    def _superseded(self, key: bytes, ts: int) -> bool:
        """Tell whether `key` has a version at `ts` and a value just below."""
        live = self._snapshot.get(Table.LIVE, key) or b""
        old = self._snapshot.get(Table.HISTORY, history_key(key, ts))
        if not live.startswith(ts_bytes(ts)) and old is None:
            return False
        below = self._snapshot.seek(Table.HISTORY, history_key(key, ts - 1))
        return (
            below is not None
            and below[0][:-TS_BYTES] == history_stem(key)
            and below[1].startswith(VALUE)
        )

    def _check_txns(self) -> None:
        for key, value in self._rows(Table.TXNS):
            self._sums_of(key)
            prefix, kind, rest = key[:TENANT_BYTES], key[TENANT_BYTES : TENANT_BYTES + 1], key[5:]
            is_outcome = kind == b"i" and len(value) == TS_BYTES
            is_expiry = kind == b"e" and len(rest) == TS_BYTES
            if is_outcome:
                other = txn_expiry_key(prefix, int.from_bytes(value, "big"))
            elif is_expiry:
                other = txn_key(prefix, value)
            else:
                self._problem(key, "is no outcome of a transaction")
                continue
            self._check_ts(key, int.from_bytes(value if is_outcome else rest, "big"))
            if self._snapshot.get(Table.TXNS, other) != rest:
                self._problem(key, "is not found the other way")

    def _check_layers(self) -> None:
        for key, value in self._rows(Table.LAYERS):
            self._sums_of(key)
            kind, is_layer = key[TENANT_BYTES : TENANT_BYTES + 1], False
            if kind == LAYER_RECORDS:
                is_layer = len(value) == LAYER_RECORD_BYTES
            elif kind == TXN_RECORDS and len(value) == TS_BYTES:
                self._check_ts(key, int.from_bytes(value, "big"))
                continue
            if not is_layer:
                self._problem(key, "is no record of a layer or its transaction")

    def _check_intents(self) -> None:
        layer, commit_ts = b"", 0
        for key, value in self._rows(Table.INTENTS):
            self._sums_of(key)
            if value[:1] not in _MARKS:
                self._problem(key, "is no intent")
            if key[:LAYER_BYTES] != layer:
                layer, commit_ts = key[:LAYER_BYTES], self._layer_commit(key)
            live = self._snapshot.get(Table.LIVE, key[:TENANT_BYTES] + key[LAYER_BYTES:])
            if commit_ts and live is not None and live[:TS_BYTES] > ts_bytes(commit_ts):
                self._problem(key, "is older than the live version")

    def _layer_commit(self, key: bytes) -> int:
        """Return when the layer of an intent committed; 0 if it did not."""
        tenant, layer_no = key[:TENANT_BYTES], int.from_bytes(key[TENANT_BYTES:LAYER_BYTES], "big")
        record = self._snapshot.get(Table.LAYERS, layer_key(tenant, layer_no))
        if record is None or len(record) != LAYER_RECORD_BYTES:
            self._problem(key, "belongs to no layer")
            return 0
        txn_no, is_dropped, _ = unpack_layer(record)
        stored = self._snapshot.get(Table.LAYERS, txn_record_key(tenant, txn_no))
        return 0 if is_dropped or stored is None else int.from_bytes(stored, "big")

    def _check_counters(self) -> None:
        for key, value in self._rows(Table.COUNTERS):
            self._sums_of(key)
            try:
                unpack_counter(value)
            except struct.error:
                self._problem(key, "is no counter")

    def _check_sums(self) -> None:
        for prefix, sums in self._sums.items():
            if self._tenants[prefix].is_dropping:
                continue
            if (stored := read_sizes(self._snapshot, prefix)) != sums.sizes:
                self._problem(prefix, f"the sizes are {sums.sizes}, stored are {stored}")
            if sums.superseded_count != sums.garbage_count:
                self._problem(
                    prefix,
                    f"{sums.superseded_count} superseded versions, but {sums.garbage_count} "
                    "are listed for collection",
                )
