"""AT TIME ZONE: the timezone() functions, for names, abbreviations and intervals."""

from datetime import timedelta, timezone
from typing import Any

from pgwire.codecs.intervals import interval_out
from pgwire.codecs.zones import ABBREVIATIONS, Zone, zone_by_name
from pgwire.datum import MICROS_PER_SECOND, TIMESTAMP_INFINITY, TIMESTAMP_NEG_INFINITY, Interval
from pgwire.errors import InvalidParameterValue
from sqlnode.functions.casts import timestamp_in_range
from sqlnode.functions.define import function


def zone_named(name: str) -> Zone:
    """Return the zone that AT TIME ZONE means: abbreviations come first. Raises: 22023."""
    minutes = ABBREVIATIONS.get(name.lower())
    if minutes is not None:
        return Zone(name, timezone(timedelta(minutes=minutes)))
    if name[:1] in "+-0123456789" and name:
        # Read as POSIX here: hours west; the TimeZone setting counts a bare number east.
        sign, digits = ("-", name[1:]) if name[0] == "+" else ("+", name.removeprefix("-"))
        if name[0].isdigit():
            sign, digits = "-", name
        name = sign + digits
    try:
        return zone_by_name(name)
    except InvalidParameterValue:
        raise InvalidParameterValue(f'time zone "{name}" not recognized') from None


def _interval_offset_s(span: Interval) -> int:
    if span.months or span.days:
        raise InvalidParameterValue(
            f'interval time zone "{interval_out(span)}" must not include months or days'
        )
    return int(span.micros / MICROS_PER_SECOND)


def _to_instant(zone: Any, micros: int) -> int:
    if micros in (TIMESTAMP_INFINITY, TIMESTAMP_NEG_INFINITY):
        return micros
    if isinstance(zone, str):
        offset_s = zone_named(zone).offset_s_of_local(micros)
    else:
        offset_s = _interval_offset_s(zone)
    return timestamp_in_range(micros - offset_s * MICROS_PER_SECOND)


def _to_local(zone: Any, micros: int) -> int:
    if micros in (TIMESTAMP_INFINITY, TIMESTAMP_NEG_INFINITY):
        return micros
    if isinstance(zone, str):
        offset_s = zone_named(zone).offset_s_at(micros)
    else:
        offset_s = _interval_offset_s(zone)
    return timestamp_in_range(micros + offset_s * MICROS_PER_SECOND)


for _type in ("text", "interval"):
    function(f"timezone({_type}, timestamp) timestamptz", _to_instant)
    function(f"timezone({_type}, timestamptz) timestamp", _to_local)
