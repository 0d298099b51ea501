"""Decoded tables that outlive their statement, as long as nothing in them changes.

**Model.** An entry is columns of a whole table, and a timestamp up to which they are known to be
what the store holds. A later transaction asks the KV node whether the table's span changed since
then: a validation of one span, one short round trip, instead of a scan. If it did, or if the
transaction has writes of its own there, the table is read again.

**Invariants.** The process serves one tenant, so entries never cross tenants. At most
`bytes_max` are kept; the least recently used go first.
"""

import os
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from sqlnode.catalog.descriptors import TableDesc
from sqlnode.vecexec.physical import Physical

TABLE_CACHE_BYTES_MAX: Final = 128 << 20
ColumnKey = tuple[int, int, int]  # attnum, type, modifier
TableKey = tuple[int, tuple[int, ...]]  # table id of the keys, layout versions


@dataclass(slots=True)
class CachedTable:
    """Columns of all rows of a table, unchanged up to `valid_until`."""

    valid_until: int
    row_count: int
    columns: dict[ColumnKey, tuple[Any, Physical]] = field(default_factory=dict)

    @property
    def byte_count(self) -> int:
        return sum(array.nbytes for array, _ in self.columns.values())


class TableCache:
    """Least recently used tables of one process. Owner: the event loop."""

    def __init__(self, *, bytes_max: int = TABLE_CACHE_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._tables: OrderedDict[TableKey, CachedTable] = OrderedDict()
        self._bytes = 0

    def get(self, key: TableKey) -> CachedTable | None:
        """Return an entry, and count it as used."""
        found = self._tables.get(key)
        if found is not None:
            self._tables.move_to_end(key)
        return found

    def put(self, key: TableKey, table: CachedTable) -> None:
        """Keep a table, at the expense of others; one that would take half the room is not kept."""
        self.drop(key)
        size = table.byte_count
        if size * 2 > self._bytes_max:
            return
        self._tables[key] = table
        self._bytes += size
        while self._bytes > self._bytes_max:
            self.drop(next(iter(self._tables)))

    def drop(self, key: TableKey) -> None:
        """Forget an entry."""
        table = self._tables.pop(key, None)
        if table is not None:
            self._bytes -= table.byte_count


def table_key(table: TableDesc) -> TableKey:
    """Return what identifies the stored rows of a table and how they are read."""
    return table.key_id, tuple(layout.version for layout in table.layouts)


def column_keys(table: TableDesc, attnums: Iterable[int]) -> list[ColumnKey]:
    """Return what identifies columns of a table."""
    columns = [table.column(attnum) for attnum in attnums]
    return [(column.attnum, column.type_oid, column.typmod) for column in columns]


@lru_cache(maxsize=1)
def _cache_of(_pid: int) -> TableCache:
    return TableCache()


def process_cache() -> TableCache:
    """Return this process's cache; a forked child has its own, empty."""
    return _cache_of(os.getpid())
