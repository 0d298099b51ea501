"""Reading query strings: what is lifted, what is cached, where errors point."""

import pytest

from pgwire.errors import SqlSyntaxError
from sqlnode.parse.syntax import ParamRef
from sqlnode.statements import read_statements


def test_lifted_literals_leave_the_tree():
    """A literal that stayed would become the value of every like statement."""
    for text in (
        "insert into t values (-1, 'x')",
        "insert into t values (-6, 'y''z')",
        "select a from t where b between -5 and - 7 or c = -1.5",
        "update t set a = a + -5, b = -2 where c in (-1, 2)",
    ):
        (statement,) = read_statements(text)
        assert statement.normalized is not None
        assert "Literal(" not in repr(statement.tree), text


def test_like_statements_share_a_key_and_keep_their_values():
    """What makes `pgbench -M simple` fast, and right."""
    (first,) = read_statements("select a from t where b = -1 and c = 'x'")
    (second,) = read_statements("select a from t where b = -77 and c = 'it''s'")
    assert first.cache_key == second.cache_key
    assert (first.normalized.literals, second.normalized.literals) == ((-1, "x"), (-77, "it's"))
    assert isinstance(second.tree.body.where.args[0].right, ParamRef)


def test_moving_literals_are_never_cached():
    """'now' is another moment tomorrow."""
    (statement,) = read_statements("select timestamptz 'now'")
    assert not statement.is_cacheable


@pytest.mark.parametrize(
    ("text", "message", "position"),
    [
        ("select 1; selec 2", 'syntax error at or near "selec"', 11),
        ("select 1 from;", 'syntax error at or near ";"', 14),
        ("select 1 from", "syntax error at end of input", 14),
        ("select (1;", 'syntax error at or near ";"', 10),
    ],
)
def test_errors_point_into_the_whole_string(text, message, position):
    """psql prints a caret there; and nothing of the string has run yet."""
    with pytest.raises(SqlSyntaxError) as caught:
        read_statements(text)
    assert (caught.value.message, caught.value.position) == (message, position)


def test_an_empty_string_has_no_statement():
    """EmptyQueryResponse."""
    assert read_statements(" ; -- nothing\n ;") == []


def test_no_text_is_taken_for_a_fingerprint():
    """The marks of lifted literals are characters that a client could send."""
    (lifted,) = read_statements("select 5")
    with pytest.raises(SqlSyntaxError):
        read_statements(lifted.normalized.fingerprint, is_extended=True)
