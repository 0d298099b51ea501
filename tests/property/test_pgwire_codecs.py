"""Codec round trips, and text and bytes nobody meant: only SqlError may come out."""

import math
import string
import struct
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from pgwire import oids
from pgwire.codecs.registry import binary_in, binary_out, text_in, text_out
from pgwire.codecs.rows import decode_param, row_encoder
from pgwire.codecs.settings import Settings
from pgwire.datum import (
    DATE_MAX,
    DATE_MIN,
    MICROS_PER_DAY,
    TIMESTAMP_END,
    TIMESTAMP_INFINITY,
    TIMESTAMP_MIN,
    Interval,
)
from pgwire.errors import SqlError

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
INT32 = st.integers(-(2**31), 2**31 - 1)
INT64 = st.integers(-(2**63), 2**63 - 1)
TIMESTAMPS = st.integers(TIMESTAMP_MIN, TIMESTAMP_END - 1) | st.just(TIMESTAMP_INFINITY)
NUMERICS = st.builds(
    lambda digits, scale: Decimal(digits).scaleb(-scale, None),
    st.integers(-(10**25), 10**25),
    st.integers(0, 20),
)
# Years near the edge leave the range when the time zone is applied, so timestamptz stays inside.
DATUMS = {
    oids.BOOL: st.booleans(),
    oids.INT2: st.integers(-(2**15), 2**15 - 1),
    oids.INT4: INT32,
    oids.INT8: INT64,
    oids.OID: st.integers(0, 2**32 - 1),
    oids.FLOAT8: st.floats(allow_nan=False),
    oids.FLOAT4: st.floats(allow_nan=False, width=32),
    oids.NUMERIC: NUMERICS,
    oids.TEXT: TEXT,
    oids.BYTEA: st.binary(),
    oids.UUID: st.binary(min_size=16, max_size=16),
    oids.DATE: st.integers(DATE_MIN, DATE_MAX),
    oids.TIME: st.integers(0, MICROS_PER_DAY),
    oids.TIMESTAMP: TIMESTAMPS,
    oids.TIMESTAMPTZ: st.integers(TIMESTAMP_MIN + MICROS_PER_DAY, TIMESTAMP_END - MICROS_PER_DAY),
    oids.INTERVAL: st.builds(Interval, INT32, INT32, st.integers(-(2**55), 2**55)),
}
ALL_OIDS = sorted(
    {*DATUMS, oids.JSON, oids.JSONB, oids.CHAR, oids.NAME, *oids.ELEMENT_OF} - {oids.RECORD_ARRAY}
)
ZONES = st.sampled_from(["UTC", "America/New_York", "Asia/Kolkata", "-3"])


def typed():
    return st.sampled_from(sorted(DATUMS)).flatmap(lambda oid: st.tuples(st.just(oid), DATUMS[oid]))


def same(a, b):
    return a == b and str(a) == str(b)


@given(typed(), ZONES)
def test_text_round_trip(case, zone):
    """COPY out and in again, or a cast to text and back, would change a value."""
    oid, datum = case
    settings = Settings(time_zone=zone)
    text = text_out(oid)(datum, settings)
    if oid == oids.TIMESTAMPTZ and abs(datum) > 7_900 * 365 * MICROS_PER_DAY:
        return  # zones at far instants are an approximation of either side's rules
    back = text_in(oid)(text, settings)
    if oid == oids.TIMESTAMPTZ and zone == "America/New_York":
        assert text_out(oid)(back, settings) == text
    else:
        assert same(back, datum) or (datum == 0 and back == 0)


@given(typed())
def test_binary_round_trip(case):
    """Binary parameters and results would change a value."""
    oid, datum = case
    back = binary_in(oid)(binary_out(oid)(datum), None)
    assert same(back, datum) or (datum == 0 and back == 0)


@given(st.lists(st.none() | TEXT, min_size=1))
def test_arrays_of_text(items):
    """Array elements with quotes, braces or NULL would split or vanish."""
    assert text_in(oids.TEXT_ARRAY)(text_out(oids.TEXT_ARRAY)(items), None) == items
    assert binary_in(oids.TEXT_ARRAY)(binary_out(oids.TEXT_ARRAY)(items), None) == items


@given(st.lists(st.lists(INT32, min_size=2, max_size=2), min_size=1))
def test_nested_arrays(items):
    """Two-dimensional arrays would lose their shape."""
    assert text_in(oids.INT4_ARRAY)(text_out(oids.INT4_ARRAY)(items), None) == items
    assert binary_in(oids.INT4_ARRAY)(binary_out(oids.INT4_ARRAY)(items), None) == items


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_float4_text_is_shortest_that_reads_back(value):
    """A real would print digits it does not have, or too few."""
    text = text_out(oids.FLOAT4)(value)
    assert struct.pack("<f", float(text)) == struct.pack("<f", value)
    assert math.isfinite(float(text))


WORDS_TEXT = r"""
    jan feb 2013 13 1 05 -08 +02:00 10:11:12 10:11 .5 2013-01-05 bc am pm t z j epoch now today
    infinity day days ago year 1-2 p1y utc est america/new_york P T Y 99999999999 - / : e nan
    { } [ ] , " \ \x null NULL 0x1 1e5 e999999999999 true
"""
WORDS = st.sampled_from(WORDS_TEXT.split())


@given(
    st.sampled_from(ALL_OIDS),
    st.text(max_size=40) | st.lists(WORDS, max_size=6).map(" ".join) | st.lists(WORDS).map("".join),
)
def test_any_text_gives_a_datum_or_sql_error(oid, text):
    """One odd literal would end the session with an internal error."""
    try:
        datum = text_in(oid)(text, Settings(time_zone="Europe/Berlin"))
    except SqlError:
        return
    text_out(oid)(datum)


@given(st.sampled_from(ALL_OIDS), st.binary(max_size=60), st.sampled_from([0, 1, 2]))
def test_any_bytes_give_a_datum_or_sql_error(oid, data, format_code):
    """One odd parameter would end the session with an internal error."""
    try:
        datum = decode_param(oid, format_code, data)
    except SqlError:
        return
    row_encoder([oid, oid], [0, 1])([(datum, datum)])


@given(st.text(string.printable, max_size=30))
def test_jsonb_is_stable(text):
    """Reading jsonb's own output would change it."""
    try:
        once = text_in(oids.JSONB)(text, None)
    except SqlError:
        return
    assert text_in(oids.JSONB)(once, None) == once
