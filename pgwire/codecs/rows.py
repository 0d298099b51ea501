"""Result rows to DataRow messages, and parameters to datums.

`row_encoder` decides everything about types, formats and settings once. What is left for each row
is one call for each column and one join, because this is where a large result spends its time.
"""

from collections.abc import Callable, Sequence
from struct import Struct
from typing import Any, Final

from pgwire import oids
from pgwire.codecs.binary import FORMATS, TEXT_LIKE
from pgwire.codecs.registry import REG_TYPES, binary_in, binary_out, text_in, text_output
from pgwire.codecs.scalars import decode_utf8
from pgwire.codecs.settings import DEFAULT_SETTINGS, Settings
from pgwire.datum import Datum
from pgwire.errors import ProtocolViolation

TEXT_FORMAT: Final = 0
BINARY_FORMAT: Final = 1

Cell = Callable[[Datum], bytes]
"""A datum with its 4-byte length in front; NULL has length -1 and no bytes."""

_NULL: Final = b"\xff\xff\xff\xff"
_LENGTHS: Final = [n.to_bytes(4, "big") for n in range(64)]
_SHORT: Final = len(_LENGTHS)
_HEADER: Final = Struct("!cih")
_BOOL_CELLS: Final[dict[Any, bytes]] = {
    None: _NULL,
    False: b"\0\0\0\1f",
    True: b"\0\0\0\1t",
}
_STRING_TYPES: Final = TEXT_LIKE | {oids.JSON, oids.JSONB}
_INT_TYPES: Final = frozenset({oids.INT2, oids.INT4, oids.INT8, oids.OID})


def _int_cell(value: Datum) -> bytes:
    if value is None:
        return _NULL
    data = b"%d" % value
    return _LENGTHS[len(data)] + data


def _string_cell(value: Datum) -> bytes:
    if value is None:
        return _NULL
    data: bytes = value.encode()
    length = len(data)
    return (_LENGTHS[length] if length < _SHORT else length.to_bytes(4, "big")) + data


def _text_cell(out: Callable[[Datum], str]) -> Cell:
    def cell(value: Datum) -> bytes:
        if value is None:
            return _NULL
        data = out(value).encode()
        length = len(data)
        return (_LENGTHS[length] if length < _SHORT else length.to_bytes(4, "big")) + data

    return cell


def _binary_cell(out: Callable[[Datum], bytes]) -> Cell:
    def cell(value: Datum) -> bytes:
        if value is None:
            return _NULL
        data = out(value)
        return len(data).to_bytes(4, "big") + data

    return cell


def _fixed_cell(code: str) -> Cell:
    layout = Struct("!i" + code)
    pack, size = layout.pack, layout.size - 4

    def cell(value: Datum) -> bytes:
        return _NULL if value is None else pack(size, value)

    return cell


def column_encoder(type_oid: int, format_code: int, settings: Settings) -> Cell:
    """Return the function that encodes one column's datums. Raises: FeatureNotSupported."""
    if format_code == BINARY_FORMAT:
        code = FORMATS.get(type_oid)
        if code in ("?", "h", "i", "q", "d") or type_oid == oids.OID:
            assert code is not None
            return _fixed_cell(code)
        return _binary_cell(binary_out(type_oid))
    if format_code != TEXT_FORMAT:
        raise ProtocolViolation(f"unsupported format code: {format_code}")
    if type_oid == oids.BOOL:
        return _BOOL_CELLS.__getitem__
    if type_oid in _INT_TYPES:
        return _int_cell
    if type_oid in _STRING_TYPES and type_oid not in REG_TYPES:
        return _string_cell
    return _text_cell(text_output(type_oid, settings))


def resolve_formats(formats: Sequence[int], count: int) -> list[int]:
    """Spread Bind's format codes over `count` columns: none means text, one means all.

    Raises: ProtocolViolation.
    """
    if not formats:
        return [TEXT_FORMAT] * count
    if len(formats) == 1:
        return [formats[0]] * count
    if len(formats) != count:
        raise ProtocolViolation(
            f"bind message has {len(formats)} result formats but query has {count} columns"
        )
    return list(formats)


def row_encoder(
    type_oids: Sequence[int], formats: Sequence[int], settings: Settings = DEFAULT_SETTINGS
) -> Callable[[Sequence[Sequence[Datum]]], bytes]:
    """Return the function that encodes a batch of rows as DataRow messages, one after the other.

    `formats` may be empty, one for all or one for each column. Every row must have as many
    datums as there are types. Raises: ProtocolViolation, FeatureNotSupported.
    """
    count = len(type_oids)
    cells = [
        column_encoder(oid, code, settings)
        for oid, code in zip(type_oids, resolve_formats(formats, count), strict=True)
    ]
    pack = _HEADER.pack
    join = b"".join

    if not cells:
        empty = pack(b"D", 6, 0)
        return lambda rows: empty * len(rows)

    def encode(rows: Sequence[Sequence[Datum]]) -> bytes:
        # Column by column, so that the loops over the datums run inside map().
        columns = [
            map(cell, column) for cell, column in zip(cells, zip(*rows, strict=True), strict=True)
        ]
        bodies = map(join, zip(*columns, strict=True))
        return join([pack(b"D", len(body) + 6, count) + body for body in bodies])

    def encode_batch(rows: Sequence[Sequence[Datum]]) -> bytes:
        return encode(rows) if rows else b""

    return encode_batch


def decode_param(
    type_oid: int, format_code: int, data: bytes | None, settings: Settings = DEFAULT_SETTINGS
) -> Datum:
    """Decode one parameter of Bind; None stays NULL.

    Raises: SqlError of the type's input function, ProtocolViolation for an unknown format.
    """
    if data is None:
        return None
    if format_code == TEXT_FORMAT:
        return text_in(type_oid)(decode_utf8(data), settings)
    if format_code == BINARY_FORMAT:
        return binary_in(type_oid)(data, settings)
    raise ProtocolViolation(f"unsupported format code: {format_code}")
