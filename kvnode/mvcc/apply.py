"""Writing one commit into the store: the newest version to LIVE, the one it replaces to HISTORY."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kvnode.mvcc.formats import (
    GARBAGE_KEYS_MAX,
    TOMBSTONE,
    TS_BYTES,
    VALUE,
    garbage_key,
    history_key,
    pack_keys,
    ts_bytes,
    txn_expiry_key,
    txn_key,
)
from kvnode.storage.engine import Table, WriteTxn


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
    for key, value in puts.items():
        old = txn.get(Table.LIVE, key)
        if old is not None:
            _retire(txn, key, old, change)
            superseded.append(key)
        txn.put(Table.LIVE, key, stamp + value)
        change.live_bytes += len(key) + len(value)
        change.key_count += 1
    for key in deletes:
        txn.delete(Table.COUNTERS, key)
        old = txn.get(Table.LIVE, key)
        if old is None:
            continue
        _retire(txn, key, old, change)
        superseded.append(key)
        txn.put(Table.HISTORY, history_key(key, commit_ts), TOMBSTONE)
        change.history_bytes += len(key) + len(TOMBSTONE)
        txn.delete(Table.LIVE, key)
    for part, first in enumerate(range(0, len(superseded), GARBAGE_KEYS_MAX)):
        keys = superseded[first : first + GARBAGE_KEYS_MAX]
        txn.put(Table.GARBAGE, garbage_key(tenant, commit_ts, part), pack_keys(keys))
    return change


def apply_outcome(txn: WriteTxn, *, tenant: bytes, txn_id: bytes, commit_ts: int) -> None:
    """Record that the transaction committed."""
    txn.put(Table.TXNS, txn_key(tenant, txn_id), ts_bytes(commit_ts))
    txn.put(Table.TXNS, txn_expiry_key(tenant, commit_ts), txn_id)


def _retire(txn: WriteTxn, key: bytes, old: bytes, change: Sizes) -> None:
    old_ts = int.from_bytes(old[:TS_BYTES], "big")
    value = old[TS_BYTES:]
    txn.put(Table.HISTORY, history_key(key, old_ts), VALUE + value)
    change.live_bytes -= len(key) + len(value)
    change.history_bytes += len(key) + len(value) + len(VALUE)
    change.key_count -= 1
