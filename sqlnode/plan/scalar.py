"""Bound scalars: every name resolved, every node with its PostgreSQL type.

**Model.** The binder makes these trees; `rowexec.compile_scalar` turns them into closures,
`vecexec` into DuckDB text. Operators and functions are both `Call`. Implicit casts are explicit
here: operand types match the function's signature exactly, so an executor never converts by itself.

**Invariants.** Column ids are unique within a statement; a `ColumnRef` whose id no enclosing input
produces refers to an outer query (correlation).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from sqlnode.functions.registry import Aggregate, CastRule, Function, WindowFunction
from sqlnode.types import BOOL, INT4, SqlType

if TYPE_CHECKING:
    from sqlnode.plan.logical import Plan


@dataclass(frozen=True, slots=True, eq=False)
class Const:
    """A literal datum. 1.0 and 1.00 are not equal here: their display scale differs."""

    value: Any
    type: SqlType

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Const):
            return NotImplemented
        return self.type == other.type and repr(self.value) == repr(other.value)

    def __hash__(self) -> int:
        return hash((self.type, repr(self.value)))


@dataclass(frozen=True, slots=True)
class Param:
    """`$index`, counted from 1. Literals that the plan cache lifted are parameters as well."""

    index: int
    type: SqlType


@dataclass(frozen=True, slots=True)
class ColumnRef:
    """The value of an input's column."""

    id: int
    type: SqlType
    name: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """A function or operator call; arguments already have the signature's types."""

    function: Function
    args: tuple["Scalar", ...]
    type: SqlType
    # 1-based character in the statement, for run-time errors; equal calls may stand in two places
    position: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Cast:
    """A conversion between types by `rule`; typmods are applied by Coerce, not here."""

    arg: "Scalar"
    rule: CastRule
    type: SqlType
    explicit: bool = False


@dataclass(frozen=True, slots=True)
class Coerce:
    """Apply a typmod: numeric(p,s) rounds, varchar(n) cuts or raises 22001, char(n) pads."""

    arg: "Scalar"
    type: SqlType
    explicit: bool


@dataclass(frozen=True, slots=True)
class And:
    """Three-valued conjunction."""

    args: tuple["Scalar", ...]
    type: SqlType = BOOL


@dataclass(frozen=True, slots=True)
class Or:
    """Three-valued disjunction."""

    args: tuple["Scalar", ...]
    type: SqlType = BOOL


@dataclass(frozen=True, slots=True)
class Not:
    """Three-valued negation."""

    arg: "Scalar"
    type: SqlType = BOOL


@dataclass(frozen=True, slots=True)
class IsNull:
    """`arg IS [NOT] NULL`."""

    arg: "Scalar"
    negated: bool = False
    type: SqlType = BOOL


@dataclass(frozen=True, slots=True)
class BoolTest:
    """`arg IS [NOT] TRUE | FALSE | UNKNOWN`; wanted is True, False or None."""

    arg: "Scalar"
    wanted: bool | None
    negated: bool = False
    type: SqlType = BOOL


@dataclass(frozen=True, slots=True)
class IsDistinct:
    """`left IS [NOT] DISTINCT FROM right`, by the type's equality function."""

    left: "Scalar"
    right: "Scalar"
    equals: Function
    negated: bool = False
    type: SqlType = BOOL


@dataclass(frozen=True, slots=True)
class Case:
    """Searched CASE; a simple CASE arrives as comparisons."""

    whens: tuple[tuple["Scalar", "Scalar"], ...]
    default: "Scalar"
    type: SqlType


@dataclass(frozen=True, slots=True)
class Coalesce:
    """The first argument that is not null."""

    args: tuple["Scalar", ...]
    type: SqlType


@dataclass(frozen=True, slots=True)
class NullIf:
    """NULL if both are equal, else left."""

    left: "Scalar"
    right: "Scalar"  # as the operator wants it
    compared_left: "Scalar"  # left, cast as the operator wants it
    equals: Function
    type: SqlType


@dataclass(frozen=True, slots=True)
class MinMax:
    """GREATEST or LEAST: NULLs are ignored; `less` is the type's < function."""

    args: tuple["Scalar", ...]
    less: Function
    greatest: bool
    type: SqlType


@dataclass(frozen=True, slots=True)
class InList:
    """`arg IN (items)`; negated: NOT IN, with SQL's three-valued result."""

    arg: "Scalar"
    items: tuple["Scalar", ...]
    equals: Function
    negated: bool = False
    type: SqlType = BOOL


@dataclass(frozen=True, slots=True)
class AnyAll:
    """`arg op ANY|ALL (array)`."""

    arg: "Scalar"
    array: "Scalar"
    function: Function
    is_all: bool
    type: SqlType = BOOL


@dataclass(frozen=True, slots=True)
class ArrayItems:
    """ARRAY[…]."""

    items: tuple["Scalar", ...]
    type: SqlType


@dataclass(frozen=True, slots=True)
class RowItems:
    """ROW(…) as a value. Row comparisons are expanded by the binder."""

    items: tuple["Scalar", ...]
    type: SqlType


@dataclass(frozen=True, slots=True)
class SortKey:
    """One ORDER BY item."""

    scalar: "Scalar"
    descending: bool = False
    nulls_first: bool = False


@dataclass(frozen=True, slots=True)
class AggregateCall:
    """An aggregate over a group or window; appears only in Aggregation and Window."""

    aggregate: Aggregate
    args: tuple["Scalar", ...]
    type: SqlType
    distinct: bool = False
    order_by: tuple[SortKey, ...] = ()
    filter: "Scalar | None" = None
    star: bool = False  # count(*)


@dataclass(frozen=True, slots=True)
class FrameBound:
    """kind: unbounded preceding | preceding | current row | following | unbounded following."""

    kind: str
    offset: "Scalar | None" = None


@dataclass(frozen=True, slots=True)
class Frame:
    """mode: rows | range | groups. exclude: '' | current row | group | ties."""

    mode: str
    start: FrameBound
    end: FrameBound
    exclude: str = ""


@dataclass(frozen=True, slots=True)
class WindowCall:
    """One window function call; appears only in the Window plan node."""

    function: WindowFunction | AggregateCall
    args: tuple["Scalar", ...]
    partition_by: tuple["Scalar", ...]
    order_by: tuple[SortKey, ...]
    frame: Frame | None
    type: SqlType


@dataclass(frozen=True, slots=True)
class GroupingCall:
    """GROUPING(a, b): bit mask over positions in Aggregation.groups; appears only there."""

    group_indexes: tuple[int, ...]
    type: SqlType = INT4


@dataclass(frozen=True, slots=True)
class ScalarSubquery:
    """(SELECT …) with one column: NULL for no row, 21000 for more than one."""

    plan: "Plan"
    type: SqlType


@dataclass(frozen=True, slots=True)
class Exists:
    """`EXISTS (SELECT …)`."""

    plan: "Plan"
    type: SqlType = BOOL


@dataclass(frozen=True, slots=True)
class SubqueryAnyAll:
    """`(args) op ANY|ALL (SELECT …)`; IN is = ANY, NOT IN is Not over it.

    The plan's columns have the operand types.
    """

    args: tuple["Scalar", ...]
    plan: "Plan"
    functions: tuple[Function, ...]  # one for each column
    is_all: bool
    type: SqlType = BOOL


@dataclass(frozen=True, slots=True)
class ArraySubquery:
    """ARRAY(SELECT …)."""

    plan: "Plan"
    type: SqlType


Scalar = (
    Const
    | Param
    | ColumnRef
    | Call
    | Cast
    | Coerce
    | And
    | Or
    | Not
    | IsNull
    | BoolTest
    | IsDistinct
    | Case
    | Coalesce
    | NullIf
    | MinMax
    | InList
    | AnyAll
    | ArrayItems
    | RowItems
    | ScalarSubquery
    | Exists
    | SubqueryAnyAll
    | ArraySubquery
)


def children(node: Any) -> Iterator["Scalar"]:
    """Yield the direct scalar operands of a scalar, call, sort key or frame; no subqueries."""
    for name in (f.name for f in fields(node)):
        yield from _scalars_in(getattr(node, name))


def _scalars_in(value: Any) -> Iterator["Scalar"]:
    if isinstance(value, Scalar):
        yield value
    elif isinstance(value, SortKey | AggregateCall | WindowCall | Frame | FrameBound):
        yield from children(value)
    elif isinstance(value, tuple) and not isinstance(value, SqlType):
        for item in value:
            yield from _scalars_in(item)


def walk(node: Any) -> Iterator["Scalar"]:
    """Yield `node`, if it is a scalar, and every scalar below it, outside subquery plans."""
    if isinstance(node, Scalar):
        yield node
    for child in children(node):
        yield from walk(child)
