"""Binary format of the scalar types: fixed-width big-endian numbers, and bytes.

Source: the *_send and *_recv functions of PostgreSQL's type modules.
"""

import struct
from collections.abc import Callable
from typing import Any, Final

from pgwire import oids
from pgwire.codecs.datetimes import time_is_valid
from pgwire.codecs.json_text import json_in, jsonb_in
from pgwire.codecs.numerics import numeric_binary_in, numeric_binary_out
from pgwire.codecs.scalars import decode_utf8
from pgwire.codecs.settings import Settings
from pgwire.datum import (
    DATE_INFINITY,
    DATE_MAX,
    DATE_MIN,
    DATE_NEG_INFINITY,
    TIMESTAMP_END,
    TIMESTAMP_INFINITY,
    TIMESTAMP_MIN,
    TIMESTAMP_NEG_INFINITY,
    Datum,
    Interval,
)
from pgwire.errors import (
    DatetimeFieldOverflow,
    FeatureNotSupported,
    InvalidBinaryRepresentation,
    NumericValueOutOfRange,
)

BinaryOut = Callable[[Datum], bytes]
BinaryIn = Callable[[bytes, Settings | None], Datum]

FORMATS: Final[dict[int, str]] = {
    oids.BOOL: "?",
    oids.INT2: "h",
    oids.INT4: "i",
    oids.INT8: "q",
    oids.FLOAT4: "f",
    oids.FLOAT8: "d",
    oids.DATE: "i",
    oids.TIME: "q",
    oids.TIMESTAMP: "q",
    oids.TIMESTAMPTZ: "q",
    oids.OID: "I",
    oids.REGPROC: "I",
    oids.REGPROCEDURE: "I",
    oids.REGOPER: "I",
    oids.REGOPERATOR: "I",
    oids.REGCLASS: "I",
    oids.REGTYPE: "I",
    oids.REGNAMESPACE: "I",
    oids.REGROLE: "I",
    oids.REGCONFIG: "I",
    oids.REGDICTIONARY: "I",
    oids.REGCOLLATION: "I",
    oids.XID: "I",
    oids.CID: "I",
    oids.XID8: "Q",
}
"""struct code of every fixed-width type that is one number."""

TEXT_LIKE: Final = frozenset(
    {
        oids.TEXT,
        oids.VARCHAR,
        oids.BPCHAR,
        oids.NAME,
        oids.UNKNOWN,
        oids.CSTRING,
        oids.REFCURSOR,
        oids.XML,
        oids.PG_NODE_TREE,
        oids.ACLITEM,
    }
)
"""Types whose binary format is their text in UTF-8."""

_INTERVAL: Final = struct.Struct("!qii")


def wrong_format() -> InvalidBinaryRepresentation:
    """Build the error of binary data with a wrong length or shape."""
    return InvalidBinaryRepresentation("incorrect binary data format")


def _packer(code: str) -> BinaryOut:
    pack = struct.Struct("!" + code).pack

    def packed(value: Datum) -> bytes:
        try:
            return pack(value)
        except struct.error:
            # Object identifiers may be held as text (regclass names, xid).
            return pack(int(value))
        except OverflowError:
            raise NumericValueOutOfRange(f'"{value}" is out of range for type real') from None

    return packed


def _unpacker(code: str) -> BinaryIn:
    layout = struct.Struct("!" + code)

    def unpacked(data: bytes, _settings: Settings | None = None) -> Datum:
        if len(data) != layout.size:
            raise wrong_format()
        return layout.unpack(data)[0]

    return unpacked


def _xid_in(code: str) -> BinaryIn:
    unpack = _unpacker(code)

    def xid_in(data: bytes, settings: Settings | None = None) -> str:
        return str(unpack(data, settings))

    return xid_in


def date_in(data: bytes, _settings: Settings | None = None) -> int:
    """Decode a date and check its range."""
    if len(data) != 4:
        raise wrong_format()
    days = int.from_bytes(data, "big", signed=True)
    if not DATE_MIN <= days <= DATE_MAX and days not in (DATE_INFINITY, DATE_NEG_INFINITY):
        raise DatetimeFieldOverflow("date out of range")
    return days


def time_in(data: bytes, _settings: Settings | None = None) -> int:
    """Decode a time of day and check its range."""
    micros = int.from_bytes(data, "big", signed=True)
    if len(data) != 8:
        raise wrong_format()
    if not time_is_valid(micros):
        raise DatetimeFieldOverflow("time out of range")
    return micros


def timestamp_in(data: bytes, _settings: Settings | None = None) -> int:
    """Decode a timestamp and check its range."""
    if len(data) != 8:
        raise wrong_format()
    micros = int.from_bytes(data, "big", signed=True)
    is_finite = TIMESTAMP_MIN <= micros < TIMESTAMP_END
    if not is_finite and micros not in (TIMESTAMP_INFINITY, TIMESTAMP_NEG_INFINITY):
        raise DatetimeFieldOverflow("timestamp out of range")
    return micros


def _interval_in(data: bytes, _settings: Settings | None = None) -> Interval:
    if len(data) != 16:
        raise wrong_format()
    micros, days, months = _INTERVAL.unpack(data)
    return Interval(months, days, micros)


def _interval_out(value: Interval) -> bytes:
    return _INTERVAL.pack(value[2], value[1], value[0])


def _bool_in(data: bytes, _settings: Settings | None = None) -> bool:
    if len(data) != 1:
        raise wrong_format()
    return data != b"\0"


def _uuid_in(data: bytes, _settings: Settings | None = None) -> bytes:
    if len(data) != 16:
        raise wrong_format()
    return bytes(data)


def _char_in(data: bytes, _settings: Settings | None = None) -> str:
    if len(data) != 1:
        raise wrong_format()
    return "" if data == b"\0" else data.decode("latin-1")


def _char_out(value: str) -> bytes:
    return value.encode("latin-1", "replace")[:1] or b"\0"


def _jsonb_in(data: bytes, settings: Settings | None = None) -> str:
    if data[:1] != b"\x01":
        number = data[0] if data else 0
        raise InvalidBinaryRepresentation(f"unsupported jsonb version number {number}")
    return jsonb_in(decode_utf8(data[1:]), settings)


def _text_in(data: bytes, _settings: Settings | None = None) -> str:
    return decode_utf8(data)


def _json_in(data: bytes, settings: Settings | None = None) -> str:
    return json_in(decode_utf8(data), settings)


def _utf8(value: str) -> bytes:
    return value.encode()


def _jsonb_out(value: str) -> bytes:
    return b"\x01" + value.encode()


def _void_out(_value: Any) -> bytes:
    return b""


_OUT: Final[dict[int, BinaryOut]] = {
    **{oid: _packer(code) for oid, code in FORMATS.items()},
    **dict.fromkeys(TEXT_LIKE, _utf8),
    oids.JSON: _utf8,
    oids.JSONB: _jsonb_out,
    oids.BYTEA: bytes,
    oids.UUID: bytes,
    oids.CHAR: _char_out,
    oids.NUMERIC: numeric_binary_out,
    oids.INTERVAL: _interval_out,
    oids.VOID: _void_out,
}


def _bytea_in(data: bytes, _settings: Settings | None = None) -> bytes:
    return bytes(data)


_IN: Final[dict[int, BinaryIn]] = {
    **{oid: _unpacker(code) for oid, code in FORMATS.items()},
    **dict.fromkeys(TEXT_LIKE, _text_in),
    oids.BOOL: _bool_in,
    oids.DATE: date_in,
    oids.TIME: time_in,
    oids.TIMESTAMP: timestamp_in,
    oids.TIMESTAMPTZ: timestamp_in,
    oids.XID: _xid_in("I"),
    oids.CID: _xid_in("I"),
    oids.XID8: _xid_in("Q"),
    oids.JSON: _json_in,
    oids.JSONB: _jsonb_in,
    oids.BYTEA: _bytea_in,
    oids.UUID: _uuid_in,
    oids.CHAR: _char_in,
    oids.NUMERIC: numeric_binary_in,
    oids.INTERVAL: _interval_in,
}


def scalar_out(type_oid: int) -> BinaryOut:
    """Return the binary encoder of a scalar type. Raises: FeatureNotSupported."""
    encoder = _OUT.get(type_oid)
    if encoder is None:
        raise FeatureNotSupported(f"binary output of type {type_oid} is not supported")
    return encoder


def scalar_in(type_oid: int) -> BinaryIn:
    """Return the binary decoder of a scalar type. Raises: FeatureNotSupported."""
    decoder = _IN.get(type_oid)
    if decoder is None:
        raise FeatureNotSupported(f"binary input of type {type_oid} is not supported")
    return decoder
