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
    try:
        return zone_by_name(name)
    except InvalidParameterValue:
        raise InvalidParameterValue(f'time zone "{name}" not recognized') from None


def _of_interval(span: Interval) -> Zone:
    if span.months or span.days:
        raise InvalidParameterValue(
            f'interval time zone "{interval_out(span)}" must not include months or days'
        )
    return Zone("", timezone(timedelta(microseconds=span.micros // MICROS_PER_SECOND * 1_000_000)))


def _zone_of(zone: Any) -> Zone:
    return zone_named(zone) if isinstance(zone, str) else _of_interval(zone)


def _to_instant(zone: Any, micros: int) -> int:
    found = _zone_of(zone)
    if micros in (TIMESTAMP_INFINITY, TIMESTAMP_NEG_INFINITY):
        return micros
    return timestamp_in_range(micros - found.offset_s_of_local(micros) * MICROS_PER_SECOND)


def _to_local(zone: Any, micros: int) -> int:
    found = _zone_of(zone)
    if micros in (TIMESTAMP_INFINITY, TIMESTAMP_NEG_INFINITY):
        return micros
    return timestamp_in_range(micros + found.offset_s_at(micros) * MICROS_PER_SECOND)


for _type in ("text", "interval"):
    function(f"timezone({_type}, timestamp) timestamptz", _to_instant)
    function(f"timezone({_type}, timestamptz) timestamp", _to_local)
