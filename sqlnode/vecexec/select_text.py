"""Small pieces of SELECT text that every plan node's rendering shares."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlnode.plan.logical import Columns
from sqlnode.vecexec.physical import Expr, Physical

if TYPE_CHECKING:
    from sqlnode.vecexec.render import PlanRenderer


@dataclass(slots=True)
class Relation:
    """Rows that a statement reads from Arrow: its DuckDB name, its columns and their forms."""

    name: str
    columns: tuple[str, ...]
    forms: tuple[Physical, ...]
    table: Any  # pyarrow.Table
    shared: tuple[Any, ...] | None = None  # (cached table, columns): the same rows as last time


def unique_ids(columns: Columns) -> list[int]:
    """Return column ids without repetition."""
    return list(dict.fromkeys(column.id for column in columns))


def names_of(columns: Columns) -> str:
    """Return the select list that passes columns on."""
    return ", ".join(f"c{column_id}" for column_id in unique_ids(columns)) or "1 AS none"


def read_relation(renderer: "PlanRenderer", columns: Columns, relation: Relation) -> str:
    """Return the SELECT that gives a relation's columns their ids."""
    exprs = [
        Expr(f'"{name}"', form) for name, form in zip(relation.columns, relation.forms, strict=True)
    ]
    return f"SELECT {', '.join(renderer.assign(columns, exprs))} FROM {relation.name}"
