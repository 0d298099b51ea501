"""What statements cost: shown to who runs them, and billed to who owns the tenant."""

import json
import re

import pytest

from tests.e2e.stack import Stack, wait_until

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def stack():
    """One stack; every test has a tenant of its own."""
    with Stack(config="[sqlnode]\nusage_period_s = 0.3\n") as running:
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
        latencies = connection.execute(
            "select sum(calls), min(shorter_than_ms) > 0 from pg_insula.statement_latencies"
            " where query = 'select b from t where a = $1'"
        )
        assert latencies.fetchone() == (10, True)
        connection.execute("select pg_stat_statements_reset()")
        left = connection.execute("select query from pg_stat_statements").fetchall()
        assert ("insert into t values ($1, $2)",) not in left


def bill(stack, tenant, *words):
    return json.loads(stack.insula("usage", tenant, "--json", *words).stdout)


def whole_bill(stack, tenant):
    """Return today and the statements, between two reports."""
    while True:
        (day,) = bill(stack, tenant)
        statements = bill(stack, tenant, "--by", "statement")
        if bill(stack, tenant) == [day]:
            return day, statements


def wait_for_bill(stack, tenant, text, calls):
    """Wait until this kind of statement was reported so often."""

    def is_reported():
        rows = bill(stack, tenant, "--by", "statement")
        return sum(row["calls"] for row in rows if row["query"] == text) >= calls

    wait_until(is_reported, 10.0, f"{calls} calls of {text!r} are reported")


def test_the_sum_over_statements_is_the_bill(stack):
    """A bill nobody can explain; several processes report to it, and one of them is killed."""
    stack.create_tenant("billed")
    text = "insert into t values ($1, $2)"
    with stack.connect("billed", autocommit=True) as connection:
        connection.execute("create table t (a int primary key, b text)")
        for key in range(30):
            connection.execute(f"insert into t values ({key}, 'x')")
        wait_for_bill(stack, "billed", text, 30)
        shown = connection.execute(
            "select ru from pg_stat_statements where query = %s", [text]
        ).fetchone()
    (pid,) = stack.sql_pids("billed")
    stack.kill(pid)
    with stack.connect("billed", autocommit=True) as connection:
        for key in range(30, 40):
            connection.execute(f"insert into t values ({key}, 'x')")
        wait_for_bill(stack, "billed", text, 40)
    day, statements = whole_bill(stack, "billed")
    assert sum(row["micro_ru"] for row in statements) == day["micro_ru"]
    assert sum(row["calls"] for row in statements) == day["calls"]
    (inserts,) = [row for row in statements if row["query"] == text]
    assert (inserts["calls"], inserts["rows"]) == (40, 40)
    assert inserts["ru"] > shown[0] > 0
    assert day["used"]["write_requests"] >= 40
    assert text in stack.insula("usage", "billed", "--by", "statement").stdout


def test_the_bill_outlives_the_kv_node(stack):
    """What was reported before a kill -9 must be there after it, once."""
    stack.create_tenant("durable")
    with stack.connect("durable", autocommit=True) as connection:
        for _ in range(20):
            connection.execute("select 1 + 1")
        wait_for_bill(stack, "durable", "select $1 + $2", 20)
    before = bill(stack, "durable", "--by", "statement")
    stack.kill_and_wait("kvnode")
    after = {row["query_id"]: row for row in bill(stack, "durable", "--by", "statement")}
    for row in before:
        assert after[row["query_id"]]["micro_ru"] >= row["micro_ru"]
    assert after[before[0]["query_id"]]["calls"] >= before[0]["calls"]
    (counted,) = [row for row in after.values() if row["query"] == "select $1 + $2"]
    assert counted["calls"] == 20


def test_top_shows_who_works(stack):
    """An operator whose node is busy has to see by whom."""
    stack.create_tenant("busy")
    stack.create_tenant("lazy")
    with stack.connect("lazy"), stack.connect("busy", autocommit=True) as connection:
        connection.execute("create table t (a int primary key, b int)")
        for key in range(300):
            connection.execute("insert into t values (%s, 0)", [key])
        wait_for_bill(stack, "busy", "insert into t values ($1, 0)", 300)
        words = ("top", "--once", "--json", "--interval", "0.2")
        view = json.loads(stack.insula(*words).stdout)
        seen = {row["tenant"]: row for row in view["tenants"]}
        assert seen["busy"]["share"] > seen["lazy"]["share"]
        assert seen["busy"]["statements_per_s"] > 0
        assert seen["busy"]["ru_per_s"] > 0
        assert seen["busy"]["p99_ms"] >= seen["busy"]["p50_ms"] > 0
        assert seen["busy"]["processes"] == 1
        assert 0 < view["fairness_index"] <= 1
        assert "busy" in stack.insula("top", "--once", "--interval", "0.2").stdout
