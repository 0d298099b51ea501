"""Text input of date, time, timestamp and timestamptz, all that PostgreSQL accepts.

ISO texts take a fast way through one regular expression; everything else goes to `datetime_parse`.
"""

import re
from datetime import date
from typing import Final

from pgwire.codecs.date_tokens import datetime_error, tokenize
from pgwire.codecs.datetime_parse import DateTimeFields
from pgwire.codecs.settings import DEFAULT_SETTINGS, Settings
from pgwire.datum import (
    DATE_INFINITY,
    DATE_MAX,
    DATE_MIN,
    DATE_NEG_INFINITY,
    MICROS_PER_DAY,
    MICROS_PER_SECOND,
    PG_EPOCH_ORDINAL,
    TIMESTAMP_END,
    TIMESTAMP_INFINITY,
    TIMESTAMP_MIN,
    TIMESTAMP_NEG_INFINITY,
)
from pgwire.errors import DatetimeFieldOverflow

_ISO_DATE: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_ISO_TIMESTAMP: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[ T]([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])"
    r"(?:\.([0-9]{1,6}))?(Z|[+-](?:0[0-9]|1[0-4])(?::?[0-5][0-9])?)?"
)


def _parse(
    text: str, settings: Settings, type_name: str, *, is_time_only: bool = False
) -> DateTimeFields:
    zone = settings.zone
    local_now = settings.now_micros + zone.offset_s_at(settings.now_micros) * MICROS_PER_SECOND
    fields = DateTimeFields(settings.date_order, local_now, is_time_only=is_time_only)
    try:
        fields.read(tokenize(text))
    except ValueError as error:
        raise datetime_error(error, type_name, text) from None
    return fields


def _iso_days(year: str, month: str, day: str) -> int | None:
    try:
        return date(int(year), int(month), int(day)).toordinal() - PG_EPOCH_ORDINAL
    except ValueError:
        return None  # the slow way finds the right words for what is wrong


def date_in(text: str, settings: Settings | None = None) -> int:
    """Read a date: days since 2000-01-01. Raises: InvalidDatetimeFormat, DatetimeFieldOverflow."""
    if (match := _ISO_DATE.fullmatch(text)) is not None:
        iso_days = _iso_days(*match.groups())
        if iso_days is not None:
            return iso_days
    fields = _parse(text, settings or DEFAULT_SETTINGS, "date")
    if fields.infinity:
        return DATE_INFINITY if fields.infinity > 0 else DATE_NEG_INFINITY
    days = fields.days()
    if not DATE_MIN <= days <= DATE_MAX:
        raise DatetimeFieldOverflow(f'date out of range: "{text}"')
    return days


def time_in(text: str, settings: Settings | None = None) -> int:
    """Read a time of day: microseconds since midnight; a zone is accepted and ignored."""
    fields = _parse(text, settings or DEFAULT_SETTINGS, "time", is_time_only=True)
    if fields.infinity:
        raise datetime_error(ValueError(), "time", text)
    return fields.clock_micros


def _iso_micros(match: re.Match[str]) -> int | None:
    """Return local microseconds of a matched ISO timestamp."""
    year, month, day, hour, minute, second, fraction = match.group(1, 2, 3, 4, 5, 6, 7)
    days = _iso_days(year, month, day)
    if days is None:
        return None
    seconds = days * 86_400 + int(hour) * 3_600 + int(minute) * 60 + int(second)
    micros = seconds * MICROS_PER_SECOND
    return micros + int(fraction.ljust(6, "0")) if fraction else micros


def _displacement_s(text: str) -> int:
    if text == "Z":
        return 0
    offset = int(text[1:3]) * 3_600 + int(text[-2:] if len(text) > 3 else 0) * 60
    return -offset if text[0] == "-" else offset


def timestamp_in(text: str, settings: Settings | None = None) -> int:
    """Read a timestamp: local microseconds since 2000-01-01; a zone is accepted and ignored."""
    match = _ISO_TIMESTAMP.fullmatch(text)
    if match is not None and (micros := _iso_micros(match)) is not None:
        return micros
    fields = _parse(text, settings or DEFAULT_SETTINGS, "timestamp")
    if fields.infinity:
        return TIMESTAMP_INFINITY if fields.infinity > 0 else TIMESTAMP_NEG_INFINITY
    return _in_range(fields.local_micros(), text)


def timestamptz_in(text: str, settings: Settings | None = None) -> int:
    """Read a timestamptz: microseconds since 2000-01-01 UTC.

    Without a zone in the text the session's time zone is meant.
    """
    settings = settings or DEFAULT_SETTINGS
    match = _ISO_TIMESTAMP.fullmatch(text)
    if match is not None and (micros := _iso_micros(match)) is not None:
        displacement = match[8]
        if displacement is not None:
            offset_s = _displacement_s(displacement)
        else:
            offset_s = settings.zone.offset_s_of_local(micros)
        return micros - offset_s * MICROS_PER_SECOND
    fields = _parse(text, settings, "timestamp with time zone")
    if fields.infinity:
        return TIMESTAMP_INFINITY if fields.infinity > 0 else TIMESTAMP_NEG_INFINITY
    if fields.is_now:
        return settings.now_micros
    local = fields.local_micros()
    if fields.offset_s is not None:
        offset_s = fields.offset_s
    else:
        offset_s = (fields.zone or settings.zone).offset_s_of_local(local)
    return _in_range(local - offset_s * MICROS_PER_SECOND, text)


def _in_range(micros: int, text: str) -> int:
    if not TIMESTAMP_MIN <= micros < TIMESTAMP_END:
        raise DatetimeFieldOverflow(f'timestamp out of range: "{text}"')
    return micros


def time_is_valid(micros: int) -> bool:
    """Whether a time received in binary is between 00:00:00 and 24:00:00."""
    return 0 <= micros <= MICROS_PER_DAY
