"""Time zones: names, abbreviations, and offsets at any instant PostgreSQL can hold.

Python's datetime ends at the year 9999 and starts at 1. Instants after that are looked up in the
same year of an earlier 400-year cycle (the calendar repeats exactly), instants before it at year 1.
"""

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from importlib import resources
from typing import Final
from zoneinfo import ZoneInfo

from pgwire.datum import MICROS_PER_DAY
from pgwire.errors import InvalidParameterValue

_EPOCH: Final = datetime(2000, 1, 1)  # noqa: DTZ001 - wall-clock time without a zone is meant
_EPOCH_UTC: Final = datetime(2000, 1, 1, tzinfo=UTC)
_CYCLE_MICROS: Final = 146_097 * MICROS_PER_DAY
_FIRST_MICROS: Final = -730_117 * MICROS_PER_DAY
_LAST_MICROS: Final = 2_921_000 * MICROS_PER_DAY
_ZERO: Final = timedelta()

# Minutes east of Greenwich. Source: PostgreSQL's src/timezone/tznames/Default, the common part.
ABBREVIATIONS: Final[dict[str, int]] = {
    "z": 0, "zulu": 0, "utc": 0, "uct": 0, "ut": 0, "gmt": 0, "wet": 0, "west": 60, "wetdst": 60,
    "bst": 60, "cet": 60, "met": 60, "mez": 60, "cest": 120, "mest": 120, "mesz": 120,
    "cetdst": 120, "metdst": 120, "eet": 120, "sast": 120, "eest": 180, "eetdst": 180, "msk": 180,
    "msd": 240, "eat": 180, "idt": 180, "ist": 120, "pkt": 300, "jst": 540, "kst": 540, "pht": 480,
    "sgt": 480, "hkt": 480, "awst": 480, "acst": 570, "acdt": 630, "aest": 600, "aedt": 660,
    "nzst": 720, "nzdt": 780, "nzt": 720, "est": -300, "edt": -240, "cst": -360, "cdt": -300,
    "mst": -420, "mdt": -360, "pst": -480, "pdt": -420, "akst": -540, "akdt": -480, "hst": -600,
    "ast": -240, "adt": -180, "nst": -210, "ndt": -150, "brt": -180, "brst": -120, "art": -180,
    "clt": -240, "clst": -180, "nft": -210,
}  # fmt: skip
_POSIX: Final = re.compile(
    r"(?:[A-Za-z]{3,}|<[A-Za-z0-9+-]+>)?([+-]?)(\d{1,3})(?::(\d\d))?(?::(\d\d))?", re.ASCII
)


class Zone:
    """One time zone. `is_utc` lets callers skip it."""

    __slots__ = ("fixed_s", "info", "is_utc", "name")

    def __init__(self, name: str, info: tzinfo) -> None:
        self.name = name
        self.info = info
        self.fixed_s: int | None = None
        if isinstance(info, timezone):
            self.fixed_s = round(info.utcoffset(None).total_seconds())
        self.is_utc = self.fixed_s == 0

    def offset_s_at(self, utc_micros: int) -> int:
        """Return seconds east of Greenwich at an instant."""
        if self.fixed_s is not None:
            return self.fixed_s
        at = _EPOCH_UTC + timedelta(microseconds=_within_datetime(utc_micros))
        offset = at.astimezone(self.info).utcoffset() or _ZERO
        return offset.days * 86_400 + offset.seconds

    def offset_s_of_local(self, local_micros: int) -> int:
        """Return the offset of a wall-clock time.

        In a gap and in an overlap standard time is meant.

        Source: PostgreSQL's DetermineTimeZoneOffset.
        """
        if self.fixed_s is not None:
            return self.fixed_s
        at = _EPOCH + timedelta(microseconds=_within_datetime(local_micros))
        first = at.replace(tzinfo=self.info, fold=0).utcoffset() or _ZERO
        second = at.replace(tzinfo=self.info, fold=1).utcoffset() or _ZERO
        # In a gap fold=0 gives the offset before it; in an overlap fold=1 gives the one after it.
        offset = first if first < second else second
        return offset.days * 86_400 + offset.seconds


def _within_datetime(micros: int) -> int:
    if micros > _LAST_MICROS:
        return micros % _CYCLE_MICROS + 10 * _CYCLE_MICROS
    return max(micros, _FIRST_MICROS)


@lru_cache(maxsize=1)
def _names() -> dict[str, str]:
    """Return the lower-case name of every zone with its proper spelling."""
    text = (resources.files("tzdata") / "zones").read_text("ascii")
    return {name.lower(): name for name in text.split()}


@lru_cache(maxsize=512)
def find_zone(name: str) -> Zone | None:
    """Return the zone called `name` in any case, or a POSIX specification, or None."""
    lower = name.lower()
    if lower in ("utc", "gmt", "z", "zulu", "etc/utc", "uct"):
        return Zone("UTC" if lower in ("utc", "z", "zulu") else name, UTC)
    if (proper := _names().get(lower)) is not None:
        return Zone(proper, ZoneInfo(proper))
    return None


def zone_by_name(name: str) -> Zone:
    """Return the zone for a TimeZone setting: a name, a POSIX offset or hours east.

    Raises: InvalidParameterValue.

    >>> zone_by_name("europe/berlin").name
    'Europe/Berlin'
    >>> zone_by_name("UTC+3").offset_s_at(0)
    -10800
    """
    stripped = name.strip()
    if (zone := find_zone(stripped)) is not None:
        return zone
    match = _POSIX.fullmatch(stripped)
    if match is not None:
        sign, hours, minutes, seconds = match.groups()
        offset = int(hours) * 3_600 + int(minutes or 0) * 60 + int(seconds or 0)
        # A bare number is hours east (SQL); after letters it is hours west (POSIX).
        is_bare = stripped[0] in "+-0123456789"
        if (sign == "-") == is_bare:
            offset = -offset
        if abs(offset) < 86_400:
            return Zone(stripped, timezone(timedelta(seconds=offset)))
    if (minutes_east := ABBREVIATIONS.get(stripped.lower())) is not None:
        return Zone(stripped, timezone(timedelta(minutes=minutes_east)))
    raise InvalidParameterValue(f'invalid value for parameter "TimeZone": "{name}"')


def format_offset(offset_s: int) -> str:
    """Format an offset as PostgreSQL's ISO style does: +02, +05:30, -00:44:30.

    >>> format_offset(19800), format_offset(0), format_offset(-2670)
    ('+05:30', '+00', '-00:44:30')
    """
    sign = "-" if offset_s < 0 else "+"
    minutes, seconds = divmod(abs(offset_s), 60)
    hours, minutes = divmod(minutes, 60)
    if seconds:
        return f"{sign}{hours:02d}:{minutes:02d}:{seconds:02d}"
    return f"{sign}{hours:02d}:{minutes:02d}" if minutes else f"{sign}{hours:02d}"
