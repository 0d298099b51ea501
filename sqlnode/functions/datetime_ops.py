"""Operators over dates, times and timestamps, age(), and the comparisons between their types.

A day in a timestamptz is a calendar day of the session's zone, 23 to 25 hours long.

Source: src/backend/utils/adt/timestamp.c (timestamp_pl_interval, timestamp_age), date.c.
"""

from typing import Any, Final

from pgwire.codecs.calendar import days_from_ymd, days_in_month
from pgwire.datum import (
    DATE_INFINITY,
    DATE_MAX,
    DATE_MIN,
    DATE_NEG_INFINITY,
    MICROS_PER_DAY,
    MICROS_PER_SECOND,
    TIMESTAMP_INFINITY,
    TIMESTAMP_NEG_INFINITY,
    Interval,
)
from pgwire.errors import DatetimeFieldOverflow
from sqlnode.functions.casts import (
    date_to_timestamp,
    timestamp_in_range,
)
from sqlnode.functions.comparison import PLAIN
from sqlnode.functions.datetime_parts import fields_of
from sqlnode.functions.define import STABLE, function, operator
from sqlnode.functions.intervals import interval_of, negate_interval

_DATES: Final = (DATE_INFINITY, DATE_NEG_INFINITY)
_INFINITE: Final = (TIMESTAMP_INFINITY, TIMESTAMP_NEG_INFINITY)
_SESSION: Final[dict[str, Any]] = {"needs_context": True, "volatility": STABLE}


def add_days(days: int, count: int) -> int:
    """Date + integer."""
    if days in _DATES:
        return days
    if DATE_MIN <= days + count <= DATE_MAX:
        return days + count
    raise DatetimeFieldOverflow("date out of range")


def _days_between(a: int, b: int) -> int:
    if a in _DATES or b in _DATES:
        raise DatetimeFieldOverflow("cannot subtract infinite dates")
    return a - b


def add_months(micros: int, months: int) -> int:
    """Move a local timestamp by months; the day is clamped to the month's length."""
    fields = fields_of(micros)
    years, month = divmod(fields.month - 1 + months, 12)
    year = fields.year + years
    day = min(fields.day, days_in_month(year, month + 1))
    return days_from_ymd(year, month + 1, day) * MICROS_PER_DAY + fields.micros


def add_to_timestamp(micros: int, span: Interval) -> int:
    """Timestamp + interval."""
    if micros in _INFINITE:
        return micros
    if span.months:
        micros = timestamp_in_range(add_months(micros, span.months))
    if span.days:
        micros = timestamp_in_range(micros + span.days * MICROS_PER_DAY)
    return timestamp_in_range(micros + span.micros)


def add_to_timestamptz(ctx: Any, micros: int, span: Interval) -> int:
    """Timestamptz + interval: months and days by the wall clock, the time as it passes."""
    if micros in _INFINITE:
        return micros
    if span.months or span.days:
        zone = ctx.settings.zone
        if span.months:
            local = add_months(micros + zone.offset_s_at(micros) * MICROS_PER_SECOND, span.months)
            micros = timestamp_in_range(local - zone.offset_s_of_local(local) * MICROS_PER_SECOND)
        if span.days:
            local = micros + zone.offset_s_at(micros) * MICROS_PER_SECOND
            local += span.days * MICROS_PER_DAY
            micros = timestamp_in_range(local - zone.offset_s_of_local(local) * MICROS_PER_SECOND)
    return timestamp_in_range(micros + span.micros)


def _minus(micros: int, span: Interval) -> int:
    return add_to_timestamp(micros, negate_interval(span))


def _minus_tz(ctx: Any, micros: int, span: Interval) -> int:
    return add_to_timestamptz(ctx, micros, negate_interval(span))


def _difference(a: int, b: int) -> Interval:
    if a in _INFINITE or b in _INFINITE:
        raise DatetimeFieldOverflow("cannot subtract infinite timestamps")
    micros = a - b
    if not -(2**63) <= micros < 2**63:
        raise DatetimeFieldOverflow("interval out of range")
    days = abs(micros) // MICROS_PER_DAY * (-1 if micros < 0 else 1)
    return interval_of(0, days, micros - days * MICROS_PER_DAY)


def _date_plus(days: int, span: Interval) -> int:
    return add_to_timestamp(date_to_timestamp(days), span)


def _date_minus(days: int, span: Interval) -> int:
    return add_to_timestamp(date_to_timestamp(days), negate_interval(span))


def _date_at(days: int, micros: int) -> int:
    start = date_to_timestamp(days)
    return start if start in _INFINITE else timestamp_in_range(start + micros)


def _time_plus(micros: int, span: Interval) -> int:
    return (micros + span.micros) % MICROS_PER_DAY


def _time_minus(micros: int, span: Interval) -> int:
    return (micros - span.micros) % MICROS_PER_DAY


operator("+", "date_pli(date, int4) date", add_days, commutator="+")
operator("-", "date_mii(date, int4) date", lambda days, count: add_days(days, -count))
operator("+", "integer_pl_date(int4, date) date", lambda count, days: add_days(days, count),
         commutator="+")  # fmt: skip
operator("-", "date_mi(date, date) int4", _days_between)
operator("+", "date_pl_interval(date, interval) timestamp", _date_plus, commutator="+")
operator("-", "date_mi_interval(date, interval) timestamp", _date_minus)
operator("+", "datetime_pl(date, time) timestamp", _date_at, commutator="+")
operator("+", "timedate_pl(time, date) timestamp", lambda t, d: _date_at(d, t), commutator="+")
operator("+", "timestamp_pl_interval(timestamp, interval) timestamp", add_to_timestamp,
         commutator="+")  # fmt: skip
operator("-", "timestamp_mi_interval(timestamp, interval) timestamp", _minus)
operator("+", "timestamptz_pl_interval(timestamptz, interval) timestamptz", add_to_timestamptz,
         commutator="+", **_SESSION)  # fmt: skip
operator("-", "timestamptz_mi_interval(timestamptz, interval) timestamptz", _minus_tz, **_SESSION)
operator("-", "timestamp_mi(timestamp, timestamp) interval", _difference)
operator("-", "timestamptz_mi(timestamptz, timestamptz) interval", _difference)
operator("+", "time_pl_interval(time, interval) time", _time_plus, commutator="+")
operator("-", "time_mi_interval(time, interval) time", _time_minus)
operator("-", "time_mi_time(time, time) interval", lambda a, b: Interval(0, 0, a - b))
operator("+", "interval_pl_date(interval, date) timestamp",
         lambda span, days: _date_plus(days, span), commutator="+")  # fmt: skip
operator("+", "interval_pl_time(interval, time) time",
         lambda span, micros: _time_plus(micros, span), commutator="+")  # fmt: skip
operator("+", "interval_pl_timestamp(interval, timestamp) timestamp",
         lambda span, micros: add_to_timestamp(micros, span), commutator="+")  # fmt: skip
operator("+", "interval_pl_timestamptz(interval, timestamptz) timestamptz",
         lambda ctx, span, micros: add_to_timestamptz(ctx, micros, span),
         commutator="+", **_SESSION)  # fmt: skip


def _as_large_timestamp(days: int) -> int:
    """Return midnight even where no timestamp can hold it: only for comparing."""
    if days in _DATES:
        return TIMESTAMP_INFINITY if days > 0 else TIMESTAMP_NEG_INFINITY
    return days * MICROS_PER_DAY


def _instant_of(ctx: Any, micros: int) -> int:
    if micros in _INFINITE:
        return micros
    return micros - int(ctx.settings.zone.offset_s_of_local(micros)) * MICROS_PER_SECOND


def _instant_of_date(ctx: Any, days: int) -> int:
    large = _as_large_timestamp(days)
    if large in _INFINITE:
        return large
    return large - ctx.settings.zone.offset_s_of_local(large) * MICROS_PER_SECOND


def _mixed(symbol: str, suffix: str, commutator: str, negator: str) -> None:
    compare = PLAIN[symbol]
    options: dict[str, Any] = {"commutator": commutator, "negator": negator}
    operator(symbol, f"date_{suffix}_timestamp(date, timestamp) bool",
             lambda a, b: compare(_as_large_timestamp(a), b), **options)  # fmt: skip
    operator(symbol, f"timestamp_{suffix}_date(timestamp, date) bool",
             lambda a, b: compare(a, _as_large_timestamp(b)), **options)  # fmt: skip
    operator(symbol, f"date_{suffix}_timestamptz(date, timestamptz) bool",
             lambda ctx, a, b: compare(_instant_of_date(ctx, a), b),
             **options, **_SESSION)  # fmt: skip
    operator(symbol, f"timestamptz_{suffix}_date(timestamptz, date) bool",
             lambda ctx, a, b: compare(a, _instant_of_date(ctx, b)),
             **options, **_SESSION)  # fmt: skip
    operator(symbol, f"timestamp_{suffix}_timestamptz(timestamp, timestamptz) bool",
             lambda ctx, a, b: compare(_instant_of(ctx, a), b),
             **options, **_SESSION)  # fmt: skip
    operator(symbol, f"timestamptz_{suffix}_timestamp(timestamptz, timestamp) bool",
             lambda ctx, a, b: compare(a, _instant_of(ctx, b)),
             **options, **_SESSION)  # fmt: skip


for _row in (
    ("=", "eq", "=", "<>"), ("<>", "ne", "<>", "="), ("<", "lt", ">", ">="),
    ("<=", "le", ">=", ">"), (">", "gt", "<", "<="), (">=", "ge", "<=", "<"),
):  # fmt: skip
    _mixed(*_row)


def age(newer: int, older: int) -> Interval:
    """Return the difference in years, months, days and time, as a calendar counts it."""
    if newer in _INFINITE or older in _INFINITE:
        raise DatetimeFieldOverflow("timestamp out of range")
    is_negative = newer < older
    late, early = fields_of(max(newer, older)), fields_of(min(newer, older))
    micros = late.micros - early.micros
    days, months = late.day - early.day, late.month - early.month
    years = late.year - early.year
    if micros < 0:
        micros, days = micros + MICROS_PER_DAY, days - 1
    while days < 0:
        days += days_in_month(early.year, early.month)
        months -= 1
    if months < 0:
        months, years = months + 12, years - 1
    span = interval_of(years * 12 + months, days, micros)
    return negate_interval(span) if is_negative else span


def age_tz(ctx: Any, newer: int, older: int) -> Interval:
    """Return age() of two instants, by the calendar of the session's zone."""
    if newer in _INFINITE or older in _INFINITE:
        return age(newer, older)
    zone = ctx.settings.zone
    return age(*(m + zone.offset_s_at(m) * MICROS_PER_SECOND for m in (newer, older)))


function("age(timestamp, timestamp) interval", age)
function("age(timestamptz, timestamptz) interval", age_tz, needs_context=True)
function("isfinite(date) bool", lambda days: days not in _DATES)
function("isfinite(timestamp) bool", lambda micros: micros not in _INFINITE)
function("isfinite(timestamptz) bool", lambda micros: micros not in _INFINITE)
function("isfinite(interval) bool", lambda _span: True)


def _overlaps(start1: Any, end1: Any, start2: Any, end2: Any) -> bool | None:
    """(S1, E1) OVERLAPS (S2, E2): half-open periods, ends in any order, NULL where unknown."""
    first, second = _ordered(start1, end1), _ordered(start2, end2)
    if first is None or second is None:
        return None
    (s1, e1), (s2, e2) = first, second
    if s1 > s2:
        return True if e2 is not None and s1 < e2 else (None if e1 is None or e2 is None else False)
    if s1 < s2:
        return True if e1 is not None and s2 < e1 else (None if e1 is None or e2 is None else False)
    return None if e1 is None or e2 is None else True


def _ordered(start: Any, end: Any) -> tuple[Any, Any] | None:
    if start is None:
        return None if end is None else (end, None)
    return (start, end) if end is None or start <= end else (end, start)


for _type in ("timestamp", "timestamptz", "time"):
    function(f"overlaps({_type}, {_type}, {_type}, {_type}) bool", _overlaps, strict=False)
