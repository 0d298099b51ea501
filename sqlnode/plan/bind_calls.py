"""Binding of function calls: plain, aggregate, window and set-returning.

**Source.** PostgreSQL, parse_func.c ParseFuncOrColumn; parse_agg.c transformAggregateCall,
check_agglevels_and_constraints.
"""

from typing import Final

from pgwire.errors import (
    FeatureNotSupported,
    GroupingError,
    InvalidColumnReference,
    SqlError,
    WindowingError,
    WrongObjectType,
)
from sqlnode.functions.registry import Aggregate, Function, WindowFunction
from sqlnode.parse.syntax import FunctionCall, SortItem
from sqlnode.plan.bind_sort import bind_sort_item
from sqlnode.plan.bind_window import bind_window_call
from sqlnode.plan.coerce import cast_explicitly, coerce_to_boolean
from sqlnode.plan.collector import Collector
from sqlnode.plan.expr import ExprContext, bind, binds
from sqlnode.plan.find_function import Found, find_function, is_aggregate
from sqlnode.plan.operators import call_function, specialized
from sqlnode.plan.scalar import AggregateCall, Call, ColumnRef, Scalar, SortKey, walk
from sqlnode.plan.scope import Scope

_AGGREGATE_CLAUSES: Final = frozenset({"SELECT", "HAVING", "ORDER BY", "DISTINCT ON"})
_SET_CLAUSES: Final = frozenset({"SELECT", "ORDER BY", "DISTINCT ON"})


@binds(FunctionCall)
def bind_call(ctx: ExprContext, node: FunctionCall) -> Scalar:
    """Bind a call of any kind."""
    if node.arg_names:
        raise FeatureNotSupported("named arguments are not supported", position=node.position)
    if is_aggregate(node.name) and node.over is None:
        return _aggregate(ctx, node)
    inner = ctx.inside(in_window=True) if node.over is not None else ctx
    if node.over is not None:
        _check_window_place(ctx, node)
    args = tuple(bind(inner, arg) for arg in node.args)
    found = find_function(node.name, [a.type for a in args], node.position, star=node.star)
    if node.over is not None:
        return _window(ctx, node, found, args)
    _refuse_aggregate_syntax(node, found)
    if found.cast is not None:
        return cast_explicitly(ctx.env, args[0], found.cast, node.position)
    function: Function = found.entry
    if node.variadic:
        raise FeatureNotSupported("VARIADIC arguments are not supported", position=node.position)
    if function.returns_set:
        return _set_call(ctx, node, function, found, args)
    return call_function(ctx.env, function, args, found.types, node.position)


def _refuse_aggregate_syntax(node: FunctionCall, found: Found) -> None:
    name = ".".join(node.name)
    if isinstance(found.entry, WindowFunction):
        raise WrongObjectType(
            f"window function {name} requires an OVER clause", position=node.position
        )
    for is_given, message in (
        (node.star, f"{name}(*) specified, but {name} is not an aggregate function"),
        (node.distinct, f"DISTINCT specified, but {name} is not an aggregate function"),
        (node.within_group, f"WITHIN GROUP specified, but {name} is not an aggregate function"),
        (node.order_by, f"ORDER BY specified, but {name} is not an aggregate function"),
        (node.filter, f"FILTER specified, but {name} is not an aggregate function"),
    ):
        if is_given:
            raise WrongObjectType(message, position=node.position)


# Aggregates


def _aggregate(ctx: ExprContext, node: FunctionCall) -> Scalar:
    if ctx.in_aggregate:
        raise GroupingError("aggregate function calls cannot be nested", position=node.position)
    call = _aggregate_call(ctx, node)
    scope = _owner(ctx.scope, call)
    clause = ctx.clause if scope is ctx.scope else scope.clause
    if clause not in _AGGREGATE_CLAUSES or not isinstance(scope.collector, Collector):
        raise _misplaced(f"aggregate functions are not allowed in {clause}", node.position)
    return scope.collector.aggregate(ctx.env, call)


def _misplaced(message: str, position: int) -> SqlError:
    return GroupingError(message, position=position)


def _owner(scope: Scope, call: AggregateCall) -> Scope:
    """Return the level an aggregate belongs to: the innermost whose columns it names."""
    ids = {node.id for node in walk_call(call) if isinstance(node, ColumnRef)}
    if not ids:
        return scope
    for level in scope.levels():
        if ids & level.ids:
            return level
    return scope


def walk_call(call: AggregateCall) -> list[Scalar]:
    """Return every scalar of an aggregate's arguments, order and filter."""
    roots = [*call.args, *(key.scalar for key in call.order_by)]
    if call.filter is not None:
        roots.append(call.filter)
    return [node for root in roots for node in walk(root)]


def _aggregate_call(ctx: ExprContext, node: FunctionCall) -> AggregateCall:
    inner = ctx.inside(in_aggregate=True)
    order_by = node.order_by
    direct = tuple(bind(inner, arg) for arg in node.args)
    ordered = tuple(bind(inner, item.expr) for item in order_by) if node.within_group else ()
    args = (*direct, *ordered)
    found = find_function(node.name, [a.type for a in args], node.position, star=node.star)
    aggregate = found.entry
    if not isinstance(aggregate, Aggregate):
        raise FeatureNotSupported(
            f"function {node.name[-1]} is not an aggregate", position=node.position
        )
    _check_aggregate(node, aggregate)
    done = call_function(ctx.env, _signature(aggregate), args, found.types, node.position)
    if node.within_group:
        keys = _within_group_keys(inner, order_by, done.args[len(direct) :])
        return _finish(inner, node, aggregate, done.args[: len(direct)], keys, done)
    keys = tuple(_argument_key(inner, item, args, done.args) for item in order_by)
    if node.distinct and any(key.scalar not in done.args for key in keys):
        raise InvalidColumnReference(
            "in an aggregate with DISTINCT, ORDER BY expressions must appear in argument list",
            position=order_by[0].position,
        )
    return _finish(inner, node, aggregate, done.args, keys, done)


def _signature(aggregate: Aggregate) -> Function:
    return Function(aggregate.name, aggregate.arguments, aggregate.result, None)


def _check_aggregate(node: FunctionCall, aggregate: Aggregate) -> None:
    name = aggregate.name
    if node.within_group and not aggregate.ordered_set:
        raise WrongObjectType(
            f"{name} is not an ordered-set aggregate, so it cannot have WITHIN GROUP",
            position=node.position,
        )
    if aggregate.ordered_set and not node.within_group:
        raise WrongObjectType(
            f"WITHIN GROUP is required for ordered-set aggregate {name}", position=node.position
        )
    if not node.args and not node.star and not node.within_group and name == "count":
        raise WrongObjectType(
            "count(*) must be used to call a parameterless aggregate function",
            position=node.position,
        )


def _argument_key(
    ctx: ExprContext, item: SortItem, args: tuple[Scalar, ...], done: tuple[Scalar, ...]
) -> SortKey:
    """Bind a sort key; one that is an argument is that argument after its conversion."""
    key = bind_sort_item(ctx, item, bind(ctx, item.expr))
    for before, after in zip(args, done, strict=True):
        if before == key.scalar:
            return SortKey(after, key.descending, key.nulls_first)
    return key


def _within_group_keys(
    ctx: ExprContext, items: tuple[SortItem, ...], done: tuple[Scalar, ...]
) -> tuple[SortKey, ...]:
    return tuple(
        bind_sort_item(ctx, item, scalar) for item, scalar in zip(items, done, strict=True)
    )


def _finish(
    ctx: ExprContext,
    node: FunctionCall,
    aggregate: Aggregate,
    args: tuple[Scalar, ...],
    keys: tuple[SortKey, ...],
    typed: Call,
) -> AggregateCall:
    condition = None
    if node.filter is not None:
        bound = bind(ctx.inside(clause="FILTER"), node.filter)
        position = getattr(node.filter, "position", None)
        condition = coerce_to_boolean(ctx.env, bound, "FILTER", position)
    if aggregate.specialize is not None:
        aggregate = specialized(aggregate, tuple(arg.type.bare for arg in typed.args))
    result = typed.type if aggregate.result.info.category == "P" else aggregate.result
    return AggregateCall(aggregate, args, result, node.distinct, keys, condition, node.star)


# Windows


def _check_window_place(ctx: ExprContext, node: FunctionCall) -> None:
    if ctx.in_aggregate:
        raise GroupingError(
            "aggregate function calls cannot contain window function calls", position=node.position
        )
    if ctx.in_window:
        raise WindowingError("window function calls cannot be nested", position=node.position)
    allowed = ctx.clause in ("SELECT", "ORDER BY", "DISTINCT ON")
    if not allowed or not isinstance(ctx.scope.collector, Collector):
        raise WindowingError(
            f"window functions are not allowed in {ctx.clause}", position=node.position
        )


def _window(ctx: ExprContext, node: FunctionCall, found: Found, args: tuple[Scalar, ...]) -> Scalar:
    name = ".".join(node.name)
    entry = found.entry
    if not isinstance(entry, Aggregate | WindowFunction):
        raise WrongObjectType(
            f"OVER specified, but {name} is not a window function nor an aggregate function",
            position=node.position,
        )
    if node.distinct:
        raise FeatureNotSupported(
            "DISTINCT is not implemented for window functions", position=node.position
        )
    if node.order_by:
        raise FeatureNotSupported(
            "aggregate ORDER BY is not implemented for window functions", position=node.position
        )
    if isinstance(entry, WindowFunction) and node.filter is not None:
        raise FeatureNotSupported(
            "FILTER is not implemented for non-aggregate window functions", position=node.position
        )
    signature = Function(entry.name, entry.arguments, entry.result, None)
    typed = call_function(ctx.env, signature, args, found.types, node.position)
    function: WindowFunction | AggregateCall
    if isinstance(entry, Aggregate):
        _check_aggregate(node, entry)
        function = _finish(ctx.inside(in_window=True), node, entry, typed.args, (), typed)
    else:
        function = entry
    return bind_window_call(ctx, node, function, typed)


# Sets


def _set_call(
    ctx: ExprContext,
    node: FunctionCall,
    function: Function,
    found: Found,
    args: tuple[Scalar, ...],
) -> Scalar:
    if ctx.clause not in _SET_CLAUSES or not isinstance(ctx.scope.collector, Collector):
        raise FeatureNotSupported(
            f"set-returning functions are not allowed in {ctx.clause}", position=node.position
        )
    if ctx.in_aggregate:
        raise FeatureNotSupported(
            "aggregate function calls cannot contain set-returning function calls",
            position=node.position,
        )
    set_ids = {column.id for column, _ in ctx.scope.collector.sets}
    if any(isinstance(n, ColumnRef) and n.id in set_ids for arg in args for n in walk(arg)):
        raise FeatureNotSupported(
            "nested set-returning functions are not supported", position=node.position
        )
    if function.out_types:
        raise FeatureNotSupported(
            f"set of records from {function.name} in the select list is not supported",
            position=node.position,
        )
    call = call_function(ctx.env, function, args, found.types, node.position)
    return ctx.scope.collector.set_call(ctx.env, call)
