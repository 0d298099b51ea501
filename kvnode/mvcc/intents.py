"""Writing intents, and moving those of committed layers to where versions live.

**Model.** `stage` writes a chunk of intents. When their transaction has committed, `resolve` moves
them, a quantum in key order at a time; a later commit that writes a key first moves the intents on
it (`promote`). `discard` removes the intents of layers that will never commit.

**Invariants.** The layers of one transaction are moved from the lowest up, all at its timestamp: so
a row of LIVE that has this timestamp already comes from a lower layer, and is replaced without a
trace. A layer's record goes with its last intent, so that nothing is left behind by a crash.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, NamedTuple

from kvnode.mvcc.apply import Sizes, add_garbage, retire
from kvnode.mvcc.formats import (
    LAYER_BYTES,
    TENANT_BYTES,
    TOMBSTONE,
    TS_BYTES,
    VALUE,
    history_key,
    layer_key,
    layer_prefix,
    pack_layer,
    ts_bytes,
    txn_record_key,
)
from kvnode.mvcc.overlay import Layer
from kvnode.storage.engine import Row, Table, WriteTxn

RESOLVE_ROWS_MAX: Final = 256  # in one write: one or two milliseconds
RESOLVE_BYTES_MAX: Final = 256 << 10
DISCARD_ROWS_MAX: Final = 512


@dataclass(slots=True)
class Moved:
    """What one quantum did: first and last key, and whether the layer is empty now."""

    first: bytes = b""
    last: bytes = b""
    row_count: int = 0
    is_done: bool = False
    change: Sizes = field(default_factory=Sizes)


class Place(NamedTuple):
    """Where a layer is in its transaction."""

    tenant: bytes
    layer_no: int
    txn_no: int
    is_last: bool  # nothing of the transaction is left after it
    share: int = 1  # a quantum is that part of the usual one

    def part_of(self, rows_max: int) -> int:
        """Return how many rows of at most `rows_max` are taken at once."""
        return max(1, rows_max // self.share)


def stage(
    txn: WriteTxn,
    place: Place,
    *,
    puts: Mapping[bytes, bytes],
    deletes: Sequence[bytes],
    layer_bytes: int,
) -> None:
    """Write one chunk of intents, and how large the layer is with them."""
    prefix = layer_prefix(place.tenant, place.layer_no)
    rows = [(prefix + key[TENANT_BYTES:], VALUE + value) for key, value in puts.items()]
    rows += [(prefix + key[TENANT_BYTES:], TOMBSTONE) for key in deletes]
    rows.sort()
    txn.put_many(Table.INTENTS, rows)
    record = pack_layer(place.txn_no, is_dropped=False, size_bytes=layer_bytes)
    txn.put(Table.LAYERS, layer_key(place.tenant, place.layer_no), record)


def commit_layers(
    txn: WriteTxn, *, tenant: bytes, txn_no: int, commit_ts: int, dropped: Mapping[int, int]
) -> None:
    """Flip the transaction record. `dropped` layers (number → bytes) do not commit with it."""
    txn.put(Table.LAYERS, txn_record_key(tenant, txn_no), ts_bytes(commit_ts))
    for layer_no, size_bytes in dropped.items():
        record = pack_layer(txn_no, is_dropped=True, size_bytes=size_bytes)
        txn.put(Table.LAYERS, layer_key(tenant, layer_no), record)


def resolve(txn: WriteTxn, place: Place, *, commit_ts: int, is_stacked: bool) -> Moved:
    """Move the next intents of a committed layer. `is_stacked`: others may be below it."""
    prefix = layer_prefix(place.tenant, place.layer_no)
    rows = _next_rows(txn, prefix, place.part_of(RESOLVE_ROWS_MAX), RESOLVE_BYTES_MAX)
    moved = Moved(row_count=len(rows))
    if rows:
        keys = [place.tenant + key[LAYER_BYTES:] for key, _ in rows]
        moved.first, moved.last = keys[0], keys[-1]
        writes = [(key, intent) for key, (_, intent) in zip(keys, rows, strict=True)]
        moved.change = _move(txn, place.tenant, commit_ts, writes, is_stacked=is_stacked)
        for key, _ in rows:
            txn.delete(Table.INTENTS, key)
    moved.is_done = _forget_if_empty(txn, place, prefix)
    return moved


def discard(txn: WriteTxn, place: Place) -> Moved:
    """Remove the next intents of a layer that will never commit."""
    prefix = layer_prefix(place.tenant, place.layer_no)
    rows = _next_rows(txn, prefix, place.part_of(DISCARD_ROWS_MAX), RESOLVE_BYTES_MAX * 4)
    for key, _ in rows:
        txn.delete(Table.INTENTS, key)
    return Moved(row_count=len(rows), is_done=_forget_if_empty(txn, place, prefix))


def promote(
    txn: WriteTxn, overlay: Sequence[Layer], keys: Sequence[bytes], *, is_own: bool = False
) -> Sizes:
    """Move the intents on `keys` out of committed layers, the lowest first, before a newer write.

    `is_own`: of the writing transaction itself; its write has the same timestamp and replaces them.
    """
    change = Sizes()
    for prefix, commit_ts in overlay:
        found = txn.get_many(Table.INTENTS, [prefix + key[TENANT_BYTES:] for key in keys])
        if not found:
            continue
        tenant = prefix[:TENANT_BYTES]
        if not is_own:
            writes = [(tenant + key[LAYER_BYTES:], found[key]) for key in sorted(found)]
            change.add(_move(txn, tenant, commit_ts, writes, is_stacked=True))
        for key in found:
            txn.delete(Table.INTENTS, key)
    return change


def _next_rows(txn: WriteTxn, prefix: bytes, rows_max: int, bytes_max: int) -> list[Row]:
    rows: list[Row] = []
    size = 0
    for row in islice(txn.rows_from(Table.INTENTS, prefix), rows_max):
        if not row[0].startswith(prefix):
            break
        rows.append(row)
        size += len(row[1])
        if size >= bytes_max:
            break
    return rows


def _forget_if_empty(txn: WriteTxn, place: Place, prefix: bytes) -> bool:
    """Remove the records that nothing needs any more; tell whether the layer is empty."""
    row = txn.seek(Table.INTENTS, prefix)
    if row is not None and row[0].startswith(prefix):
        return False
    txn.delete(Table.LAYERS, layer_key(place.tenant, place.layer_no))
    if place.is_last:
        txn.delete(Table.LAYERS, txn_record_key(place.tenant, place.txn_no))
    return True


def _move(
    txn: WriteTxn,
    tenant: bytes,
    commit_ts: int,
    writes: Sequence[Row],
    *,
    is_stacked: bool,
) -> Sizes:
    """Apply intents, sorted by key, as versions of `commit_ts`."""
    change, stamp = Sizes(), ts_bytes(commit_ts)
    old = txn.get_many(Table.LIVE, [key for key, _ in writes])
    lower = {key: stored for key, stored in old.items() if stored[:TS_BYTES] == stamp}
    for key, stored in lower.items():
        del old[key]
        change.live_bytes -= len(key) + len(stored) - TS_BYTES
    change.key_count -= len(lower)
    retire(txn, tenant, old, change)
    puts = [(key, stamp + intent[1:]) for key, intent in writes if intent != TOMBSTONE]
    txn.put_many(Table.LIVE, puts)
    change.live_bytes += sum(len(key) + len(stored) - TS_BYTES for key, stored in puts)
    change.key_count += len(puts)
    if is_stacked:
        _remove_lower_tombstones(txn, commit_ts, puts, old, change)
    for key, intent in writes:
        if intent == TOMBSTONE:
            # What a lower layer superseded is listed as garbage already.
            if key in old or (key in lower and _is_value_below(txn, key, commit_ts)):
                _put_tombstone(txn, key, commit_ts, change)
            txn.delete(Table.LIVE, key)
            txn.delete(Table.COUNTERS, key)
    add_garbage(txn, tenant, commit_ts, list(old))
    return change


def _remove_lower_tombstones(
    txn: WriteTxn, commit_ts: int, puts: Sequence[Row], old: Mapping[bytes, bytes], change: Sizes
) -> None:
    """Take back the deletes of lower layers of the same transaction."""
    for key, _ in puts:
        if key not in old and txn.delete(Table.HISTORY, history_key(key, commit_ts)):
            change.history_bytes -= len(key) + len(TOMBSTONE)


def _put_tombstone(txn: WriteTxn, key: bytes, commit_ts: int, change: Sizes) -> None:
    txn.put(Table.HISTORY, history_key(key, commit_ts), TOMBSTONE)
    change.history_bytes += len(key) + len(TOMBSTONE)


def _is_value_below(txn: WriteTxn, key: bytes, commit_ts: int) -> bool:
    wanted = history_key(key, commit_ts)
    row = txn.seek(Table.HISTORY, wanted)
    return row is not None and row[0][:-TS_BYTES] == wanted[:-TS_BYTES] and row[1] != TOMBSTONE
