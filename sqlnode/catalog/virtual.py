"""Virtual relations: pg_catalog and information_schema, made from the catalog snapshot when read.

**Model.** A relation is its column definitions and a function from the snapshot to rows of datums.
The binder finds it by name like any table, `vecexec` asks for its rows.
"""

from collections.abc import Callable, Iterable
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
    rows: Callable[[Catalog, ExecContext], Iterable[tuple[Any, ...]]]
    kind: str = "v"  # relkind that PostgreSQL gives it: r or v

    @property
    def qualified_name(self) -> str:
        return f"{self.schema}.{self.name}"


SYSTEM_SCHEMAS: Final = ("pg_catalog", "information_schema")

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
