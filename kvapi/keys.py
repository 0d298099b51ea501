r"""Order-preserving key encoding: byte order of the keys equals PostgreSQL's order of the columns.

Layout of a key: its columns one after the other, each a marker byte and, unless NULL, the value:

    marker   \x00 NULL of a NULLS FIRST column · \x01 a value · \x02 NULL of a NULLS LAST column
    INT      8 bytes, big-endian, sign bit flipped
    FLOAT    8 bytes IEEE big-endian; negative: all bits flipped, else: sign bit flipped. -0 is 0,
             one NaN, above +inf
    TEXT     UTF-8, \x00 written as \x00\xff, ended by \x00\x01 (C order)
    BYTES    as TEXT, without UTF-8
    BOOL     1 byte
    UUID     16 bytes
    INTERVAL 12 bytes, big-endian, biased by 2**95: microseconds with 30-day months and 24-hour days
    NUMERIC  class \x01 -inf \x02 negative \x03 zero \x04 positive \x05 +inf \x06 NaN; for finite
             non-zero ones with |x| = 0.d1d2… × 10**e: e as 4 bytes biased by 2**31, pairs of
             digits as bytes 1…100, \x00; all of it inverted where x is negative

A descending column's value bytes (not its marker) are inverted.

**Invariants.** No encoded value is a proper prefix of another value of its column, so columns
concatenate. Decoding gives an equal value; for the kinds in `LOSSY_KINDS` equal is not identical
(scale of a numeric, sign of a zero, `1 mon` and `30 days`): who must show the original stores it in
the row's value as well.
"""

import enum
import struct
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

from kvapi.spans import Span, prefix_end

Datum = Any
_MARK_NULL_FIRST: Final = b"\x00"
_MARK_VALUE: Final = b"\x01"
_MARK_NULL_LAST: Final = b"\x02"
_SIGN: Final = 1 << 63
_ALL_ONES: Final = (1 << 64) - 1
_INVERTED: Final = bytes(255 - byte for byte in range(256))
_U64 = struct.Struct(">Q")
_F64 = struct.Struct(">d")
_U32 = struct.Struct(">I")
_NAN_BITS: Final = 0x7FF8_0000_0000_0000

_INTERVAL_BYTES: Final = 12
_INTERVAL_BIAS: Final = 1 << 95
_DAY_MICROS: Final = 86_400_000_000
_MONTH_DAYS: Final = 30


class KeyKind(enum.IntEnum):
    """How a column's datum is encoded in a key."""

    INT = 1  # every integer type, date, time, timestamp
    FLOAT = 2
    TEXT = 3
    BYTES = 4
    BOOL = 5
    NUMERIC = 6
    INTERVAL = 7
    UUID = 8


LOSSY_KINDS: Final = frozenset({KeyKind.FLOAT, KeyKind.NUMERIC, KeyKind.INTERVAL})


class KeyColumn(NamedTuple):
    """One column of a key; `nulls_first=None` is PostgreSQL's default: first if descending."""

    kind: KeyKind
    descending: bool = False
    nulls_first: bool | None = None


class KeyCorrupt(ValueError):
    """The bytes are no key of these columns."""


class IntervalParts(NamedTuple):
    """What a decoded interval key gives: months, days, micros in PostgreSQL's justified form."""

    months: int
    days: int
    micros: int


Encode = Callable[[Datum], bytes]
Decode = Callable[[bytes, int], tuple[Datum, int]]  # (key, position) -> (datum, position after it)


def encode_int(value: int) -> bytes:
    """Encode an int64. Raises: OverflowError outside int64.

    >>> encode_int(1).hex(), encode_int(-1) < encode_int(0) < encode_int(1)
    ('8000000000000001', True)
    """
    return (value + _SIGN).to_bytes(8, "big")


def _decode_int(key: bytes, position: int) -> tuple[int, int]:
    (bits,) = _U64.unpack_from(key, position)
    return bits - _SIGN, position + 8


def encode_float(value: float) -> bytes:
    """Encode a float64; NaN is one value above infinity, -0.0 is 0.0."""
    if value != value:
        bits = _NAN_BITS
    else:
        (bits,) = _U64.unpack(_F64.pack(value + 0.0))  # -0.0 + 0.0 is 0.0
    return _U64.pack(bits ^ (_ALL_ONES if bits & _SIGN else _SIGN))


def _decode_float(key: bytes, position: int) -> tuple[float, int]:
    (bits,) = _U64.unpack_from(key, position)
    bits ^= _SIGN if bits & _SIGN else _ALL_ONES
    (value,) = _F64.unpack(_U64.pack(bits))
    return value, position + 8


def encode_bytes(value: bytes) -> bytes:
    r"""Encode a byte string, escaped and terminated.

    >>> encode_bytes(b"a\x00b")
    b'a\x00\xffb\x00\x01'
    """
    return value.replace(b"\x00", b"\x00\xff") + b"\x00\x01"


def _decode_bytes(key: bytes, position: int) -> tuple[bytes, int]:
    end = key.find(b"\x00", position)
    while end >= 0 and key[end + 1 : end + 2] == b"\xff":
        end = key.find(b"\x00", end + 2)
    if end < 0 or key[end + 1 : end + 2] != b"\x01":
        raise KeyCorrupt("unterminated byte string")
    return key[position:end].replace(b"\x00\xff", b"\x00"), end + 2


def encode_text(value: str) -> bytes:
    """Encode text in code point order."""
    return encode_bytes(value.encode())


def _decode_text(key: bytes, position: int) -> tuple[str, int]:
    value, end = _decode_bytes(key, position)
    return value.decode(), end


def encode_bool(value: bool) -> bytes:
    """Encode a boolean, false first."""
    return b"\x01" if value else b"\x00"


def _decode_bool(key: bytes, position: int) -> tuple[bool, int]:
    return key[position] == 1, position + 1


def encode_uuid(value: bytes) -> bytes:
    """Encode a UUID given as its 16 bytes."""
    if len(value) != 16:
        raise ValueError(f"a UUID has 16 bytes, got {len(value)}")
    return value


def _decode_uuid(key: bytes, position: int) -> tuple[bytes, int]:
    return key[position : position + 16], position + 16


def encode_interval(value: tuple[int, int, int]) -> bytes:
    """Encode (months, days, micros) by the length that PostgreSQL compares."""
    months, days, micros = value
    total = (months * _MONTH_DAYS + days) * _DAY_MICROS + micros
    return (total + _INTERVAL_BIAS).to_bytes(_INTERVAL_BYTES, "big")


def _decode_interval(key: bytes, position: int) -> tuple[IntervalParts, int]:
    end = position + _INTERVAL_BYTES
    total = int.from_bytes(key[position:end], "big") - _INTERVAL_BIAS
    sign = -1 if total < 0 else 1
    days, micros = divmod(abs(total), _DAY_MICROS)
    months, days = divmod(days, _MONTH_DAYS)
    return IntervalParts(sign * months, sign * days, sign * micros), end


def encode_numeric(value: Decimal) -> bytes:
    """Encode a numeric of any precision.

    >>> encode_numeric(Decimal("1.50")) == encode_numeric(Decimal("1.5"))
    True
    >>> encode_numeric(Decimal(-10)) < encode_numeric(Decimal(-9)) < encode_numeric(Decimal("NaN"))
    True
    """
    sign, digit_tuple, exponent = value.as_tuple()
    if isinstance(exponent, str):
        if exponent == "F":
            return b"\x01" if sign else b"\x05"
        return b"\x06"
    digits = "".join(map(str, digit_tuple)).lstrip("0")
    point = len(digits) + exponent
    digits = digits.rstrip("0")
    if not digits:
        return b"\x03"
    if len(digits) & 1:
        digits += "0"
    pairs = bytes([int(digits[i : i + 2]) + 1 for i in range(0, len(digits), 2)])
    body = _U32.pack(point + (1 << 31)) + pairs + b"\x00"
    return b"\x02" + body.translate(_INVERTED) if sign else b"\x04" + body


_NUMERIC_CONSTANTS: Final = {
    1: Decimal("-Infinity"),
    3: Decimal(0),
    5: Decimal("Infinity"),
    6: Decimal("NaN"),
}


def _decode_numeric(key: bytes, position: int) -> tuple[Decimal, int]:
    order_class = key[position]
    position += 1
    if order_class in _NUMERIC_CONSTANTS:
        return _NUMERIC_CONSTANTS[order_class], position
    if order_class not in (2, 4):
        raise KeyCorrupt(f"numeric of class {order_class}")
    is_negative = order_class == 2
    end = key.find(b"\xff" if is_negative else b"\x00", position + 4)
    if end < 0:
        raise KeyCorrupt("unterminated numeric")
    body = key[position:end]
    if is_negative:
        body = body.translate(_INVERTED)
    point = _U32.unpack_from(body)[0] - (1 << 31)
    digits = tuple(digit for pair in body[4:] for digit in divmod(pair - 1, 10))
    if digits[-1] == 0:
        digits = digits[:-1]
    exponent = point - len(digits)
    if exponent > 0:  # a numeric shows no exponent: 1E+2 is 100
        digits += (0,) * exponent
        exponent = 0
    return Decimal((int(is_negative), digits, exponent)), end + 1


_CODECS: Final[dict[KeyKind, tuple[Encode, Decode]]] = {
    KeyKind.INT: (encode_int, _decode_int),
    KeyKind.FLOAT: (encode_float, _decode_float),
    KeyKind.TEXT: (encode_text, _decode_text),
    KeyKind.BYTES: (encode_bytes, _decode_bytes),
    KeyKind.BOOL: (encode_bool, _decode_bool),
    KeyKind.NUMERIC: (encode_numeric, _decode_numeric),
    KeyKind.INTERVAL: (encode_interval, _decode_interval),
    KeyKind.UUID: (encode_uuid, _decode_uuid),
}


class KeyCodec:
    """Encodes and decodes the columns of one key. Immutable; build once per index."""

    def __init__(self, columns: Sequence[KeyColumn]) -> None:
        self.columns = tuple(columns)
        self._encoders = tuple(map(_column_encoder, self.columns))
        self._decoders = tuple(map(_column_decoder, self.columns))
        self._all_values = (1,) * len(self.columns)
        self._ints: struct.Struct | None = None
        if all(c.kind is KeyKind.INT and not c.descending for c in self.columns):
            self._ints = struct.Struct(">" + "BQ" * len(self.columns))
        self._first = self._encoders[0] if len(self._encoders) == 1 else None

    def encode(self, datums: Sequence[Datum]) -> bytes:
        """Return the key of all columns. Raises: OverflowError for an integer outside int64."""
        assert len(datums) == len(self._encoders), "one datum for each key column"
        return self.encode_prefix(datums)

    def encode_prefix(self, datums: Sequence[Datum]) -> bytes:
        """Return the bytes that every key with these leading columns starts with."""
        if self._first is not None and datums:
            return self._first(datums[0])
        return b"".join([encode(d) for encode, d in zip(self._encoders, datums, strict=False)])

    def decode(self, key: bytes, position: int = 0) -> tuple[Datum, ...]:
        """Return the columns of a key that ends with them. Raises: KeyCorrupt."""
        ints = self._ints
        if ints is not None and len(key) - position == ints.size:
            fields = ints.unpack_from(key, position)
            if fields[::2] == self._all_values:
                return tuple([bits - _SIGN for bits in fields[1::2]])
        datums, end = self.decode_from(key, position)
        if end != len(key):
            raise KeyCorrupt(f"{len(key) - end} bytes after the last key column")
        return datums

    def decode_from(self, key: bytes, position: int = 0) -> tuple[tuple[Datum, ...], int]:
        """Return the columns from `position` on, and where they end. Raises: KeyCorrupt."""
        datums = []
        try:
            for decode in self._decoders:
                datum, position = decode(key, position)
                datums.append(datum)
        except (IndexError, struct.error, UnicodeDecodeError) as error:
            raise KeyCorrupt(str(error)) from error
        if position > len(key):
            raise KeyCorrupt("key ends within a column")
        return tuple(datums), position

    def range_span(
        self,
        prefix: bytes,
        column_index: int,
        *,
        low: Datum = None,
        high: Datum = None,
        low_inclusive: bool = True,
        high_inclusive: bool = True,
    ) -> Span:
        """Return the span of `low <(=) column <(=) high` below `prefix`; NULLs never match.

        `prefix` holds the index prefix and the encoded columns before `column_index`. Values are in
        the column's order, not the key's: a descending column is turned round here.
        """
        if self.columns[column_index].descending:
            low, high = high, low
            low_inclusive, high_inclusive = high_inclusive, low_inclusive
        encode = self._encoders[column_index]
        start, end = prefix + _MARK_VALUE, prefix + _MARK_NULL_LAST
        if low is not None:
            start = prefix + encode(low)
            if not low_inclusive:
                start = prefix_end(start)
        if high is not None:
            end = prefix + encode(high)
            if high_inclusive:
                end = prefix_end(end)
        return Span(start, end)


def _column_encoder(column: KeyColumn) -> Encode:
    encode = _CODECS[column.kind][0]
    null = _null_marker(column)
    if column.kind is KeyKind.INT and not column.descending:
        pack = struct.Struct(">BQ").pack

        def encode_ascending_int(datum: Datum) -> bytes:
            if datum is None:
                return null
            try:
                return pack(1, datum + _SIGN)
            except struct.error as error:
                raise OverflowError(f"{datum} is outside int64") from error

        return encode_ascending_int

    if column.descending:
        return lambda d: null if d is None else _MARK_VALUE + encode(d).translate(_INVERTED)
    return lambda d: null if d is None else _MARK_VALUE + encode(d)


def _column_decoder(column: KeyColumn) -> Decode:
    decode = _CODECS[column.kind][1]
    null = _null_marker(column)[0]
    invert = column.descending

    def decode_column(key: bytes, position: int) -> tuple[Datum, int]:
        marker = key[position]
        if marker == null:
            return None, position + 1
        if marker != 1:
            raise KeyCorrupt(f"marker byte {marker}")
        if not invert:
            return decode(key, position + 1)
        datum, length = decode(key[position + 1 :].translate(_INVERTED), 0)
        return datum, position + 1 + length

    return decode_column


def _null_marker(column: KeyColumn) -> bytes:
    nulls_first = column.descending if column.nulls_first is None else column.nulls_first
    return _MARK_NULL_FIRST if nulls_first else _MARK_NULL_LAST
