"""What statements cost: shown to who runs them, and billed to who owns the tenant."""

import re

import pytest

from tests.e2e.stack import Stack

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def stack():
    """One stack; every test has a tenant of its own."""
    with Stack() as running:
        yield running


def analyzed_ru(connection, sql):
    lines = [row[0] for row in connection.execute(f"EXPLAIN ANALYZE {sql}").fetchall()]
    found = re.fullmatch(r"Request Units: (\d+\.\d+) RU", lines[-1])
    assert found, lines
    return float(found[1])


def test_explain_analyze_says_what_a_statement_cost(stack):
    """Without it a tenant cannot find out what uses its budget."""
    stack.create_tenant("explain")
    with stack.connect("explain") as connection:
        connection.execute("create table t (a int primary key, b text)")
        connection.execute(
            "insert into t select g, repeat('x', 100) from generate_series(1, 5000) g"
        )
        point = analyzed_ru(connection, "select * from t where a = 7")
        whole = analyzed_ru(connection, "select count(b) from t where b <> 'y'")
        assert 0 < point < whole
        plain = connection.execute("EXPLAIN select * from t where a = 7").fetchall()
        assert not any("Request Units" in row[0] for row in plain)


def test_statements_are_told_apart_and_added_up(stack):
    """What one looks at to find the expensive statement of an application."""
    stack.create_tenant("kinds")
    with stack.connect("kinds") as connection:
        connection.execute("create table t (a int primary key, b int)")
        for key in range(20):
            connection.execute(f"insert into t values ({key}, 0)")
        for key in range(10):
            connection.execute("select b from t where a = %s", [key])
        with pytest.raises(Exception, match="duplicate key"):
            connection.execute("insert into t values (1, 1)")
        seen = {
            query: (calls, count, ru, mean)
            for query, calls, count, ru, mean in connection.execute(
                "select query, calls, rows, ru, mean_exec_time from pg_stat_statements"
            ).fetchall()
        }
        inserts = seen["insert into t values ($1, $2)"]
        selects = seen["select b from t where a = $1"]
        assert inserts[:2] == (20, 20)
        assert selects[:2] == (10, 10)
        assert inserts[2] > selects[2] > 0
        assert selects[3] > 0
        connection.execute("select pg_stat_statements_reset()")
        left = connection.execute("select query from pg_stat_statements").fetchall()
        assert ("insert into t values ($1, $2)",) not in left
