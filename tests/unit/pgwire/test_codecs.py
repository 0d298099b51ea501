"""Codecs against answers recorded from PostgreSQL 15 (TimeZone America/New_York)."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from pgwire import oids
from pgwire.codecs.registry import binary_in, binary_out, text_in, text_out, text_output
from pgwire.codecs.rows import decode_param, row_encoder
from pgwire.codecs.settings import Settings
from pgwire.codecs.zones import zone_by_name
from pgwire.datum import Interval, Record
from pgwire.errors import (
    CharacterNotInRepertoire,
    FeatureNotSupported,
    InvalidParameterValue,
    ProtocolViolation,
    SqlError,
)

NEW_YORK = Settings(time_zone="America/New_York")
RECORDED = json.loads((Path(__file__).parent / "postgres_texts.json").read_text())


@pytest.mark.parametrize("type_name", sorted({case[0] for case in RECORDED}))
def test_text_and_binary_as_postgresql(type_name):
    """A literal means something else than in PostgreSQL, or its error has another text or code."""
    for _, oid, text, expected, binary in (c for c in RECORDED if c[0] == type_name):
        if binary is None:
            with pytest.raises(SqlError) as caught:
                text_in(oid)(text, NEW_YORK)
            assert caught.value.sqlstate == expected["sqlstate"], text
            assert caught.value.message == expected["message"], text
            continue
        datum = text_in(oid)(text, NEW_YORK)
        assert text_out(oid)(datum, NEW_YORK) == expected, text
        data = bytes.fromhex(binary)
        assert binary_out(oid)(datum) == data, text
        assert text_out(oid)(binary_in(oid)(data, NEW_YORK), NEW_YORK) == expected, text


def test_now_and_today_come_from_the_settings():
    """Text input would read the machine's clock: two statements of a transaction disagree."""
    settings = Settings(time_zone="Asia/Tokyo", now_micros=20 * 3_600_000_000)
    assert text_in(oids.TIMESTAMPTZ)("now", settings) == settings.now_micros
    assert text_in(oids.DATE)("today", settings) == 1
    assert text_in(oids.DATE)("yesterday", settings) == 0
    assert text_in(oids.TIMESTAMP)("tomorrow", settings) == 2 * 86_400_000_000
    assert text_in(oids.TIME)("now", settings) == 5 * 3_600_000_000


def test_date_order_of_the_session():
    """SET datestyle = 'ISO, DMY' would swap day and month of every date typed in."""
    dmy = Settings(date_style="ISO, DMY")
    assert text_out(oids.DATE)(text_in(oids.DATE)("02/03/2001", dmy)) == "2001-03-02"
    with pytest.raises(FeatureNotSupported):
        Settings(date_style="German")


def test_time_zones():
    """TimeZone would be refused or read with the wrong sign."""
    assert zone_by_name("america/new_york").name == "America/New_York"
    assert zone_by_name("-3").offset_s_at(0) == -10_800
    assert zone_by_name("<+05>-5:30").offset_s_at(0) == 19_800
    with pytest.raises(InvalidParameterValue):
        Settings(time_zone="Mars/Olympus")


def test_row_encoder_writes_data_rows():
    """Every result a client sees would be garbled."""
    encode = row_encoder([oids.INT4, oids.TEXT, oids.BOOL, oids.INT8], [0, 0, 0, 1])
    first = b"D\0\0\0\x23\0\4" + b"\0\0\0\1" + b"7" + b"\0\0\0\3" + "né".encode()
    first += b"\0\0\0\1t" + b"\0\0\0\x08" + (-2).to_bytes(8, "big", signed=True)
    second = b"D\0\0\0\x16\0\4" + b"\xff\xff\xff\xff" * 4
    rows = [(7, "né", True, -2), (None, None, None, None)]
    assert encode(rows) == first + second
    assert encode([]) == b""
    assert row_encoder([], [])([(), ()]) == b"D\0\0\0\6\0\0" * 2
    with pytest.raises(ProtocolViolation):
        row_encoder([oids.INT4] * 3, [0, 1])
    with pytest.raises(ProtocolViolation):
        row_encoder([oids.INT4], [2])


def test_long_values_have_right_lengths():
    """The table of short lengths ends somewhere; beyond it the stream would lose its framing."""
    for size in (63, 64, 65, 70_000):
        message = row_encoder([oids.TEXT], [])([("x" * size,)])
        assert message[7:11] == size.to_bytes(4, "big")
        assert len(message) == 11 + size


def test_parameters():
    """Bind values would reach the executor with a wrong type or a wrong value."""
    assert decode_param(oids.INT4, 0, b" 42 ") == 42
    assert decode_param(oids.INT4, 1, b"\0\0\0\x2a") == 42
    assert decode_param(oids.TEXT, 0, None) is None
    with pytest.raises(CharacterNotInRepertoire):
        decode_param(oids.TEXT, 0, b"\xff")
    with pytest.raises(CharacterNotInRepertoire):
        decode_param(oids.TEXT, 1, b"a\0b")
    with pytest.raises(SqlError) as caught:
        decode_param(oids.INT4, 1, b"\0\0\x2a")
    assert caught.value.sqlstate == "22P03"


def test_settings_change_output():
    """SET bytea_output and extra_float_digits would be ignored."""
    assert (
        text_output(oids.BYTEA, Settings(bytea_output="escape"))(b"a\\\0\xff") == "a\\\\\\000\\377"
    )
    assert text_output(oids.FLOAT8, Settings(extra_float_digits=0))(0.1 + 0.2) == "0.3"
    assert text_output(oids.FLOAT4, Settings(extra_float_digits=-2))(1.23456) == "1.235"


def test_records_and_vectors():
    """ROW(...) results and catalog columns such as indkey would be unreadable."""
    record = Record.of((1, "a b", None, "", 0, Decimal("1.0")), [23, 25, 25, 25, 1082, 1700])
    assert text_out(oids.RECORD)(record) == '(1,"a b",,"",2000-01-01,1.0)'
    assert text_out(oids.RECORD)((True, 'q"\\', [1, None])) == '(t,"q""\\\\","{1,NULL}")'
    assert text_out(oids.INT2VECTOR)([1, 2]) == "1 2"
    assert text_in(oids.OIDVECTOR)("23 25", None) == [23, 25]
    assert binary_in(oids.INT2VECTOR)(binary_out(oids.INT2VECTOR)([1, 2]), None) == [1, 2]


def test_intervals_in_binary():
    """psycopg and asyncpg read months where the days are."""
    value = Interval(14, -3, 5)
    assert binary_in(oids.INTERVAL)(binary_out(oids.INTERVAL)(value), None) == value


def test_unknown_types_are_refused_by_name():
    """An unsupported type would be sent in some made-up form."""
    for lookup in (text_in, binary_in, binary_out, text_output):
        with pytest.raises(FeatureNotSupported):
            lookup(600)
