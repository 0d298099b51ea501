"""Broken-down time: one value taken apart into the fields that extract and to_char ask for.

Source: src/backend/utils/adt/timestamp.c (timestamp_part_common, date2isoweek, date2isoyear).
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Final, NamedTuple

from pgwire.codecs.calendar import days_from_ymd, ymd_from_days
from pgwire.codecs.intervals import _UNITS as _UNIT_WORDS
from pgwire.datum import (
    MICROS_PER_DAY,
    MICROS_PER_SECOND,
    PG_EPOCH_JULIAN,
    UNIX_TO_PG_MICROS,
    Interval,
)
from sqlnode.functions import decimals


class Fields(NamedTuple):
    """Local calendar fields. year 0 is 1 BC; micros is the time of day."""

    year: int
    month: int
    day: int
    micros: int
    days: int  # since 2000-01-01

    @property
    def hour(self) -> int:
        return self.micros // 3_600_000_000

    @property
    def minute(self) -> int:
        return self.micros // 60_000_000 % 60

    @property
    def second_micros(self) -> int:
        return self.micros % 60_000_000

    @property
    def day_of_year(self) -> int:
        return self.days - days_from_ymd(self.year, 1, 1) + 1

    @property
    def weekday(self) -> int:
        """Sunday is 0. 2000-01-01 was a Saturday."""
        return (self.days + 6) % 7


def fields_of(micros: int) -> Fields:
    """Break a local timestamp down."""
    days, rest = divmod(micros, MICROS_PER_DAY)
    return Fields(*ymd_from_days(days), rest, days)


def iso_week(days: int) -> tuple[int, int]:
    """Return ISO year and week of a day."""
    monday = days - (days + 5) % 7
    year = ymd_from_days(monday + 3)[0]
    first = days_from_ymd(year, 1, 4)
    first -= (first + 5) % 7
    return year, (monday - first) // 7 + 1


def iso_week_start(year: int, week: int) -> int:
    """Return the Monday of an ISO week."""
    fourth = days_from_ymd(year, 1, 4)
    return fourth - (fourth + 5) % 7 + (week - 1) * 7


def _shown_year(year: int) -> int:
    return year if year > 0 else year - 1


def _century(year: int, span: int) -> int:
    return (year + span - 1) // span if year > 0 else -((span - 1 - (year - 1)) // span)


def _decade(year: int) -> int:
    return year // 10 if year >= 0 else -((8 - (year - 1)) // 10)


def scaled(micros: int, digits: int) -> Decimal:
    """Return an integer as a numeric with so many digits after the point."""
    return Decimal(micros).scaleb(-digits)


Part = Callable[[Fields], Decimal]

DATE_PARTS: Final[dict[str, Part]] = {
    "day": lambda f: Decimal(f.day),
    "month": lambda f: Decimal(f.month),
    "year": lambda f: Decimal(_shown_year(f.year)),
    "quarter": lambda f: Decimal((f.month - 1) // 3 + 1),
    "week": lambda f: Decimal(iso_week(f.days)[1]),
    "isoyear": lambda f: Decimal(_shown_year(iso_week(f.days)[0])),
    "decade": lambda f: Decimal(_decade(f.year)),
    "century": lambda f: Decimal(_century(f.year, 100)),
    "millennium": lambda f: Decimal(_century(f.year, 1000)),
    "dow": lambda f: Decimal(f.weekday),
    "isodow": lambda f: Decimal(f.weekday or 7),
    "doy": lambda f: Decimal(f.day_of_year),
}
TIME_PARTS: Final[dict[str, Part]] = {
    "microseconds": lambda f: Decimal(f.second_micros),
    "milliseconds": lambda f: scaled(f.second_micros, 3),
    "second": lambda f: scaled(f.second_micros, 6),
    "minute": lambda f: Decimal(f.minute),
    "hour": lambda f: Decimal(f.hour),
}
# What an infinite value answers: these grow with time, all others are unknown.
MONOTONIC: Final = frozenset(
    ("year", "decade", "century", "millennium", "julian", "isoyear", "epoch")
)

_MORE_WORDS: Final = {
    "dow": "dow", "isodow": "isodow", "doy": "doy", "isoyear": "isoyear", "epoch": "epoch",
    "julian": "julian", "j": "julian", "jd": "julian", "quarter": "quarter", "qtr": "quarter",
    "timezone": "timezone", "timezone_h": "timezone_hour", "timezone_hour": "timezone_hour",
    "timezone_m": "timezone_minute", "timezone_minute": "timezone_minute",
}  # fmt: skip
_RENAMED: Final = {"microsecond": "microseconds", "millisecond": "milliseconds"}


def unit_named(text: str) -> str | None:
    """Return the unit a word means to extract and date_trunc, or None."""
    word = text.lower()
    unit = _MORE_WORDS.get(word) or _UNIT_WORDS.get(word)
    return _RENAMED.get(unit, unit) if unit else None


def epoch_of(micros: int) -> Decimal:
    """Return seconds since 1970 of an instant."""
    return scaled(micros + UNIX_TO_PG_MICROS, 6)


def julian_of(micros: int) -> Decimal:
    """Return the Julian day with its fraction, as numeric division shows it."""
    days, rest = divmod(micros, MICROS_PER_DAY)
    if not rest:
        return Decimal(days + PG_EPOCH_JULIAN)
    share = decimals.divide(Decimal(rest), Decimal(MICROS_PER_DAY))
    return decimals.add(Decimal(days + PG_EPOCH_JULIAN), share)


def interval_epoch(span: Interval) -> Decimal:
    """Return an interval in seconds: a year is 365.25 days, a month 30."""
    years = int(span.months / 12)
    months = span.months - years * 12
    seconds = years * 31_557_600 + (months * 30 + span.days) * 86_400
    return scaled(seconds * MICROS_PER_SECOND + span.micros, 6)
