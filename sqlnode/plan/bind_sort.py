"""Sort keys: direction, NULL order, and that the type can be ordered.

**Source.** PostgreSQL, parse_clause.c addTargetToSortList.
"""

from pgwire.errors import SqlError, UndefinedFunction, WrongObjectType
from sqlnode.parse.syntax import SortItem
from sqlnode.plan.coerce import resolve_unknown
from sqlnode.plan.expr import ExprContext
from sqlnode.plan.operators import find_operator
from sqlnode.plan.scalar import Scalar, SortKey
from sqlnode.types import SqlType, format_type


def bind_sort_item(ctx: ExprContext, item: SortItem, scalar: Scalar) -> SortKey:
    """Build the key of an ORDER BY item whose expression is bound already."""
    scalar = resolve_unknown(ctx.env, scalar, item.position)
    require_ordering(scalar.type, item.position)
    descending = item.descending
    if item.using is not None:
        if item.using not in ("<", ">"):
            raise WrongObjectType(
                f"operator {item.using} is not a valid ordering operator",
                hint='Ordering operators must be "<" or ">" members of btree operator families.',
                position=item.position,
            )
        descending = item.using == ">"
    nulls_first = descending if item.nulls_first is None else item.nulls_first
    return SortKey(scalar, descending, nulls_first)


def require_ordering(type_: SqlType, position: int | None) -> None:
    """Raise UndefinedFunction unless values of the type can be ordered."""
    try:
        find_operator("<", type_, type_)
    except SqlError:
        raise UndefinedFunction(
            f"could not identify an ordering operator for type {format_type(type_.bare)}",
            hint="Use an explicit ordering operator or modify the query.",
            position=position,
        ) from None


def require_equality(type_: SqlType, position: int | None) -> None:
    """Raise UndefinedFunction unless values of the type can be compared for grouping."""
    try:
        find_operator("=", type_, type_)
    except SqlError:
        raise UndefinedFunction(
            f"could not identify an equality operator for type {format_type(type_.bare)}",
            position=position,
        ) from None
