"""Writing one commit into the store: the newest version to LIVE, the one it replaces to HISTORY."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final

from kvnode.mvcc.formats import (
    GARBAGE_KEYS_MAX,
    GARBAGE_PART_MAX,
    TENANT_BYTES,
    TOMBSTONE,
    TS_BYTES,
    VERSION_MARK_BYTES,
    garbage_key,
    history_key,
    history_rows,
    pack_keys,
    ts_bytes,
    txn_expiry_key,
    txn_key,
)
from kvnode.storage.engine import Table, WriteTxn

_KEYS_PER_STEP: Final = 4096  # sorted and written together


@dataclass(slots=True)
class Sizes:
    """What a tenant stores, or how that changes."""

    live_bytes: int = 0
    history_bytes: int = 0
    key_count: int = 0

    def add(self, other: "Sizes") -> None:
        """Add `other` to these."""
        self.live_bytes += other.live_bytes
        self.history_bytes += other.history_bytes
        self.key_count += other.key_count


def apply_writes(
    txn: WriteTxn,
    *,
    tenant: bytes,
    commit_ts: int,
    puts: Mapping[bytes, bytes],
    deletes: Iterable[bytes],
) -> Sizes:
    """Write one commit.

    Requires: `commit_ts` above every stored one, and no key in both `puts` and `deletes`.
    """
    change = Sizes()
    stamp = ts_bytes(commit_ts)
    superseded: list[bytes] = []
    written = iter(puts)
    while keys := sorted(islice(written, _KEYS_PER_STEP)):
        old = txn.get_many(Table.LIVE, keys)
        if old:
            retire(txn, tenant, old, change)
            superseded += old
        rows = [(key, stamp + puts[key]) for key in keys]
        txn.put_many(Table.LIVE, rows)
        change.live_bytes += sum(len(key) + len(value) - TS_BYTES for key, value in rows)
        change.key_count += len(rows)
    deleted = iter(deletes)
    while keys := sorted(islice(deleted, _KEYS_PER_STEP)):
        old = txn.get_many(Table.LIVE, keys)
        retire(txn, tenant, old, change)
        superseded += old
        txn.put_many(Table.HISTORY, [(history_key(key, commit_ts), TOMBSTONE) for key in old])
        change.history_bytes += sum(len(key) + len(TOMBSTONE) for key in old)
        for key in old:
            txn.delete(Table.LIVE, key)
        for key in keys:
            txn.delete(Table.COUNTERS, key)
    _put_garbage(txn, tenant, commit_ts, superseded, first_part=0)
    return change


def add_garbage(txn: WriteTxn, tenant: bytes, commit_ts: int, superseded: list[bytes]) -> None:
    """Note which keys the commit superseded, beside what is noted of it already."""
    if not superseded:
        return
    row = txn.seek_before(Table.GARBAGE, garbage_key(tenant, commit_ts, GARBAGE_PART_MAX))
    first_part = 0
    if row is not None and row[0].startswith(tenant + ts_bytes(commit_ts)):
        first_part = int.from_bytes(row[0][TENANT_BYTES + TS_BYTES :], "big") + 1
    _put_garbage(txn, tenant, commit_ts, superseded, first_part=first_part)


def _put_garbage(
    txn: WriteTxn, tenant: bytes, commit_ts: int, superseded: list[bytes], *, first_part: int
) -> None:
    for part, first in enumerate(range(0, len(superseded), GARBAGE_KEYS_MAX), start=first_part):
        keys = superseded[first : first + GARBAGE_KEYS_MAX]
        txn.put(Table.GARBAGE, garbage_key(tenant, commit_ts, part), pack_keys(keys))


def apply_outcome(txn: WriteTxn, *, tenant: bytes, txn_id: bytes, commit_ts: int) -> None:
    """Record that the transaction committed."""
    txn.put(Table.TXNS, txn_key(tenant, txn_id), ts_bytes(commit_ts))
    txn.put(Table.TXNS, txn_expiry_key(tenant, commit_ts), txn_id)


def retire(txn: WriteTxn, tenant: bytes, old: Mapping[bytes, bytes], change: Sizes) -> None:
    """Keep live rows that are about to be replaced as history."""
    txn.put_many(Table.HISTORY, history_rows(tenant, old))
    size = sum(len(key) + len(stored) - TS_BYTES for key, stored in old.items())
    change.live_bytes -= size
    change.history_bytes += size + VERSION_MARK_BYTES * len(old)
    change.key_count -= len(old)
