"""One key at one snapshot."""

from collections.abc import Sequence
from typing import NamedTuple

from kvnode.mvcc.formats import (
    TOMBSTONE,
    TS_BYTES,
    history_key,
    split_history_key,
)
from kvnode.storage.engine import Snapshot, Table


class Version(NamedTuple):
    """What a key held at a snapshot; `value` is None if it did not exist, `commit_ts` then 0."""

    value: bytes | None
    commit_ts: int


ABSENT = Version(None, 0)


def read_key(snapshot: Snapshot, key: bytes, *, read_ts: int, deleted_since: bool) -> Version:
    """Return the newest version of `key` at or before `read_ts`.

    `deleted_since`: something of this tenant may have been deleted after `read_ts`, so that a key
    which is not live may have been then.
    """
    stored = snapshot.get(Table.LIVE, key)
    return _version(snapshot, key, stored, read_ts=read_ts, deleted_since=deleted_since)


def read_keys(
    snapshot: Snapshot, keys: Sequence[bytes], *, read_ts: int, deleted_since: bool
) -> list[Version]:
    """Return what `read_key` would for each of `keys`."""
    live = snapshot.get_many(Table.LIVE, keys)
    if not live and not deleted_since:
        return [ABSENT] * len(keys)
    return [
        _version(snapshot, key, live.get(key), read_ts=read_ts, deleted_since=deleted_since)
        for key in keys
    ]


def _version(
    snapshot: Snapshot, key: bytes, stored: bytes | None, *, read_ts: int, deleted_since: bool
) -> Version:
    if stored is not None:
        commit_ts = int.from_bytes(stored[:TS_BYTES], "big")
        if commit_ts <= read_ts:
            return Version(stored[TS_BYTES:], commit_ts)
    elif not deleted_since:
        return ABSENT
    return read_history(snapshot, key, read_ts=read_ts)


def read_history(snapshot: Snapshot, key: bytes, *, read_ts: int) -> Version:
    """Return the newest version of `key` in the history at or before `read_ts`."""
    wanted = history_key(key, read_ts)
    row = snapshot.seek(Table.HISTORY, wanted)
    if row is None or row[0][:-TS_BYTES] != wanted[:-TS_BYTES]:
        return ABSENT
    stored_key, stored = row
    if stored == TOMBSTONE:
        return ABSENT
    return Version(stored[1:], split_history_key(stored_key)[1])


def newest_change(snapshot: Snapshot, key: bytes) -> int:
    """Return the timestamp of the newest write or delete of `key` that is still known, or 0."""
    stored = snapshot.get(Table.LIVE, key)
    if stored is not None:
        return int.from_bytes(stored[:TS_BYTES], "big")
    wanted = history_key(key, (1 << 63) - 1)
    row = snapshot.seek(Table.HISTORY, wanted)
    if row is None or row[0][:-TS_BYTES] != wanted[:-TS_BYTES]:
        return 0
    return split_history_key(row[0])[1]
