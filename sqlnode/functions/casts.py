"""The casts of pg_cast between scalar types; casts by way of text are the binder's.

A binary-coercible cast has no function: the datum is the same. float to integer rounds half to
even as C's rint(), numeric to integer half away from zero.
"""

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from pgwire.codecs import scalars
from pgwire.codecs.json_text import jsonb_in
from pgwire.codecs.numerics import numeric_out
from pgwire.datum import (
    DATE_INFINITY,
    DATE_NEG_INFINITY,
    MICROS_PER_DAY,
    MICROS_PER_SECOND,
    TIMESTAMP_END,
    TIMESTAMP_INFINITY,
    TIMESTAMP_MIN,
    TIMESTAMP_NEG_INFINITY,
    Interval,
)
from pgwire.errors import DatetimeFieldOverflow, FeatureNotSupported, NumericValueOutOfRange
from sqlnode.functions import decimals
from sqlnode.functions.define import STABLE, build
from sqlnode.functions.floats import overflow, single, underflow
from sqlnode.functions.integers import BITS, SQL_NAMES, checked, out_of_range
from sqlnode.functions.registry import REGISTRY, CastContext, CastRule
from sqlnode.types import BY_NAME

EXPLICIT: Final = CastContext.EXPLICIT
ASSIGNMENT: Final = CastContext.ASSIGNMENT
IMPLICIT: Final = CastContext.IMPLICIT
_DUCK_INTEGER: Final = {"int2": "SMALLINT", "int4": "INTEGER", "int8": "BIGINT"}
_REG_TYPES: Final = (
    "regclass", "regtype", "regproc", "regprocedure", "regnamespace", "regrole",
)  # fmt: skip


def cast(
    source: str,
    target: str,
    context: CastContext,
    python: Callable[..., Any] | None = None,
    duck: str | None = None,
    **fields: Any,
) -> None:
    """Register a cast; without `python` it is binary coercible."""
    function = None
    if python is not None:
        function = build(f"{target}({source}) {target}", python, duck, **fields)
    REGISTRY.add_cast(CastRule(BY_NAME[source], BY_NAME[target], context, function))


def float_to_integer(name: str) -> Callable[[float], int]:
    """Return the cast of float4 and float8 to an integer type."""
    low, high = -(2.0 ** (BITS[name] - 1)), 2.0 ** (BITS[name] - 1)

    def convert(value: float) -> int:
        if math.isfinite(value):
            rounded = round(value)
            if low <= rounded < high:
                return rounded
        raise out_of_range(name)

    return convert


def numeric_to_integer(name: str) -> Callable[[Decimal], int]:
    """Return the cast of numeric to an integer type."""
    low, high = -(1 << (BITS[name] - 1)), (1 << (BITS[name] - 1)) - 1

    def convert(value: Decimal) -> int:
        if not value.is_finite():
            shown = "NaN" if value.is_nan() else "infinity"
            raise FeatureNotSupported(f"cannot convert {shown} to {SQL_NAMES[name]}")
        if value.adjusted() > 20:
            raise out_of_range(name)
        rounded = int(decimals.rounded(value, 0))
        if low <= rounded <= high:
            return rounded
        raise out_of_range(name)

    return convert


def float_to_numeric(digits: int) -> Callable[[float], Decimal]:
    """Return the cast of a float with so many significant decimal digits."""

    def convert(value: float) -> Decimal:
        if math.isnan(value):
            return decimals.NAN
        if math.isinf(value):
            return decimals.INFINITY if value > 0 else -decimals.INFINITY
        return decimals.result(Decimal(f"{value:.{digits}g}"))

    return convert


def numeric_to_float8(value: Decimal) -> float:
    """Convert to the nearest double. Raises: NumericValueOutOfRange."""
    if not value.is_finite():
        return float(value)
    converted = float(value)
    if math.isinf(converted) or (converted == 0.0 and value):
        raise scalars.float_out_of_range(numeric_out(value), "double precision")
    return converted


def numeric_to_float4(value: Decimal) -> float:
    """Convert to the nearest real. Raises: NumericValueOutOfRange."""
    return scalars.float4_in(numeric_out(value)) if value.is_finite() else float(value)


def float8_to_float4(value: float) -> float:
    """Round to 32 bits. Raises: NumericValueOutOfRange."""
    narrow = single(value)
    if math.isinf(narrow) and not math.isinf(value):
        raise overflow()
    if narrow == 0.0 and value != 0.0:
        raise underflow()
    return narrow


def _integer_casts() -> None:
    for source in BITS:
        for target in BITS:
            if BITS[source] < BITS[target]:
                cast(source, target, IMPLICIT, int, f"CAST({{0}} AS {_DUCK_INTEGER[target]})")
            elif BITS[source] > BITS[target]:
                duck = f"CAST({{0}} AS {_DUCK_INTEGER[target]})"
                cast(source, target, ASSIGNMENT, checked(int, target), duck)
        cast(source, "float8", IMPLICIT, float, "CAST({0} AS DOUBLE)")
        cast(source, "float4", IMPLICIT, lambda value: single(float(value)), "CAST({0} AS FLOAT)")
        cast(source, "numeric", IMPLICIT, Decimal)
        for wide in ("float4", "float8"):
            duck = f"CAST({{0}} AS {_DUCK_INTEGER[source]})"
            cast(wide, source, ASSIGNMENT, float_to_integer(source), duck)
        cast("numeric", source, ASSIGNMENT, numeric_to_integer(source))


_integer_casts()
cast("float4", "float8", IMPLICIT, float, "CAST({0} AS DOUBLE)")
cast("float8", "float4", ASSIGNMENT, float8_to_float4)
cast("float4", "numeric", ASSIGNMENT, float_to_numeric(6))
cast("float8", "numeric", ASSIGNMENT, float_to_numeric(15))
cast("numeric", "float4", IMPLICIT, numeric_to_float4)
cast("numeric", "float8", IMPLICIT, numeric_to_float8)
cast("int4", "bool", EXPLICIT, bool, "({0} <> 0)")
cast("bool", "int4", EXPLICIT, int, "CAST({0} AS INTEGER)")


def _int8_to_oid(value: int) -> int:
    if 0 <= value < 2**32:
        return value
    raise NumericValueOutOfRange("OID out of range")


def _wrap_int4(value: int) -> int:
    return value - 2**32 if value >= 2**31 else value


for _name in ("oid", *_REG_TYPES):
    cast("int2", _name, IMPLICIT, lambda value: value % 2**32)
    cast("int4", _name, IMPLICIT, lambda value: value % 2**32)
    cast("int8", _name, IMPLICIT, _int8_to_oid)
    cast(_name, "int4", ASSIGNMENT, _wrap_int4)
    cast(_name, "int8", ASSIGNMENT)
    if _name != "oid":
        cast("oid", _name, IMPLICIT)
        cast(_name, "oid", IMPLICIT)
cast("regproc", "regprocedure", IMPLICIT)
cast("regprocedure", "regproc", IMPLICIT)


def _trimmed(text: str) -> str:
    return text.rstrip(" ")


_DUCK_TRIMMED: Final = "rtrim({0}, ' ')"
for _source, _target in (("text", "varchar"), ("varchar", "text"), ("text", "bpchar")):
    cast(_source, _target, IMPLICIT)
cast("varchar", "bpchar", IMPLICIT)
cast("bpchar", "text", IMPLICIT, _trimmed, _DUCK_TRIMMED)
cast("bpchar", "varchar", IMPLICIT, _trimmed, _DUCK_TRIMMED)
cast("name", "text", IMPLICIT)
cast("name", "varchar", ASSIGNMENT)
cast("name", "bpchar", ASSIGNMENT)
cast("text", "name", IMPLICIT, scalars.name_in)
cast("varchar", "name", IMPLICIT, scalars.name_in)
cast("bpchar", "name", IMPLICIT, lambda text: scalars.name_in(_trimmed(text)))
cast("char", "text", IMPLICIT)
cast("char", "varchar", ASSIGNMENT)
cast("char", "bpchar", ASSIGNMENT)
cast("text", "char", ASSIGNMENT, scalars.char_in)
cast("varchar", "char", ASSIGNMENT, scalars.char_in)
cast("bpchar", "char", ASSIGNMENT, scalars.char_in)


def _char_to_int4(text: str) -> int:
    code = ord(text) if text else 0
    return code - 256 if code > 127 else code


def _int4_to_char(value: int) -> str:
    if not -128 <= value <= 127:
        raise NumericValueOutOfRange('"char" out of range')
    return chr(value & 0xFF) if value else ""


cast("char", "int4", EXPLICIT, _char_to_int4)
cast("int4", "char", EXPLICIT, _int4_to_char)
for _target in ("text", "varchar", "bpchar"):
    cast("bool", _target, ASSIGNMENT, lambda value: "true" if value else "false",
         "CAST({0} AS VARCHAR)")  # fmt: skip
cast("json", "jsonb", ASSIGNMENT, jsonb_in)
cast("jsonb", "json", ASSIGNMENT)
cast("xid8", "xid", EXPLICIT, lambda value: value % 2**32)


def date_to_timestamp(days: int) -> int:
    """Return midnight of a date. Raises: DatetimeFieldOverflow."""
    if days == DATE_INFINITY:
        return TIMESTAMP_INFINITY
    if days == DATE_NEG_INFINITY:
        return TIMESTAMP_NEG_INFINITY
    micros = days * MICROS_PER_DAY
    if micros >= TIMESTAMP_END:
        raise DatetimeFieldOverflow("date out of range for timestamp")
    return micros


def timestamp_in_range(micros: int) -> int:
    """Return `micros` if a timestamp can hold it. Raises: DatetimeFieldOverflow."""
    if TIMESTAMP_MIN <= micros < TIMESTAMP_END:
        return micros
    raise DatetimeFieldOverflow("timestamp out of range")


def timestamp_to_timestamptz(ctx: Any, micros: int) -> int:
    """Read local time in the session's zone as an instant."""
    if micros in (TIMESTAMP_INFINITY, TIMESTAMP_NEG_INFINITY):
        return micros
    zone = ctx.settings.zone
    return timestamp_in_range(micros - zone.offset_s_of_local(micros) * MICROS_PER_SECOND)


def timestamptz_to_timestamp(ctx: Any, micros: int) -> int:
    """Return the local time of an instant in the session's zone."""
    if micros in (TIMESTAMP_INFINITY, TIMESTAMP_NEG_INFINITY):
        return micros
    zone = ctx.settings.zone
    return timestamp_in_range(micros + zone.offset_s_at(micros) * MICROS_PER_SECOND)


def date_to_timestamptz(ctx: Any, days: int) -> int:
    """Return local midnight of a date as an instant."""
    return timestamp_to_timestamptz(ctx, date_to_timestamp(days))


def timestamp_to_date(micros: int) -> int:
    """Return the day of a timestamp."""
    if micros == TIMESTAMP_INFINITY:
        return DATE_INFINITY
    if micros == TIMESTAMP_NEG_INFINITY:
        return DATE_NEG_INFINITY
    return micros // MICROS_PER_DAY


def timestamp_to_time(micros: int) -> int | None:
    """Return the time of day; NULL for infinity."""
    if micros in (TIMESTAMP_INFINITY, TIMESTAMP_NEG_INFINITY):
        return None
    return micros % MICROS_PER_DAY


def _of_local(convert: Callable[[int], Any]) -> Callable[[Any, int], Any]:
    return lambda ctx, micros: convert(timestamptz_to_timestamp(ctx, micros))


_SESSION: Final[dict[str, Any]] = {"needs_context": True, "volatility": STABLE}
cast("date", "timestamp", IMPLICIT, date_to_timestamp)
cast("date", "timestamptz", IMPLICIT, date_to_timestamptz, **_SESSION)
cast("timestamp", "date", ASSIGNMENT, timestamp_to_date)
cast("timestamp", "time", ASSIGNMENT, timestamp_to_time)
cast("timestamp", "timestamptz", IMPLICIT, timestamp_to_timestamptz, **_SESSION)
cast("timestamptz", "date", ASSIGNMENT, _of_local(timestamp_to_date), **_SESSION)
cast("timestamptz", "time", ASSIGNMENT, _of_local(timestamp_to_time), **_SESSION)
cast("timestamptz", "timestamp", ASSIGNMENT, timestamptz_to_timestamp, **_SESSION)
cast("time", "interval", IMPLICIT, lambda micros: Interval(0, 0, micros))
cast("interval", "time", ASSIGNMENT, lambda value: value.micros % MICROS_PER_DAY)
