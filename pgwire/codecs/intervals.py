"""interval as text: PostgreSQL's style out; its own, SQL's and ISO 8601's in.

Source: PostgreSQL's DecodeInterval, DecodeISO8601Interval and EncodeInterval.
"""

import re
from typing import Final

from pgwire.codecs.date_tokens import (
    BadFormatError,
    FieldOverflowError,
    Token,
    TokenKind,
    datetime_error,
    fraction_micros,
    tokenize,
)
from pgwire.codecs.settings import Settings
from pgwire.datum import (
    MICROS_PER_DAY,
    MICROS_PER_HOUR,
    MICROS_PER_MINUTE,
    MICROS_PER_SECOND,
    Interval,
)

_SPELLINGS: Final = {
    "microsecond": "us usec usecs useconds usecond microsecon microsecond microseconds",
    "millisecond": "ms msec msecs mseconds msecond millisecon millisecond milliseconds",
    "second": "s sec secs second seconds",
    "minute": "m min mins minute minutes",
    "hour": "h hr hrs hour hours",
    "day": "d day days",
    "week": "w week weeks",
    "month": "mon mons month months",
    "year": "y yr yrs year years",
    "decade": "dec decs decade decades",
    "century": "c cent century centuries",
    "millennium": "mil mils millennia millennium",
}
_UNITS: Final = {word: unit for unit, words in _SPELLINGS.items() for word in words.split()}
_MONTHS_PER: Final = {"month": 1, "year": 12, "decade": 120, "century": 1_200, "millennium": 12_000}
_DAYS_PER: Final = {"day": 1, "week": 7}
_MICROS_PER: Final = {
    "microsecond": 1,
    "millisecond": 1_000,
    "second": MICROS_PER_SECOND,
    "minute": MICROS_PER_MINUTE,
    "hour": MICROS_PER_HOUR,
}
_NUMBER: Final = re.compile(r"([+-]?)([0-9]*)(\.[0-9]*)?")
_YEAR_MONTH: Final = re.compile(r"([+-]?)([0-9]{1,9})-([0-9]{1,9})")
_CLOCK: Final = re.compile(r"([+-]?)([0-9]{1,12}):([0-9]{1,9})(?::([0-9]{1,9}))?(\.[0-9]*)?")
_ISO_PART: Final = re.compile(r"([+-]?[0-9]*(?:\.[0-9]*)?)([YMWDHS])")
_ISO_UNITS: Final = {
    ("Y", False): "year",
    ("M", False): "month",
    ("W", False): "week",
    ("D", False): "day",
    ("H", True): "hour",
    ("M", True): "minute",
    ("S", True): "second",
}
_ISO_DATE: Final = re.compile(r"([+-]?[0-9]{1,9})-([0-9]{1,9})(?:-([0-9]{1,9}))?")
_ISO_DATE_RUN: Final = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})")
_ISO_CLOCK_RUN: Final = re.compile(r"([0-9]{2})([0-9]{2})([0-9]{2})(\.[0-9]*)?")


class _Sum:
    """The interval built so far."""

    def __init__(self) -> None:
        self.months = self.days = self.micros = 0
        self.seen: set[str] = set()

    def add(self, unit: str, whole: int, fraction: float) -> None:
        if unit in _MONTHS_PER:
            scale = _MONTHS_PER[unit]
            self.months += whole * scale
            if unit == "month":
                self._add_days(fraction * 30)
            else:
                self.months += round(fraction * scale)
        elif unit in _DAYS_PER:
            self.days += whole * _DAYS_PER[unit]
            self._add_days(fraction * _DAYS_PER[unit])
        else:
            scale = _MICROS_PER[unit]
            self.micros += whole * scale + round(fraction * scale)

    def _add_days(self, fraction: float) -> None:
        whole = int(fraction)
        self.days += whole
        self.micros += round((fraction - whole) * MICROS_PER_DAY)

    def mark(self, *units: str) -> None:
        for unit in units:
            if unit in self.seen:
                raise BadFormatError
            self.seen.add(unit)

    def result(self, *, is_negated: bool) -> Interval:
        sign = -1 if is_negated else 1
        months, days, micros = sign * self.months, sign * self.days, sign * self.micros
        for value, bits in ((months, 31), (days, 31), (micros, 63)):
            if not -(1 << bits) <= value < 1 << bits:
                raise FieldOverflowError
        return Interval(months, days, micros)


def _clock(text: str, total: _Sum) -> None:
    match = _CLOCK.fullmatch(text)
    if match is None:
        raise BadFormatError
    sign, hours, minutes, seconds, fraction = match.groups()
    micros = fraction_micros(fraction) if fraction else 0
    if seconds is None and fraction is not None:
        hours, minutes, seconds = "0", hours, minutes
    if int(minutes) > 59 or int(seconds or 0) > 60:
        raise FieldOverflowError
    micros += int(hours) * MICROS_PER_HOUR + int(minutes) * MICROS_PER_MINUTE
    micros += int(seconds or 0) * MICROS_PER_SECOND
    total.mark("hour", "minute", "second")
    total.micros += -micros if sign == "-" else micros


def _number(text: str, unit: str, total: _Sum) -> None:
    if (match := _YEAR_MONTH.fullmatch(text)) is not None:
        if int(match[3]) >= 12:
            raise FieldOverflowError
        total.mark("year", "month")
        months = int(match[2]) * 12 + int(match[3])
        total.months += -months if match[1] == "-" else months
        return
    parsed = _NUMBER.fullmatch(text)
    if unit == "ago" or parsed is None or not (parsed[2] or parsed[3]):
        raise BadFormatError
    if len(parsed[2]) > 20:
        raise FieldOverflowError
    sign = -1 if parsed[1] == "-" else 1
    total.mark(unit)
    total.add(unit, sign * int(parsed[2] or 0), sign * float("0" + (parsed[3] or "")))


def _decode(tokens: list[Token]) -> Interval:
    """Sum the tokens from the last to the first, because a unit stands after its number."""
    total = _Sum()
    unit: str | None = None
    is_unit_pending = False
    is_negated = False
    for token in reversed(tokens):
        text = token.text
        if token.kind is TokenKind.TIME or (token.kind is TokenKind.TZ and ":" in text):
            _clock(text, total)
            unit = "day"  # '1 02:03:04' is one day and a clock
            is_unit_pending = False
        elif token.kind in (TokenKind.TZ, TokenKind.DATE, TokenKind.NUMBER):
            _number(text, unit or "second", total)
            is_unit_pending = False
        elif text == "ago":
            is_negated = True
            unit = "ago"  # so that a number right before it has no unit
        elif text in _UNITS:
            if is_unit_pending:
                raise BadFormatError
            unit = _UNITS[text]
            is_unit_pending = True
        else:
            raise BadFormatError
    if not total.seen or is_unit_pending:
        raise BadFormatError
    return total.result(is_negated=is_negated)


def _iso_parts(text: str, total: _Sum, *, is_clock: bool) -> bool:
    """Read 1Y2M3D or 4H5M6S; return False when the text has another form."""
    at = 0
    while at < len(text):
        match = _ISO_PART.match(text, at)
        if match is None:
            return False
        unit = _ISO_UNITS.get((match[2], is_clock))
        number = _NUMBER.fullmatch(match[1])
        if unit is None or number is None or not (number[2] or number[3]) or len(number[2]) > 20:
            raise BadFormatError
        sign = -1 if number[1] == "-" else 1
        total.add(unit, sign * int(number[2] or 0), sign * float("0" + (number[3] or "")))
        at = match.end()
    return True


def _decode_iso8601(text: str) -> Interval:
    """Read P1Y2M3DT4H5M6S, P0001-02-03T04:05:06 or P00010203T040506."""
    if len(text) < 2 or text[0] != "P":
        raise BadFormatError
    date_text, clock_mark, clock_text = text[1:].partition("T")
    if clock_mark and not clock_text:
        raise BadFormatError
    total = _Sum()
    if not _iso_parts(date_text, total, is_clock=False):
        match = _ISO_DATE.fullmatch(date_text) or _ISO_DATE_RUN.fullmatch(date_text)
        if match is None:
            raise BadFormatError
        total.months += int(match[1]) * 12 + int(match[2])
        total.days += int(match[3] or 0)
    if clock_text and not _iso_parts(clock_text, total, is_clock=True):
        run = _ISO_CLOCK_RUN.fullmatch(clock_text)
        if run is not None:
            clock_text = f"{run[1]}:{run[2]}:{run[3]}{run[4] or ''}"
        _clock(clock_text, total)
    return total.result(is_negated=False)


def interval_in(text: str, _settings: Settings | None = None) -> Interval:
    """Read an interval. Raises: InvalidDatetimeFormat, IntervalFieldOverflow.

    >>> interval_in("1 year 2 mons -3 days 04:05:06.5 ago")
    Interval(months=-14, days=3, micros=-14706500000)
    >>> interval_in("P1Y2M3DT4H5M6S") == interval_in("1-2 3 4:05:06")
    True
    """
    try:
        try:
            return _decode(tokenize(text))
        except BadFormatError:
            return _decode_iso8601(text)
    except ValueError as error:
        raise datetime_error(error, "interval", text) from None


def interval_out(value: Interval) -> str:
    """Write an interval in IntervalStyle postgres.

    >>> interval_out(Interval(14, -3, 14_706_500_000)), interval_out(Interval(0, 0, 0))
    ('1 year 2 mons -3 days +04:05:06.5', '00:00:00')
    """
    total_months, days, micros = value
    years, months = divmod(abs(total_months), 12)
    if total_months < 0:
        years, months = -years, -months
    parts: list[str] = []
    is_before = False
    for amount, unit in ((years, "year"), (months, "mon"), (days, "day")):
        if amount:
            plus = "+" if is_before and amount > 0 else ""
            parts.append(f"{plus}{amount} {unit}{'' if amount == 1 else 's'}")
            is_before = amount < 0
    if micros or not parts:
        seconds, fraction = divmod(abs(micros), MICROS_PER_SECOND)
        minutes, second = divmod(seconds, 60)
        hour, minute = divmod(minutes, 60)
        sign = "-" if micros < 0 else "+" if is_before else ""
        clock = f"{sign}{hour:02d}:{minute:02d}:{second:02d}"
        parts.append(f"{clock}.{fraction:06d}".rstrip("0") if fraction else clock)
    return " ".join(parts)
