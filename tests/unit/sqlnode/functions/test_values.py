"""Answers that people rely on, written down; PostgreSQL itself is asked in tests/e2e."""

from decimal import Decimal

import pytest

import sqlnode.functions.all  # noqa: F401 - fills the registry
from pgwire.codecs.settings import Settings
from pgwire.sql_error import SqlError
from sqlnode.functions import decimals, patterns, regex_search
from sqlnode.functions.registry import REGISTRY
from sqlnode.functions.text_io import reader, writer
from sqlnode.types import BY_NAME


class Context:
    settings = Settings(time_zone="Europe/Berlin")


def call(name, types, *texts):
    """Call an entry on texts; return text or the SQLSTATE."""
    wanted = tuple(BY_NAME[t] for t in types.split())
    (function,) = [f for f in REGISTRY.functions[name] if f.arguments == wanted]
    args = [reader(t, Context.settings)(x) for t, x in zip(wanted, texts, strict=True)]
    try:
        value = function.python(*([Context] if function.needs_context else []), *args)
    except SqlError as error:
        return error.sqlstate
    return None if value is None else writer(function.result, Context.settings)(value)


@pytest.mark.parametrize(
    ("name", "types", "texts", "answer"),
    [
        ("hashtext", "text", ("",), "-1477818771"),
        ("hashtext", "text", ("import",), "-538410546"),
        ("hashtext", "text", ("a text longer than two rounds, ä",), "-1056327653"),
        ("hashtextextended", "text int8", ("x", "42"), "5924832983353149656"),
        ("hashint4", "int4", ("1",), "-1905060026"),
        ("hashint8", "int8", ("-1",), "385747274"),
        ("hashint8", "int8", ("4294967296",), "-1905060026"),
        ("int4pl", "int4 int4", ("2147483647", "1"), "22003"),
        ("int4div", "int4 int4", ("-7", "2"), "-3"),
        ("int4mod", "int4 int4", ("-7", "2"), "-1"),
        ("int8div", "int8 int8", ("1", "0"), "22012"),
        ("float8mul", "float8 float8", ("1e200", "1e200"), "22003"),
        ("numeric_div", "numeric numeric", ("1", "3"), "0.33333333333333333333"),
        ("numeric_div", "numeric numeric", ("10", "4"), "2.5000000000000000"),
        ("numeric_mul", "numeric numeric", ("1.10", "2.00"), "2.2000"),
        ("round", "numeric int4", ("2.345", "2"), "2.35"),
        ("round", "float8", ("2.5",), "2"),
        ("date_pli", "date int4", ("2024-02-28", "2"), "2024-03-01"),
        ("timestamp_pl_interval", "timestamp interval", ("2024-01-31 00:00", "1 month"),
         "2024-02-29 00:00:00"),
        ("timestamptz_pl_interval", "timestamptz interval",
         ("2024-03-30 12:00:00+01", "1 day"), "2024-03-31 12:00:00+02"),
        ("age", "timestamp timestamp", ("2024-03-31", "2024-02-29"), "1 mon 2 days"),
        ("extract", "text timestamp", ("second", "2024-01-01 00:00:01.5"), "1.500000"),
        ("date_trunc", "text timestamp", ("week", "2024-02-29 12:00"), "2024-02-26 00:00:00"),
        ("substring", "text int4 int4", ("abcdef", "-1", "4"), "ab"),
        ("substring", "text int4 int4", ("abc", "1", "-1"), "22011"),
        ("split_part", "text text int4", ("a,b,c", ",", "-1"), "c"),
        ("to_char", "timestamp text", ("2024-02-09 13:04:05", "FMDay DD.MM. HH12:MI AM"),
         "Friday 09.02. 01:04 PM"),
        ("to_char", "numeric text", ("-1234.5", "9,999.99"), "-1,234.50"),
        ("jsonb_object_field_text", "jsonb text", ('{"a": "x"}', "a"), "x"),
        ("jsonb_concat", "jsonb jsonb", ('{"a": 1}', '{"b": 2}'), '{"a": 1, "b": 2}'),
    ],
)  # fmt: skip
def test_answers(name, types, texts, answer):
    """If it fails, a common expression gives a wrong value or a wrong error."""
    assert call(name, types, *texts) == answer


def test_longest_match_wins():
    """If it fails, regexp_replace and its kin cut text where PostgreSQL does not."""
    found = regex_search.first_match(regex_search.search_for("foo|foobar"), "foobar")
    assert found is not None
    assert found[0] == "foobar"


def test_backslash_escapes_in_like():
    """If it fails, a search for a literal percent sign finds everything."""
    assert patterns.like_pattern(r"10\%").fullmatch("10%")
    assert not patterns.like_pattern(r"10\%").fullmatch("100")


def test_typmod_rounds_and_refuses():
    """If it fails, numeric(4,2) columns hold what they cannot."""
    assert str(decimals.apply_typmod(Decimal("1.005"), 4, 2)) == "1.01"
    with pytest.raises(SqlError) as caught:
        decimals.apply_typmod(Decimal(100), 4, 2)
    assert caught.value.sqlstate == "22003"
