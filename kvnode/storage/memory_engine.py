"""The engine of tests: sorted lists in memory, same contract as LMDB.

**Model.** Each table is an immutable pair (sorted keys, dict). A write copies the tables it
touches, and publishes all of them at once. Slow for large tables, simple enough to be believed.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from kvapi.errors import DiskFull
from kvnode.storage.engine import Row, StoreNeedsGrowth, Table


class _Sorted:
    """A sorted map, and the bytes of its keys and values."""

    __slots__ = ("keys", "rows", "used_bytes")

    def __init__(self, keys: list[bytes], rows: dict[bytes, bytes], used_bytes: int = 0) -> None:
        self.keys = keys
        self.rows = rows
        self.used_bytes = used_bytes

    def copy(self) -> "_Sorted":
        return _Sorted(self.keys.copy(), self.rows.copy(), self.used_bytes)


class MemoryEngine:
    """An `Engine` in memory; `bytes_max` and `growth_bytes_max` let tests fill it up."""

    key_bytes_max = 1978  # as LMDB's

    def __init__(self, *, bytes_max: int = 1 << 40, growth_bytes_max: int | None = None) -> None:
        self._tables = {table: _Sorted([], {}) for table in Table}
        self._bytes_max = bytes_max
        self._growth_bytes_max = growth_bytes_max or bytes_max

    def snapshot(self) -> "MemoryView":
        return MemoryView(self._tables, self.key_bytes_max)

    @contextmanager
    def write(self, *, is_synced: bool = True) -> Iterator["MemoryView"]:
        del is_synced  # nothing is durable here
        view = MemoryView(dict(self._tables), self.key_bytes_max)
        yield view
        if self.used_bytes(view.tables) > self._bytes_max:
            raise StoreNeedsGrowth
        self._tables = view.tables

    def needs_growth(self) -> bool:
        return False

    def grow(self) -> None:
        if self._bytes_max >= self._growth_bytes_max:
            raise DiskFull(f"the store reached its limit of {self._growth_bytes_max} bytes")
        self._bytes_max = min(2 * self._bytes_max, self._growth_bytes_max)

    def make_room(self) -> bool:
        return False

    def used_bytes(self, tables: dict[Table, _Sorted] | None = None) -> int:
        return sum(table.used_bytes for table in (tables or self._tables).values())

    def close(self) -> None:
        """Do nothing: a memory engine may be opened again, as a store whose process died."""


class MemoryView:
    """Snapshot and write transaction in one; the latter copies a table before its first change."""

    def __init__(self, tables: dict[Table, _Sorted], key_bytes_max: int) -> None:
        self.tables = tables
        self._key_bytes_max = key_bytes_max
        self._own: set[Table] = set()

    def get(self, table: Table, key: bytes) -> bytes | None:
        return self.tables[table].rows.get(key)

    def get_many(self, table: Table, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        rows = self.tables[table].rows
        return {key: rows[key] for key in keys if key in rows}

    def seek(self, table: Table, key: bytes) -> Row | None:
        return next(self.rows_from(table, key), None)

    def seek_before(self, table: Table, key: bytes) -> Row | None:
        return next(self.rows_before(table, key), None)

    def rows_from(self, table: Table, start: bytes) -> Iterator[Row]:
        sorted_map = self.tables[table]
        for index in range(bisect_left(sorted_map.keys, start), len(sorted_map.keys)):
            key = sorted_map.keys[index]
            yield key, sorted_map.rows[key]

    def rows_before(self, table: Table, end: bytes) -> Iterator[Row]:
        sorted_map = self.tables[table]
        stop = bisect_left(sorted_map.keys, end) if end else len(sorted_map.keys)
        for index in range(stop - 1, -1, -1):
            key = sorted_map.keys[index]
            yield key, sorted_map.rows[key]

    def put(self, table: Table, key: bytes, value: bytes) -> None:
        assert 0 < len(key) <= self._key_bytes_max, "the caller checks key lengths"
        sorted_map = self._writable(table)
        if (former := sorted_map.rows.get(key)) is None:
            insort(sorted_map.keys, key)
            sorted_map.used_bytes += len(key)
        else:
            sorted_map.used_bytes -= len(former)
        sorted_map.rows[key] = value
        sorted_map.used_bytes += len(value)

    def put_many(self, table: Table, rows: Sequence[Row]) -> None:
        for key, value in rows:
            self.put(table, key, value)

    def delete(self, table: Table, key: bytes) -> bool:
        if key not in self.tables[table].rows:
            return False
        sorted_map = self._writable(table)
        sorted_map.used_bytes -= len(key) + len(sorted_map.rows.pop(key))
        del sorted_map.keys[bisect_left(sorted_map.keys, key)]
        return True

    def close(self) -> None:
        """Do nothing: the tables are immutable."""

    def _writable(self, table: Table) -> _Sorted:
        if table not in self._own:
            self._own.add(table)
            self.tables[table] = self.tables[table].copy()
        return self.tables[table]
