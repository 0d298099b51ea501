"""Mathematical functions over floats: C's libm with PostgreSQL's errors."""

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from pgwire.errors import (
    InvalidArgumentForLogarithm,
    InvalidArgumentForWidthBucketFunction,
    NumericValueOutOfRange,
)
from pgwire.sql_error import SqlError
from sqlnode.functions import decimals
from sqlnode.functions.define import function, operator
from sqlnode.functions.floats import overflow, power, underflow
from sqlnode.functions.integers import checked
from sqlnode.functions.trigonometry import RADIANS_PER_DEGREE

Unary = Callable[[float], float]


def _input_out_of_range() -> NumericValueOutOfRange:
    return NumericValueOutOfRange("input is out of range")


def _square_root(x: float) -> float:
    if x < 0:
        raise SqlError("cannot take square root of a negative number", sqlstate="2201F")
    return math.sqrt(x)


def _cube_root(x: float) -> float:
    if x == 0 or not math.isfinite(x):
        return x
    return math.cbrt(x)


def _exponential(x: float) -> float:
    try:
        result = math.exp(x)
    except OverflowError:
        raise overflow() from None
    if result == 0.0 and not math.isinf(x):
        raise underflow()
    return result


def _logarithm(compute: Unary) -> Unary:
    def run(x: float) -> float:
        if x == 0:
            raise InvalidArgumentForLogarithm("cannot take logarithm of zero")
        if x < 0:
            raise InvalidArgumentForLogarithm("cannot take logarithm of a negative number")
        return compute(x)

    return run


def _signed(compute: Callable[[float], int]) -> Unary:
    # The sign of a zero result is the argument's: ceil(-0.5) is -0.
    return lambda x: math.copysign(float(compute(x)), x) if math.isfinite(x) else x


def _sign(x: float) -> float:
    return float((x > 0) - (x < 0))  # 0 for NaN, as in PostgreSQL


def _guarded(compute: Unary, *, infinite_ok: bool = False) -> Unary:
    """Turn libm's domain errors into 22003."""

    def run(x: float) -> float:
        if math.isinf(x) and not infinite_ok:
            raise _input_out_of_range()
        try:
            return compute(x)
        except ValueError:
            raise _input_out_of_range() from None
        except OverflowError:
            return math.copysign(math.inf, x)

    return run


def _cotangent(x: float) -> float:
    tangent = math.tan(x)
    return math.copysign(math.inf, tangent) if tangent == 0 else 1.0 / tangent


def _atanh(x: float) -> float:
    if x in (1.0, -1.0):
        return math.copysign(math.inf, x)
    return math.atanh(x)


_UNARY: Final[dict[str, Unary]] = {
    "abs": abs,
    "ceil": _signed(math.ceil),
    "ceiling": _signed(math.ceil),
    "floor": _signed(math.floor),
    "trunc": _signed(math.trunc),
    "round": _signed(lambda x: round(x)),
    "sign": _sign,
    "sqrt": _square_root,
    "cbrt": _cube_root,
    "exp": _exponential,
    "ln": _logarithm(math.log),
    "log": _logarithm(math.log10),
    "log10": _logarithm(math.log10),
    "degrees": lambda x: _checked(x / RADIANS_PER_DEGREE, x),
    "radians": lambda x: _checked(x * RADIANS_PER_DEGREE, x),
    "sin": _guarded(math.sin),
    "cos": _guarded(math.cos),
    "tan": _guarded(math.tan),
    "cot": _guarded(_cotangent),
    "asin": _guarded(math.asin),
    "acos": _guarded(math.acos),
    "atan": math.atan,
    "sinh": _guarded(math.sinh, infinite_ok=True),
    "cosh": lambda x: math.inf if math.isinf(x) or abs(x) > 710.5 else math.cosh(x),
    "tanh": math.tanh,
    "asinh": math.asinh,
    "acosh": _guarded(lambda x: math.inf if x == math.inf else math.acosh(x), infinite_ok=True),
    "atanh": _guarded(_atanh),
}
_DUCK: Final = {"abs": "abs({0})", "ceil": "ceil({0})", "ceiling": "ceil({0})",
                "floor": "floor({0})", "trunc": "trunc({0})"}  # fmt: skip


def _checked(result: float, x: float) -> float:
    if math.isinf(result) and not math.isinf(x):
        raise overflow()
    if result == 0.0 and x != 0.0:
        raise underflow()
    return result


for _name, _compute in _UNARY.items():
    function(f"{_name}(float8) float8", _compute, _DUCK.get(_name))
function("abs(float4) float4", abs, "abs({0})")
for _name in ("pow", "power"):
    function(f"{_name}(float8, float8) float8", power)
function("atan2(float8, float8) float8", math.atan2)
function("pi() float8", lambda: math.pi, "pi()")
operator("|/", "dsqrt(float8) float8", _square_root)
operator("||/", "dcbrt(float8) float8", _cube_root)


def _bucket(operand: Any, low: Any, high: Any, count: int) -> int:
    if count <= 0:
        raise InvalidArgumentForWidthBucketFunction("count must be greater than zero")
    if any(value != value for value in (operand, low, high)):
        raise InvalidArgumentForWidthBucketFunction(
            "operand, lower bound, and upper bound cannot be NaN"
        )
    if math.isinf(low) or math.isinf(high):
        raise InvalidArgumentForWidthBucketFunction("lower and upper bounds must be finite")
    if low == high:
        raise InvalidArgumentForWidthBucketFunction("lower bound cannot equal upper bound")
    is_rising = low < high
    if operand < low if is_rising else operand > low:
        return 0
    if operand >= high if is_rising else operand <= high:
        return count + 1
    return 0 if math.isinf(operand) else -1


def _bucket_float(operand: float, low: float, high: float, count: int) -> int:
    outside = _bucket(operand, low, high, count)
    if outside >= 0:
        return _in_int4(outside)
    return _in_int4(min(int(count * ((operand - low) / (high - low))), count - 1) + 1)


def _bucket_numeric(operand: Decimal, low: Decimal, high: Decimal, count: int) -> int:
    outside = _bucket(operand, low, high, count)
    if outside >= 0:
        return _in_int4(outside)
    exact = decimals.EXACT
    scaled = exact.multiply(exact.subtract(operand, low), Decimal(count))
    return _in_int4(int(exact.divide_int(scaled, exact.subtract(high, low))) + 1)


_in_int4: Final = checked(int, "int4")
function("width_bucket(float8, float8, float8, int4) int4", _bucket_float)
function("width_bucket(numeric, numeric, numeric, int4) int4", _bucket_numeric)
