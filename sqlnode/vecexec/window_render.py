"""Window functions and aggregates OVER a window as DuckDB SQL."""

from typing import TYPE_CHECKING, Final

from pgwire.errors import FeatureNotSupported
from pgwire.sql_error import SqlError
from sqlnode.plan.logical import Window
from sqlnode.plan.scalar import AggregateCall, Frame, FrameBound, WindowCall
from sqlnode.vecexec.fold import NOT_CONSTANT, fold
from sqlnode.vecexec.physical import Expr, common, physical_of
from sqlnode.vecexec.select_text import names_of

if TYPE_CHECKING:
    from sqlnode.vecexec.render import PlanRenderer

# Their result is one of their arguments' values, in its form.
_PASSING: Final = frozenset(("lag", "lead", "first_value", "last_value", "nth_value"))


def render_window(renderer: "PlanRenderer", plan: Window) -> str:
    """Render the input's columns and one more for each call."""
    source = renderer.select(plan.input)
    exprs = [_call(renderer, call) for call in plan.calls]
    items = renderer.assign(plan.call_columns, exprs)
    return f"SELECT {names_of(plan.input.columns)}, {', '.join(items)} FROM ({source}) q"


def _call(renderer: "PlanRenderer", call: WindowCall) -> Expr:
    over = f" OVER ({_definition(renderer, call)})"
    function = call.function
    if isinstance(function, AggregateCall):
        return renderer.aggregates.render(function, over)
    args = [renderer.scalars.render(arg) for arg in call.args]
    form = physical_of(call.type)
    if function.name in _PASSING:
        values = [arg for arg in args if arg.physical.type.oid == call.type.oid]
        if function.name in ("lag", "lead") and len(args) == 3:
            values = [args[0], args[2]]
            form = common([value.physical for value in values])
            args = [args[0].cast(form), args[1], args[2].cast(form)]
        elif values:
            form = args[0].physical
    text = function.duck.format(*[arg.text for arg in args])
    return Expr(f"CAST({text}{over} AS {form.duck})", form)


def _definition(renderer: "PlanRenderer", call: WindowCall) -> str:
    parts = []
    if call.partition_by:
        keys = [
            renderer.scalars.grouped(renderer.scalars.render(scalar))
            for scalar in call.partition_by
        ]
        parts.append(f"PARTITION BY {', '.join(keys)}")
    if call.order_by:
        parts.append(f"ORDER BY {renderer.scalars.sort_keys(call.order_by)}")
    if call.frame is not None:
        parts.append(_frame(renderer, call, call.frame))
    return " ".join(parts)


def _frame(renderer: "PlanRenderer", call: WindowCall, frame: Frame) -> str:
    if frame.mode == "range" and (frame.start.offset or frame.end.offset):
        key = renderer.scalars.render(call.order_by[0].scalar)
        if key.physical.is_text_numeric:
            raise FeatureNotSupported("RANGE with offset over this numeric is not supported")
    start = _bound(renderer, frame.start, frame.mode, "starting")
    end = _bound(renderer, frame.end, frame.mode, "ending")
    exclude = f" EXCLUDE {frame.exclude.upper()}" if frame.exclude else ""
    return f"{frame.mode.upper()} BETWEEN {start} AND {end}{exclude}"


def _bound(renderer: "PlanRenderer", bound: FrameBound, mode: str, which: str) -> str:
    if bound.offset is None:
        return bound.kind.upper()
    datum = fold(bound.offset, renderer.ctx)
    if datum is None:
        raise SqlError(f"frame {which} offset must not be null", sqlstate="22004")
    if datum is not NOT_CONSTANT and not isinstance(datum, tuple) and datum < 0:
        if mode == "range":
            raise SqlError(
                "invalid preceding or following size in window function", sqlstate="22013"
            )
        raise SqlError(f"frame {which} offset must not be negative", sqlstate="22013")
    return f"{renderer.scalars.render(bound.offset).text} {bound.kind.upper()}"
