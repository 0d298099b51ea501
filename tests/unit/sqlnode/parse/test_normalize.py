"""Which literals the plan cache lifts, and that lifting never changes what a statement means."""

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlnode.parse.normalize import normalize
from sqlnode.parse.statement import parse
from sqlnode.types import INT4, INT8, NUMERIC

MARKS = {"\x01": "<4>", "\x02": "<8>", "\x03": "<n>", "\x04": "<s>"}


def shown(text):
    found = normalize(text)
    return re.sub("[\x01-\x04]", lambda m: MARKS[m[0]], found.fingerprint), found.literals


@pytest.mark.parametrize(
    ("text", "fingerprint", "literals"),
    [
        ("SELECT b FROM t WHERE a = 12", "SELECT b FROM t WHERE a = <4>", (12,)),
        ("update t set a = a + -5 where b = 7", "update t set a = a + <4> where b = <4>", (-5, 7)),
        (
            "select 'it''s', 2.50, 3000000000",
            "select <s>, <n>, <8>",
            ("it's", Decimal("2.50"), 3 * 10**9),
        ),
        ("select a - 3, a -3, (-3)", "select a - <4>, a -<4>, (<4>)", (3, 3, -3)),
        ("select -2147483648, -9223372036854775808", "select <4>, <8>", (-(2**31), -(2**63))),
        (
            "select a from t where b in (1,2) limit 5",
            "select a from t where b in (<4>,<4>) limit <4>",
            (1, 2, 5),
        ),
        (
            "select a from t where b = 1 order by 2 limit 3",
            "select a from t where b = <4> order by 2 limit <4>",
            (1, 3),
        ),
        ("select a from t as x(b) where (c = 1)", "select a from t as x(b) where (c = <4>)", (1,)),
    ],
)
def test_lifts_operands(text, fingerprint, literals):
    """pgbench -M simple would plan every statement anew."""
    assert shown(text) == (fingerprint, literals)


@pytest.mark.parametrize(
    "text",
    [
        "select a::numeric(10,2)",
        "select cast(a as varchar(5))",
        "select '5'::int",
        "select date '2020-01-01'",
        "select timestamp(3) '2020-01-01'",
        "select interval '1 day'",
        "select current_timestamp(2)",
        "select a from t order by 1",
        "select a, count(*) + 1 from t group by a",
        "select distinct a + 1 from t order by a + 1",
        "select sum(a) over (rows 5 preceding) from t",
        "select 1 union select 2",
        "select e'x'",
        "select 'a'\n'b'",
        "select $$a$$, 1",
        "select $1 + 1",
        "select /* 1 */ 2",
        "set work_mem = 5",
        "create table t (a varchar(5) default 5)",
        "select 123456789012345678901234567890",
        "select 1e5",
    ],
)
def test_leaves_alone_what_could_mean_something_else(text):
    """A statement would get another statement's plan."""
    assert normalize(text).literals == ()


def test_types_are_part_of_the_fingerprint():
    """a = 1 and a = 3000000000 resolve to different operators."""
    small, large, exact = (normalize(f"select {n}") for n in ("1", "3000000000", "1.0"))
    assert len({small.fingerprint, large.fingerprint, exact.fingerprint}) == 3
    assert (small.types, large.types, exact.types) == ((INT4,), (INT8,), (NUMERIC,))


def test_marks_in_a_text_are_no_literals():
    """Somebody could ask for another statement's plan without its parameters."""
    assert normalize("select \x01").fingerprint != normalize("select 5").fingerprint


def test_lifted_literals_become_parameters_where_they_stand():
    """The plan would read the wrong parameter."""
    text = "update t set a = a + -5 where b = 'x' and c = 7"
    found = normalize(text)
    assert [text[start:].split()[0] for start in found.lifted] == ["-5", "'x'", "7"]
    tree = parse(text, found.lifted).tree
    assert repr(tree).count("ParamRef(") == 3
    assert "Literal(" not in repr(tree)


VALUES = st.one_of(
    st.integers(-(2**33), 2**33).map(str),
    st.text("ab 'é;-", max_size=6).map(lambda s: "'" + s.replace("'", "''") + "'"),
    st.sampled_from(["1.5", "x", "null", "now()", "(1)", "-x"]),
)


@given(st.lists(VALUES, min_size=1, max_size=6), st.sampled_from([" + ", "=", ", ", " < - "]))
def test_fast_and_slow_ways_agree(values, glue):
    """The first statement of a kind would mean something else than those that follow."""
    text = f"select {glue.join(values)} from t where {values[0]} = x"
    first, second = normalize(text), normalize(text)
    assert first == second
    assert first.lifted == second.lifted
    rebuilt, at = [], 0
    for start, value in zip(first.lifted, first.literals, strict=True):
        literal = (
            "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(abs(value))
        )
        end = text.index(literal, start) + len(literal)
        rebuilt.append(text[at:start])
        at = end
    rebuilt.append(text[at:])
    assert re.split("[\x01-\x04]", first.fingerprint.removeprefix("\x05")) == rebuilt
