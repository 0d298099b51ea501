"""Definitions of the system relations, read from relations.txt; rows come from registered makers.

**Model.** A maker yields one dict for each row with the columns it knows; the others get the
neutral value of their type. A maker that has to read the store first is a coroutine function. A
relation of relations.txt without a maker has no rows, because what it would list (triggers,
policies, publications, routines that users made …) cannot exist in Insula. A system relation that
is not in the file is refused by name.
"""

from collections.abc import Awaitable, Callable, Iterable
from importlib.resources import files
from typing import Any, Final

from sqlnode.catalog.snapshot import Catalog
from sqlnode.catalog.virtual import VIRTUAL, VirtualRelation
from sqlnode.context import ExecContext
from sqlnode.types import BOOL, CHAR, NAME, TYPES, SqlType

Known = Iterable[dict[str, Any]]
Maker = Callable[[Catalog, ExecContext], Known | Awaitable[Known]]

_MAKERS: Final[dict[str, Maker]] = {}


def rows_of(relation: str) -> Callable[[Maker], Maker]:
    """Register the decorated function as the maker of a relation's rows."""

    def register(maker: Maker) -> Maker:
        assert relation in VIRTUAL, f"{relation} is not in relations.txt"
        assert relation not in _MAKERS, f"{relation} has two makers"
        _MAKERS[relation] = maker
        return maker

    return register


def _neutral(sql_type: SqlType, kind: str) -> Any:
    """Return what a column says that does not apply: a view says NULL, a table may not."""
    if sql_type == BOOL:
        return False
    if kind == "v":
        return None
    if sql_type in (CHAR, NAME):
        return ""
    is_number = TYPES[sql_type.oid].category == "N"
    return 0 if is_number else None


def _define(line: str) -> VirtualRelation:
    qualified_name, oid, kind, column_text = line.split("|")
    schema, name = qualified_name.split(".")
    pairs = (column.rsplit(":", 1) for column in column_text.split(" "))
    columns = tuple((column, SqlType(int(type_oid))) for column, type_oid in pairs)
    neutral = {column: _neutral(sql_type, kind) for column, sql_type in columns}

    async def rows(catalog: Catalog, context: ExecContext) -> list[tuple[Any, ...]]:
        if (maker := _MAKERS.get(qualified_name)) is None:
            return []
        made = maker(catalog, context)
        found = await made if isinstance(made, Awaitable) else made
        return [tuple({**neutral, **known}.values()) for known in found]

    return VirtualRelation(schema, name, int(oid), columns, rows, kind)


def define_all() -> None:
    """Fill VIRTUAL from relations.txt."""
    text = files("sqlnode.catalog.system").joinpath("relations.txt").read_text()
    for line in text.splitlines():
        if not line.startswith("#"):
            relation = _define(line)
            VIRTUAL[relation.qualified_name] = relation


define_all()
