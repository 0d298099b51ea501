"""Has something changed in the store since a timestamp? Found out a stretch at a time.

**Model.** What changed after `since_ts` is newer than that in LIVE, or, if it was superseded or
deleted again, in HISTORY. So a walk looks at every key, and at every row of both tables in every
span, and holds no snapshot between two steps.

**Invariants.** Whatever was durable before the first step, and does not lie in a layer, is found:
each later snapshot has it, as long as garbage collection leaves alone what is newer than
`since_ts`.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Final

from kvapi.footprint import Footprint
from kvnode.mvcc.formats import TS_BYTES, history_bound, split_history_key, ts_bytes
from kvnode.mvcc.point_read import newest_change
from kvnode.storage.engine import Row, Snapshot, Table

_LOOK_BYTES: Final = 512 << 10  # of rows looked at together: values may be megabytes
_CHUNK_BYTES: Final = 64 << 10
_CHUNK_FIRST: Final = 8
_CHUNK_MAX: Final = 256
_SEEK_ROWS: Final = 8  # going to a span costs as much as so many rows,
_ROW_BYTES: Final = 2048  # and so does a row for each of so many bytes


class StoreWalk:
    """One walk. Call `step` until it says that it is over."""

    __slots__ = ("_keys", "_newer", "_next_key", "_since_ts", "_stretches", "changed")

    def __init__(self, parts: Footprint, *, since_ts: int) -> None:
        self.changed: bytes | None = None
        self._since_ts = since_ts
        self._newer = ts_bytes(since_ts + 1)
        self._keys: Sequence[bytes] = parts.keys
        self._next_key = 0
        self._stretches = deque[tuple[Table, bytes, bytes]]()
        for start, end in parts.spans:
            self._stretches.append((Table.LIVE, start, end))
            self._stretches.append((Table.HISTORY, history_bound(start), history_bound(end)))

    def step(self, snapshot: Snapshot, rows_max: int) -> bool:
        """Look at about `rows_max` more rows; tell whether that was all, or something changed."""
        keys = self._keys[self._next_key : self._next_key + rows_max]
        for key in keys:
            if newest_change(snapshot, key) > self._since_ts:
                self.changed = key
                return True
        self._next_key += len(keys)
        left = rows_max - len(keys)
        while left > 0 and self._stretches and self.changed is None:
            left -= self._look(snapshot, left)
        is_all = not self._stretches and self._next_key == len(self._keys)
        return is_all or self.changed is not None

    def _look(self, snapshot: Snapshot, rows_max: int) -> int:
        """Look at the next rows of the first stretch; return what they cost, in rows."""
        table, start, end = self._stretches[0]
        rows, size, is_cut = _some(snapshot, table, start, rows_max)
        if rows and rows[-1][0] >= end:
            del rows[bisect_left(rows, (end,)) :]
            is_cut = False
        if rows:
            self.changed = self._newer_among(table, rows)
        if is_cut:
            self._stretches[0] = (table, rows[-1][0] + b"\x00", end)
        else:
            self._stretches.popleft()
        return len(rows) + _SEEK_ROWS + size // _ROW_BYTES

    def _newer_among(self, table: Table, rows: list[Row]) -> bytes | None:
        if table is Table.LIVE:
            newer = self._newer
            if max([row[1] for row in rows])[:TS_BYTES] < newer:
                return None
            return next(key for key, stored in rows if stored[:TS_BYTES] >= newer)
        # The history's timestamps are inverted: the newest has the smallest.
        newest = min(rows, key=_inverted_ts)[0]
        key, ts = split_history_key(newest)
        return key if ts > self._since_ts else None


def _inverted_ts(row: Row) -> bytes:
    return row[0][-TS_BYTES:]


def _some(
    snapshot: Snapshot, table: Table, start: bytes, rows_max: int
) -> tuple[list[Row], int, bool]:
    """Return the next rows, how many bytes they are, and whether there may be more."""
    rows: list[Row] = []
    found = snapshot.rows_from(table, start)
    size, chunk = 0, _CHUNK_FIRST
    while size < _LOOK_BYTES and (wanted := min(chunk, rows_max - len(rows))) > 0:
        part = list(islice(found, wanted))
        rows += part
        part_bytes = sum([len(row[1]) for row in part])
        size += part_bytes
        if len(part) < wanted:
            return rows, size, False
        chunk = max(1, min(_CHUNK_MAX, _CHUNK_BYTES * wanted // (part_bytes + 1)))
    return rows, size, True
