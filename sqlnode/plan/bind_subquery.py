"""Binding of subqueries in expressions: scalar, EXISTS, ARRAY, IN, ANY/ALL.

**Source.** PostgreSQL, parse_expr.c transformSubLink.
"""

from pgwire.errors import FeatureNotSupported, SqlSyntaxError
from sqlnode.functions.registry import CastContext, Function
from sqlnode.parse.query_syntax import Query
from sqlnode.parse.syntax import (
    ArrayQuery,
    ExistsQuery,
    Expr,
    In,
    Operation,
    Quantified,
    QueryColumn,
    RowOf,
    ScalarQuery,
)
from sqlnode.plan.coerce import coerce
from sqlnode.plan.expr import ExprContext, bind, binds
from sqlnode.plan.logical import OutColumn, Project
from sqlnode.plan.operators import find_operator
from sqlnode.plan.query_result import QueryResult, trim
from sqlnode.plan.rewrite import every_node
from sqlnode.plan.scalar import (
    ArraySubquery,
    Call,
    ColumnRef,
    Exists,
    Not,
    Scalar,
    ScalarSubquery,
    SubqueryAnyAll,
)
from sqlnode.types import BOOL, array_of, format_type


def _query(ctx: ExprContext, query: Query) -> QueryResult:
    from sqlnode.plan.bind_query import bind_query

    ctx.scope.clause = ctx.clause
    return bind_query(ctx.env, query, ctx.scope)


@binds(ScalarQuery)
def _scalar(ctx: ExprContext, node: ScalarQuery) -> Scalar:
    result = _query(ctx, node.query)
    if len(result.columns) != 1:
        raise SqlSyntaxError("subquery must return only one column", position=node.position)
    return ScalarSubquery(trim(result), result.columns[0].type)


@binds(QueryColumn)
def _query_column(ctx: ExprContext, node: QueryColumn) -> Scalar:
    """Bind one column of a row subquery; each column has its own copy of the query."""
    result = _query(ctx, node.query)
    if len(result.columns) != node.count:
        if ctx.clause == "UPDATE":
            raise SqlSyntaxError(
                "number of columns does not match number of values", position=node.position
            )
        few = "few" if len(result.columns) < node.count else "many"
        raise SqlSyntaxError(f"subquery has too {few} columns", position=node.position)
    if any(isinstance(n, Call) and n.function.volatility == "v" for n in every_node(result.plan)):
        raise FeatureNotSupported(
            "a row from a subquery with volatile functions is not supported", position=node.position
        )
    column = result.columns[node.index]
    return ScalarSubquery(trim(QueryResult(result.plan, (column,))), column.type)


@binds(ExistsQuery)
def _exists(ctx: ExprContext, node: ExistsQuery) -> Scalar:
    return Exists(_query(ctx, node.query).plan)


@binds(ArrayQuery)
def _array(ctx: ExprContext, node: ArrayQuery) -> Scalar:
    result = _query(ctx, node.query)
    if len(result.columns) != 1:
        raise SqlSyntaxError("subquery must return only one column", position=node.position)
    element = result.columns[0].type.bare
    if element.info.element_oid:
        raise FeatureNotSupported(
            "ARRAY(subquery) of arrays is not supported", position=node.position
        )
    if not element.info.array_oid:
        raise FeatureNotSupported(
            f"could not find array type for data type {format_type(element)}",
            position=node.position,
            sqlstate="42704",
        )
    return ArraySubquery(trim(result), array_of(element))


def bind_in_query(ctx: ExprContext, node: In) -> Scalar:
    """Bind `arg IN (query)`, that is = ANY."""
    assert node.query is not None, "the caller looked"
    tested = _any_all(ctx, node.arg, "=", node.query, False, node.position)
    return Not(tested) if node.negated else tested


def bind_quantified_query(ctx: ExprContext, node: Quantified) -> Scalar:
    """Bind `arg op ANY|ALL (query)`."""
    assert node.query is not None, "the caller looked"
    return _any_all(ctx, node.arg, node.symbol, node.query, node.is_all, node.position)


def _any_all(
    ctx: ExprContext, arg: Expr, symbol: str, query: Query, is_all: bool, position: int
) -> Scalar:
    items = arg.items if isinstance(arg, RowOf) else (arg,)
    args = [bind(ctx, item) for item in items]
    result = _query(ctx, query)
    if len(args) != len(result.columns):
        few = "few" if len(result.columns) < len(args) else "many"
        raise SqlSyntaxError(f"subquery has too {few} columns", position=position)
    if len(args) > 1 and symbol not in ("=", "<>"):
        raise FeatureNotSupported(
            f"row comparison {symbol} with a subquery is not supported", position=position
        )
    left: list[Scalar] = []
    functions: list[Function] = []
    columns: list[OutColumn] = []
    scalars: list[Scalar] = []
    for value, column in zip(args, result.columns, strict=True):
        operator = find_operator(symbol, value.type, column.type, position)
        assert operator.left is not None, "quantified operators are binary"
        if operator.function.result.oid != BOOL.oid:
            raise SqlSyntaxError(
                f"row comparison operator must yield type boolean, not type "
                f"{format_type(operator.function.result)}",
                position=position,
            )
        left.append(coerce(ctx.env, value, operator.left, CastContext.IMPLICIT, position))
        ref = ColumnRef(column.id, column.type, column.name)
        scalar = coerce(ctx.env, ref, operator.right, CastContext.IMPLICIT, position)
        scalars.append(scalar)
        columns.append(column if scalar is ref else ctx.env.new_column(column.name, scalar.type))
        functions.append(operator.function)
    plan = trim(result)
    if tuple(columns) != result.columns:
        plan = Project(plan, tuple(columns), tuple(scalars))
    return SubqueryAnyAll(tuple(left), plan, tuple(functions), is_all)


def bind_row_query(ctx: ExprContext, node: Operation) -> Scalar:
    """Bind `(a, b) op (query)`: the query is a row of as many columns."""
    from sqlnode.plan.bind_tests import compare_rows

    assert isinstance(node.left, RowOf), "the caller looked"
    assert isinstance(node.right, ScalarQuery), "the caller looked"
    query, count = node.right.query, len(node.left.items)
    items = tuple(QueryColumn(query, i, count, node.right.position) for i in range(count))
    row = RowOf(items, node.right.position)
    return compare_rows(ctx, Operation(node.symbol, node.left, row, node.position))
