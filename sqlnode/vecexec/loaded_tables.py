"""Arrow tables copied into DuckDB and kept, so that joins know row counts without a copy each time.

**Model.** DuckDB knows nothing of an Arrow table's size: a join may be built on its largest side,
or in the worst order. A statement that reads several relations therefore reads DuckDB tables. Those
made of cached tables (`table_cache`) are kept for later statements, by identity of the cached rows.

**Concurrency.** Called from the worker threads of statements, under one lock. A table is dropped
only when no statement uses it.
"""

import itertools
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final

from sqlnode.vecexec.select_text import Relation

LOADED_BYTES_MAX: Final = 64 << 20
LoadedKey = tuple[Any, ...]


@dataclass(slots=True)
class _Loaded:
    """One DuckDB table; `owner` keeps the identity in its key alive."""

    name: str
    owner: Any
    byte_count: int
    user_count: int = 0


class LoadedTables:
    """Tables of the instance that outlive their statement."""

    def __init__(self, connection: Any, *, bytes_max: int = LOADED_BYTES_MAX) -> None:
        self._connection = connection
        self._bytes_max = bytes_max
        self._tables: OrderedDict[LoadedKey, _Loaded] = OrderedDict()
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def acquire(self, relation: Relation, *, may_load: bool) -> tuple[LoadedKey, str] | None:
        """Return key and name of a kept table with a relation's rows; release the key later."""
        if relation.shared is None:
            return None
        key = (id(relation.shared[0]), *relation.shared[1:])
        with self._lock:
            found = self._tables.get(key)
            if found is None and may_load:
                found = self._load(key, relation)
            if found is None:
                return None
            found.user_count += 1
            self._tables.move_to_end(key)
            return key, found.name

    def release(self, key: LoadedKey) -> None:
        """Say that a statement does not use a table any more."""
        with self._lock:
            self._tables[key].user_count -= 1
            self._evict()

    def _load(self, key: LoadedKey, relation: Relation) -> _Loaded | None:
        size = relation.table.nbytes
        if size * 2 > self._bytes_max:
            return None
        assert relation.shared is not None, "checked by the caller"
        made = _Loaded(f"kept_{next(self._numbers)}", relation.shared[0], size)
        with self._connection.cursor() as cursor:
            cursor.register("source", relation.table)
            cursor.execute(f"CREATE TABLE {made.name} AS SELECT * FROM source")
        self._tables[key] = made
        return made

    def _evict(self) -> None:
        """Drop unused tables, longest unused first, until the rest fits."""
        total = sum(table.byte_count for table in self._tables.values())
        for key, table in list(self._tables.items()):
            if total <= self._bytes_max:
                return
            if table.user_count == 0:
                del self._tables[key]
                total -= table.byte_count
                self._connection.cursor().execute(f"DROP TABLE {table.name}")
