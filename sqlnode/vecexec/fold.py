"""Scalars that do not depend on rows, evaluated once before the query is rendered.

What PostgreSQL computes once per statement (parameters, now(), constants cast) becomes a literal,
so that DuckDB never sees it. An error stays where it is: the call is rendered, and raises only if
a row reaches it.
"""

from typing import TYPE_CHECKING, Any, Final

from pgwire.sql_error import SqlError
from sqlnode.functions.registry import Volatility
from sqlnode.plan.scalar import (
    ArraySubquery,
    Call,
    Cast,
    ColumnRef,
    Const,
    Exists,
    Param,
    Scalar,
    ScalarSubquery,
    SubqueryAnyAll,
    walk,
)
from sqlnode.rowexec.not_row_shape import NotRowShape
from sqlnode.rowexec.scalars import compile_scalar

if TYPE_CHECKING:
    from sqlnode.context import ExecContext

NOT_CONSTANT: Final = object()
_SUBQUERIES = ScalarSubquery | Exists | SubqueryAnyAll | ArraySubquery


def fold(node: Scalar, ctx: "ExecContext", *, volatile_too: bool = False) -> Any:
    """Return the datum of a scalar that is the same for every row, else NOT_CONSTANT."""
    if isinstance(node, Const):
        return node.value
    if isinstance(node, Param):
        return ctx.params[node.index - 1]
    if isinstance(node, ColumnRef) or not _is_constant(node, volatile_too):
        return NOT_CONSTANT
    try:
        return compile_scalar(node, {})((), ctx)
    except (NotRowShape, SqlError):
        return NOT_CONSTANT


def _is_constant(node: Scalar, volatile_too: bool) -> bool:
    for item in walk(node):
        if isinstance(item, ColumnRef | _SUBQUERIES):
            return False
        function = (
            item.function
            if isinstance(item, Call)
            else item.rule.function
            if isinstance(item, Cast)
            else None
        )
        if function is None:
            continue
        if function.is_async or function.returns_set:
            return False
        if function.volatility is Volatility.VOLATILE and not volatile_too:
            return False
    return True
