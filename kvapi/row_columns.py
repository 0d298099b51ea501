"""Whole blocks of stored rows as arrays, with no Python per row (layout: `kvapi/row_layout.py`).

**Model.** A block joins its rows, so row r's head starts at `starts[r]`. A structured NumPy view
with stride 1 over the joined bytes makes "the head that starts at byte b" element b; taking
elements `starts` copies all heads at once. Bytes of variable columns are gathered the same way if
all are equally long, else through an index per byte.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kvapi.row_layout import DEC64_NAN, LayoutColumn, RowCorrupt, RowLayout, RowReader, StorageKind

Array = NDArray[Any]

INTERVAL_DTYPE: Final = np.dtype([("micros", "<i8"), ("days", "<i4"), ("months", "<i4")])
_DTYPES: Final = {
    StorageKind.BOOL: np.dtype("?"),
    StorageKind.I2: np.dtype("<i2"),
    StorageKind.I4: np.dtype("<i4"),
    StorageKind.I8: np.dtype("<i8"),
    StorageKind.F4: np.dtype("<f4"),
    StorageKind.F8: np.dtype("<f8"),
    StorageKind.UUID: np.dtype("V16"),
    StorageKind.INTERVAL: INTERVAL_DTYPE,
    StorageKind.DEC64: np.dtype("<i8"),
}


class FixedColumn(NamedTuple):
    """Values (row_count,) by kind: bool, ints, floats, DEC64 unscaled, UUID V16, INTERVAL_DTYPE.

    `nulls` is a bool mask, True is NULL (the value there is zero), or None if no row is NULL.
    """

    kind: StorageKind
    values: Array
    nulls: Array | None
    scale: int = 0


class VarColumn(NamedTuple):
    """Offsets int64 (row_count + 1,) into contiguous `data` uint8; NUMERIC is decimal text."""

    kind: StorageKind
    offsets: Array
    data: Array
    nulls: Array | None


Column = FixedColumn | VarColumn


def decode_columns(
    reader: RowReader, values: bytes, value_ends: bytes, kinds: Sequence[LayoutColumn]
) -> list[Column]:
    """Return the reader's target columns of a block, `values` and `value_ends` as in `Block`.

    `kinds` says the kind and scale of each target column, for those that no version in the block
    has.
    Raises: RowCorrupt.
    """
    ends = np.frombuffer(value_ends, "<u4").astype(np.int64)
    starts = np.concatenate((np.zeros(1, np.int64), ends[:-1])) if len(ends) else ends
    raw = np.frombuffer(values, np.uint8)
    if len(ends) == 0:
        return [_default_column(column, None, 0) for column in kinds]
    if int(np.min(ends - starts)) < 2:
        raise RowCorrupt("row shorter than its version")
    versions = np.ndarray((len(raw) - 1,), "<u2", values, 0, (1,))[starts]
    found = np.unique(versions)
    if len(found) == 1:
        return _decode_version(reader, reader.layout(int(found[0])), raw, (starts, ends), kinds)
    parts, order = [], []
    for version in found:
        rows = np.flatnonzero(versions == version)
        layout = reader.layout(int(version))
        parts.append(_decode_version(reader, layout, raw, (starts[rows], ends[rows]), kinds))
        order.append(rows)
    back = np.argsort(np.concatenate(order))
    return [_take(_concatenate(columns), back) for columns in zip(*parts, strict=True)]


def decode_layout_columns(layout: RowLayout, values: bytes, value_ends: bytes) -> list[Column]:
    """Return all columns of a block whose rows all have this one layout. Raises: RowCorrupt."""
    reader = RowReader([c.column_id for c in layout.columns], {layout.version: layout})
    return decode_columns(reader, values, value_ends, layout.columns)


def _decode_version(
    reader: RowReader,
    layout: RowLayout,
    raw: Array,
    bounds: tuple[Array, Array],
    kinds: Sequence[LayoutColumn],
) -> list[Column]:
    starts, ends = bounds
    head_dtype = _head_dtype(layout)
    head_bytes = head_dtype.itemsize
    if int(np.min(ends - starts)) < head_bytes:
        raise RowCorrupt(f"row shorter than the {head_bytes} bytes of its head")
    # Taken as plain bytes: NumPy copies structured elements field by field.
    windows: Array = np.ndarray((len(raw) - head_bytes + 1,), f"V{head_bytes}", raw, 0, (1,))
    heads = windows[starts].view(head_dtype)
    columns: list[Column] = []
    for n, position in enumerate(reader.positions(layout)):
        if position is None:
            default = reader.defaults.get(reader.target_columns[n])
            columns.append(_default_column(kinds[n], default, len(starts)))
            continue
        stored = layout.columns[position]
        nulls = _nulls(heads, position)
        if not stored.kind.is_variable:
            fixed = np.ascontiguousarray(heads[f"c{position}"])
            columns.append(FixedColumn(stored.kind, fixed, nulls, stored.scale))
            continue
        offsets, data = _variable(layout, position, heads, raw, starts + head_bytes)
        columns.append(VarColumn(stored.kind, offsets, data, nulls))
    return columns


def _head_dtype(layout: RowLayout) -> np.dtype[Any]:
    fields: list[Any] = [("version", "<u2"), ("nulls", "u1", (layout.bitmap_bytes,))]
    fields += [(f"c{i}", _DTYPES[layout.columns[i].kind]) for i in layout.fixed]
    fields += [(f"e{i}", "<u4") for i in layout.variable]
    return np.dtype(fields)


def _nulls(heads: Array, position: int) -> Array | None:
    mask = (heads["nulls"][:, position >> 3] & np.uint8(1 << (position & 7))) != 0
    return mask if mask.any() else None


def _variable(
    layout: RowLayout, position: int, heads: Array, raw: Array, bases: Array
) -> tuple[Array, Array]:
    """Return (offsets, data) of one column; `bases` is where each row's variable bytes start."""
    n = layout.variable.index(position)
    end = bases + heads[f"e{position}"]
    start = bases + heads[f"e{layout.variable[n - 1]}"] if n else bases
    return _gather(raw, start, end - start)


def _gather(raw: Array, starts: Array, lengths: Array) -> tuple[Array, Array]:
    offsets = np.zeros(len(starts) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    total = int(offsets[-1])
    if int(lengths.min(initial=0)) < 0 or int((starts + lengths).max(initial=0)) > len(raw):
        raise RowCorrupt("end offset of a variable column outside its row")
    longest = int(lengths.max(initial=0))
    if total == 0:
        return offsets, np.empty(0, np.uint8)
    if total == longest * len(starts):  # all equally long: codes, fixed-length names
        windows: Array = np.ndarray((len(raw) - longest + 1,), f"V{longest}", raw, 0, (1,))
        return offsets, windows[starts].view(np.uint8)
    index = np.repeat(starts - offsets[:-1], lengths)
    index += np.arange(total)
    return offsets, raw[index]


def _default_column(column: LayoutColumn, default: Any, row_count: int) -> Column:
    """Return a column that has `default` in every row."""
    nulls = np.ones(row_count, "?") if default is None and row_count else None
    if column.kind.is_variable:
        text = (
            b""
            if default is None
            else default
            if isinstance(default, bytes)
            else str(default).encode()
        )
        offsets = np.arange(row_count + 1, dtype=np.int64) * len(text)
        return VarColumn(column.kind, offsets, np.frombuffer(text * row_count, np.uint8), nulls)
    dtype = _DTYPES[column.kind]
    values = np.zeros(row_count, dtype)
    if default is not None:
        values[:] = _stored_default(column, default)
    return FixedColumn(column.kind, values, nulls, column.scale)


def _stored_default(column: LayoutColumn, default: Any) -> Any:
    if column.kind is StorageKind.DEC64:
        return DEC64_NAN if default.is_nan() else int(default.scaleb(column.scale))
    if column.kind is StorageKind.INTERVAL:
        months, days, micros = default
        return np.array((micros, days, months), INTERVAL_DTYPE)
    if column.kind is StorageKind.UUID:
        return np.frombuffer(default, "V16")[0]
    return default


def _concatenate(columns: Sequence[Column]) -> Column:
    nulls = None
    if any(c.nulls is not None for c in columns):
        nulls = np.concatenate(
            [np.zeros(_row_count(c), "?") if c.nulls is None else c.nulls for c in columns]
        )
    first = columns[0]
    if isinstance(first, FixedColumn):
        values = np.concatenate([c.values for c in columns if isinstance(c, FixedColumn)])
        return FixedColumn(first.kind, values, nulls, first.scale)
    variable = [c for c in columns if isinstance(c, VarColumn)]
    lengths = np.concatenate([np.diff(c.offsets) for c in variable])
    offsets = np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths)))
    return VarColumn(first.kind, offsets, np.concatenate([c.data for c in variable]), nulls)


def _take(column: Column, rows: Array) -> Column:
    nulls = None if column.nulls is None else column.nulls[rows]
    if isinstance(column, FixedColumn):
        return FixedColumn(column.kind, column.values[rows], nulls, column.scale)
    lengths = np.diff(column.offsets)[rows]
    offsets, data = _gather(column.data, column.offsets[:-1][rows], lengths)
    return VarColumn(column.kind, offsets, data, nulls)


def _row_count(column: Column) -> int:
    return len(column.values) if isinstance(column, FixedColumn) else len(column.offsets) - 1
