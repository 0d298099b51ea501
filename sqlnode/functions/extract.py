"""extract (numeric), date_part (float8) and date_trunc of every date and time type.

Source: src/backend/utils/adt/timestamp.c, date.c.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from pgwire.codecs.calendar import days_from_ymd
from pgwire.datum import (
    DATE_INFINITY,
    DATE_NEG_INFINITY,
    MICROS_PER_DAY,
    MICROS_PER_HOUR,
    MICROS_PER_MINUTE,
    MICROS_PER_SECOND,
    TIMESTAMP_INFINITY,
    TIMESTAMP_NEG_INFINITY,
    Interval,
)
from pgwire.errors import DatetimeFieldOverflow, FeatureNotSupported, InvalidParameterValue
from pgwire.sql_error import SqlError
from sqlnode.functions.casts import date_to_timestamp
from sqlnode.functions.datetime_parts import (
    DATE_PARTS,
    MONOTONIC,
    TIME_PARTS,
    Fields,
    epoch_of,
    fields_of,
    interval_epoch,
    iso_week,
    iso_week_start,
    julian_of,
    scaled,
    unit_named,
)
from sqlnode.functions.decimals import INFINITY
from sqlnode.functions.define import STABLE, function
from sqlnode.functions.zones import zone_named

_NAMES: Final = {
    "date": "date", "time": "time without time zone", "timestamp": "timestamp without time zone",
    "timestamptz": "timestamp with time zone", "interval": "interval",
}  # fmt: skip


def _refuse(word: str, type_name: str) -> SqlError:
    shown = _NAMES[type_name]
    if unit_named(word) is None:
        return InvalidParameterValue(f'unit "{word.lower()}" not recognized for type {shown}')
    return FeatureNotSupported(f'unit "{word.lower()}" not supported for type {shown}')


def _refuse_trunc(word: str, type_name: str) -> SqlError:
    is_week = unit_named(word) == "week"
    if is_week or (unit_named(word) or "").startswith("timezone"):
        return _refuse(word, type_name)
    return InvalidParameterValue(
        f'unit "{word.lower()}" not recognized for type {_NAMES[type_name]}'
    )


def _infinite(unit: str | None, word: str, type_name: str, is_negative: bool) -> Decimal | None:
    known = unit in DATE_PARTS or unit in TIME_PARTS or unit in MONOTONIC
    if type_name == "timestamptz":
        known = known or (unit or "").startswith("timezone")
    if type_name == "date":
        known = known and unit not in TIME_PARTS
    if not known:
        raise _refuse(word, type_name)
    if unit not in MONOTONIC:
        return None
    return -INFINITY if is_negative else INFINITY


def _extract_timestamp(word: str, micros: int) -> Decimal | None:
    unit = unit_named(word)
    if micros in (TIMESTAMP_INFINITY, TIMESTAMP_NEG_INFINITY):
        return _infinite(unit, word, "timestamp", micros < 0)
    return _local_part(unit, word, micros, "timestamp")


def _local_part(unit: str | None, word: str, micros: int, type_name: str) -> Decimal:
    part = DATE_PARTS.get(unit or "") or TIME_PARTS.get(unit or "")
    if part is not None:
        return part(fields_of(micros))
    if unit == "epoch":
        return epoch_of(micros)
    if unit == "julian":
        return julian_of(micros)
    raise _refuse(word, type_name)


def _extract_timestamptz(ctx: Any, word: str, micros: int) -> Decimal | None:
    unit = unit_named(word)
    if micros in (TIMESTAMP_INFINITY, TIMESTAMP_NEG_INFINITY):
        return _infinite(unit, word, "timestamptz", micros < 0)
    if unit == "epoch":
        return epoch_of(micros)
    offset_s = ctx.settings.zone.offset_s_at(micros)
    if unit == "timezone":
        return Decimal(offset_s)
    if unit == "timezone_hour":
        return Decimal(int(offset_s / 3_600))
    if unit == "timezone_minute":
        return Decimal(int((offset_s - int(offset_s / 3_600) * 3_600) / 60))
    return _local_part(unit, word, micros + offset_s * MICROS_PER_SECOND, "timestamptz")


def _extract_date(word: str, days: int) -> Decimal | None:
    unit = unit_named(word)
    if days in (DATE_INFINITY, DATE_NEG_INFINITY):
        return _infinite(unit, word, "date", days < 0)
    if unit == "epoch":
        return Decimal((days + 10_957) * 86_400)
    if unit == "julian":
        return Decimal(days + 2_451_545)
    part = DATE_PARTS.get(unit or "")
    if part is None:
        raise _refuse(word, "date")
    return part(fields_of(days * MICROS_PER_DAY))


def _extract_time(word: str, micros: int) -> Decimal:
    unit = unit_named(word)
    if unit == "epoch":
        return scaled(micros, 6)
    part = TIME_PARTS.get(unit or "")
    if part is None:
        raise _refuse(word, "time")
    return part(Fields(2000, 1, 1, micros, 0))


def _toward_zero(value: int, unit: int) -> int:
    return abs(value) // unit * (-1 if value < 0 else 1)


def _rest(value: int, unit: int) -> int:
    return value - _toward_zero(value, unit) * unit


_INTERVAL_PARTS: Final[dict[str, Callable[[Interval], Decimal]]] = {
    "microseconds": lambda s: Decimal(_rest(s.micros, MICROS_PER_MINUTE)),
    "milliseconds": lambda s: scaled(_rest(s.micros, MICROS_PER_MINUTE), 3),
    "second": lambda s: scaled(_rest(s.micros, MICROS_PER_MINUTE), 6),
    "minute": lambda s: Decimal(_toward_zero(_rest(s.micros, MICROS_PER_HOUR), MICROS_PER_MINUTE)),
    "hour": lambda s: Decimal(_toward_zero(s.micros, MICROS_PER_HOUR)),
    "day": lambda s: Decimal(s.days),
    "month": lambda s: Decimal(_rest(s.months, 12)),
    "quarter": lambda s: Decimal(_toward_zero(_rest(s.months, 12), 3) + 1),
    "year": lambda s: Decimal(_toward_zero(s.months, 12)),
    "decade": lambda s: Decimal(_toward_zero(s.months, 120)),
    "century": lambda s: Decimal(_toward_zero(s.months, 1_200)),
    "millennium": lambda s: Decimal(_toward_zero(s.months, 12_000)),
    "epoch": interval_epoch,
}


def _extract_interval(word: str, span: Interval) -> Decimal:
    part = _INTERVAL_PARTS.get(unit_named(word) or "")
    if part is None:
        raise _refuse(word, "interval")
    return part(span)


def _as_float(extract: Callable[..., Decimal | None]) -> Callable[..., float | None]:
    def run(*args: Any) -> float | None:
        value = extract(*args)
        return None if value is None else float(value)

    return run


for _type, _compute in (
    ("date", _extract_date),
    ("time", _extract_time),
    ("timestamp", _extract_timestamp),
    ("interval", _extract_interval),
):
    function(f"extract(text, {_type}) numeric", _compute)
    if _type != "date":
        function(f"date_part(text, {_type}) float8", _as_float(_compute))
function(
    "date_part(text, date) float8",
    _as_float(lambda word, days: _extract_timestamp(word, date_to_timestamp(days))),
)
_SESSION: Final[dict[str, Any]] = {"needs_context": True, "volatility": STABLE}
function("extract(text, timestamptz) numeric", _extract_timestamptz, **_SESSION)
function("date_part(text, timestamptz) float8", _as_float(_extract_timestamptz), **_SESSION)

_CLOCK_UNITS: Final = {
    "microseconds": 1,
    "milliseconds": 1_000,
    "second": MICROS_PER_SECOND,
    "minute": MICROS_PER_MINUTE,
    "hour": MICROS_PER_HOUR,
    "day": MICROS_PER_DAY,
}


def _year_start(unit: str, year: int) -> int:
    if unit == "decade":
        return year // 10 * 10 if year > 0 else -((8 - (year - 1)) // 10) * 10
    span = {"year": 1, "century": 100, "millennium": 1_000}[unit]
    if span == 1:
        return year
    if year > 0:
        return (year + span - 1) // span * span - span + 1
    return -((span - 1 - (year - 1)) // span) * span + 1


def truncate_local(word: str, micros: int, type_name: str = "timestamp") -> int:
    """Cut a finite local timestamp down to a unit."""
    unit = unit_named(word)
    if unit in _CLOCK_UNITS:
        return micros - micros % _CLOCK_UNITS[unit]
    fields = fields_of(micros)
    if unit == "week":
        return iso_week_start(*iso_week(fields.days)) * MICROS_PER_DAY
    if unit == "month":
        return days_from_ymd(fields.year, fields.month, 1) * MICROS_PER_DAY
    if unit == "quarter":
        return days_from_ymd(fields.year, (fields.month - 1) // 3 * 3 + 1, 1) * MICROS_PER_DAY
    if unit in ("year", "decade", "century", "millennium"):
        return days_from_ymd(_year_start(unit, fields.year), 1, 1) * MICROS_PER_DAY
    raise _refuse_trunc(word, type_name)


def _trunc_timestamp(word: str, micros: int) -> int:
    if micros in (TIMESTAMP_INFINITY, TIMESTAMP_NEG_INFINITY):
        return micros
    return truncate_local(word, micros)


def _trunc_in_zone(word: str, micros: int, zone: Any) -> int:
    if micros in (TIMESTAMP_INFINITY, TIMESTAMP_NEG_INFINITY):
        return micros
    offset = zone.offset_s_at(micros) * MICROS_PER_SECOND
    local = truncate_local(word, micros + offset, "timestamptz")
    if unit_named(word) in ("microseconds", "milliseconds", "second", "minute", "hour"):
        return local - offset  # the hour that is cut has the offset it had
    return local - zone.offset_s_of_local(local) * MICROS_PER_SECOND


def _trunc_timestamptz(ctx: Any, word: str, micros: int) -> int:
    return _trunc_in_zone(word, micros, ctx.settings.zone)


def _trunc_named(ctx: Any, word: str, micros: int, zone: str) -> int:
    if micros in (TIMESTAMP_INFINITY, TIMESTAMP_NEG_INFINITY):
        return micros
    return _trunc_in_zone(word, micros, zone_named(zone))


def _trunc_interval(word: str, span: Interval) -> Interval:
    unit = unit_named(word)
    if unit in ("year", "decade", "century", "millennium", "quarter", "month"):
        months = {"month": 1, "quarter": 3, "year": 12, "decade": 120, "century": 1_200}.get(
            unit, 12_000
        )
        return Interval(_toward_zero(span.months, months) * months, 0, 0)
    if unit == "day":
        return Interval(span.months, span.days, 0)
    if unit in _CLOCK_UNITS:
        size = _CLOCK_UNITS[unit]
        return Interval(span.months, span.days, _toward_zero(span.micros, size) * size)
    raise _refuse_trunc(word, "interval")


function("date_trunc(text, timestamp) timestamp", _trunc_timestamp)
function("date_trunc(text, interval) interval", _trunc_interval)
function("date_trunc(text, timestamptz) timestamptz", _trunc_timestamptz, **_SESSION)
function("date_trunc(text, timestamptz, text) timestamptz", _trunc_named, **_SESSION)


def _bin(stride: Interval, micros: int, origin: int) -> int:
    infinities = (TIMESTAMP_INFINITY, TIMESTAMP_NEG_INFINITY)
    if micros in infinities:
        return micros
    if origin in infinities:
        raise DatetimeFieldOverflow("origin out of range")
    if stride.months:
        raise FeatureNotSupported(
            "timestamps cannot be binned into intervals containing months or years"
        )
    size = stride.days * MICROS_PER_DAY + stride.micros
    if size <= 0:
        raise DatetimeFieldOverflow("stride must be greater than zero")
    return micros - (micros - origin) % size


function("date_bin(interval, timestamp, timestamp) timestamp", _bin)
function("date_bin(interval, timestamptz, timestamptz) timestamptz", _bin)
