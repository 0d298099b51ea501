"""numeric arithmetic over decimal.Decimal with PostgreSQL's rules for the scale of results.

**Model.** A datum's exponent is never positive; minus it is the display scale. Sums have the larger
scale, products the sum of scales, quotients at least 16 significant digits. Everything that is
exact in PostgreSQL is exact here; roots, logarithms and powers are computed with guard digits and
rounded half away from zero, at the scale PostgreSQL picks.

Source: src/backend/utils/adt/numeric.c.
"""

from decimal import (
    ROUND_05UP,
    ROUND_CEILING,
    ROUND_DOWN,
    ROUND_FLOOR,
    ROUND_HALF_UP,
    Context,
    Decimal,
)
from typing import Final

from pgwire.errors import NumericValueOutOfRange
from sqlnode.functions.integers import division_by_zero

NAN: Final = Decimal("NaN")
INFINITY: Final = Decimal("Infinity")
ZERO: Final = Decimal(0)
_DIGITS_MAX: Final = 131_072
SCALE_MAX: Final = 16_383
MIN_SIG_DIGITS: Final = 16
DISPLAY_SCALE_MAX: Final = 1_000
EXACT: Final = Context(prec=400_000, Emax=999_999, Emin=-999_999, rounding=ROUND_HALF_UP, traps=[])


def scale_of(value: Decimal) -> int:
    """Return the number of digits after the point."""
    exponent = value.as_tuple().exponent
    return -exponent if isinstance(exponent, int) and exponent < 0 else 0


def result(value: Decimal) -> Decimal:
    """Return a computed value as a datum: no negative zero, no positive exponent, in range."""
    if not value.is_finite():
        return value
    if not value:
        return EXACT.quantize(ZERO, unit(scale_of(value)))
    if value.adjusted() >= _DIGITS_MAX:
        raise NumericValueOutOfRange("value overflows numeric format")
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and exponent > 0:
        return EXACT.quantize(value, Decimal(1))
    return value


def unit(scale: int) -> Decimal:
    """Return 10 to the power -scale, for quantize."""
    return Decimal((0, (1,), -scale))


def rounded(value: Decimal, scale: int, rounding: str = ROUND_HALF_UP) -> Decimal:
    """Round to `scale` digits after the point, half away from zero unless told otherwise.

    A negative scale rounds before the point.
    """
    if not value.is_finite():
        return value
    quantized = value.quantize(unit(scale), rounding, EXACT)
    return result(quantized)


def add(a: Decimal, b: Decimal) -> Decimal:
    """Add. Infinity - Infinity is NaN."""
    return result(EXACT.add(a, b))


def subtract(a: Decimal, b: Decimal) -> Decimal:
    """Subtract."""
    return result(EXACT.subtract(a, b))


def multiply(a: Decimal, b: Decimal) -> Decimal:
    """Multiply; Infinity * 0 is NaN."""
    product = result(EXACT.multiply(a, b))
    return rounded(product, SCALE_MAX) if scale_of(product) > SCALE_MAX else product


def _weight_and_digit(value: Decimal) -> tuple[int, int]:
    """Return weight and first digit of the base-10,000 form."""
    if not value:
        return 0, 0
    weight, within = divmod(value.adjusted(), 4)
    digits = value.as_tuple().digits[: within + 1]
    first = int("".join(map(str, digits))) * 10 ** (within + 1 - len(digits))
    return weight, first


def division_scale(a: Decimal, b: Decimal) -> int:
    """Return the scale of a quotient: select_div_scale()."""
    weight_a, first_a = _weight_and_digit(a)
    weight_b, first_b = _weight_and_digit(b)
    weight = weight_a - weight_b - (first_a <= first_b)
    scale = max(MIN_SIG_DIGITS - weight * 4, scale_of(a), scale_of(b), 0)
    return min(scale, DISPLAY_SCALE_MAX)


def quotient(a: Decimal, b: Decimal, scale: int) -> Decimal:
    """Divide finite numbers, rounded once to `scale`."""
    digits = max(a.adjusted() - b.adjusted() + scale + 3, 3)
    # ROUND_05UP keeps the information that rounding half up needs: no double rounding.
    sticky = Context(prec=digits, rounding=ROUND_05UP, Emax=999_999, Emin=-999_999, traps=[])
    return rounded(sticky.divide(a, b), scale)


def divide(a: Decimal, b: Decimal) -> Decimal:
    """Divide as numeric_div does."""
    if a.is_nan() or b.is_nan():
        return NAN
    if not b:
        raise division_by_zero()
    if a.is_infinite():
        return NAN if b.is_infinite() else a if b > 0 else -a
    if b.is_infinite():
        return ZERO
    return quotient(a, b, division_scale(a, b))


def div(a: Decimal, b: Decimal) -> Decimal:
    """Divide and cut to an integer."""
    if a.is_finite() and b.is_finite() and b:
        return result(EXACT.divide_int(a, b))
    return divide(a, b)


def modulo(a: Decimal, b: Decimal) -> Decimal:
    """Return the remainder, with the dividend's sign and the larger scale."""
    if a.is_nan() or b.is_nan():
        return NAN
    if not b:
        raise division_by_zero()
    if a.is_infinite():
        return NAN
    if b.is_infinite():
        return a
    return result(EXACT.remainder(a, b))


def negate(a: Decimal) -> Decimal:
    """Negate."""
    return result(a.copy_negate()) if not a.is_nan() else a


def absolute(a: Decimal) -> Decimal:
    """Return the absolute value."""
    return a.copy_abs()


def round_to(value: Decimal, scale: int) -> Decimal:
    """round(numeric, int): half away from zero; a negative scale rounds before the point."""
    scale = max(-_DIGITS_MAX, min(scale, SCALE_MAX))
    return rounded(value, scale)


def trunc_to(value: Decimal, scale: int) -> Decimal:
    """trunc(numeric, int)."""
    scale = max(-_DIGITS_MAX, min(scale, SCALE_MAX))
    return rounded(value, scale, ROUND_DOWN)


def ceiling(value: Decimal) -> Decimal:
    """Return the smallest integer not below."""
    return rounded(value, 0, ROUND_CEILING)


def floor(value: Decimal) -> Decimal:
    """Return the largest integer not above."""
    return rounded(value, 0, ROUND_FLOOR)


def apply_typmod(value: Decimal, precision: int, scale: int) -> Decimal:
    """Round to numeric(precision, scale). Raises: NumericValueOutOfRange."""
    if not value.is_finite():
        if value.is_nan():
            return value
        raise NumericValueOutOfRange(
            "numeric field overflow",
            detail=f"A field with precision {precision}, scale {scale} "
            "cannot hold an infinite value.",
        )
    fitted = rounded(value, scale)
    digits = precision - scale
    if fitted and fitted.adjusted() >= digits:
        limit = f"{'10^' if digits else ''}{digits if digits else 1}"
        raise NumericValueOutOfRange(
            "numeric field overflow",
            detail=f"A field with precision {precision}, scale {scale} "
            f"must round to an absolute value less than {limit}.",
        )
    return fitted
