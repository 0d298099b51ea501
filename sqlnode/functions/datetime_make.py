"""Functions that make dates and times: make_date and its kin, to_timestamp(float8), the clock."""

import math
from typing import Any, Final

from pgwire.codecs.calendar import days_from_ymd, days_in_month
from pgwire.datum import (
    DATE_MAX,
    DATE_MIN,
    MICROS_PER_DAY,
    MICROS_PER_SECOND,
    TIMESTAMP_INFINITY,
    TIMESTAMP_NEG_INFINITY,
    UNIX_TO_PG_MICROS,
    Interval,
)
from pgwire.errors import DatetimeFieldOverflow
from sqlnode.functions.casts import timestamp_in_range, timestamptz_to_timestamp
from sqlnode.functions.datetime_ops import age, age_tz
from sqlnode.functions.define import STABLE, VOLATILE, function
from sqlnode.functions.to_char import timestamp_to_char
from sqlnode.functions.zones import zone_named

_SESSION: Final[dict[str, Any]] = {"needs_context": True, "volatility": STABLE}


def make_date(year: int, month: int, day: int) -> int:
    """Build a date; a negative year is BC."""
    shown = f"date field value out of range: {year}-{month:02d}-{day:02d}"
    if year == 0 or not 1 <= month <= 12:
        raise DatetimeFieldOverflow(shown)
    internal = year + 1 if year < 0 else year
    if not 1 <= day <= days_in_month(internal, month):
        raise DatetimeFieldOverflow(shown)
    days = days_from_ymd(internal, month, day)
    if not DATE_MIN <= days <= DATE_MAX:
        raise DatetimeFieldOverflow(f"date out of range: {year}-{month:02d}-{day:02d}")
    return days


def make_time(hour: int, minute: int, second: float) -> int:
    """Build a time of day."""
    is_valid = 0 <= hour <= 24 and 0 <= minute <= 59 and 0 <= second <= 60
    micros = 0
    if is_valid:
        micros = (hour * 3_600 + minute * 60) * MICROS_PER_SECOND + round(second * 1_000_000)
    if not is_valid or micros > MICROS_PER_DAY:
        raise DatetimeFieldOverflow(
            f"time field value out of range: {hour}:{minute:02d}:{second:02g}"
        )
    return micros


def make_timestamp(year: int, month: int, day: int, hour: int, minute: int, second: float) -> int:
    """Build a timestamp."""
    days = make_date(year, month, day)
    return timestamp_in_range(days * MICROS_PER_DAY + make_time(hour, minute, second))


def _make_timestamptz(ctx: Any, *fields: Any) -> int:
    local = make_timestamp(*fields)
    offset_s = ctx.settings.zone.offset_s_of_local(local)
    return timestamp_in_range(local - offset_s * MICROS_PER_SECOND)


def _make_in_zone(ctx: Any, *fields: Any) -> int:
    local = make_timestamp(*fields[:-1])
    offset_s = zone_named(fields[-1]).offset_s_of_local(local)
    return timestamp_in_range(local - offset_s * MICROS_PER_SECOND)


def _from_unix(seconds: float) -> int:
    if math.isinf(seconds):
        return TIMESTAMP_INFINITY if seconds > 0 else TIMESTAMP_NEG_INFINITY
    if math.isnan(seconds):
        raise DatetimeFieldOverflow("timestamp cannot be NaN")
    if abs(seconds) > 1e13:
        raise DatetimeFieldOverflow(f'timestamp out of range: "{seconds:g}"')
    whole = seconds - UNIX_TO_PG_MICROS / MICROS_PER_SECOND
    return timestamp_in_range(round(whole * MICROS_PER_SECOND))


_FIELDS: Final = "int4, int4, int4, int4, int4, float8"
function("make_date(int4, int4, int4) date", make_date)
function("make_time(int4, int4, float8) time", make_time)
function(f"make_timestamp({_FIELDS}) timestamp", make_timestamp)
function(f"make_timestamptz({_FIELDS}) timestamptz", _make_timestamptz, **_SESSION)
function(f"make_timestamptz({_FIELDS}, text) timestamptz", _make_in_zone, **_SESSION)
function("to_timestamp(float8) timestamptz", _from_unix)


def _now(ctx: Any) -> int:
    return int(ctx.txn_start_micros)


def _local_now(ctx: Any) -> int:
    return timestamptz_to_timestamp(ctx, ctx.txn_start_micros)


def _rounded(micros: int, precision: int) -> int:
    unit = 10 ** (6 - max(0, min(precision, 6)))
    return (micros + unit // 2) // unit * unit


def _timeofday(ctx: Any) -> str:
    local = timestamptz_to_timestamp(ctx, ctx.clock_micros())
    text = timestamp_to_char(local, "Dy Mon DD HH24:MI:SS.US YYYY")
    return f"{text} {ctx.settings.zone.name}"


for _name in ("now", "transaction_timestamp", "current_timestamp"):
    function(f"{_name}() timestamptz", _now, **_SESSION)
function("current_timestamp(int4) timestamptz",
         lambda ctx, precision: _rounded(_now(ctx), precision), **_SESSION)  # fmt: skip
function("statement_timestamp() timestamptz", lambda ctx: ctx.statement_micros, **_SESSION)
function("clock_timestamp() timestamptz", lambda ctx: ctx.clock_micros(),
         needs_context=True, volatility=VOLATILE)  # fmt: skip
function("timeofday() text", _timeofday, needs_context=True, volatility=VOLATILE)
function("localtimestamp() timestamp", _local_now, **_SESSION)
function("localtimestamp(int4) timestamp",
         lambda ctx, precision: _rounded(_local_now(ctx), precision), **_SESSION)  # fmt: skip
function("localtime() time", lambda ctx: _local_now(ctx) % MICROS_PER_DAY, **_SESSION)
function("localtime(int4) time", **_SESSION,
         python=lambda ctx, p: _rounded(_local_now(ctx) % MICROS_PER_DAY, p))  # fmt: skip
function("current_date() date", lambda ctx: _local_now(ctx) // MICROS_PER_DAY, **_SESSION)


def _midnight(ctx: Any) -> int:
    return _local_now(ctx) // MICROS_PER_DAY * MICROS_PER_DAY


def _age_today(ctx: Any, older: int) -> Interval:
    return age(_midnight(ctx), older)


def _age_today_tz(ctx: Any, older: int) -> Interval:
    midnight = _midnight(ctx)
    zone = ctx.settings.zone
    return age_tz(ctx, midnight - zone.offset_s_of_local(midnight) * MICROS_PER_SECOND, older)


function("age(timestamp) interval", _age_today, **_SESSION)
function("age(timestamptz) interval", _age_today_tz, **_SESSION)
