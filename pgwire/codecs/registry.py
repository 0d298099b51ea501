"""Look up a type's input and output functions. SQL casts from and to text use the same ones.

`text_in(oid)(text, settings)` · `text_out(oid)(datum, settings)` ·
`binary_in(oid)(data, settings)` · `binary_out(oid)(datum)`. NULL never reaches any of them.
For many datums of one type take `text_output(oid, settings)`: it looks at the settings only once.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from pgwire import oids
from pgwire.codecs import arrays, binary, byteas, calendar, floats, scalars
from pgwire.codecs.datetimes import date_in, time_in, timestamp_in, timestamptz_in
from pgwire.codecs.intervals import interval_in, interval_out
from pgwire.codecs.json_text import json_in, jsonb_in
from pgwire.codecs.numerics import numeric_in, numeric_out
from pgwire.codecs.records import record_output
from pgwire.codecs.settings import DEFAULT_SETTINGS, Settings
from pgwire.datum import Datum
from pgwire.errors import FeatureNotSupported

TextIn = Callable[[str, Settings | None], Datum]
TextOut = Callable[[Datum, Settings | None], str]

REG_TYPES: Final = frozenset(
    {
        oids.REGPROC,
        oids.REGPROCEDURE,
        oids.REGOPER,
        oids.REGOPERATOR,
        oids.REGCLASS,
        oids.REGTYPE,
        oids.REGNAMESPACE,
        oids.REGROLE,
        oids.REGCONFIG,
        oids.REGDICTIONARY,
        oids.REGCOLLATION,
    }
)
"""Names are the catalog's business: here these are numbers; a datum that is text goes out as is."""


def bool_out(value: bool) -> str:
    """Write a boolean as output functions do (a cast to text gives true and false instead)."""
    return "t" if value else "f"


def uuid_out(value: bytes) -> str:
    """Write a UUID with hyphens."""
    digits = value.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


_TEXT_IN: Final[dict[int, TextIn]] = {
    **dict.fromkeys(binary.TEXT_LIKE, scalars.text_in),
    **dict.fromkeys(REG_TYPES, scalars.oid_in),
    oids.BOOL: scalars.bool_in,
    oids.INT2: scalars.int2_in,
    oids.INT4: scalars.int4_in,
    oids.INT8: scalars.int8_in,
    oids.FLOAT4: scalars.float4_in,
    oids.FLOAT8: scalars.float8_in,
    oids.NUMERIC: numeric_in,
    oids.NAME: scalars.name_in,
    oids.CHAR: scalars.char_in,
    oids.BYTEA: byteas.bytea_in,
    oids.DATE: date_in,
    oids.TIME: time_in,
    oids.TIMESTAMP: timestamp_in,
    oids.TIMESTAMPTZ: timestamptz_in,
    oids.INTERVAL: interval_in,
    oids.UUID: scalars.uuid_in,
    oids.JSON: json_in,
    oids.JSONB: jsonb_in,
    oids.OID: scalars.oid_in,
    oids.XID: scalars.text_in,
    oids.CID: scalars.text_in,
    oids.XID8: scalars.text_in,
    oids.VOID: scalars.void_in,
    oids.INT2VECTOR: arrays.vector_input(scalars.int2_in),
    oids.OIDVECTOR: arrays.vector_input(scalars.oid_in),
}

_TEXT_OUT: Final[dict[int, Callable[[Datum], str]]] = {
    **dict.fromkeys(binary.TEXT_LIKE, str),
    **dict.fromkeys(REG_TYPES, str),
    **dict.fromkeys(
        (oids.INT2, oids.INT4, oids.INT8, oids.OID, oids.XID, oids.CID, oids.XID8), str
    ),
    **dict.fromkeys((oids.JSON, oids.JSONB), str),
    oids.CHAR: scalars.char_out,
    oids.BOOL: bool_out,
    oids.FLOAT4: floats.float4_out,
    oids.FLOAT8: floats.float8_out,
    oids.NUMERIC: numeric_out,
    oids.BYTEA: byteas.bytea_hex_out,
    oids.DATE: calendar.date_out,
    oids.TIME: calendar.time_out,
    oids.TIMESTAMP: calendar.timestamp_out,
    oids.INTERVAL: interval_out,
    oids.UUID: uuid_out,
    oids.INT2VECTOR: arrays.vector_out,
    oids.OIDVECTOR: arrays.vector_out,
    oids.VOID: str,
}


def text_in(type_oid: int) -> TextIn:
    """Return the text input function of a type. Raises: FeatureNotSupported."""
    if (function := _TEXT_IN.get(type_oid)) is not None:
        return function
    if (element := oids.ELEMENT_OF.get(type_oid)) is not None:
        return arrays.array_input(text_in(element))
    if type_oid == oids.RECORD:
        raise FeatureNotSupported("input of anonymous composite types is not implemented")
    raise FeatureNotSupported(f"text input of type {type_oid} is not supported")


@lru_cache(maxsize=1024)
def text_output(type_oid: int, settings: Settings = DEFAULT_SETTINGS) -> Callable[[Datum], str]:
    """Return the text output function of a type under `settings`. Raises: FeatureNotSupported."""
    if type_oid == oids.TIMESTAMPTZ:
        return calendar.timestamptz_output(settings.zone)
    if type_oid == oids.BYTEA and settings.bytea_output == "escape":
        return byteas.bytea_escape_out
    if type_oid in (oids.FLOAT4, oids.FLOAT8) and settings.extra_float_digits <= 0:
        return floats.RoundedOutput(
            settings.extra_float_digits + (6 if type_oid == oids.FLOAT4 else 15)
        )
    if (function := _TEXT_OUT.get(type_oid)) is not None:
        return function
    if type_oid == oids.RECORD:
        return record_output(lambda field_oid: text_output(field_oid, settings))
    if (element := oids.ELEMENT_OF.get(type_oid)) is not None:
        return arrays.array_output(text_output(element, settings))
    raise FeatureNotSupported(f"text output of type {type_oid} is not supported")


def text_out(type_oid: int) -> TextOut:
    """Return a type's text output as a function of datum and settings."""

    def out(value: Datum, settings: Settings | None = None) -> str:
        return text_output(type_oid, settings or DEFAULT_SETTINGS)(value)

    return out


@lru_cache(maxsize=1024)
def binary_out(type_oid: int) -> Callable[[Datum], bytes]:
    """Return the binary encoder of a type. Raises: FeatureNotSupported."""
    if type_oid in (oids.INT2VECTOR, oids.OIDVECTOR):
        element = oids.INT2 if type_oid == oids.INT2VECTOR else oids.OID
        return arrays.array_binary_output(element, binary.scalar_out(element), lower_bound=0)
    if (element_oid := oids.ELEMENT_OF.get(type_oid)) is not None:
        return arrays.array_binary_output(element_oid, binary_out(element_oid))
    return binary.scalar_out(type_oid)


@lru_cache(maxsize=1024)
def binary_in(type_oid: int) -> Callable[[bytes, Settings | None], Datum]:
    """Return the binary decoder of a type. Raises: FeatureNotSupported."""
    if type_oid in (oids.INT2VECTOR, oids.OIDVECTOR):
        element = oids.INT2 if type_oid == oids.INT2VECTOR else oids.OID
        return arrays.array_binary_input(element, binary.scalar_in(element))
    if (element_oid := oids.ELEMENT_OF.get(type_oid)) is not None:
        return arrays.array_binary_input(element_oid, binary_in(element_oid))
    return binary.scalar_in(type_oid)
