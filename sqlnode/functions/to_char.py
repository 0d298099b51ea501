"""to_char() of timestamps and intervals.

Source: PostgreSQL docs, section 9.8; src/backend/utils/adt/formatting.c (DCH_to_char).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from pgwire.datum import (
    MICROS_PER_HOUR,
    MICROS_PER_SECOND,
    PG_EPOCH_JULIAN,
    TIMESTAMP_INFINITY,
    TIMESTAMP_NEG_INFINITY,
    Interval,
)
from pgwire.errors import InvalidDatetimeFormat
from sqlnode.functions.datetime_parts import fields_of, iso_week, iso_week_start
from sqlnode.functions.define import STABLE, function
from sqlnode.functions.format_tokens import Token, tokens_of

MONTHS: Final = ("January", "February", "March", "April", "May", "June", "July", "August",
                 "September", "October", "November", "December")  # fmt: skip
DAYS: Final = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
ROMAN: Final = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII")


@dataclass(frozen=True, slots=True)
class Moment:
    """What the patterns print: of a timestamp everything, of an interval the numbers."""

    year: int  # 0 is 1 BC
    month: int
    day: int
    hour: int
    minute: int
    micros: int  # of the minute
    days: int  # day number of a timestamp
    offset_s: int | None = None
    zone: str = ""
    is_interval: bool = False

    @property
    def second(self) -> int:
        return _toward(self.micros, MICROS_PER_SECOND)

    @property
    def fraction(self) -> int:
        return self.micros - self.second * MICROS_PER_SECOND

    @property
    def shown_year(self) -> int:
        return self.year if self.is_interval or self.year > 0 else 1 - self.year

    @property
    def weekday(self) -> int:
        return (self.days + 6) % 7

    @property
    def day_of_year(self) -> int:
        if self.is_interval:
            return self.day + self.month * 30 + self.year * 360
        return fields_of(self.days * 86_400_000_000).day_of_year

    @property
    def iso_year(self) -> int:
        year = iso_week(self.days)[0]
        return year if year > 0 else 1 - year


def _toward(value: int, unit: int) -> int:
    return abs(value) // unit * (-1 if value < 0 else 1)


_SIGNED: Final = frozenset(("HH24", "HH12", "HH", "MI", "SS", "MM", "YYYY", "IYYY"))


def _number(value: int, width: int, token: Token) -> str:
    if value < 0 and token.name in _SIGNED:  # here the minus sign does not count as a digit
        width += 1
    text = f"{value:0{width}d}" if token.fill else str(value)
    return text + _ordinal(value, token.ordinal)


def _ordinal(value: int, suffix: str) -> str:
    if not suffix:
        return ""
    last, tens = abs(value) % 10, abs(value) // 10 % 10
    text = "th" if tens == 1 else {1: "st", 2: "nd", 3: "rd"}.get(last, "th")
    return text.upper() if suffix[0] == "T" else text


def _cased(name: str, token: Token, width: int = 0) -> str:
    word = token.word
    if word.isupper():
        text = name.upper()
    elif word[0].isupper():
        text = name.capitalize()
    else:
        text = name.lower()
    return text.ljust(width) if token.fill else text


def _name(token: Token, moment: Moment) -> str | None:
    if token.name in ("MONTH", "MON", "RM") and moment.month == 0:
        return ""
    if token.name == "MONTH":
        return _cased(MONTHS[moment.month - 1], token, 9)
    if token.name == "MON":
        return _cased(MONTHS[moment.month - 1][:3], token)
    if token.name == "DAY":
        return _cased(DAYS[moment.weekday], token, 9)
    if token.name == "DY":
        return _cased(DAYS[moment.weekday][:3], token)
    if token.name == "RM":
        text = ROMAN[moment.month - 1].ljust(4 if token.fill else 0)
        return text if token.word[0] == "R" else text.lower()
    return None


def _half(token: Token, moment: Moment) -> str | None:
    dots = "." in token.word
    if token.name in ("AM", "PM", "A.M.", "P.M."):
        text = "pm" if moment.hour % 24 >= 12 else "am"
    elif token.name in ("AD", "BC", "A.D.", "B.C."):
        text = "bc" if moment.year <= 0 else "ad"
    else:
        return None
    text = f"{text[0]}.{text[1]}." if dots else text
    return text.upper() if token.word[0].isupper() else text


def _years(token: Token, moment: Moment) -> str | None:
    name = token.name
    if name == "Y,YYY":
        return f"{moment.shown_year // 1000},{moment.shown_year % 1000:03d}" + _ordinal(
            moment.shown_year, token.ordinal
        )
    if name not in ("YYYY", "YYY", "YY", "Y", "IYYY", "IYY", "IY", "I"):
        return None
    is_iso = name[0] == "I" and not moment.is_interval
    year = moment.iso_year if is_iso else moment.shown_year
    width = len(name) if name[0] == "I" else name.count("Y")
    if width == 4:
        return _number(year, 4, token)
    return _number(year % 10**width, width, token)


def _century(year: int) -> int:
    return (year + 99) // 100 if year > 0 else -((99 - (year - 1)) // 100)


_NUMBERS: Final[dict[str, tuple[int, Callable[[Moment], int]]]] = {
    "HH24": (2, lambda m: m.hour),
    "HH12": (2, lambda m: _twelve(m.hour)),
    "HH": (2, lambda m: _twelve(m.hour)),
    "MI": (2, lambda m: m.minute),
    "SS": (2, lambda m: m.second),
    "MS": (3, lambda m: _toward(m.fraction, 1_000)),
    "US": (6, lambda m: m.fraction),
    "SSSS": (1, lambda m: m.hour * 3_600 + m.minute * 60 + m.second),
    "SSSSS": (1, lambda m: m.hour * 3_600 + m.minute * 60 + m.second),
    "MM": (2, lambda m: m.month),
    "DDD": (3, lambda m: m.day_of_year),
    "DD": (2, lambda m: m.day),
    "D": (1, lambda m: m.weekday + 1),
    "ID": (1, lambda m: m.weekday or 7),
    "IDDD": (3, lambda m: m.days - iso_week_start(iso_week(m.days)[0], 1) + 1),
    "W": (1, lambda m: (m.day - 1) // 7 + 1),
    "WW": (2, lambda m: (m.day_of_year - 1) // 7 + 1),
    "IW": (2, lambda m: iso_week(m.days)[1]),
    "CC": (2, lambda m: _century(m.year)),
    "J": (1, lambda m: m.days + PG_EPOCH_JULIAN),
    "Q": (1, lambda m: (m.month - 1) // 3 + 1),
}
_NO_INTERVAL: Final = frozenset(
    (
        "DAY",
        "DY",
        "D",
        "ID",
        "IDDD",
        "IW",
        "TZ",
        "TZH",
        "TZM",
        "OF",
        "AD",
        "BC",
        "A.D.",
        "B.C.",
        "MONTH",
        "MON",
    )
)


def _twelve(hour: int) -> int:
    rest = hour - _toward(hour, 12) * 12
    return 12 if rest == 0 else rest


def _zone(token: Token, moment: Moment) -> str | None:
    offset = moment.offset_s
    if token.name == "TZ":
        return moment.zone if token.word[0] == "T" else moment.zone.lower()
    if token.name not in ("TZH", "TZM", "OF"):
        return None
    minutes = abs(offset or 0) // 60
    hours = f"{'-' if (offset or 0) < 0 else '+'}{minutes // 60:02d}"
    if token.name == "TZH":
        return hours
    if token.name == "TZM":
        return f"{minutes % 60:02d}"
    seconds = abs(offset or 0) % 60
    tail = f":{minutes % 60:02d}" if minutes % 60 or seconds else ""
    return hours + tail + (f":{seconds:02d}" if seconds else "")


def format_moment(moment: Moment, template: str) -> str:
    """Print a moment by a template."""
    return "".join(_piece(token, moment) for token in tokens_of(template))


def _piece(token: Token, moment: Moment) -> str:
    if not token.name:
        return token.word
    if moment.is_interval and token.name in _NO_INTERVAL:
        raise InvalidDatetimeFormat(
            "invalid format specification for an interval value",
            hint="Intervals are not tied to specific calendar dates.",
        )
    if token.name.startswith("FF"):
        digits = int(token.name[2:])
        return f"{moment.fraction:06d}"[:digits] + _ordinal(moment.fraction, token.ordinal)
    if (entry := _NUMBERS.get(token.name)) is not None:
        width, value = entry
        if token.name == "Q" and moment.month == 0:
            return ""
        return _number(value(moment), width, token)
    for render in (_name, _half, _years, _zone):
        if (text := render(token, moment)) is not None:
            return text
    return ""  # FX


def moment_of(micros: int, offset_s: int | None = None, zone: str = "") -> Moment:
    """Break a local timestamp down for printing."""
    f = fields_of(micros)
    return Moment(f.year, f.month, f.day, f.hour, f.minute, f.second_micros, f.days, offset_s, zone)


def timestamp_to_char(micros: int, template: str) -> str | None:
    """to_char(timestamp, text)."""
    if micros in (TIMESTAMP_INFINITY, TIMESTAMP_NEG_INFINITY):
        return None
    return format_moment(moment_of(micros), template)


def zone_abbreviation(zone: Any, micros: int) -> str:
    """Return what TZ prints: an abbreviation like CET, or the offset where there is none."""
    if zone.is_utc:
        return "UTC"
    within = max(min(micros, 10**17 * 2), -(10**16) * 6)
    at = datetime.fromisoformat("2000-01-01T00:00:00+00:00") + timedelta(microseconds=within)
    return str(at.astimezone(zone.info).tzname() or "")


def _timestamptz_to_char(ctx: Any, micros: int, template: str) -> str | None:
    if micros in (TIMESTAMP_INFINITY, TIMESTAMP_NEG_INFINITY):
        return None
    zone = ctx.settings.zone
    offset_s = zone.offset_s_at(micros)
    local = micros + offset_s * MICROS_PER_SECOND
    return format_moment(moment_of(local, offset_s, zone_abbreviation(zone, micros)), template)


def _interval_to_char(span: Interval, template: str) -> str:
    years, hours = _toward(span.months, 12), _toward(span.micros, MICROS_PER_HOUR)
    rest = span.micros - hours * MICROS_PER_HOUR
    minutes = _toward(rest, 60 * MICROS_PER_SECOND)
    moment = Moment(
        years, span.months - years * 12, span.days, hours, minutes,
        rest - minutes * 60 * MICROS_PER_SECOND, 0, is_interval=True,
    )  # fmt: skip
    return format_moment(moment, template)


function("to_char(timestamp, text) text", timestamp_to_char, volatility=STABLE)
function("to_char(timestamptz, text) text", _timestamptz_to_char, volatility=STABLE,
         needs_context=True)  # fmt: skip
function("to_char(interval, text) text", _interval_to_char, volatility=STABLE)
