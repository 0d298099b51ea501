"""What AS OF SYSTEM TIME means: a value of SQL to a timestamp of the store.

**Model.** The same forms as in CockroachDB. Text is a point in time, else an HLC decimal as
`cluster_logical_timestamp()` prints it, else a span back from the transaction's start. A point in
time stands for the first timestamp of its microsecond: what was committed before it is seen.

**Source.** CockroachDB, pkg/sql/sem/asof; Go's time.ParseDuration for '-1h30m'.
"""

import re
from decimal import Decimal
from typing import Any, Final

from kvapi.hlc import from_decimal, from_wall_us
from pgwire import oids
from pgwire.codecs.datetimes import timestamptz_in
from pgwire.codecs.intervals import interval_in
from pgwire.codecs.registry import text_out
from pgwire.codecs.settings import Settings
from pgwire.datum import Interval
from pgwire.errors import DatatypeMismatch, InvalidParameterValue, SqlError
from sqlnode.functions.datetime_ops import add_to_timestamptz
from sqlnode.types import SqlType

POSTGRES_EPOCH_US: Final = 946_684_800_000_000  # 2000-01-01 UTC, microseconds since 1970
_AHEAD_US_MAX: Final = 500_000  # the store's clock may have been ahead when it gave a timestamp
_SPAN: Final = re.compile(r"([+-]?)((?:\d+(?:\.\d*)?|\.\d+)(?:h|ms|us|µs|m|s))+")
_SPAN_PART: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(h|ms|us|µs|m|s)")
_UNITS_US: Final = {
    "h": 3_600_000_000,
    "m": 60_000_000,
    "s": 1_000_000,
    "ms": 1_000,
    "us": 1,
    "µs": 1,
}
_DECIMAL: Final = re.compile(r"\d+(?:\.\d*)?")
_NUMBERS: Final = frozenset({oids.INT2, oids.INT4, oids.INT8, oids.NUMERIC})


class Zoned:
    """The context that date arithmetic asks for."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings


def past_timestamp(value: Any, type_: SqlType, *, now_micros: int, settings: Settings) -> int:
    """Return the timestamp of a value; `now_micros` as in ExecContext.

    Raises: InvalidParameterValue for the future or for what is no time, DatatypeMismatch.
    """
    if value is None:
        raise InvalidParameterValue("AS OF SYSTEM TIME must not be null")
    if isinstance(value, str):
        return _from_text(value, now_micros, settings)
    if type_.oid in _NUMBERS:
        return _from_number(Decimal(value), now_micros)
    if isinstance(value, Interval):
        return _from_micros(add_to_timestamptz(Zoned(settings), now_micros, value), now_micros)
    if type_.oid == oids.TIMESTAMPTZ:
        return _from_micros(value, now_micros)
    if type_.oid in (oids.TIMESTAMP, oids.DATE):  # the session's zone is meant
        return _from_text(str(text_out(type_.oid)(value, settings)), now_micros, settings)
    raise DatatypeMismatch(
        f"AS OF SYSTEM TIME must be a timestamp, a decimal or an interval, not {type_}"
    )


def _from_text(text: str, now_micros: int, settings: Settings) -> int:
    text = text.strip()
    if _DECIMAL.fullmatch(text):
        return _from_number(Decimal(text), now_micros)
    if _SPAN.fullmatch(text):
        return _from_micros(now_micros + _span_micros(text), now_micros)
    try:
        micros = timestamptz_in(text, settings)
    except SqlError:
        try:
            span = interval_in(text, settings)
        except SqlError:
            raise InvalidParameterValue(
                f'AS OF SYSTEM TIME: "{text}" is neither timestamp, decimal, nor interval'
            ) from None
        micros = add_to_timestamptz(Zoned(settings), now_micros, span)
    return _from_micros(micros, now_micros)


def _span_micros(text: str) -> int:
    total = sum(Decimal(number) * _UNITS_US[unit] for number, unit in _SPAN_PART.findall(text))
    return -int(total) if text.startswith("-") else int(total)


def _from_number(value: Decimal, now_micros: int) -> int:
    if not value.is_finite() or value <= 0:
        raise InvalidParameterValue("AS OF SYSTEM TIME: a decimal counts nanoseconds since 1970")
    if value > (now_micros + POSTGRES_EPOCH_US + _AHEAD_US_MAX) * 1000:
        raise _future()
    return from_decimal(value)


def _from_micros(micros: int, now_micros: int) -> int:
    if micros > now_micros:
        raise _future()
    return from_wall_us(max(micros + POSTGRES_EPOCH_US, 1))


def _future() -> InvalidParameterValue:
    return InvalidParameterValue("cannot specify timestamp in the future")
