"""OVER: partitions, order and frames of window calls.

**Source.** PostgreSQL, parse_clause.c transformWindowDefinitions, transformFrameOffset; parse_agg.c
transformWindowFuncCall.
"""

from dataclasses import replace

from pgwire.errors import DuplicateObject, FeatureNotSupported, UndefinedObject, WindowingError
from sqlnode.functions.registry import CastContext, WindowFunction
from sqlnode.parse.syntax import FrameEdge, FunctionCall, WindowSpec
from sqlnode.plan.bind_sort import bind_sort_item, require_equality
from sqlnode.plan.coerce import coerce, coerce_to_bigint, resolve_unknown
from sqlnode.plan.collector import Collector
from sqlnode.plan.expr import ExprContext, bind
from sqlnode.plan.scalar import (
    AggregateCall,
    Call,
    ColumnRef,
    Frame,
    FrameBound,
    Scalar,
    SortKey,
    WindowCall,
    walk,
)
from sqlnode.types import FLOAT4, FLOAT8, INT2, INT4, INT8, INTERVAL, SqlType

_DATES = frozenset({1082, 1083, 1114, 1184})
_WIDE_OFFSETS = {INT2.oid: INT8, INT4.oid: INT8, FLOAT4.oid: FLOAT8}
_START_ORDER = (
    "unbounded preceding",
    "preceding",
    "current row",
    "following",
    "unbounded following",
)


def bind_window_call(
    ctx: ExprContext, node: FunctionCall, function: WindowFunction | AggregateCall, typed: Call
) -> Scalar:
    """Bind OVER and record the call."""
    assert node.over is not None, "only called for window calls"
    collector = ctx.scope.collector
    assert isinstance(collector, Collector), "checked by the caller"
    inner = ctx.inside(in_window=True)
    spec = _resolve(collector, node.over)
    partition = tuple(_partition_key(inner, expr, spec) for expr in spec.partition_by)
    order = tuple(bind_sort_item(inner, i, bind(inner, i.expr)) for i in spec.order_by)
    frame = _frame(inner, spec, order)
    call = WindowCall(function, typed.args, partition, order, frame, typed.type)
    return collector.window(ctx.env, node.name[-1], call)


def _partition_key(ctx: ExprContext, expr: "object", spec: WindowSpec) -> Scalar:
    scalar = resolve_unknown(ctx.env, bind(ctx, expr))  # type: ignore[arg-type]  # an Expr
    require_equality(scalar.type, spec.position)
    return scalar


def name_windows(collector: Collector, windows: tuple[WindowSpec, ...]) -> None:
    """Note the WINDOW clause. Raises: DuplicateObject."""
    for window in windows:
        if window.name in collector.named_windows:
            raise DuplicateObject(
                f'window "{window.name}" is already defined',
                position=window.position,
                sqlstate="42P20",
            )
        resolved = _resolve(collector, window)
        collector.named_windows[window.name] = resolved


def _resolve(collector: Collector, spec: WindowSpec) -> WindowSpec:
    """Fill in what a window takes from the one it refers to."""
    if spec.ref is None:
        return spec
    base = collector.named_windows.get(spec.ref)
    if base is None:
        raise UndefinedObject(f'window "{spec.ref}" does not exist', position=spec.position)
    if spec.bare:
        return base
    if spec.partition_by:
        raise WindowingError(
            f'cannot override PARTITION BY clause of window "{spec.ref}"', position=spec.position
        )
    if spec.order_by and base.order_by:
        raise WindowingError(
            f'cannot override ORDER BY clause of window "{spec.ref}"', position=spec.position
        )
    if base.mode is not None:
        raise WindowingError(
            f'cannot copy window "{spec.ref}" because it has a frame clause', position=spec.position
        )
    return WindowSpec(
        None,
        base.partition_by,
        spec.order_by or base.order_by,
        spec.mode,
        spec.start,
        spec.end,
        spec.exclude,
        False,
        spec.name,
        spec.position,
    )


def _frame(ctx: ExprContext, spec: WindowSpec, order: tuple[SortKey, ...]) -> Frame | None:
    if spec.mode is None:
        return None
    assert spec.start is not None, "the parser gives both edges"
    assert spec.end is not None, "the parser gives both edges"
    start, end = spec.start, spec.end
    if start.kind == "unbounded following":
        raise WindowingError("frame start cannot be UNBOUNDED FOLLOWING", position=spec.position)
    if end.kind == "unbounded preceding":
        raise WindowingError("frame end cannot be UNBOUNDED PRECEDING", position=spec.position)
    if _START_ORDER.index(start.kind) > _START_ORDER.index(end.kind):
        said = "current row" if start.kind == "current row" else "following row"
        raise WindowingError(
            f"frame starting from {said} cannot have {_ending(end)}", position=spec.position
        )
    offsets = start.offset is not None or end.offset is not None
    if spec.mode == "range" and offsets and len(order) != 1:
        raise WindowingError(
            "RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column",
            position=spec.position,
        )
    if spec.mode == "groups" and not order:
        raise WindowingError("GROUPS mode requires an ORDER BY clause", position=spec.position)
    first, last = (_edge(ctx, spec, edge, order) for edge in (start, end))
    return Frame(spec.mode, first, last, spec.exclude)


def _ending(end: FrameEdge) -> str:
    return "preceding rows" if end.kind == "preceding" else f"{end.kind} rows"


def _edge(
    ctx: ExprContext, spec: WindowSpec, edge: FrameEdge, order: tuple[SortKey, ...]
) -> FrameBound:
    if edge.offset is None:
        return FrameBound(edge.kind)
    assert spec.mode is not None, "an edge has a frame"
    mode = spec.mode.upper()
    offset = bind(replace(ctx, clause=f"window {mode}"), edge.offset)
    if any(isinstance(n, ColumnRef) and n.id in ctx.scope.ids for n in walk(offset)):
        raise WindowingError(
            f"argument of {mode} must not contain variables",
            position=spec.position,
            sqlstate="42P10",
        )
    if spec.mode != "range":
        return FrameBound(edge.kind, coerce_to_bigint(ctx.env, offset, mode, spec.position))
    wanted = _range_offset(order[0].scalar.type, spec.position)
    return FrameBound(
        edge.kind, coerce(ctx.env, offset, wanted, CastContext.IMPLICIT, spec.position)
    )


def _range_offset(key: SqlType, position: int) -> SqlType:
    if key.oid in _DATES:
        return INTERVAL
    if key.info.category == "N" or key.oid == INTERVAL.oid:
        return _WIDE_OFFSETS.get(key.oid, key.bare)  # in_range(int2, int2, int8) and its like
    raise FeatureNotSupported(
        f"RANGE with offset PRECEDING/FOLLOWING is not supported for column type {key.bare}",
        position=position,
    )
