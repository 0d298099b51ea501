"""Type names to OIDs and modifiers."""

import pytest

from pgwire.errors import SqlError
from sqlnode.parse.type_names import parse_type


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("int", "integer"),
        ("pg_catalog.int4", "integer"),
        ("bigint[]", "bigint[]"),
        ("int array[3]", "integer[]"),
        ("_text", "text[]"),
        ("double precision", "double precision"),
        ("float(24)", "real"),
        ("decimal(10)", "numeric(10,0)"),
        ("numeric(10, 2)", "numeric(10,2)"),
        ("numeric(3,-2)", "numeric(3,-2)"),
        ("varchar(20)", "character varying(20)"),
        ("character varying", "character varying"),
        ("char", "character(1)"),
        ('"char"', '"char"'),
        ("bpchar", "character"),
        ("national character(3)", "character(3)"),
        ("timestamp(3) with time zone", "timestamp(3) with time zone"),
        ("timestamp without time zone", "timestamp without time zone"),
        ("timestamptz", "timestamp with time zone"),
        ("time(2)", "time(2) without time zone"),
        ("regclass", "regclass"),
    ],
)
def test_prints_as_format_type(text, printed):
    """A column would get another type than the one asked for."""
    assert str(parse_type(text)) == printed


@pytest.mark.parametrize(
    ("text", "sqlstate"),
    [
        ("nope", "42704"),
        ("s.int4", "42704"),
        ("numeric(0)", "22023"),
        ("varchar(0)", "22023"),
        ("char(10485761)", "22023"),
        ("int(5)", "42601"),
        ("inet", "0A000"),
        ("bit(3)", "0A000"),
        ("time with time zone", "0A000"),
        ("int int", "42601"),
        ("serial", "42704"),
    ],
)
def test_refuses(text, sqlstate):
    """A wrong type must not turn into another one."""
    with pytest.raises(SqlError) as caught:
        parse_type(text)
    assert caught.value.sqlstate == sqlstate
