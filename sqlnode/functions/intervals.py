"""Arithmetic of intervals: three fields that never mix, except where a fraction must go down.

Source: src/backend/utils/adt/timestamp.c (interval_pl, interval_mul, interval_div, justify_*).
"""

import math
from typing import Final

from pgwire.datum import MICROS_PER_DAY, MICROS_PER_SECOND, Interval
from pgwire.errors import DatetimeFieldOverflow
from sqlnode.functions.define import function, operator
from sqlnode.functions.integers import division_by_zero

_INT4: Final = range(-(2**31), 2**31)
_INT8: Final = range(-(2**63), 2**63)
_DAYS_PER_MONTH: Final = 30
_SECONDS_PER_DAY: Final = 86_400


def interval_of(months: int, days: int, micros: int) -> Interval:
    """Build an interval. Raises: DatetimeFieldOverflow."""
    if months in _INT4 and days in _INT4 and micros in _INT8:
        return Interval(months, days, micros)
    raise DatetimeFieldOverflow("interval out of range")


def add_intervals(a: Interval, b: Interval) -> Interval:
    """Add field by field."""
    return interval_of(a.months + b.months, a.days + b.days, a.micros + b.micros)


def subtract_intervals(a: Interval, b: Interval) -> Interval:
    """Subtract field by field."""
    return interval_of(a.months - b.months, a.days - b.days, a.micros - b.micros)


def negate_interval(a: Interval) -> Interval:
    """Negate every field."""
    return interval_of(-a.months, -a.days, -a.micros)


def _rounded(value: float) -> float:
    """TSROUND: to microseconds, half to even as rint()."""
    return round(value * 1e6) / 1e6


def _scaled(months: float, days: float, micros: float) -> Interval:
    """Finish multiplication: fractions of months go to days, fractions of days to the time."""
    if not all(map(math.isfinite, (months, days, micros))):
        raise DatetimeFieldOverflow("interval out of range")
    whole_months, whole_days = int(months), int(days)
    month_days = (months - whole_months) * _DAYS_PER_MONTH
    month_days = _rounded(month_days)
    seconds = (days - whole_days) + (month_days - int(month_days))
    seconds = _rounded(seconds * _SECONDS_PER_DAY)
    if abs(seconds) >= _SECONDS_PER_DAY:
        extra = int(seconds / _SECONDS_PER_DAY)
        whole_days += extra
        seconds -= extra * _SECONDS_PER_DAY
    total = round(micros + seconds * MICROS_PER_SECOND)
    return interval_of(whole_months, whole_days + int(month_days), total)


def multiply_interval(span: Interval, factor: float) -> Interval:
    """Multiply by a number, as interval_mul does."""
    return _scaled(span.months * factor, span.days * factor, span.micros * factor)


def divide_interval(span: Interval, divisor: float) -> Interval:
    """Divide by a number, as interval_div does."""
    if divisor == 0:
        raise division_by_zero()
    return _scaled(span.months / divisor, span.days / divisor, span.micros / divisor)


def interpolate_interval(low: Interval, high: Interval, share: float) -> Interval:
    """Return the point between two intervals, for percentile_cont."""
    return add_intervals(low, multiply_interval(subtract_intervals(high, low), share))


def _toward(value: int, unit: int) -> tuple[int, int]:
    """Divide towards zero: (quotient, remainder with the value's sign)."""
    quotient = abs(value) // unit
    quotient = -quotient if value < 0 else quotient
    return quotient, value - quotient * unit


def justify_hours(span: Interval) -> Interval:
    """Turn 24-hour spans into days."""
    extra, micros = _toward(span.micros, MICROS_PER_DAY)
    days = span.days + extra
    if days > 0 and micros < 0:
        days, micros = days - 1, micros + MICROS_PER_DAY
    elif days < 0 and micros > 0:
        days, micros = days + 1, micros - MICROS_PER_DAY
    return interval_of(span.months, days, micros)


def justify_days(span: Interval) -> Interval:
    """Turn 30-day spans into months."""
    extra, days = _toward(span.days, _DAYS_PER_MONTH)
    months = span.months + extra
    if months > 0 and days < 0:
        months, days = months - 1, days + _DAYS_PER_MONTH
    elif months < 0 and days > 0:
        months, days = months + 1, days - _DAYS_PER_MONTH
    return interval_of(months, days, span.micros)


def justify_interval(span: Interval) -> Interval:
    """Do both, and make all signs equal."""
    months, days, micros = span
    if (days > 0 and micros > 0) or (days < 0 and micros < 0):
        extra, days = _toward(days, _DAYS_PER_MONTH)
        months += extra
    extra, micros = _toward(micros, MICROS_PER_DAY)
    days += extra
    extra, days = _toward(days, _DAYS_PER_MONTH)
    months += extra
    if months > 0 and (days < 0 or (days == 0 and micros < 0)):
        months, days = months - 1, days + _DAYS_PER_MONTH
    elif months < 0 and (days > 0 or (days == 0 and micros > 0)):
        months, days = months + 1, days - _DAYS_PER_MONTH
    if days > 0 and micros < 0:
        days, micros = days - 1, micros + MICROS_PER_DAY
    elif days < 0 and micros > 0:
        days, micros = days + 1, micros - MICROS_PER_DAY
    return interval_of(months, days, micros)


def make_interval(
    years: int = 0,
    months: int = 0,
    weeks: int = 0,
    days: int = 0,
    hours: int = 0,
    mins: int = 0,
    secs: float = 0.0,
) -> Interval:
    """Build an interval from its units."""
    if not math.isfinite(secs):
        raise DatetimeFieldOverflow("interval out of range")
    micros = (hours * 3_600 + mins * 60) * MICROS_PER_SECOND + round(secs * MICROS_PER_SECOND)
    return interval_of(years * 12 + months, weeks * 7 + days, micros)


operator("+", "interval_pl(interval, interval) interval", add_intervals, commutator="+")
operator("-", "interval_mi(interval, interval) interval", subtract_intervals)
operator("-", "interval_um(interval) interval", negate_interval)
operator("*", "interval_mul(interval, float8) interval", multiply_interval, commutator="*")
operator(
    "*",
    "mul_d_interval(float8, interval) interval",
    lambda factor, span: multiply_interval(span, factor),
    commutator="*",
)
operator("/", "interval_div(interval, float8) interval", divide_interval)
function("justify_hours(interval) interval", justify_hours)
function("justify_days(interval) interval", justify_days)
function("justify_interval(interval) interval", justify_interval)
function("make_interval(int4, int4, int4, int4, int4, int4, float8) interval",
         make_interval, defaults=7)  # fmt: skip
