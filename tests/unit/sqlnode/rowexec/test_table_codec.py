"""Rows to keys and values and back, under every layout version."""

from decimal import Decimal

import msgspec
import pytest

from pgwire.datum import Interval
from pgwire.errors import FeatureNotSupported, UndefinedObject
from sqlnode.catalog.descriptors import ColumnDesc, LayoutDesc
from sqlnode.rowexec.table_codec import TableCodec, codec_of
from sqlnode.types import (
    BOOL,
    BPCHAR,
    BYTEA,
    DATE,
    FLOAT8,
    INT2,
    INT4,
    INT8,
    INTERVAL,
    JSON,
    JSONB,
    NUMERIC,
    TEXT,
    TIMESTAMPTZ,
    UUID,
    SqlType,
    array_of,
    numeric_typmod,
)  # fmt: skip
from tests.unit.sqlnode.rowexec.tables import INTS, make_table


def test_every_storable_type_comes_back_as_it_was():
    """A value read differs from the value written."""
    columns = [
        ("a", INT4), ("b", BOOL), ("c", INT2), ("d", INT8), ("e", FLOAT8), ("f", NUMERIC),
        ("g", SqlType(1700, numeric_typmod(10, 2))), ("h", TEXT), ("i", BYTEA), ("j", DATE),
        ("k", TIMESTAMPTZ), ("l", INTERVAL), ("m", UUID), ("n", JSON), ("o", JSONB),
    ]  # fmt: skip
    codec = TableCodec(make_table(columns))
    row = (
        7, True, -3, 2**40, 1.5, Decimal("1.500"), Decimal("12.30"), "é", b"\0x", -1, 99,
        Interval(1, 2, 3), b"u" * 16, '{"a": 1}', "[1]",
    )  # fmt: skip
    got = codec.decode_row(codec.encode_row(row))
    assert got == row
    assert str(got[5]) == "1.500"
    assert str(got[6]) == "12.30"
    assert type(got[11]) is Interval
    nulls = (7,) + (None,) * (len(row) - 1)
    assert codec.decode_row(codec.encode_row(nulls)) == nulls


def test_reader_gives_wanted_columns_in_wanted_order():
    """A projection mixes columns up."""
    codec = TableCodec(INTS)
    assert codec.reader((3, 1)).decode(codec.encode_row((1, 2, "x"))) == ("x", 1)


def test_rows_of_an_older_layout_get_the_added_default_and_lose_dropped_columns():
    """After ALTER TABLE old rows are unreadable or wrong."""
    old = TableCodec(INTS)
    stored = old.encode_row((1, 2, "x"))
    table = msgspec.structs.replace(
        INTS,
        columns=(
            INTS.columns[0],
            INTS.columns[2],
            ColumnDesc(4, "d", 1700, numeric_typmod(5, 2), missing=b"1.50"),
            ColumnDesc(5, "e", 23),
        ),
        dropped_columns=(INTS.columns[1],),
        indexes=(),
        layouts=(*INTS.layouts, LayoutDesc(2, (1, 3, 4, 5))),
    )
    new = TableCodec(table)
    assert new.decode_row(stored) == (1, "x", Decimal("1.50"), None)
    assert new.decode_row(new.encode_row((2, "y", None, 5))) == (2, "y", None, 5)


def test_primary_keys_sort_as_their_columns_and_lie_in_the_table_span():
    """Range scans miss rows."""
    codec = TableCodec(INTS)
    keys = [codec.row_key((n, 0, "")) for n in (-5, 0, 3, 2**31 - 1)]
    assert keys == sorted(keys)
    assert all(codec.span.contains(key) for key in keys)
    assert codec.primary.key((3,)) == keys[2]
    assert codec.primary.decode(keys[2]) == (3,)


@pytest.mark.parametrize("value", [5, None])
def test_secondary_entries_lead_to_their_row(value):
    """An index lookup finds the wrong row."""
    for unique in (False, True):
        table = make_table([("a", INT4), ("b", INT4)], indexes=[("i", ("b",), unique)])
        codec = TableCodec(table)
        row = (9, value)
        ((key, stored),) = codec.entries(row)
        assert codec.indexes[0].row_key(key, stored) == codec.row_key(row)
        assert bool(stored) == (unique and value is not None)


def test_unique_entries_collide_only_without_nulls():
    """UNIQUE lets duplicates in, or refuses NULLs."""
    table = make_table([("a", INT4), ("b", INT4), ("c", INT4)], indexes=[("i", ("b", "c"), True)])
    codec = TableCodec(table)
    assert codec.entries((1, 2, 3))[0][0] == codec.entries((2, 2, 3))[0][0]
    assert codec.entries((1, 2, None))[0][0] != codec.entries((2, 2, None))[0][0]


def test_char_padding_takes_no_part_in_keys():
    """WHERE c = 'a' misses the stored 'a   '."""
    codec = TableCodec(make_table([("a", SqlType(BPCHAR.oid, 8))]))
    assert codec.row_key(("ab  ",)) == codec.primary.key(("ab",))
    assert codec.decode_row(codec.encode_row(("ab  ",))) == ("ab  ",)


def test_types_that_cannot_be_stored_or_compared_say_so():
    """CREATE TABLE succeeds and the first INSERT crashes."""
    with pytest.raises(FeatureNotSupported, match="integer\\[\\]"):
        TableCodec(make_table([("a", INT4), ("b", array_of(INT4))]))
    with pytest.raises(UndefinedObject, match="json has no default operator class"):
        TableCodec(make_table([("a", JSON)]))


def test_codecs_are_made_once():
    """Every statement pays for building the codec again."""
    assert codec_of(INTS) is codec_of(INTS)
