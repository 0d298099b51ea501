"""Bound statements: what the session hands to an executor.

`columns` is empty for statements without a result set. Parameter types are what
ParameterDescription reports.
"""

from dataclasses import dataclass, field
from typing import Any

from sqlnode.catalog.descriptors import TableDesc
from sqlnode.plan.logical import Columns, Plan
from sqlnode.plan.scalar import Scalar
from sqlnode.types import SqlType


@dataclass(frozen=True, slots=True)
class Returning:
    """RETURNING: scalars over the new row (old row for DELETE) and the FROM/USING columns."""

    columns: Columns
    scalars: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Query:
    """SELECT, VALUES, TABLE."""

    plan: Plan
    columns: Columns  # visible ones, in order; plan.columns begin with these


@dataclass(frozen=True, slots=True)
class OnConflict:
    """ON CONFLICT. index_ids are the arbiter indexes (empty: any, only for DO NOTHING).

    For DO UPDATE: `assignments` and `where` refer to the existing row by the ids of
    Insert.row_columns and to the proposed row (excluded) by the ids of `excluded_columns`, both one
    for each table column in order.
    """

    index_ids: tuple[int, ...]
    do_update: bool = False
    assignments: tuple[tuple[int, Scalar], ...] = ()  # (attnum, value), cast for assignment
    where: Scalar | None = None
    excluded_columns: Columns = ()


@dataclass(frozen=True, slots=True)
class Insert:
    """INSERT. `source.columns` are the values of `attnums` by position, cast for assignment.

    Attnums not listed take `defaults[attnum]` (bound default, or absent: NULL). row_columns name
    the finished row's columns for RETURNING, CHECK and ON CONFLICT: one for each table column in
    order.
    """

    table: TableDesc
    attnums: tuple[int, ...]
    source: Plan
    defaults: dict[int, Scalar]
    row_columns: Columns
    checks: tuple[tuple[str, Scalar], ...] = ()  # (constraint name, condition over row_columns)
    on_conflict: OnConflict | None = None
    returning: Returning | None = None
    overriding: str = ""  # '', 'user', 'system'

    @property
    def columns(self) -> Columns:
        return self.returning.columns if self.returning else ()


@dataclass(frozen=True, slots=True)
class Update:
    """UPDATE. `source` yields matching rows: row_columns (hidden ones too), then FROM's.

    assignments and returning refer to row_columns (new values in RETURNING) and the FROM columns.
    """

    table: TableDesc
    source: Plan
    row_columns: Columns
    assignments: tuple[tuple[int, Scalar], ...]  # (attnum, value), cast for assignment
    checks: tuple[tuple[str, Scalar], ...] = ()
    returning: Returning | None = None

    @property
    def columns(self) -> Columns:
        return self.returning.columns if self.returning else ()


@dataclass(frozen=True, slots=True)
class Delete:
    """DELETE. `source` as in Update."""

    table: TableDesc
    source: Plan
    row_columns: Columns
    returning: Returning | None = None

    @property
    def columns(self) -> Columns:
        return self.returning.columns if self.returning else ()


@dataclass(frozen=True, slots=True)
class Utility:
    """Everything that is not planned: DDL, SET, SHOW, BEGIN, COPY, EXPLAIN. `node` is typed.

    kind: the first words in upper case ('CREATE TABLE', 'SET', 'BEGIN'), also what command tags
    start from.
    """

    kind: str
    node: Any
    text: str
    columns: Columns = ()


Bound = Query | Insert | Update | Delete | Utility


@dataclass(frozen=True, slots=True)
class BoundStatement:
    """A bound statement with its parameters' types."""

    bound: Bound
    param_types: tuple[SqlType, ...] = ()
    relations: frozenset[int] = frozenset()  # ids of the tables and views that it uses
    literals: tuple[Any, ...] = field(
        default=()
    )  # datums of parameters lifted from literals, after the client's
