"""numeric operators and mathematical functions. DuckDB's forms of numeric are vecexec's own."""

import math
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Final

from pgwire.errors import (
    InvalidArgumentForLogarithm,
    InvalidArgumentForPowerFunction,
    NumericValueOutOfRange,
)
from pgwire.sql_error import SqlError
from sqlnode.functions import decimals
from sqlnode.functions.decimals import EXACT, INFINITY, NAN, ZERO, rounded, scale_of
from sqlnode.functions.define import function, operator
from sqlnode.functions.integers import division_by_zero

_SIG: Final = decimals.MIN_SIG_DIGITS
_GUARD_DIGITS: Final = 12
_SCALE_CAP: Final = decimals.DISPLAY_SCALE_MAX
_ONE: Final = Decimal(1)
_EXPONENT_MAX: Final = 6_020  # of e; numeric results end at 2,000 digits times 3.01


def _context(digits: int) -> Context:
    return Context(
        prec=max(digits, 20) + _GUARD_DIGITS,
        rounding=ROUND_HALF_UP,
        Emax=999_999,
        Emin=-999_999,
        traps=[],
    )


def _capped(scale: int, *values: Decimal) -> int:
    return min(max(scale, 0, *(scale_of(value) for value in values)), _SCALE_CAP)


def _square_root(value: Decimal) -> Decimal:
    if value.is_nan():
        return value
    if value < 0:
        raise SqlError("cannot take square root of a negative number", sqlstate="2201F")
    if value.is_infinite():
        return value
    weight = value.adjusted() // 4 if value else 0
    scale = _capped(_SIG + 1 - (weight + 1) * 2, value)
    digits = max(value.adjusted(), 0) + 2 * scale
    return rounded(_context(digits).sqrt(value), scale)


def _exponential(value: Decimal) -> Decimal:
    if not value.is_finite():
        return value if value.is_nan() or value > 0 else ZERO
    approximate = float(value) * 0.434294481903252
    approximate = max(min(approximate, 2_000.0), -2_000.0)
    scale = _capped(_SIG - int(approximate), value)
    if abs(value) >= 6_000:
        if value > 0:
            raise NumericValueOutOfRange("value overflows numeric format")
        return rounded(ZERO, scale)
    digits = max(int(float(value) * 0.4343), 0) + scale
    return rounded(_context(digits).exp(value), scale)


def _check_logarithm(value: Decimal) -> None:
    if value == 0:
        raise InvalidArgumentForLogarithm("cannot take logarithm of zero")
    if value < 0:
        raise InvalidArgumentForLogarithm("cannot take logarithm of a negative number")


def estimate_ln_weight(value: Decimal) -> int:
    """Return the decimal exponent of ln(value), as estimate_ln_dweight() does."""
    if value <= 0:
        return 0
    if Decimal("0.9") <= value <= Decimal("1.1"):
        distance = EXACT.subtract(value, _ONE)
        return distance.adjusted() if distance else 0
    # log10 of |ln x|, from the leading digits as PostgreSQL takes them
    logarithm = abs(
        float(value.scaleb(-value.adjusted(), EXACT).ln()) + value.adjusted() * math.log(10)
    )
    return int(math.log10(logarithm))


def _natural_logarithm(value: Decimal) -> Decimal:
    if value.is_nan():
        return value
    _check_logarithm(value)
    if value.is_infinite():
        return value
    scale = _capped(_SIG - estimate_ln_weight(value), value)
    return rounded(_context(scale + 10).ln(value), scale)


def _logarithm(base: Decimal, value: Decimal) -> Decimal:
    if base.is_nan() or value.is_nan():
        return NAN
    _check_logarithm(base)
    _check_logarithm(value)
    if base.is_infinite():
        return NAN if value.is_infinite() else ZERO
    if value.is_infinite():
        return INFINITY
    base_weight, value_weight = estimate_ln_weight(base), estimate_ln_weight(value)
    scale = _capped(_SIG - (value_weight - base_weight), base, value)
    if base == 1:
        raise division_by_zero()
    context = _context(2 * scale + abs(base_weight) + abs(value_weight) + 20)
    return rounded(context.divide(context.ln(value), context.ln(base)), scale)


def _power_of_special(a: Decimal, b: Decimal) -> Decimal:
    """Raise to a power where one of them is NaN or infinite."""
    if a.is_nan():
        return _ONE if b == 0 else a
    if b.is_nan():
        return _ONE if a == 1 else b
    if a == 1 or b == 0:
        return _ONE
    if a == 0 and b < 0:
        raise InvalidArgumentForPowerFunction("zero raised to a negative power is undefined")
    if b.is_infinite():
        if a == -1:
            return _ONE
        return INFINITY if (abs(a) > 1) == (b > 0) else ZERO
    if a > 0:
        return INFINITY if b > 0 else ZERO
    if b != b.to_integral_value():
        raise InvalidArgumentForPowerFunction(_COMPLEX)
    if b < 0:
        return ZERO
    return a if b % 2 else INFINITY


_COMPLEX: Final = "a negative number raised to a non-integer power yields a complex result"


def _power(a: Decimal, b: Decimal) -> Decimal:
    if not a.is_finite() or not b.is_finite():
        return _power_of_special(a, b)
    if a == 0:
        if b < 0:
            raise InvalidArgumentForPowerFunction("zero raised to a negative power is undefined")
        if b != b.to_integral_value():
            return rounded(ZERO, _SIG)
    is_integer = b == b.to_integral_value()
    if a < 0 and not is_integer:
        raise InvalidArgumentForPowerFunction(_COMPLEX)
    if is_integer and abs(b) < 2**31:
        return _integer_power(a, int(b))
    return _real_power(a, b, is_odd=is_integer and EXACT.remainder(b, Decimal(2)) != 0)


def _integer_power(a: Decimal, exponent: int) -> Decimal:
    scale = min(max(_SIG, scale_of(a)), _SCALE_CAP)
    if exponent == 0 or a == 0:
        return rounded(_ONE if exponent == 0 else ZERO, scale)
    approximate = exponent * _log10_estimate(a)
    if approximate > 4 * (32_767 + 1):
        raise NumericValueOutOfRange("value overflows numeric format")
    if approximate + 1 < -scale:
        return rounded(ZERO, scale)
    if exponent == -1:
        return decimals.quotient(_ONE, a, scale)
    digits = max(int(approximate), 0) + scale + 10
    return rounded(_context(digits).power(a, exponent), scale)


def _log10_estimate(a: Decimal) -> float:
    mantissa = float(abs(a).scaleb(-a.adjusted(), EXACT))
    return a.adjusted() + math.log10(mantissa)


def _real_power(a: Decimal, b: Decimal, *, is_odd: bool) -> Decimal:
    magnitude = abs(a)
    exponent = float(_context(40).multiply(_context(40).ln(magnitude), b))
    if abs(exponent) > _EXPONENT_MAX:
        if exponent > 0:
            raise NumericValueOutOfRange("value overflows numeric format")
        return rounded(ZERO, _SCALE_CAP)
    approximate = exponent * 0.434294481903252
    scale = _capped(_SIG - int(approximate), a, b)
    context = _context(max(int(approximate), 0) + scale + 30)
    value = context.exp(context.multiply(b, context.ln(magnitude)))
    return rounded(-value if is_odd and a < 0 else value, scale)


def _gcd(a: Decimal, b: Decimal) -> Decimal:
    if not a.is_finite() or not b.is_finite():
        return NAN
    scale = max(scale_of(a), scale_of(b))
    while b:
        a, b = b, EXACT.remainder(a, b)
    return rounded(abs(a), scale)


def _lcm(a: Decimal, b: Decimal) -> Decimal:
    if not a.is_finite() or not b.is_finite():
        return NAN
    scale = max(scale_of(a), scale_of(b))
    if not a or not b:
        return rounded(ZERO, scale)
    return rounded(abs(EXACT.multiply(EXACT.divide_int(a, _gcd(a, b)), b)), scale)


def factorial(value: int) -> Decimal:
    """Return n!. Raises: NumericValueOutOfRange."""
    if value < 0:
        raise NumericValueOutOfRange("factorial of a negative number is undefined")
    if value > 32_177:
        raise NumericValueOutOfRange("value overflows numeric format")
    return Decimal(math.factorial(value))


def _minimal_scale(value: Decimal) -> int | None:
    if not value.is_finite():
        return None
    digits = format(value, "f").partition(".")[2].rstrip("0")
    return len(digits)


def _trim_scale(value: Decimal) -> Decimal:
    scale = _minimal_scale(value)
    return value if scale is None else rounded(value, scale)


def _sign(value: Decimal) -> Decimal:
    if value.is_nan():
        return value
    return Decimal((value > 0) - (value < 0))


def _binary(symbol: str, name: str, compute: Callable[[Decimal, Decimal], Decimal]) -> None:
    commutator = symbol if symbol in "+*" else None
    operator(symbol, f"{name}(numeric, numeric) numeric", compute, commutator=commutator)


_binary("+", "numeric_add", decimals.add)
_binary("-", "numeric_sub", decimals.subtract)
_binary("*", "numeric_mul", decimals.multiply)
_binary("/", "numeric_div", decimals.divide)
_binary("%", "numeric_mod", decimals.modulo)
_binary("^", "numeric_power", _power)
operator("-", "numeric_uminus(numeric) numeric", decimals.negate)
operator("+", "numeric_uplus(numeric) numeric", lambda value: value)
operator("@", "numeric_abs(numeric) numeric", decimals.absolute)

for _name, _compute in (
    ("abs", decimals.absolute),
    ("ceil", decimals.ceiling),
    ("ceiling", decimals.ceiling),
    ("floor", decimals.floor),
    ("sign", _sign),
    ("sqrt", _square_root),
    ("exp", _exponential),
    ("ln", _natural_logarithm),
    ("round", lambda value: rounded(value, 0)),
    ("trunc", lambda value: decimals.trunc_to(value, 0)),
    ("log", lambda value: _logarithm(Decimal(10), value)),
    ("log10", lambda value: _logarithm(Decimal(10), value)),
    ("trim_scale", _trim_scale),
):
    function(f"{_name}(numeric) numeric", _compute)
for _name, _compute2 in (
    ("mod", decimals.modulo),
    ("div", decimals.div),
    ("power", _power),
    ("pow", _power),
    ("log", _logarithm),
    ("gcd", _gcd),
    ("lcm", _lcm),
):
    function(f"{_name}(numeric, numeric) numeric", _compute2)
function("round(numeric, int4) numeric", decimals.round_to)
function("trunc(numeric, int4) numeric", decimals.trunc_to)
function("factorial(int8) numeric", factorial)
function("scale(numeric) int4", lambda value: scale_of(value) if value.is_finite() else None)
function("min_scale(numeric) int4", _minimal_scale)
