"""Syntax trees of expressions: what was written, no name resolved yet.

**Model.** Immutable structs. `position` is the 1-based character PostgreSQL would point at in an
error message. Special grammar (EXTRACT, SUBSTRING FROM, AT TIME ZONE …) arrives as calls of the
function PostgreSQL itself calls.
"""

from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

if TYPE_CHECKING:
    from sqlnode.parse.query_syntax import Query


class Node(msgspec.Struct, frozen=True):
    """Base of every syntax node."""


class TypeName(Node, frozen=True):
    """A type as written; key-word types have their pg_catalog name."""

    names: tuple[str, ...]
    typmods: tuple[int, ...] = ()
    dimensions: int = 0
    is_set: bool = False
    position: int = 0


class Literal(Node, frozen=True):
    """A constant. kind: string | integer | numeric | bool | null; value is text, bool or None."""

    kind: str
    value: Any
    position: int = 0


class ParamRef(Node, frozen=True):
    """$index; a literal that the plan cache lifted looks the same."""

    index: int
    position: int = 0


class ColumnName(Node, frozen=True):
    """a, t.a, s.t.a."""

    parts: tuple[str, ...]
    position: int = 0


class Star(Node, frozen=True):
    """A star, or all columns of one table."""

    parts: tuple[str, ...] = ()
    position: int = 0


class FieldSelect(Node, frozen=True):
    """(arg).field; field is * for all."""

    arg: "Expr"
    field: str
    position: int = 0


class Subscript(Node, frozen=True):
    """arg[lower] or arg[lower:upper]."""

    arg: "Expr"
    lower: "Expr | None"
    upper: "Expr | None" = None
    is_slice: bool = False
    position: int = 0


class Operation(Node, frozen=True):
    """An operator; left is None for prefix operators."""

    symbol: str
    left: "Expr | None"
    right: "Expr"
    position: int = 0
    schema: str | None = None


class Logical(Node, frozen=True):
    """and | or | not over args."""

    kind: str
    args: tuple["Expr", ...]
    position: int = 0


class Test(Node, frozen=True):
    """arg IS [NOT] null | true | false | unknown."""

    arg: "Expr"
    kind: str
    negated: bool = False
    position: int = 0


class DistinctTest(Node, frozen=True):
    """left IS [NOT] DISTINCT FROM right."""

    left: "Expr"
    right: "Expr"
    negated: bool = False
    position: int = 0


class Like(Node, frozen=True):
    """kind: like | ilike | similar."""

    kind: str
    arg: "Expr"
    pattern: "Expr"
    escape: "Expr | None" = None
    negated: bool = False
    position: int = 0


class Between(Node, frozen=True):
    """arg [NOT] BETWEEN low AND high."""

    arg: "Expr"
    low: "Expr"
    high: "Expr"
    negated: bool = False
    symmetric: bool = False
    position: int = 0


class In(Node, frozen=True):
    """arg [NOT] IN (items) or (query)."""

    arg: "Expr"
    items: tuple["Expr", ...]
    query: "Query | None" = None
    negated: bool = False
    position: int = 0


class Quantified(Node, frozen=True):
    """arg op ANY|ALL (operand or query)."""

    arg: "Expr"
    symbol: str
    is_all: bool
    operand: "Expr | None" = None
    query: "Query | None" = None
    position: int = 0


class CaseWhen(Node, frozen=True):
    """CASE; arg None: searched."""

    arg: "Expr | None"
    whens: tuple[tuple["Expr", "Expr"], ...]
    default: "Expr | None"
    position: int = 0


class CastTo(Node, frozen=True):
    """arg::type, CAST(arg AS type) and type 'literal'."""

    arg: "Expr"
    type: TypeName
    position: int = 0


class CollateTo(Node, frozen=True):
    """arg COLLATE collation."""

    arg: "Expr"
    collation: tuple[str, ...]
    position: int = 0


class SortItem(Node, frozen=True):
    """One ORDER BY item; nulls_first None means by default; `using` is an operator."""

    expr: "Expr"
    descending: bool = False
    nulls_first: bool | None = None
    using: str | None = None
    position: int = 0


class FrameEdge(Node, frozen=True):
    """kind as in plan.scalar.FrameBound."""

    kind: str
    offset: "Expr | None" = None


class WindowSpec(Node, frozen=True):
    """OVER (…) or an entry of WINDOW; `ref` names the window it builds on, bare: OVER name."""

    ref: str | None = None
    partition_by: tuple["Expr", ...] = ()
    order_by: tuple[SortItem, ...] = ()
    mode: str | None = None
    start: FrameEdge | None = None
    end: FrameEdge | None = None
    exclude: str = ""
    bare: bool = False
    name: str = ""
    position: int = 0


class FunctionCall(Node, frozen=True):
    """name(args). special: came from grammar of its own, so that it is never taken for a column."""

    name: tuple[str, ...]
    args: tuple["Expr", ...] = ()
    arg_names: tuple[str | None, ...] = ()
    star: bool = False
    distinct: bool = False
    variadic: bool = False
    order_by: tuple[SortItem, ...] = ()
    within_group: bool = False
    filter: "Expr | None" = None
    over: WindowSpec | None = None
    position: int = 0
    special: bool = False


class SpecialCall(Node, frozen=True):
    """coalesce | nullif | greatest | least | grouping."""

    kind: str
    args: tuple["Expr", ...]
    position: int = 0


class SqlValue(Node, frozen=True):
    """CURRENT_TIMESTAMP and its kin, by key word."""

    kind: str
    precision: int | None = None
    position: int = 0


class RowOf(Node, frozen=True):
    """ROW(…) or (a, b)."""

    items: tuple["Expr", ...]
    position: int = 0


class ArrayOf(Node, frozen=True):
    """ARRAY[…]; nested brackets nest."""

    items: tuple["Expr", ...]
    position: int = 0


class ArrayQuery(Node, frozen=True):
    """ARRAY(query)."""

    query: "Query"
    position: int = 0


class ExistsQuery(Node, frozen=True):
    """EXISTS (query)."""

    query: "Query"
    position: int = 0


class ScalarQuery(Node, frozen=True):
    """(query) as a value, or whatever the parentheses turn out to be for."""

    query: "Query"
    position: int = 0


class QueryColumn(Node, frozen=True):
    """One of the `count` columns of a query used as a row: made by the binder, not the grammar."""

    query: "Query"
    index: int
    count: int
    position: int = 0


class SetDefault(Node, frozen=True):
    """DEFAULT in VALUES or SET."""

    position: int = 0


Expr: TypeAlias = (
    Literal
    | ParamRef
    | ColumnName
    | Star
    | FieldSelect
    | Subscript
    | Operation
    | Logical
    | Test
    | DistinctTest
    | Like
    | Between
    | In
    | Quantified
    | CaseWhen
    | CastTo
    | CollateTo
    | FunctionCall
    | SpecialCall
    | SqlValue
    | RowOf
    | ArrayOf
    | ArrayQuery
    | ExistsQuery
    | ScalarQuery
    | QueryColumn
    | SetDefault
)
