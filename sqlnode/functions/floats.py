"""Arithmetic of float4 and float8: IEEE numbers, but overflow, underflow and x/0 are errors."""

import math
import operator as py
import struct
from collections.abc import Callable
from typing import Final

from pgwire.errors import (
    InvalidArgumentForPowerFunction,
    NumericValueOutOfRange,
)
from sqlnode.functions.define import duck_each, duck_error, operator
from sqlnode.functions.integers import division_by_zero

_SINGLE: Final = struct.Struct("<f")


def overflow() -> NumericValueOutOfRange:
    """Build the error of a finite computation with an infinite result."""
    return NumericValueOutOfRange("value out of range: overflow")


def underflow() -> NumericValueOutOfRange:
    """Build the error of a computation whose result is too close to zero."""
    return NumericValueOutOfRange("value out of range: underflow")


def single(value: float) -> float:
    """Round to 32 bits; a finite value too large for them becomes infinite.

    >>> single(0.1)
    0.10000000149011612
    """
    try:
        rounded: float = _SINGLE.unpack(_SINGLE.pack(value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)
    return rounded


def _add(a: float, b: float) -> float:
    result = a + b
    if math.isinf(result) and not (math.isinf(a) or math.isinf(b)):
        raise overflow()
    return result


def _subtract(a: float, b: float) -> float:
    return _add(a, -b)


def _multiply(a: float, b: float) -> float:
    result = a * b
    if math.isinf(result) and not (math.isinf(a) or math.isinf(b)):
        raise overflow()
    if result == 0.0 and a != 0.0 and b != 0.0:
        raise underflow()
    return result


def _divide(a: float, b: float) -> float:
    if b == 0.0:
        if a != a:
            return a
        raise division_by_zero()
    result = a / b
    if math.isinf(result) and not (math.isinf(a) or math.isinf(b)):
        raise overflow()
    if result == 0.0 and a != 0.0 and not math.isinf(b):
        raise underflow()
    return result


def _as_single(compute: Callable[[float, float], float]) -> Callable[[float, float], float]:
    def run(a: float, b: float) -> float:
        wide = compute(a, b)
        narrow = single(wide)
        if math.isinf(narrow) and not math.isinf(wide):
            raise overflow()
        if narrow == 0.0 and wide != 0.0:
            raise underflow()
        return narrow

    return run


def power(a: float, b: float) -> float:
    """Raise to a power as dpow does: C's pow() and errors for overflow and complex results."""
    if a != a or b != b:
        return 1.0 if (a == 1.0 or b == 0.0) else math.nan
    if a == 0.0 and b < 0.0:
        raise InvalidArgumentForPowerFunction("zero raised to a negative power is undefined")
    if a < 0.0 and math.isfinite(b) and math.floor(b) != b:
        raise InvalidArgumentForPowerFunction(
            "a negative number raised to a non-integer power yields a complex result"
        )
    try:
        result = math.pow(a, b)
    except OverflowError:
        raise overflow() from None
    is_finite = math.isfinite(a) and math.isfinite(b)
    if is_finite and result == 0.0 and a != 0.0:
        raise underflow()
    return result


_OVER: Final = f"THEN {duck_error('22003', 'value out of range: overflow')}"
_UNDER: Final = f"THEN {duck_error('22003', 'value out of range: underflow')}"


def _duck(symbol: str) -> str:
    result = f"v.a {symbol} v.b"
    rules = [f"WHEN isinf({result}) AND NOT (isinf(v.a) OR isinf(v.b)) {_OVER}"]
    if symbol == "*":
        rules.append(f"WHEN {result} = 0 AND v.a <> 0 AND v.b <> 0 {_UNDER}")
    if symbol == "/":
        zero = duck_error("22012", "division by zero")
        rules.insert(0, f"WHEN v.b = 0 AND NOT isnan(v.a) THEN {zero} WHEN v.b = 0 THEN v.a")
        rules.append(f"WHEN {result} = 0 AND v.a <> 0 AND NOT isinf(v.b) {_UNDER}")
    return duck_each(f"CASE {' '.join(rules)} ELSE {result} END", "a", "b")


for _prefix, _left, _right in (
    ("float8", "float8", "float8"),
    ("float4", "float4", "float4"),
    ("float48", "float4", "float8"),
    ("float84", "float8", "float4"),
):
    for _symbol, _suffix, _compute in (
        ("+", "pl", _add),
        ("-", "mi", _subtract),
        ("*", "mul", _multiply),
        ("/", "div", _divide),
    ):
        _result = "float4" if _prefix == "float4" else "float8"
        operator(
            _symbol,
            f"{_prefix}{_suffix}({_left}, {_right}) {_result}",
            _as_single(_compute) if _result == "float4" else _compute,
            _duck(_symbol),
            commutator=_symbol if _symbol in "+*" else None,
        )

for _name in ("float4", "float8"):
    operator("-", f"{_name}um({_name}) {_name}", py.neg, "(-({0}))")
    operator("+", f"{_name}up({_name}) {_name}", py.pos, "({0})")
    operator("@", f"{_name}abs({_name}) {_name}", abs, "abs({0})")
operator("^", "dpow(float8, float8) float8", power)
