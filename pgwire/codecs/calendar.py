"""Day numbers to year, month, day and back, and the text of dates, times and timestamps.

Everything counts from 2000-01-01 as PostgreSQL does and reaches from 4713 BC far past the year
9999, which Python's datetime cannot; the years it can take a fast way through it.

Source: PostgreSQL's date2j and j2date (src/backend/utils/adt/datetime.c).
"""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Final

from pgwire.codecs.zones import Zone, format_offset
from pgwire.datum import (
    DATE_INFINITY,
    DATE_NEG_INFINITY,
    MICROS_PER_DAY,
    MICROS_PER_SECOND,
    PG_EPOCH_JULIAN,
    PG_EPOCH_ORDINAL,
    TIMESTAMP_INFINITY,
    TIMESTAMP_NEG_INFINITY,
)

_FAST_DAYS: Final = range(-730_119, 2_921_940)
_FAST_MICROS_FROM: Final = -730_119 * MICROS_PER_DAY
_FAST_MICROS_TO: Final = 2_921_939 * MICROS_PER_DAY
_EPOCH: Final = datetime(2000, 1, 1)  # noqa: DTZ001 - wall-clock time without a zone is meant
_MONTH_DAYS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def days_in_month(year: int, month: int) -> int:
    """Return the length of a month; year 0 is 1 BC."""
    if month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0):
        return 29
    return _MONTH_DAYS[month - 1]


def days_from_ymd(year: int, month: int, day: int) -> int:
    """Return days since 2000-01-01 in the proleptic Gregorian calendar; year 0 is 1 BC.

    >>> days_from_ymd(2000, 1, 1), days_from_ymd(1999, 12, 31), days_from_ymd(-4712, 1, 1)
    (0, -1, -2451507)
    """
    if month > 2:
        month += 1
        year += 4_800
    else:
        month += 13
        year += 4_799
    century = year // 100
    julian = year * 365 - 32_167 + year // 4 - century + century // 4
    return julian + 7_834 * month // 256 + day - PG_EPOCH_JULIAN


def ymd_from_days(days: int) -> tuple[int, int, int]:
    """Return year (0 is 1 BC), month and day of a day number.

    >>> ymd_from_days(0), ymd_from_days(days_from_ymd(-43, 3, 15))
    ((2000, 1, 1), (-43, 3, 15))
    """
    cycles, rest = divmod(days + 730_119, 146_097)
    at = date.fromordinal(rest + 1)
    return at.year + 400 * cycles, at.month, at.day


def date_out(days: int) -> str:
    """Write a date in ISO style."""
    if days in _FAST_DAYS:
        return date.fromordinal(days + PG_EPOCH_ORDINAL).isoformat()
    if days == DATE_INFINITY:
        return "infinity"
    if days == DATE_NEG_INFINITY:
        return "-infinity"
    year, month, day = ymd_from_days(days)
    if year > 0:
        return f"{year:04d}-{month:02d}-{day:02d}"
    return f"{1 - year:04d}-{month:02d}-{day:02d} BC"


def time_out(micros: int) -> str:
    """Write a time of day; 24:00:00 exists.

    >>> time_out(45_296_700_000), time_out(86_400_000_000)
    ('12:34:56.7', '24:00:00')
    """
    seconds, fraction = divmod(micros, MICROS_PER_SECOND)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    text = f"{hour:02d}:{minute:02d}:{second:02d}"
    return f"{text}.{fraction:06d}".rstrip("0") if fraction else text


def timestamp_out(micros: int) -> str:
    """Write a timestamp without time zone in ISO style."""
    if _FAST_MICROS_FROM <= micros < _FAST_MICROS_TO:
        text = (_EPOCH + timedelta(microseconds=micros)).isoformat(" ")
        return text.rstrip("0") if len(text) == 26 else text
    if micros == TIMESTAMP_INFINITY:
        return "infinity"
    if micros == TIMESTAMP_NEG_INFINITY:
        return "-infinity"
    return _slow_timestamp(micros, "")


def _slow_timestamp(micros: int, offset: str) -> str:
    days, rest = divmod(micros, MICROS_PER_DAY)
    day_text, _, era = date_out(days).partition(" ")
    return f"{day_text} {time_out(rest)}{offset}{' ' + era if era else ''}"


def timestamptz_output(zone: Zone) -> Callable[[int], str]:
    """Return the function that writes a timestamptz as seen in `zone`."""
    if zone.fixed_s is not None:
        suffix = format_offset(zone.fixed_s)
        shift = zone.fixed_s * MICROS_PER_SECOND

        def fixed_out(micros: int) -> str:
            local = micros + shift
            if _FAST_MICROS_FROM <= local < _FAST_MICROS_TO:
                return timestamp_out(local) + suffix
            if micros in (TIMESTAMP_INFINITY, TIMESTAMP_NEG_INFINITY):
                return timestamp_out(micros)
            return _slow_timestamp(local, suffix)

        return fixed_out

    def zoned_out(micros: int) -> str:
        if micros in (TIMESTAMP_INFINITY, TIMESTAMP_NEG_INFINITY):
            return timestamp_out(micros)
        offset_s = zone.offset_s_at(micros)
        local = micros + offset_s * MICROS_PER_SECOND
        if _FAST_MICROS_FROM <= local < _FAST_MICROS_TO:
            return timestamp_out(local) + format_offset(offset_s)
        return _slow_timestamp(local, format_offset(offset_s))

    return zoned_out
