"""A span at one snapshot, read in steps, packed into one block.

**Model.** A `ScanRun` walks the live table. As long as no live version is newer than `read_ts` and
nothing was deleted since, the rows are the answer as they stand, and no old version is ever
touched. Otherwise the step merges in what the history knows: for a version that is too new, one
seek; for keys that are gone, one walk over the distinct keys of the step's stretch, each found by
seeks, however many versions it has. Layers (`overlay.py`) are laid over the result.

**Invariants.** A step looks at a bounded number of rows, live and deleted. Between steps no
snapshot is held: any snapshot that still has the history at `read_ts` gives the same rows.
"""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

import numpy as np
import numpy.typing as npt

from kvnode.mvcc.formats import (
    LAYER_BYTES,
    TENANT_BYTES,
    TOMBSTONE,
    TS_BYTES,
    after_versions,
    history_bound,
    history_stem,
    split_history_key,
    ts_bytes,
)
from kvnode.mvcc.overlay import Overlay, layer_bound
from kvnode.mvcc.point_read import read_history
from kvnode.storage.engine import Row, Snapshot, Table

_ROWS_FIRST: Final = 32  # of a first step: values may be megabytes
_ROWS_MAX: Final = 512  # about a quarter of a millisecond
_ROWS_AT_ONCE: Final = 32  # then one looks how large they are: small rows may precede large ones
_STEP_BYTES: Final = 256 << 10
_DELETED_MAX: Final = 512  # distinct keys of the history looked at in one step


@dataclass(frozen=True, kw_only=True, slots=True)
class ScanSpec:
    """What to read. `start` and `end` are full keys, and `end` is not empty."""

    start: bytes
    end: bytes
    read_ts: int
    reverse: bool = False
    limit_rows: int
    limit_bytes: int
    keys_only: bool = False
    count_only: bool = False


@dataclass(frozen=True, slots=True)
class PackedBlock:
    """Rows joined; ends are little-endian uint32 arrays. Keys come without tenant."""

    row_count: int
    keys: bytes
    key_ends: bytes
    values: bytes
    value_ends: bytes
    more: bool


class _Joined:
    """Byte strings joined step by step, so that the last step has little left to do."""

    __slots__ = ("_lengths", "_parts")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._lengths: list[npt.NDArray[np.uint32]] = []

    def extend(self, strings: list[bytes]) -> None:
        """Add the strings of one step."""
        self._parts.append(b"".join(strings))
        self._lengths.append(np.fromiter(map(len, strings), dtype=np.uint32, count=len(strings)))

    def joined(self) -> bytes:
        """Return everything, one after the other."""
        return b"".join(self._parts)

    def ends(self) -> bytes:
        """Return where each string ends, as little-endian uint32."""
        if not self._lengths:
            return b""
        return np.cumsum(np.concatenate(self._lengths), dtype=np.uint32).astype("<u4").tobytes()


@dataclass(slots=True)
class ScanRun:
    """One scan on its way. Call `step` until `done`, then `block`."""

    spec: ScanSpec
    done: bool = False
    row_count: int = 0
    bytes_read: int = 0
    _keys: _Joined = field(default_factory=lambda: _Joined())
    _values: _Joined = field(default_factory=lambda: _Joined())
    _rows_next: int = _ROWS_FIRST
    _start: bytes = b""
    _end: bytes = b""
    _more: bool = False

    def __post_init__(self) -> None:
        self._start, self._end = self.spec.start, self.spec.end
        self.done = self._start >= self._end

    def step(self, snapshot: Snapshot, *, deleted_since: bool, overlay: Overlay = ()) -> None:
        """Read on for a moment; `overlay` are the layers that the reader sees."""
        spec = self.spec
        wanted = min(self._rows_next, spec.limit_rows - self.row_count)
        rows, wanted = self._live_rows(snapshot, wanted)
        low, high, is_last = self._stretch(rows, wanted)
        newest = max([row[1] for row in rows])[:TS_BYTES] if rows else b""
        if deleted_since or newest > ts_bytes(spec.read_ts):
            rows, low, high, is_last = self._merge(
                snapshot, rows, low, high, is_last, deleted_since
            )
        if overlay:
            rows, low, high, is_last = self._lay_over(snapshot, overlay, rows, low, high, is_last)
        self._take(rows)
        if spec.reverse:
            self._end = low
        else:
            self._start = high
        self.done = self.done or is_last

    def block(self) -> PackedBlock:
        """Return the rows found."""
        if self.spec.count_only:
            return PackedBlock(self.row_count, b"", b"", b"", b"", self._more)
        return PackedBlock(
            self.row_count,
            self._keys.joined(),
            self._keys.ends(),
            self._values.joined(),
            self._values.ends(),
            self._more,
        )

    def _live_rows(self, snapshot: Snapshot, wanted: int) -> tuple[list[Row], int]:
        """Return rows, and how many were to be expected: fewer than asked for if they are large."""
        if self.spec.reverse:
            rows, wanted = _some(snapshot.rows_before(Table.LIVE, self._end), wanted)
            if rows and rows[-1][0] < self._start:
                del rows[bisect_left(rows, True, key=lambda row: row[0] < self._start) :]
            return rows, wanted
        rows, wanted = _some(snapshot.rows_from(Table.LIVE, self._start), wanted)
        if rows and rows[-1][0] >= self._end:
            del rows[bisect_left(rows, (self._end,)) :]
        return rows, wanted

    def _stretch(self, rows: list[Row], wanted: int) -> tuple[bytes, bytes, bool]:
        """Return the stretch of keys that `rows` covers, and whether it is the last."""
        if len(rows) < wanted:
            return self._start, self._end, True
        if self.spec.reverse:
            return rows[-1][0], self._end, False
        return self._start, rows[-1][0] + b"\x00", False

    def _merge(
        self,
        snapshot: Snapshot,
        rows: list[Row],
        low: bytes,
        high: bytes,
        is_last: bool,
        deleted_since: bool,
    ) -> tuple[list[Row], bytes, bytes, bool]:
        """Return the rows as of read_ts, and the stretch they cover: it may have become shorter."""
        read_ts, reverse = self.spec.read_ts, self.spec.reverse
        visible: dict[bytes, bytes] = {}
        gone: list[bytes] = []
        if deleted_since:
            gone, cut = _history_keys(snapshot, low, high, reverse=reverse)
            if cut is not None:
                is_last = False
                low, high = (cut, high) if reverse else (low, cut)
        newest = ts_bytes(read_ts)
        for key, stored in rows:
            if stored[:TS_BYTES] <= newest:
                visible[key] = stored
        for key in {key for key, _ in rows}.union(gone):
            if key not in visible:
                _add_old(visible, snapshot, key, read_ts)
        merged = sorted(row for row in visible.items() if low <= row[0] < high)
        return (merged[::-1] if reverse else merged), low, high, is_last

    def _lay_over(
        self,
        snapshot: Snapshot,
        overlay: Overlay,
        rows: list[Row],
        low: bytes,
        high: bytes,
        is_last: bool,
    ) -> tuple[list[Row], bytes, bytes, bool]:
        """Return the rows with the layers over them, and the stretch that all of them cover."""
        reverse = self.spec.reverse
        intents: list[tuple[bytes, list[Row]]] = []
        for prefix, commit_ts in overlay:
            found, cut = _layer_rows(snapshot, prefix, low, high, self._rows_next, reverse=reverse)
            if cut:
                is_last = False
                low, high = (cut, high) if reverse else (low, cut)
            if found:
                intents.append((ts_bytes(commit_ts), found))
        if not intents:
            return rows, low, high, is_last
        merged = dict(rows)
        for stamp, found in reversed(intents):
            for key, intent in found:
                if intent == TOMBSTONE:
                    merged.pop(key, None)
                else:
                    merged[key] = stamp + intent[1:]
        inside = sorted(row for row in merged.items() if low <= row[0] < high)
        return (inside[::-1] if reverse else inside), low, high, is_last

    def _take(self, rows: list[Row]) -> None:
        spec = self.spec
        if self.row_count + len(rows) >= spec.limit_rows:
            self._more = self.done = True
            del rows[spec.limit_rows - self.row_count :]
        if spec.count_only:
            self.row_count += len(rows)
            self._rows_next = _ROWS_MAX
            return
        lengths = [len(row[0]) for row in rows]
        stored = sum(lengths) + sum([len(row[1]) for row in rows])
        size = sum(lengths) if spec.keys_only else stored
        average = stored // len(rows) + 1 if rows else 1
        self._rows_next = max(1, min(_ROWS_MAX, _STEP_BYTES // average))
        if self.bytes_read + size >= spec.limit_bytes:
            self._more = self.done = True
            size = self._cut_at_limit(rows)
        self.bytes_read += size
        self.row_count += len(rows)
        self._keys.extend([key[TENANT_BYTES:] for key, _ in rows])
        if not spec.keys_only:
            self._values.extend([value[TS_BYTES:] for _, value in rows])

    def _cut_at_limit(self, rows: list[Row]) -> int:
        """Drop the rows after the one that crosses the soft limit; return what is left in bytes."""
        left, size = self.spec.limit_bytes - self.bytes_read, 0
        for index, (key, value) in enumerate(rows):
            size += len(key) if self.spec.keys_only else len(key) + len(value)
            if size >= left:
                del rows[index + 1 :]
                break
        return size


def _some(rows: Iterator[Row], wanted: int) -> tuple[list[Row], int]:
    """Return the next `wanted` rows, or as many as fill a step, and how many that is."""
    taken: list[Row] = []
    size = 0
    while (missing := wanted - len(taken)) > 0:
        part = list(islice(rows, min(missing, _ROWS_AT_ONCE)))
        taken += part
        if len(part) < min(missing, _ROWS_AT_ONCE):
            break  # there are no more
        size += sum([len(row[1]) for row in part])
        if size >= _STEP_BYTES:
            return taken, len(taken)
    return taken, wanted


def _layer_rows(
    snapshot: Snapshot, prefix: bytes, low: bytes, high: bytes, wanted: int, *, reverse: bool
) -> tuple[list[Row], bytes]:
    """Return intents of [low, high) under the tenant's keys, and where they were cut off."""
    start, end = layer_bound(prefix, low), layer_bound(prefix, high)
    if reverse:
        rows, wanted = _some(snapshot.rows_before(Table.INTENTS, end), wanted)
        inside = [row for row in rows if row[0] >= start]
    else:
        rows, wanted = _some(snapshot.rows_from(Table.INTENTS, start), wanted)
        inside = [row for row in rows if row[0] < end]
    tenant = prefix[:TENANT_BYTES]
    found = [(tenant + key[LAYER_BYTES:], intent) for key, intent in inside]
    if not found or len(inside) < wanted:
        return found, b""
    return found, found[-1][0] if reverse else found[-1][0] + b"\x00"


def _add_old(visible: dict[bytes, bytes], snapshot: Snapshot, key: bytes, read_ts: int) -> None:
    version = read_history(snapshot, key, read_ts=read_ts)
    if version.value is not None:
        visible[key] = ts_bytes(version.commit_ts) + version.value


def _history_keys(
    snapshot: Snapshot, low: bytes, high: bytes, *, reverse: bool
) -> tuple[list[bytes], bytes | None]:
    """Return the distinct keys of [low, high) with history, and where a long walk stopped."""
    keys: list[bytes] = []
    position = history_bound(high if reverse else low)
    while len(keys) < _DELETED_MAX:
        if reverse:
            row = snapshot.seek_before(Table.HISTORY, position)
        else:
            row = snapshot.seek(Table.HISTORY, position)
        if row is None:
            return keys, None
        key = split_history_key(row[0])[0]
        if not low <= key < high:
            return keys, None
        keys.append(key)
        position = history_stem(key) if reverse else after_versions(key)
    return keys, keys[-1] if reverse else keys[-1] + b"\x00"
