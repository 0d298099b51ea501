"""Row layout: one row, other versions, and whole blocks as arrays."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvapi.row_columns import FixedColumn, decode_columns, decode_layout_columns
from kvapi.row_layout import (
    DEC64_NAN,
    LayoutColumn,
    RowCorrupt,
    RowLayout,
    RowReader,
    StorageKind,
)

SCALE = 3
DATUMS = {
    StorageKind.BOOL: st.booleans(),
    StorageKind.I2: st.integers(-(1 << 15), (1 << 15) - 1),
    StorageKind.I4: st.integers(-(1 << 31), (1 << 31) - 1),
    StorageKind.I8: st.integers(-(1 << 63), (1 << 63) - 1),
    StorageKind.F4: st.floats(width=32, allow_nan=False),
    StorageKind.F8: st.floats(allow_nan=False),
    StorageKind.UUID: st.binary(min_size=16, max_size=16),
    StorageKind.INTERVAL: st.tuples(
        st.integers(-(1 << 31), (1 << 31) - 1),
        st.integers(-(1 << 31), (1 << 31) - 1),
        st.integers(-(1 << 63), (1 << 63) - 1),
    ),
    StorageKind.DEC64: st.integers(-(10**18) + 1, 10**18 - 1).map(
        lambda n: Decimal(n).scaleb(-SCALE)
    ),
    StorageKind.TEXT: st.text(max_size=5),
    StorageKind.BYTES: st.binary(max_size=5),
    StorageKind.NUMERIC: st.decimals(allow_nan=False),
}
KIND = st.sampled_from(StorageKind)


def _layout(kinds, version=1):
    return RowLayout(version, [LayoutColumn(n, kind, SCALE) for n, kind in enumerate(kinds)])


def _row(kinds):
    return st.tuples(*[st.none() | DATUMS[kind] for kind in kinds])


@st.composite
def layout_and_rows(draw, rows_max=6):
    kinds = draw(st.lists(KIND, min_size=1, max_size=10))
    return _layout(kinds), draw(st.lists(_row(kinds), min_size=1, max_size=rows_max))


def _block(stored):
    ends = np.cumsum([len(row) for row in stored]).astype("<u4").tobytes()
    return b"".join(stored), ends


def _datum(column, r):
    """One datum out of an array column, as `decode` gives it."""
    if column.nulls is not None and column.nulls[r]:
        return None
    if isinstance(column, FixedColumn):
        value = column.values[r]
        if column.kind is StorageKind.INTERVAL:
            return (int(value["months"]), int(value["days"]), int(value["micros"]))
        if column.kind is StorageKind.UUID:
            return value.tobytes()
        if column.kind is StorageKind.DEC64:
            return Decimal(int(value)).scaleb(-column.scale)
        return value.item()
    data = column.data[column.offsets[r] : column.offsets[r + 1]].tobytes()
    if column.kind is StorageKind.BYTES:
        return data
    return Decimal(data.decode()) if column.kind is StorageKind.NUMERIC else data.decode()


@given(layout_and_rows(rows_max=1))
def test_a_row_comes_back(case):
    """What was inserted is what is selected, NULLs and empty strings told apart."""
    layout, (row,) = case
    assert layout.decode(layout.encode(row)) == row


@given(layout_and_rows(), st.data())
def test_some_columns_of_a_row(case, data):
    """A point read decodes only what the plan wants, in the plan's order."""
    layout, (row, *_) = case
    wanted = data.draw(st.lists(st.integers(0, len(row) - 1), max_size=6))
    decode = layout.decoder(wanted)
    assert decode(layout.encode(row)) == tuple(row[i] for i in wanted)


@given(layout_and_rows())
def test_arrays_equal_rows(case):
    """Analytics and OLTP must read the same table."""
    layout, rows = case
    columns = decode_layout_columns(layout, *_block([layout.encode(row) for row in rows]))
    for r, row in enumerate(rows):
        assert tuple(_datum(column, r) for column in columns) == row


@given(st.data())
def test_rows_of_other_versions(data):
    """ADD and DROP COLUMN never rewrite old rows, so every reader meets all versions at once."""
    kinds = data.draw(st.lists(KIND, min_size=3, max_size=6))
    columns = [LayoutColumn(n, kind, SCALE) for n, kind in enumerate(kinds)]
    layouts = {
        1: RowLayout(1, columns[:-1]),  # before the last column was added
        2: RowLayout(2, columns),
        3: RowLayout(3, columns[1:]),  # after the first was dropped
    }
    rows = data.draw(st.lists(st.tuples(st.sampled_from([1, 2, 3]), _row(kinds)), max_size=8))
    last = len(kinds) - 1
    defaults = {last: data.draw(st.none() | DATUMS[kinds[last]])}
    wanted = data.draw(st.permutations(range(1, len(kinds))))
    reader = RowReader(wanted, layouts, defaults)
    stored, expected = [], []
    for version, row in rows:
        part = {1: row[:-1], 2: row, 3: row[1:]}[version]
        stored.append(layouts[version].encode(part))
        visible = (*row[:-1], defaults[last]) if version == 1 else row
        expected.append(tuple(visible[i] for i in wanted))
    assert [reader.decode(row) for row in stored] == expected
    arrays = decode_columns(reader, *_block(stored), [columns[i] for i in wanted])
    got = [tuple(_datum(column, r) for column in arrays) for r in range(len(rows))]
    assert got == expected


@given(st.binary(max_size=60), st.lists(KIND, min_size=1, max_size=5))
def test_short_rows_are_refused(stored, kinds):
    """A damaged row is an error with a name, not an IndexError in an executor."""
    layout = _layout(kinds)
    if len(stored) < layout.head.size:
        with pytest.raises(RowCorrupt):
            layout.decode(stored)
        if stored:
            with pytest.raises(RowCorrupt):
                decode_layout_columns(layout, *_block([b"\x01\x00" + stored[2:][:-1]]))


def test_known_row():
    """Rows on disk outlive the program: these bytes may never change."""
    kinds = [StorageKind.I4, StorageKind.TEXT, StorageKind.DEC64, StorageKind.BYTES]
    stored = _layout(kinds, version=7).encode((5, "ab", Decimal("1.5"), None))
    assert stored.hex() == (
        "0700" + "08" + "05000000" + "dc05000000000000" + "02000000" + "02000000" + "6162"
    )


def test_numeric_that_does_not_fit_is_refused():
    """numeric(18,3) must not lose a digit on its way to the store."""
    layout = _layout([StorageKind.DEC64])
    for value in ("0.0001", "1000000000000000", "1e30"):
        with pytest.raises(ValueError, match="does not fit"):
            layout.encode((Decimal(value),))
    (nan,) = layout.decode(layout.encode((Decimal("NaN"),)))
    assert nan.is_nan()
    (column,) = decode_layout_columns(layout, *_block([layout.encode((Decimal("NaN"),))]))
    assert column.values[0] == DEC64_NAN


def test_unknown_version_is_refused():
    """A reader with an old catalog must not guess."""
    stored = _layout([StorageKind.I4], version=2).encode((1,))
    reader = RowReader([0], {1: _layout([StorageKind.I4])})
    with pytest.raises(RowCorrupt, match="version 2"):
        reader.decode(stored)
