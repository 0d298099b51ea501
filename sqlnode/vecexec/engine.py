"""DuckDB inside a SQL process: one in-memory instance, a cursor per statement, off the event loop.

**Model.** The instance is made by the first statement that needs it, in the process that runs it:
DuckDB has threads and must not exist before a fork. Statements never share names: tables and
functions carry the statement's number and go with it.

**Concurrency.** Everything here may block and is called on a worker thread, except `interrupt`,
which any thread may call.
"""

import itertools
import os
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from sqlnode.vecexec.arrow_values import to_datums
from sqlnode.vecexec.loaded_tables import LOADED_BYTES_MAX, LoadedKey, LoadedTables
from sqlnode.vecexec.physical import Physical
from sqlnode.vecexec.select_text import Relation
from sqlnode.vecexec.udfs import Udf

_making: Final = threading.Lock()  # one thread makes an instance, the others wait for it
_ENGINES_MAX: Final = 4  # one for each work_mem that sessions of the process have set
BATCH_ROWS: Final = 8192
# Nothing spills to disk, so less than this would refuse what PostgreSQL answers with files of
# work_mem: a sort or a percentile of some hundred thousand rows beside the tables that are kept.
MEMORY_BYTES_MIN: Final = (512 << 20) + LOADED_BYTES_MAX


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineConfig:
    """Limits of the process's DuckDB instance."""

    memory_bytes_max: int = 256 << 20
    # One: sums of floats add up in row order, as in PostgreSQL, and run after run the same.
    threads: int = 1
    temp_directory: str = ""  # empty: never spill to disk


class Engine:
    """The process's DuckDB instance."""

    def __init__(self, config: EngineConfig) -> None:
        import duckdb

        # NB: create_function asks the module's default connection what a type's name means. Made by
        # several threads at once it deadlocks: one has its mutex and waits for the interpreter, the
        # other the reverse. So it is there before the first statement is.
        duckdb.default_connection()
        self._connection = duckdb.connect(
            ":memory:",
            config={
                "threads": config.threads,
                "memory_limit": f"{max(config.memory_bytes_max, MEMORY_BYTES_MIN) >> 20}MiB",
                "temp_directory": config.temp_directory,
                "autoload_known_extensions": "false",
                "autoinstall_known_extensions": "false",
                "python_enable_replacements": "false",
                "preserve_insertion_order": "true",
            },
        )
        # Last: from here on no statement can reach the file system or change a setting.
        self._connection.execute("SET enable_external_access = false")
        self._connection.execute("SET lock_configuration = true")
        self._numbers = itertools.count(1)
        self._loaded = LoadedTables(self._connection)

    def next_id(self) -> int:
        """Return a number for a statement's tables and functions."""
        return next(self._numbers)

    def open(self) -> "Statement":
        """Return a statement not yet run."""
        return Statement(self._connection.cursor(), self._loaded)


def has_nan(relation: Relation) -> bool:
    """Tell whether a float column of a relation holds a NaN.

    A comparison that DuckDB pushes into an Arrow scan follows IEEE there: NaN is not greater than
    anything, while to PostgreSQL, and to DuckDB's own tables, it is greater than everything.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    table = relation.table
    floats = [
        name for name in table.schema.names if pa.types.is_floating(table.schema.field(name).type)
    ]
    return any(pc.any(pc.is_nan(table.column(name))).as_py() for name in floats)


class Statement:
    """One query in DuckDB: registered inputs, a stream of Arrow batches, cleanup."""

    def __init__(self, cursor: Any, loaded: LoadedTables) -> None:
        self._cursor = cursor
        self._loaded = loaded
        self._kept: list[LoadedKey] = []
        self._functions: list[str] = []
        self._reader: Any = None

    def register(self, relations: Iterable[Relation], udfs: Iterable[Udf]) -> None:
        """Make tables and functions known under their names."""
        given = list(relations)
        is_join = len(given) > 1
        may_load = is_join and sum(r.table.nbytes for r in given) <= LOADED_BYTES_MAX
        for relation in given:
            kept = self._loaded.acquire(relation, may_load=may_load)
            if kept is not None:
                self._kept.append(kept[0])
                self._cursor.execute(f"CREATE TEMP VIEW {relation.name} AS FROM {kept[1]}")
            elif may_load or has_nan(relation):
                self._load(relation)
            else:
                self._cursor.register(relation.name, relation.table)
        for udf in udfs:
            self._cursor.create_function(
                udf.name,
                udf.run,
                list(udf.arguments),
                udf.result,
                type="arrow",
                null_handling="special",
                side_effects=udf.is_volatile,
            )
            self._functions.append(udf.name)

    def _load(self, relation: Relation) -> None:
        """Copy a relation into a table of this cursor, for the reason of `loaded_tables`."""
        source = f"{relation.name}_arrow"
        self._cursor.register(source, relation.table)
        self._cursor.execute(f"CREATE TEMP TABLE {relation.name} AS SELECT * FROM {source}")
        self._cursor.unregister(source)

    def start(self, text: str) -> None:
        """Execute a text that names what is registered."""
        self._cursor.execute(text)
        self._reader = self._cursor.to_arrow_reader(BATCH_ROWS)

    def next_rows(self, forms: Sequence[Physical]) -> list[tuple[Any, ...]] | None:
        """Return the next batch as datum tuples, None at the end. Requires: start()."""
        try:
            batch = self._reader.read_next_batch()
        except StopIteration:
            return None
        if not forms:
            return [()] * batch.num_rows
        columns = [to_datums(batch.column(i), form) for i, form in enumerate(forms)]
        return list(zip(*columns, strict=True))

    def interrupt(self) -> None:
        """Make the running call fail soon."""
        self._cursor.interrupt()

    def close(self) -> None:
        """Free the result, the functions and the registered tables."""
        self._reader = None
        for name in self._functions:
            self._cursor.remove_function(name)
        self._cursor.close()
        for key in self._kept:
            self._loaded.release(key)


@lru_cache(maxsize=_ENGINES_MAX)
def _engine_of(_pid: int, config: EngineConfig) -> Engine:
    return Engine(config)


def engine(config: EngineConfig) -> Engine:
    """Return this process's instance of these limits; a forked child gets its own."""
    with _making:
        return _engine_of(os.getpid(), config)
