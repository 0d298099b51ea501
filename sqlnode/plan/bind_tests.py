"""Binding of predicates: IS, LIKE, BETWEEN, IN, ANY/ALL over arrays, row comparisons.

**Source.** PostgreSQL, parse_expr.c: transformAExprIn, make_row_comparison_op,
transformAExprBetween; parse_oper.c make_scalar_array_op.
"""

from typing import Final

from pgwire.errors import FeatureNotSupported, SqlError, SqlSyntaxError, WrongObjectType
from sqlnode.functions.registry import CastContext
from sqlnode.parse.syntax import (
    Between,
    DistinctTest,
    Expr,
    FunctionCall,
    In,
    Like,
    Logical,
    Operation,
    Quantified,
    RowOf,
    ScalarQuery,
    Test,
)
from sqlnode.plan.array_access import element_type
from sqlnode.plan.coerce import can_coerce, coerce, coerce_to_boolean, resolve_unknown
from sqlnode.plan.common_type import coerce_common, select_common_type
from sqlnode.plan.expr import ExprContext, bind, binds
from sqlnode.plan.operators import bind_operator, equality, find_operator
from sqlnode.plan.scalar import (
    And,
    AnyAll,
    BoolTest,
    Call,
    Const,
    InList,
    IsDistinct,
    IsNull,
    Or,
    Scalar,
)
from sqlnode.types import BOOL, TYPES, UNKNOWN, SqlType, array_of, format_type

_BOOL_TESTS: Final = {"true": True, "false": False, "unknown": None}
_LIKE_SYMBOLS: Final = {
    ("like", False): "~~",
    ("like", True): "!~~",
    ("ilike", False): "~~*",
    ("ilike", True): "!~~*",
    ("similar", False): "~",
    ("similar", True): "!~",
}
_ORDERINGS: Final = frozenset({"<", "<=", ">", ">="})


def _position(node: Expr) -> int | None:
    position: int | None = getattr(node, "position", None)
    return position


@binds(Test)
def _test(ctx: ExprContext, node: Test) -> Scalar:
    if node.kind == "null":
        if isinstance(node.arg, RowOf):
            items = [bind(ctx, item) for item in node.arg.items]
            return _all_of(tuple(IsNull(item, node.negated) for item in items))
        return IsNull(resolve_unknown(ctx.env, bind(ctx, node.arg)), node.negated)
    clause = f"IS {'NOT ' if node.negated else ''}{node.kind.upper()}"
    arg = coerce_to_boolean(ctx.env, bind(ctx, node.arg), clause, _position(node.arg))
    return BoolTest(arg, _BOOL_TESTS[node.kind], node.negated)


def _all_of(conditions: tuple[Scalar, ...]) -> Scalar:
    if not conditions:
        return Const(True, BOOL)
    return conditions[0] if len(conditions) == 1 else And(conditions)


def _any_of(conditions: tuple[Scalar, ...]) -> Scalar:
    return conditions[0] if len(conditions) == 1 else Or(conditions)


@binds(DistinctTest)
def _distinct(ctx: ExprContext, node: DistinctTest) -> Scalar:
    if isinstance(node.left, RowOf) and isinstance(node.right, RowOf):
        pairs = _pairs(node.left, node.right, node.position)
        tests = tuple(
            _distinct(ctx, DistinctTest(a, b, node.negated, node.position)) for a, b in pairs
        )
        return _all_of(tests) if node.negated else _any_of(tests)
    left, right = bind(ctx, node.left), bind(ctx, node.right)
    for one, other in ((left, right), (right, left)):
        if isinstance(one, Const) and one.value is None:
            return IsNull(resolve_unknown(ctx.env, other), not node.negated)
    call = bind_operator(ctx.env, "=", left, right, node.position)
    assert isinstance(call, Call), "= is a function"
    return IsDistinct(call.args[0], call.args[1], call.function, node.negated)


@binds(Like)
def _like(ctx: ExprContext, node: Like) -> Scalar:
    pattern: Expr = node.pattern
    if node.kind == "similar":
        args = (pattern,) if node.escape is None else (pattern, node.escape)
        pattern = FunctionCall(("pg_catalog", "similar_to_escape"), args, position=node.position)
    elif node.escape is not None:
        args = (pattern, node.escape)
        pattern = FunctionCall(("pg_catalog", "like_escape"), args, position=node.position)
    symbol = _LIKE_SYMBOLS[node.kind, node.negated]
    return bind(ctx, Operation(symbol, node.arg, pattern, node.position))


@binds(Between)
def _between(ctx: ExprContext, node: Between) -> Scalar:
    def compare(symbol: str, bound: Expr) -> Expr:
        return Operation(symbol, node.arg, bound, node.position)

    def within(low: Expr, high: Expr) -> Expr:
        if node.negated:
            return Logical("or", (compare("<", low), compare(">", high)), node.position)
        return Logical("and", (compare(">=", low), compare("<=", high)), node.position)

    if not node.symmetric:
        return bind(ctx, within(node.low, node.high))
    both = (within(node.low, node.high), within(node.high, node.low))
    return bind(ctx, Logical("and" if node.negated else "or", both, node.position))


# IN


@binds(In)
def _in(ctx: ExprContext, node: In) -> Scalar:
    if node.query is not None:
        from sqlnode.plan.bind_subquery import bind_in_query

        return bind_in_query(ctx, node)
    if isinstance(node.arg, RowOf) or any(isinstance(item, RowOf) for item in node.items):
        return _one_by_one(ctx, node)
    if len(node.items) == 1:
        return _one_by_one(ctx, node)
    arg = bind(ctx, node.arg)
    items = [bind(ctx, item) for item in node.items]
    try:
        common = select_common_type([arg.type, *(item.type for item in items)], "IN")
        reachable = all(can_coerce(n.type, common, CastContext.IMPLICIT) for n in (arg, *items))
    except SqlError:
        reachable = False
    if not reachable:
        return _one_by_one(ctx, node)
    operator = equality(arg.type, common, node.position)
    assert operator.left is not None, "= is binary"
    done = tuple(
        coerce(
            ctx.env,
            coerce_common(ctx.env, item, common, "IN", node.position),
            operator.right,
            CastContext.IMPLICIT,
        )
        for item in items
    )
    left = coerce(ctx.env, arg, operator.left, CastContext.IMPLICIT, node.position)
    return InList(left, done, operator.function, node.negated)


def _one_by_one(ctx: ExprContext, node: In) -> Scalar:
    symbol = "<>" if node.negated else "="
    tests = tuple(
        bind(ctx, Operation(symbol, node.arg, item, node.position)) for item in node.items
    )
    return _all_of(tests) if node.negated else _any_of(tests)


# ANY and ALL


@binds(Quantified)
def _quantified(ctx: ExprContext, node: Quantified) -> Scalar:
    if node.query is not None:
        from sqlnode.plan.bind_subquery import bind_quantified_query

        return bind_quantified_query(ctx, node)
    assert node.operand is not None, "an operand or a query"
    arg, array = bind(ctx, node.arg), bind(ctx, node.operand)
    element = UNKNOWN if array.type.oid == UNKNOWN.oid else element_type(array.type)
    if element is None:
        raise WrongObjectType(
            "op ANY/ALL (array) requires array on right side", position=node.position
        )
    operator = find_operator(node.symbol, arg.type, element, node.position)
    if operator.function.result.oid != BOOL.oid:
        raise WrongObjectType(
            "op ANY/ALL (array) requires operator to yield boolean", position=node.position
        )
    assert operator.left is not None, "quantified operators are binary"
    wanted = _array_type(operator.right, array.type, element)
    done = coerce(ctx.env, array, wanted, CastContext.IMPLICIT, node.position)
    left = coerce(ctx.env, arg, operator.left, CastContext.IMPLICIT, node.position)
    return AnyAll(left, done, operator.function, node.is_all)


def _array_type(element: SqlType, given: SqlType, given_element: SqlType) -> SqlType:
    if given_element.oid == element.oid or not TYPES[element.oid].array_oid:
        return given  # int2vector stays what it is
    return array_of(element)


# Rows


def _pairs(left: RowOf, right: RowOf, position: int) -> list[tuple[Expr, Expr]]:
    if len(left.items) != len(right.items):
        raise SqlSyntaxError("unequal number of entries in row expressions", position=position)
    if not left.items:
        raise FeatureNotSupported("cannot compare rows of zero length", position=position)
    return list(zip(left.items, right.items, strict=True))


def compare_rows(ctx: ExprContext, node: Operation) -> Scalar:
    """Expand `(a, b) op (c, d)` into comparisons of the items."""
    left, right = node.left, node.right
    if isinstance(right, ScalarQuery) and isinstance(left, RowOf):
        from sqlnode.plan.bind_subquery import bind_row_query

        return bind_row_query(ctx, node)
    if not (isinstance(left, RowOf) and isinstance(right, RowOf)):
        raise FeatureNotSupported(
            "comparison of a row with another kind of value is not supported",
            position=node.position,
        )
    pairs = _pairs(left, right, node.position)
    if node.symbol in _ORDERINGS:
        return _lexicographic(ctx, node.symbol, pairs, node.position)
    tests = tuple(bind(ctx, Operation(node.symbol, a, b, node.position)) for a, b in pairs)
    if any(test.type.oid != BOOL.oid for test in tests):
        raise FeatureNotSupported(
            f"row comparison operator must yield type boolean, not type "
            f"{format_type(tests[0].type)}",
            position=node.position,
        )
    if node.symbol == "=":
        return _all_of(tests)
    if node.symbol == "<>":
        return _any_of(tests)
    raise FeatureNotSupported(
        f"could not determine interpretation of row comparison operator {node.symbol}",
        position=node.position,
    )


def _lexicographic(
    ctx: ExprContext, symbol: str, pairs: list[tuple[Expr, Expr]], position: int
) -> Scalar:
    (left, right), rest = pairs[0], pairs[1:]
    if not rest:
        return bind(ctx, Operation(symbol, left, right, position))
    strictly = bind(ctx, Operation(symbol[0], left, right, position))
    equal = bind(ctx, Operation("=", left, right, position))
    return Or((strictly, And((equal, _lexicographic(ctx, symbol, rest, position)))))
