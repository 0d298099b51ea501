"""Logical plans: what a bound statement computes, before an executor is chosen.

**Model.** A tree of frozen relational nodes. Every node has `columns`, its output; a column's `id`
is unique within the statement and never changes meaning, so nodes refer to columns by id whatever
stands between. `rowexec` matches the shapes it can run, `vecexec` renders any tree as DuckDB SQL.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlnode.catalog.descriptors import TableDesc
from sqlnode.functions.registry import Function
from sqlnode.plan.scalar import AggregateCall, GroupingCall, Scalar, SortKey, WindowCall
from sqlnode.types import SqlType


@dataclass(frozen=True, slots=True)
class OutColumn:
    """One output column; table_oid and attnum name its origin, 0 if it has none."""

    id: int
    name: str
    type: SqlType
    table_oid: int = 0
    attnum: int = 0


Columns = tuple[OutColumn, ...]


@dataclass(frozen=True, slots=True)
class SingleRow:
    """One row without columns: SELECT without FROM."""

    columns: Columns = ()


@dataclass(frozen=True, slots=True)
class Scan:
    """All rows of a stored table; of its columns, by attnum, only those referenced."""

    table: TableDesc
    columns: Columns
    alias: str


@dataclass(frozen=True, slots=True)
class VirtualScan:
    """Rows of a relation of the system (sqlnode/catalog/virtual.py).

    `relation` is its qualified name; `columns[i].attnum` the 1-based position in its definition.
    """

    relation: str
    columns: Columns
    alias: str


@dataclass(frozen=True, slots=True)
class Values:
    """Literal rows."""

    rows: tuple[tuple[Scalar, ...], ...]
    columns: Columns


@dataclass(frozen=True, slots=True)
class Filter:
    """Rows for which the condition is true."""

    input: "Plan"
    condition: Scalar

    @property
    def columns(self) -> Columns:
        return self.input.columns


@dataclass(frozen=True, slots=True)
class Project:
    """`scalars[i]` computes `columns[i]`."""

    input: "Plan"
    columns: Columns
    scalars: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class ProjectSet:
    """As Project, but items at `set_indexes` return sets, expanded in step, padded with NULL."""

    input: "Plan"
    columns: Columns
    scalars: tuple[Scalar, ...]
    set_indexes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Join:
    """kind: inner | left | right | full | cross. USING arrives as conditions and a Project."""

    kind: str
    left: "Plan"
    right: "Plan"
    condition: Scalar | None = None
    lateral: bool = False

    @property
    def columns(self) -> Columns:
        return self.left.columns + self.right.columns


@dataclass(frozen=True, slots=True)
class Aggregation:
    """GROUP BY: groups, then aggregates. grouping_sets hold indexes into groups; None: one set.

    No groups and no grouping_sets: exactly one output row.
    """

    input: "Plan"
    group_columns: Columns
    groups: tuple[Scalar, ...]
    aggregate_columns: Columns
    aggregates: tuple[AggregateCall | GroupingCall, ...]
    grouping_sets: tuple[tuple[int, ...], ...] | None = None

    @property
    def columns(self) -> Columns:
        return self.group_columns + self.aggregate_columns


@dataclass(frozen=True, slots=True)
class Window:
    """The input's columns, then one for each window call."""

    input: "Plan"
    call_columns: Columns
    calls: tuple[WindowCall, ...]

    @property
    def columns(self) -> Columns:
        return self.input.columns + self.call_columns


@dataclass(frozen=True, slots=True)
class Sort:
    """The input in order."""

    input: "Plan"
    keys: tuple[SortKey, ...]

    @property
    def columns(self) -> Columns:
        return self.input.columns


@dataclass(frozen=True, slots=True)
class Limit:
    """count and offset are int8 scalars without columns; None or NULL: no limit."""

    input: "Plan"
    count: Scalar | None
    offset: Scalar | None
    with_ties: tuple[SortKey, ...] = ()

    @property
    def columns(self) -> Columns:
        return self.input.columns


@dataclass(frozen=True, slots=True)
class Distinct:
    """DISTINCT, or DISTINCT ON (keys): each key's first row in `order`, which starts with them."""

    input: "Plan"
    on: tuple[Scalar, ...] = ()
    order: tuple[SortKey, ...] = ()

    @property
    def columns(self) -> Columns:
        return self.input.columns


@dataclass(frozen=True, slots=True)
class SetOperation:
    """kind: union | intersect | except. Both inputs already have `columns`' types."""

    kind: str
    all: bool
    left: "Plan"
    right: "Plan"
    columns: Columns


@dataclass(frozen=True, slots=True)
class Cte:
    """One WITH item. A recursive one starts with `plan`; `recursive` refers to it by CteScan."""

    cte_id: int
    name: str
    plan: "Plan"
    recursive: "Plan | None" = None
    union_all: bool = True
    materialized: bool | None = None


@dataclass(frozen=True, slots=True)
class With:
    """Common table expressions in scope of `input`."""

    ctes: tuple[Cte, ...]
    input: "Plan"

    @property
    def columns(self) -> Columns:
        return self.input.columns


@dataclass(frozen=True, slots=True)
class CteScan:
    """`columns[i]` is the i-th column of the CTE, under a new id."""

    cte_id: int
    columns: Columns


@dataclass(frozen=True, slots=True)
class FunctionScan:
    """A function in FROM. with_ordinality adds an int8 column at the end."""

    function: Function
    args: tuple[Scalar, ...]
    columns: Columns
    with_ordinality: bool = False


@dataclass(frozen=True, slots=True)
class LockRows:
    """SELECT … FOR UPDATE, SHARE and kin, on the rows of `tables` (Scan aliases; all if empty)."""

    input: "Plan"
    strength: str
    wait: str  # block | nowait | skip
    tables: tuple[str, ...] = ()

    @property
    def columns(self) -> Columns:
        return self.input.columns


Plan = (
    SingleRow
    | Scan
    | VirtualScan
    | Values
    | Filter
    | Project
    | ProjectSet
    | Join
    | Aggregation
    | Window
    | Sort
    | Limit
    | Distinct
    | SetOperation
    | With
    | CteScan
    | FunctionScan
    | LockRows
)


def inputs(plan: Plan) -> Iterator[Plan]:
    """Yield a node's direct input plans, CTE definitions included, scalar subqueries not."""
    match plan:
        case Join() | SetOperation():
            yield plan.left
            yield plan.right
        case With():
            for cte in plan.ctes:
                yield cte.plan
                if cte.recursive is not None:
                    yield cte.recursive
            yield plan.input
        case SingleRow() | Scan() | VirtualScan() | Values() | CteScan() | FunctionScan():
            return
        case _:
            yield plan.input


def walk_plans(plan: Plan) -> Iterator[Plan]:
    """Yield `plan` and every plan below it, scalar subqueries excluded."""
    yield plan
    for child in inputs(plan):
        yield from walk_plans(child)


def scalars(plan: Plan) -> Iterator[Any]:
    """Yield the scalars, calls and sort keys that stand directly in a node."""
    match plan:
        case Values():
            for row in plan.rows:
                yield from row
        case Filter():
            yield plan.condition
        case Project() | ProjectSet():
            yield from plan.scalars
        case Join() if plan.condition is not None:
            yield plan.condition
        case Aggregation():
            yield from plan.groups
            yield from plan.aggregates
        case Window():
            yield from plan.calls
        case Sort():
            yield from plan.keys
        case Limit():
            yield from (scalar for scalar in (plan.count, plan.offset) if scalar is not None)
            yield from plan.with_ties
        case Distinct():
            yield from plan.on
            yield from plan.order
        case FunctionScan():
            yield from plan.args
        case _:
            return
