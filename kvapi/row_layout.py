"""Row layout: the value of a primary index entry.

Layout, little-endian, no padding:

    version u16 · null bitmap (bit i of byte i // 8 set: column i is NULL)
    · fixed-width columns in column order
    · end offset u32 of each variable column, from the start of the variable bytes
    · variable bytes

    BOOL 1 · I2 2 · I4 4 · I8 8 · F4 4 · F8 8 · UUID 16 bytes as they are
    INTERVAL 16: micros i64, days i32, months i32
    DEC64 8: a numeric of at most 18 digits as i64, value × 10**scale; the smallest i64 is NaN
    TEXT UTF-8 · BYTES as they are · NUMERIC its decimal text (scale kept)

A NULL column is zeros, or no bytes. So every version has one constant-size head that one `struct`
reads.

**Model.** A layout never changes: ADD/DROP COLUMN makes a new version, `RowReader` maps every
version found in the store to the columns wanted now. `kvapi/row_columns.py` reads whole blocks into
arrays.
"""

import enum
import struct
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from operator import itemgetter
from typing import Any, Final, NamedTuple

from kvapi.keys import IntervalParts

Datum = Any
DEC64_NAN: Final = -(1 << 63)
DEC64_DIGITS_MAX: Final = 18
_VERSION = struct.Struct("<H")
_INTERVAL = struct.Struct("<qii")
_NULL_SETS_MAX: Final = 1024  # distinct bitmaps remembered per decoder


class StorageKind(enum.IntEnum):
    """How a column's datum is stored in a row."""

    BOOL = 1
    I2 = 2
    I4 = 3
    I8 = 4
    F4 = 5
    F8 = 6
    UUID = 7
    INTERVAL = 8
    DEC64 = 9
    TEXT = 16
    BYTES = 17
    NUMERIC = 18

    @property
    def is_variable(self) -> bool:
        """True for the kinds that have no fixed width."""
        return self >= StorageKind.TEXT


STRUCT_CODES: Final[Mapping[StorageKind, str]] = {
    StorageKind.BOOL: "?",
    StorageKind.I2: "h",
    StorageKind.I4: "i",
    StorageKind.I8: "q",
    StorageKind.F4: "f",
    StorageKind.F8: "d",
    StorageKind.UUID: "16s",
    StorageKind.INTERVAL: "16s",
    StorageKind.DEC64: "q",
}
# What stands in for NULL before conversion; every one becomes zeros or no bytes. Integers take 0.
_FILLERS: Final[Mapping[StorageKind, Datum]] = {
    StorageKind.BOOL: False,
    StorageKind.UUID: b"",
    StorageKind.INTERVAL: (0, 0, 0),
    StorageKind.DEC64: Decimal(0),
    StorageKind.TEXT: "",
    StorageKind.BYTES: b"",
    StorageKind.NUMERIC: "",
}
MakeInterval = Callable[[int, int, int], Any]


class LayoutColumn(NamedTuple):
    """One stored column; `scale` counts for DEC64 only."""

    column_id: int
    kind: StorageKind
    scale: int = 0


class RowCorrupt(ValueError):
    """The bytes are no row of a known layout."""


class RowLayout:
    """One version of a table's stored columns. Immutable."""

    def __init__(
        self,
        version: int,
        columns: Sequence[LayoutColumn],
        *,
        make_interval: MakeInterval = IntervalParts,
    ) -> None:
        self.version = version
        self.columns = tuple(columns)
        kinds = [c.kind for c in self.columns]
        self.fixed = tuple(i for i, kind in enumerate(kinds) if not kind.is_variable)
        self.variable = tuple(i for i, kind in enumerate(kinds) if kind.is_variable)
        self.bitmap_bytes = (len(kinds) + 7) // 8
        codes = "".join(STRUCT_CODES[kinds[i]] for i in self.fixed)
        self.head = struct.Struct(f"<H{self.bitmap_bytes}s{codes}{'I' * len(self.variable)}")
        self._to_fixed = [
            (n, f) for n, i in enumerate(self.fixed) if (f := _to_stored(self.columns[i]))
        ]
        self._to_bytes = [(i, _to_variable(kinds[i])) for i in self.variable]
        self._no_nulls = bytes(self.bitmap_bytes)
        self._fillers = [_FILLERS.get(kind, 0) for kind in kinds]
        self._make_interval = make_interval
        self.decode = self.decoder(tuple(range(len(self.columns))))

    def encode(self, datums: Sequence[Datum]) -> bytes:
        """Return the stored bytes of a row; one datum for each column.

        Raises: struct.error, OverflowError or ValueError for a datum that its column cannot hold.
        """
        bitmap = self._no_nulls
        if None in datums:
            datums, bitmap = self._without_nulls(datums)
        fixed = [datums[i] for i in self.fixed]
        for n, convert in self._to_fixed:
            fixed[n] = convert(fixed[n])
        if not self._to_bytes:
            return self.head.pack(self.version, bitmap, *fixed)
        parts = [b""]
        end = 0
        for i, convert in self._to_bytes:
            part = convert(datums[i])
            parts.append(part)
            end += len(part)
            fixed.append(end)
        parts[0] = self.head.pack(self.version, bitmap, *fixed)
        return b"".join(parts)

    def _without_nulls(self, datums: Sequence[Datum]) -> tuple[Sequence[Datum], bytes]:
        filled = list(datums)
        bits = 0
        for i, datum in enumerate(datums):
            if datum is None:
                bits |= 1 << i
                filled[i] = self._fillers[i]
        return filled, bits.to_bytes(self.bitmap_bytes, "little")

    def decoder(self, wanted: Sequence[int]) -> Callable[[bytes], tuple[Datum, ...]]:
        """Compile a function from stored bytes to the columns at the positions `wanted`.

        The function raises RowCorrupt. It does not look at the version.
        """
        return _compile_decoder(self, tuple(wanted), self._make_interval)


def row_version(stored: bytes) -> int:
    """Return the layout version of a stored row. Raises: RowCorrupt."""
    if len(stored) < 2:
        raise RowCorrupt("row shorter than its version")
    version: int = _VERSION.unpack_from(stored)[0]
    return version


class RowReader:
    """Maps rows of any stored version to the columns wanted.

    Columns that a row's version does not have get their default, or NULL.
    """

    def __init__(
        self,
        target_columns: Sequence[int],
        layouts: Mapping[int, RowLayout],
        defaults: Mapping[int, Datum] | None = None,
    ) -> None:
        self.target_columns = tuple(target_columns)
        self.layouts = layouts
        self.defaults = dict(defaults or {})
        self._decoders: dict[int, Callable[[bytes], tuple[Datum, ...]]] = {}

    def decode(self, stored: bytes) -> tuple[Datum, ...]:
        """Return the wanted columns of one stored row. Raises: RowCorrupt."""
        decode = self._decoders.get(row_version(stored))
        return (decode or self._compile(row_version(stored)))(stored)

    def positions(self, layout: RowLayout) -> list[int | None]:
        """Return where each wanted column lies in `layout`, None where it lacks it."""
        position_of = {c.column_id: i for i, c in enumerate(layout.columns)}
        return [position_of.get(column_id) for column_id in self.target_columns]

    def layout(self, version: int) -> RowLayout:
        """Return the layout of a version. Raises: RowCorrupt."""
        layout = self.layouts.get(version)
        if layout is None:
            raise RowCorrupt(f"row of unknown layout version {version}")
        return layout

    def _compile(self, version: int) -> Callable[[bytes], tuple[Datum, ...]]:
        layout = self.layout(version)
        positions = self.positions(layout)
        present = [p for p in positions if p is not None]
        decode = layout.decoder(present)
        if len(present) < len(positions):
            decode = self._with_defaults(decode, positions)
        self._decoders[version] = decode
        return decode

    def _with_defaults(
        self, decode: Callable[[bytes], tuple[Datum, ...]], positions: list[int | None]
    ) -> Callable[[bytes], tuple[Datum, ...]]:
        missing = [
            (n, self.defaults.get(self.target_columns[n]))
            for n, position in enumerate(positions)
            if position is None
        ]

        def decode_with_defaults(stored: bytes) -> tuple[Datum, ...]:
            datums = list(decode(stored))
            for n, default in missing:
                datums.insert(n, default)
            return tuple(datums)

        return decode_with_defaults


def _compile_decoder(
    layout: RowLayout, wanted: tuple[int, ...], make_interval: MakeInterval
) -> Callable[[bytes], tuple[Datum, ...]]:
    """Compile: one struct, converters where the kind needs one, NULLs by remembered bitmap."""
    columns = layout.columns
    unpack, head_bytes = layout.head.unpack_from, layout.head.size
    field_of = {i: 2 + n for n, i in enumerate(layout.fixed)}
    field_of |= {i: 2 + len(layout.fixed) + n for n, i in enumerate(layout.variable)}
    first_end = 2 + len(layout.fixed)
    variable = [
        (
            field_of[i],
            field_of[i] - 1 if field_of[i] > first_end else None,
            _from_variable(columns[i].kind),
        )
        for i in dict.fromkeys(wanted)
        if columns[i].kind.is_variable
    ]
    convert = [
        (field_of[i], f)
        for i in dict.fromkeys(wanted)
        if (f := _from_stored(columns[i], make_interval))
    ]
    pick = _picker([field_of[i] for i in wanted])
    null_fields = _NullFields([(i, field_of[i]) for i in wanted])
    no_nulls = bytes(layout.bitmap_bytes)

    def decode(stored: bytes) -> tuple[Datum, ...]:
        try:
            fields = unpack(stored)
        except struct.error as error:
            raise RowCorrupt(f"row of {len(stored)} bytes, its head has {head_bytes}") from error
        bitmap = fields[1]
        if not variable and not convert and bitmap == no_nulls:
            return pick(fields)
        mutable = list(fields)
        for field, previous, from_bytes in variable:
            start = head_bytes if previous is None else head_bytes + fields[previous]
            mutable[field] = from_bytes(stored[start : head_bytes + fields[field]])
        for field, from_stored in convert:
            mutable[field] = from_stored(mutable[field])
        if bitmap != no_nulls:
            for field in null_fields[bitmap]:
                mutable[field] = None
        return pick(mutable)

    return decode


class _NullFields(dict[bytes, tuple[int, ...]]):
    """Bitmap → the fields that are NULL, worked out once for each bitmap met (bounded)."""

    def __init__(self, columns: list[tuple[int, int]]) -> None:
        super().__init__()
        self._columns = columns

    def __missing__(self, bitmap: bytes) -> tuple[int, ...]:
        bits = int.from_bytes(bitmap, "little")
        fields = tuple(field for i, field in self._columns if bits >> i & 1)
        if len(self) >= _NULL_SETS_MAX:
            self.clear()
        self[bitmap] = fields
        return fields


def _picker(fields: list[int]) -> Callable[[Sequence[Datum]], tuple[Datum, ...]]:
    if not fields:
        return lambda _: ()
    if len(fields) == 1:
        (field,) = fields
        return lambda all_fields: (all_fields[field],)
    return itemgetter(*fields)


def _encode_text(value: str) -> bytes:
    return value.encode()


def _encode_numeric(value: Decimal) -> bytes:
    return str(value).encode()


def _decode_numeric(stored: bytes) -> Decimal | None:
    return Decimal(stored.decode()) if stored else None


def _identity(value: bytes) -> bytes:
    return value


def _to_variable(kind: StorageKind) -> Callable[[Datum], bytes]:
    encoders: dict[StorageKind, Callable[[Datum], bytes]] = {
        StorageKind.TEXT: _encode_text,
        StorageKind.BYTES: _identity,
        StorageKind.NUMERIC: _encode_numeric,
    }
    return encoders[kind]


def _from_variable(kind: StorageKind) -> Callable[[bytes], Datum]:
    decoders: dict[StorageKind, Callable[[bytes], Datum]] = {
        StorageKind.TEXT: bytes.decode,
        StorageKind.BYTES: _identity,
        StorageKind.NUMERIC: _decode_numeric,
    }
    return decoders[kind]


def _to_stored(column: LayoutColumn) -> Callable[[Datum], Datum] | None:
    if column.kind is StorageKind.INTERVAL:
        return _pack_interval
    if column.kind is StorageKind.DEC64:
        return _dec64_encoder(column.scale)
    return None


def _from_stored(column: LayoutColumn, make: MakeInterval) -> Callable[[Datum], Datum] | None:
    if column.kind is StorageKind.INTERVAL:

        def unpack_interval(stored: bytes) -> Any:
            micros, days, months = _INTERVAL.unpack(stored)
            return make(months, days, micros)

        return unpack_interval
    if column.kind is StorageKind.DEC64:
        scale = -column.scale

        def from_dec64(unscaled: int) -> Decimal:
            return Decimal("NaN") if unscaled == DEC64_NAN else Decimal(unscaled).scaleb(scale)

        return from_dec64
    return None


def _pack_interval(value: tuple[int, int, int]) -> bytes:
    months, days, micros = value
    return _INTERVAL.pack(micros, days, months)


def _dec64_encoder(scale: int) -> Callable[[Decimal], int]:
    factor = 10**scale
    limit = 10**DEC64_DIGITS_MAX

    def to_dec64(value: Decimal) -> int:
        if value.is_nan():
            return DEC64_NAN
        scaled = value * factor
        unscaled = int(scaled)
        if unscaled != scaled or not -limit < unscaled < limit:
            raise ValueError(f"{value} does not fit numeric({DEC64_DIGITS_MAX},{scale})")
        return unscaled

    return to_dec64
