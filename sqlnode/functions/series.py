"""generate_series over integers, numerics and timestamps."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from pgwire.datum import Interval
from pgwire.errors import InvalidParameterValue
from sqlnode.functions import decimals
from sqlnode.functions.comparison import interval_span
from sqlnode.functions.datetime_ops import add_to_timestamp, add_to_timestamptz
from sqlnode.functions.define import STABLE, function


def _integers(start: int, stop: int, step: int = 1) -> Iterator[int]:
    if step == 0:
        raise InvalidParameterValue("step size cannot equal zero")
    return iter(range(start, stop + (1 if step > 0 else -1), step))


def _numerics(start: Decimal, stop: Decimal, step: Decimal = Decimal(1)) -> Iterator[Decimal]:
    for value, name in ((start, "start"), (stop, "stop"), (step, "step size")):
        if not value.is_finite():
            is_step = name == "step size"
            shown = "NaN" if value.is_nan() else "infinity"
            label = name if is_step else f"{name} value"
            raise InvalidParameterValue(f"{label} cannot be {shown}")
    if step == 0:
        raise InvalidParameterValue("step size cannot equal zero")
    return _count(start, stop, step)


def _count(start: Decimal, stop: Decimal, step: Decimal) -> Iterator[Decimal]:
    current = start
    while current <= stop if step > 0 else current >= stop:
        yield current
        current = decimals.add(current, step)


def _times(start: int, stop: int, step: Interval, add: Callable[[int, Interval], int]) -> Any:
    span = interval_span(step)
    if span == 0:
        raise InvalidParameterValue("step size cannot equal zero")

    def run() -> Iterator[int]:
        current = start
        while current <= stop if span > 0 else current >= stop:
            yield current
            current = add(current, step)

    return run()


def _timestamps(start: int, stop: int, step: Interval) -> Any:
    return _times(start, stop, step, add_to_timestamp)


def _instants(ctx: Any, start: int, stop: int, step: Interval) -> Any:
    return _times(start, stop, step, lambda at, span: add_to_timestamptz(ctx, at, span))


for _type in ("int4", "int8"):
    for _step in ("", f", {_type}"):
        function(f"generate_series({_type}, {_type}{_step}) {_type}", _integers, returns_set=True)
for _step in ("", ", numeric"):
    function(f"generate_series(numeric, numeric{_step}) numeric", _numerics, returns_set=True)
function("generate_series(timestamp, timestamp, interval) timestamp", _timestamps,
         returns_set=True)  # fmt: skip
function("generate_series(timestamptz, timestamptz, interval) timestamptz", _instants,
         returns_set=True, needs_context=True, volatility=STABLE)  # fmt: skip
