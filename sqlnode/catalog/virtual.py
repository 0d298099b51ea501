"""Virtual relations: pg_catalog, information_schema and pg_insula, made when they are read.

**Model.** A relation is its column definitions and a function from the statement's catalog and
context to rows of datums. Most know all they need from the catalog; others read keys through the
transaction. The binder finds a relation by name like any table, both executors ask for its rows.

`pg_insula` is what PostgreSQL has no relation for. Tools know by the prefix that it is the
system's: psql, pg_dump and ORMs leave it out, and users cannot make such a schema.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlnode.catalog.snapshot import Catalog
from sqlnode.context import ExecContext
from sqlnode.types import SqlType


@dataclass(frozen=True, slots=True)
class VirtualRelation:
    """One system relation. `rows` yields tuples of datums in the order of `columns`."""

    schema: str
    name: str
    oid: int
    columns: tuple[tuple[str, SqlType], ...]
    rows: Callable[[Catalog, ExecContext], Awaitable[Sequence[tuple[Any, ...]]]]
    kind: str = "v"  # relkind that PostgreSQL gives it: r or v

    @property
    def qualified_name(self) -> str:
        return f"{self.schema}.{self.name}"


SYSTEM_SCHEMAS: Final = ("pg_catalog", "information_schema", "pg_insula")

# Filled by the modules of sqlnode/catalog/system/ at import; read-only afterwards.
VIRTUAL: Final[dict[str, VirtualRelation]] = {}


def find_virtual(
    name: str, schema: str | None, search_path: Iterable[str]
) -> VirtualRelation | None:
    """Return the system relation `name` means; pg_catalog stands before the search path."""
    for schema_name in (schema,) if schema is not None else ("pg_catalog", *search_path):
        if (relation := VIRTUAL.get(f"{schema_name}.{name}")) is not None:
            return relation
    return None
