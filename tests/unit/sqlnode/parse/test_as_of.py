"""AS OF SYSTEM TIME in the grammar."""

import pytest

from pgwire.errors import SqlSyntaxError
from sqlnode.parse.as_of import as_of_time, split_as_of
from sqlnode.parse.statement import parse
from sqlnode.statements import read_statements


def clause(sql):
    found = as_of_time(parse(sql).tree)
    return None if found is None else found.text


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM t AS OF SYSTEM TIME '-1s'",
        "select * from t as of system time '-1s' where a = 1 group by b order by 1 limit 3",
        "SELECT * FROM t x AS OF SYSTEM TIME '-1s'",
        "SELECT * FROM t AS x (a, b) AS OF SYSTEM TIME '-1s' WHERE a > 1",
        "SELECT * FROM t, u AS OF SYSTEM TIME '-1s'",
        "SELECT * FROM t JOIN u USING (a) AS OF SYSTEM TIME '-1s'",
        "SELECT * FROM t JOIN u USING (a) AS j AS OF SYSTEM TIME '-1s'",
        "SELECT * FROM t JOIN u ON a = b AS OF SYSTEM TIME '-1s'",
        "SELECT * FROM f(1) AS OF SYSTEM TIME '-1s'",
        "SELECT * FROM f(1) AS g AS OF SYSTEM TIME '-1s'",
        "SELECT * FROM (SELECT 1) s AS OF SYSTEM TIME '-1s'",
        "WITH c AS (SELECT 1) SELECT * FROM c AS OF SYSTEM TIME '-1s' FOR UPDATE",
        "SELECT * FROM t UNION SELECT * FROM u AS OF SYSTEM TIME '-1s' ORDER BY 1",
        "(SELECT * FROM t AS OF SYSTEM TIME '-1s') EXCEPT SELECT * FROM u",
        "EXPLAIN ANALYZE SELECT * FROM t AS OF SYSTEM TIME '-1s'",
        "COPY (SELECT * FROM t AS OF SYSTEM TIME '-1s') TO STDOUT",
        "DECLARE c CURSOR FOR SELECT * FROM t AS OF SYSTEM TIME '-1s'",
    ],
)
def test_the_clause_stands_after_from(sql):
    """A documented form would be a syntax error, or `of` an alias."""
    assert clause(sql) == "'-1s'"


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        (
            "SELECT * FROM t AS OF SYSTEM TIME now() - interval '1h' WHERE a",
            "now() - interval '1h'",
        ),
        ("SELECT * FROM t AS OF SYSTEM TIME 17.0000000001 LIMIT 1", "17.0000000001"),
        ("SELECT * FROM t AS OF SYSTEM TIME '1' || 's' GROUP BY a", "'1' || 's'"),
        ("SELECT * FROM t AS OF SYSTEM TIME f(1) ORDER BY a", "f(1)"),
    ],
)
def test_its_expression_ends_where_the_next_clause_begins(sql, text):
    """The time would swallow the WHERE."""
    assert clause(sql) == text


@pytest.mark.parametrize(
    "sql", ["SELECT * FROM t AS of", "SELECT * FROM t AS of JOIN u ON true", "SELECT 1 AS of"]
)
def test_of_is_still_a_name(sql):
    """A query that PostgreSQL takes would be refused."""
    assert clause(sql) is None


def test_a_subquery_keeps_its_clause_for_the_binder_to_refuse():
    """A part of a statement would read another time than the rest, silently."""
    tree = parse("SELECT * FROM (SELECT 1 FROM t AS OF SYSTEM TIME '-1s') s").tree
    assert as_of_time(tree) is None
    assert split_as_of(tree) == (tree, None)


def test_twice_is_once_too_often():
    """One of two times would be read."""
    sql = "SELECT 1 FROM t AS OF SYSTEM TIME '-1s' UNION SELECT 1 FROM t AS OF SYSTEM TIME '-1s'"
    with pytest.raises(SqlSyntaxError, match="only once"):
        clause(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "BEGIN AS OF SYSTEM TIME '-1s'",
        "BEGIN TRANSACTION AS OF SYSTEM TIME '-1s', READ ONLY",
        "START TRANSACTION ISOLATION LEVEL SERIALIZABLE, AS OF SYSTEM TIME '-1s' READ ONLY",
        "SET TRANSACTION AS OF SYSTEM TIME '-1s'",
    ],
)
def test_a_block_has_a_time(sql):
    """A documented form would be a syntax error."""
    assert parse(sql).tree.modes.as_of.text == "'-1s'"


def test_a_block_has_one_time():
    """One of two times would be read."""
    with pytest.raises(SqlSyntaxError):
        parse("BEGIN AS OF SYSTEM TIME '-1s', AS OF SYSTEM TIME '-2s'")


def test_such_statements_share_no_plan():
    """The plan of one time's catalog would run at another time."""
    for _ in range(2):
        for extended in (False, True):
            (statement,) = read_statements(
                "SELECT * FROM t AS OF SYSTEM TIME '-1s' WHERE a = 1", is_extended=extended
            )
            assert statement.as_of.text == "'-1s'"
            assert not statement.is_cacheable
            assert statement.normalized is None
