"""Key encoding against PostgreSQL's order, as a model."""

import contextlib
import functools
import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvapi.keys import (
    IntervalParts,
    KeyCodec,
    KeyColumn,
    KeyCorrupt,
    KeyKind,
    encode_int,
)
from kvapi.spans import prefix_end

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
NUMERIC = st.one_of(
    st.decimals(allow_nan=False, allow_infinity=True),
    st.decimals(min_value=-1000, max_value=1000, places=3),
    st.just(Decimal("NaN")),
    st.just(Decimal("-0")),
    st.integers(-(10**40), 10**40).map(Decimal),
)
INTERVAL = st.tuples(
    st.integers(-(1 << 31), (1 << 31) - 1), st.integers(-(1 << 31), (1 << 31) - 1), INT64
)
DATUMS = {
    KeyKind.INT: INT64 | st.integers(-300, 300),
    KeyKind.FLOAT: st.floats(allow_nan=True),
    KeyKind.TEXT: st.text(max_size=6) | st.text(alphabet="\x00\x01ab\xff", max_size=4),
    KeyKind.BYTES: st.binary(max_size=6) | st.lists(st.sampled_from([0, 1, 255])).map(bytes),
    KeyKind.BOOL: st.booleans(),
    KeyKind.NUMERIC: NUMERIC,
    KeyKind.INTERVAL: INTERVAL,
    KeyKind.UUID: st.binary(min_size=16, max_size=16),
}


def _model(kind, datum):
    """A Python value that sorts as PostgreSQL sorts the datum."""
    if kind in (KeyKind.FLOAT, KeyKind.NUMERIC):
        is_nan = datum != datum
        return (1, 0) if is_nan else (0, datum)
    if kind is KeyKind.TEXT:
        return datum.encode()
    if kind is KeyKind.INTERVAL:
        months, days, micros = datum
        return (months * 30 + days) * 86_400_000_000 + micros
    return datum


def _compare_column(column, a, b):
    nulls_first = column.descending if column.nulls_first is None else column.nulls_first
    if a is None or b is None:
        order = (a is not None) - (b is not None)  # NULL first
        return order if nulls_first else -order
    a, b = _model(column.kind, a), _model(column.kind, b)
    order = (a > b) - (a < b)
    return -order if column.descending else order


def _compare(columns, a, b):
    for column, x, y in zip(columns, a, b, strict=True):
        if order := _compare_column(column, x, y):
            return order
    return 0


COLUMN = st.builds(
    KeyColumn, st.sampled_from(KeyKind), st.booleans(), st.sampled_from([None, True, False])
)


@st.composite
def columns_and_rows(draw, row_count=2):
    columns = draw(st.lists(COLUMN, min_size=1, max_size=3))
    row = st.tuples(*[st.none() | DATUMS[c.kind] for c in columns])
    rows = [draw(row) for _ in range(row_count)]
    if draw(st.booleans()):  # equal leading columns, so that later ones decide
        rows[1] = (rows[0][0], *rows[1][1:])
    return columns, rows


@given(columns_and_rows())
def test_key_order_equals_column_order(case):
    """Every scan, every range bound and every ORDER BY from an index relies on this."""
    columns, (a, b) = case
    codec = KeyCodec(columns)
    x, y = codec.encode(a), codec.encode(b)
    assert (x > y) - (x < y) == _compare(columns, a, b)


@given(columns_and_rows())
def test_decoding_gives_equal_values(case):
    """An index-only read shows these values to the client."""
    columns, (a, b) = case
    codec = KeyCodec(columns)
    key = codec.encode(a)
    assert _compare(columns, codec.decode(key), a) == 0
    decoded, end = codec.decode_from(b"pre" + key + codec.encode(b), 3)
    assert (_compare(columns, decoded, a), end) == (0, 3 + len(key))


@given(columns_and_rows(), st.data())
def test_prefix_span_holds_exactly_its_rows(case, data):
    """WHERE a = 1 on an index over (a, b) must find all of them and nothing else."""
    columns, (a, b) = case
    codec = KeyCodec(columns)
    width = data.draw(st.integers(0, len(columns)))
    prefix = codec.encode_prefix(a[:width])
    key = codec.encode(b)
    inside = prefix <= key and (not prefix_end(prefix) or key < prefix_end(prefix))
    assert inside == (_compare(columns[:width], a[:width], b[:width]) == 0)


@given(COLUMN, st.data(), st.booleans(), st.booleans())
def test_range_span_is_the_range(column, data, low_inclusive, high_inclusive):
    """BETWEEN, <, >= on an index, ascending and descending; NULL is in no range."""
    value = st.none() | DATUMS[column.kind]
    low, high, datum = data.draw(value), data.draw(value), data.draw(value)
    codec = KeyCodec([column])
    span = codec.range_span(
        b"p",
        0,
        low=low,
        high=high,
        low_inclusive=low_inclusive,
        high_inclusive=high_inclusive,
    )
    plain = KeyColumn(column.kind)
    expected = datum is not None
    if expected and low is not None:
        order = _compare_column(plain, datum, low)
        expected = order > 0 or (order == 0 and low_inclusive)
    if expected and high is not None:
        order = _compare_column(plain, datum, high)
        expected = order < 0 or (order == 0 and high_inclusive)
    assert span.contains(b"p" + codec.encode((datum,))) == expected


@given(st.binary(max_size=40), st.lists(COLUMN, min_size=1, max_size=3))
def test_garbage_is_refused_or_decoded(key, columns):
    """A corrupt key must be an error that names itself, never a crash of another kind."""
    with contextlib.suppress(KeyCorrupt):
        KeyCodec(columns).decode(key)


def test_integers_outside_int64_are_refused():
    """Silently wrapped keys would be found under another number."""
    with pytest.raises(OverflowError):
        encode_int(1 << 63)
    with pytest.raises(OverflowError):
        KeyCodec([KeyColumn(KeyKind.INT)]).encode((-(1 << 63) - 1,))


def test_known_encodings():
    """Keys on disk outlive the program: these bytes may never change."""
    codec = KeyCodec([KeyColumn(KeyKind.INT), KeyColumn(KeyKind.TEXT, descending=True)])
    assert codec.encode((1, "ab")).hex() == "01" + "8000000000000001" + "01" + "9e9d" + "fffe"
    assert KeyCodec([KeyColumn(KeyKind.NUMERIC)]).encode((Decimal("-12.5"),)).hex() == (
        "01" + "02" + "7ffffffd" + "f2cc" + "ff"
    )
    decoded = KeyCodec([KeyColumn(KeyKind.INTERVAL)])
    assert decoded.decode(decoded.encode(((1, 1, 5),))) == (IntervalParts(1, 1, 5),)
    nan = KeyCodec([KeyColumn(KeyKind.FLOAT)])
    assert math.isnan(nan.decode(nan.encode((float("nan"),)))[0])


@given(st.lists(NUMERIC, min_size=2, max_size=8))
def test_sorting_keys_sorts_numerics(values):
    """ORDER BY over a numeric index, many rows at once."""
    codec = KeyCodec([KeyColumn(KeyKind.NUMERIC)])
    by_key = sorted(values, key=lambda v: codec.encode((v,)))
    by_model = sorted(
        values,
        key=functools.cmp_to_key(lambda a, b: _compare_column(KeyColumn(KeyKind.NUMERIC), a, b)),
    )
    assert [_model(KeyKind.NUMERIC, v) for v in by_key] == [
        _model(KeyKind.NUMERIC, v) for v in by_model
    ]
