"""Garbage collection: what no snapshot from a threshold on can see goes, in quanta.

**Model.** GARBAGE lists, in time order, the keys that each commit superseded. Once the commit
itself is at or below the threshold, every older version of those keys is invisible, and so is the
commit's own tombstone.

**Invariants.** All of that goes in one write, so that a reader never meets an old version whose
tombstone is gone.
"""

from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from kvapi.spans import prefix_end
from kvnode.mvcc.apply import Sizes
from kvnode.mvcc.formats import (
    GARBAGE_PART_MAX,
    TENANT_BYTES,
    TOMBSTONE,
    TS_BYTES,
    garbage_key,
    history_key,
    history_stem,
    split_history_key,
    txn_expiry_key,
    txn_key,
    unpack_keys,
)
from kvnode.storage.engine import Snapshot, Table, WriteTxn

_VERSIONS_MAX: Final = 2000  # removed in one write


@dataclass(slots=True)
class Collected:
    """What one quantum removed, and whether the threshold was reached."""

    change: Sizes = field(default_factory=Sizes)
    version_count: int = 0
    is_complete: bool = True


def tenants_with(snapshot: Snapshot, table: Table) -> list[bytes]:
    """Return the prefixes of all tenants that have rows in `table`, by one seek each."""
    tenants: list[bytes] = []
    position = b"\x00"
    while position and (row := snapshot.seek(table, position)) is not None:
        tenants.append(row[0][:TENANT_BYTES])
        position = prefix_end(tenants[-1])
    return tenants


def collect_versions(txn: WriteTxn, *, tenant: bytes, threshold: int) -> Collected:
    """Remove versions that were superseded at or before `threshold`: one quantum."""
    result = Collected()
    stop = garbage_key(tenant, threshold, GARBAGE_PART_MAX)
    while (row := txn.seek(Table.GARBAGE, tenant)) is not None and row[0] <= stop:
        if result.version_count >= _VERSIONS_MAX:
            result.is_complete = False
            break
        commit_ts = int.from_bytes(row[0][TENANT_BYTES : TENANT_BYTES + TS_BYTES], "big")
        for key in unpack_keys(row[1]):
            _remove_superseded(txn, key, commit_ts, result)
        txn.delete(Table.GARBAGE, row[0])
    return result


def forget_txns(txn: WriteTxn, *, tenant: bytes, threshold: int) -> bool:
    """Remove outcomes of transactions at or before `threshold`; tell whether that was all."""
    stop = txn_expiry_key(tenant, threshold)
    rows = txn.rows_from(Table.TXNS, txn_expiry_key(tenant, 0))
    old = [row for row in islice(rows, _VERSIONS_MAX) if row[0] <= stop]
    for key, txn_id in old:
        txn.delete(Table.TXNS, txn_key(tenant, txn_id))
        txn.delete(Table.TXNS, key)
    return len(old) < _VERSIONS_MAX


def remove_prefix(txn: WriteTxn, table: Table, prefix: bytes, *, rows_max: int) -> int:
    """Remove up to `rows_max` rows that start with `prefix`; return how many."""
    end = prefix_end(prefix)
    rows = islice(txn.rows_from(table, prefix), rows_max)
    keys = [key for key, _ in rows if not end or key < end]
    for key in keys:
        txn.delete(table, key)
    return len(keys)


def _remove_superseded(txn: WriteTxn, key: bytes, commit_ts: int, result: Collected) -> None:
    """Remove the versions of `key` before `commit_ts`, and a tombstone at it."""
    stem = history_stem(key)
    position = history_key(key, commit_ts)
    while (row := txn.seek(Table.HISTORY, position)) is not None and row[0][:-TS_BYTES] == stem:
        stored_key, stored = row
        if split_history_key(stored_key)[1] == commit_ts and stored != TOMBSTONE:
            position = history_key(key, commit_ts - 1)
            continue  # this commit's own value, superseded by a later one
        txn.delete(Table.HISTORY, stored_key)
        result.version_count += 1
        result.change.history_bytes -= len(key) + len(stored)
