"""What a type modifier does to a datum: numeric(p,s), varchar(n), char(n), time and timestamp(p).

Source: PostgreSQL, varchar.c (explicit casts cut silently, assignments only blanks),
AdjustTimestampForTypmod (half away from zero).
"""

from collections.abc import Callable
from typing import Any, Final

from pgwire.datum import TIMESTAMP_INFINITY, TIMESTAMP_NEG_INFINITY, Interval
from pgwire.errors import FeatureNotSupported, StringDataRightTruncation
from sqlnode import types
from sqlnode.functions.decimals import apply_typmod
from sqlnode.types import SqlType, element_of, numeric_precision_scale

Coerce = Callable[[Any], Any]
_HEADER: Final = 4  # VARHDRSZ, part of the modifier of varchar and char
_INTERVAL_FULL_RANGE: Final = 0x7FFF
_TIMES: Final = (types.TIME.oid, types.TIMESTAMP.oid, types.TIMESTAMPTZ.oid)


def coercion(sql_type: SqlType, *, explicit: bool) -> Coerce | None:
    """Return the function that fits a non-NULL datum to `sql_type`, None if all fit.

    Raises: FeatureNotSupported.
    """
    if sql_type.typmod < 0:
        return None
    element = element_of(sql_type)
    if element is not None:
        one = coercion(element, explicit=explicit)
        return None if one is None else _each(one)
    if sql_type.oid == types.NUMERIC.oid:
        return _numeric(sql_type)
    if sql_type.oid in (types.VARCHAR.oid, types.BPCHAR.oid):
        return _text(sql_type, explicit)
    if sql_type.oid in _TIMES:
        return _rounded_micros(sql_type.typmod)
    if sql_type.oid == types.INTERVAL.oid:
        return _interval(sql_type)
    return None


def _each(one: Coerce) -> Coerce:
    def each(array: list[Any]) -> list[Any]:
        return [
            each(item) if isinstance(item, list) else None if item is None else one(item)
            for item in array
        ]

    return each


def _numeric(sql_type: SqlType) -> Coerce | None:
    parts = numeric_precision_scale(sql_type.typmod)
    if parts is None:
        return None
    precision, scale = parts
    return lambda datum: apply_typmod(datum, precision, scale)


def _text(sql_type: SqlType, explicit: bool) -> Coerce:
    length = sql_type.typmod - _HEADER
    pads = sql_type.oid == types.BPCHAR.oid

    def fit(text: str) -> str:
        if len(text) > length:
            if not explicit and text[length:].strip(" "):
                raise StringDataRightTruncation(f"value too long for type {sql_type}")
            return text[:length]
        return text.ljust(length) if pads else text

    return fit


def _rounded_micros(precision: int) -> Coerce | None:
    if precision >= 6:
        return None
    unit = 10 ** (6 - precision)

    def fit(micros: int) -> int:
        if micros in (TIMESTAMP_INFINITY, TIMESTAMP_NEG_INFINITY):
            return micros
        size = (abs(micros) + unit // 2) // unit * unit
        return -size if micros < 0 else size

    return fit


def _interval(sql_type: SqlType) -> Coerce | None:
    precision, fields = sql_type.typmod & 0xFFFF, sql_type.typmod >> 16 & 0x7FFF
    if fields != _INTERVAL_FULL_RANGE:
        raise FeatureNotSupported("interval fields are not supported")
    round_micros = _rounded_micros(precision)
    if round_micros is None:
        return None
    return lambda value: Interval(value.months, value.days, round_micros(value.micros))
