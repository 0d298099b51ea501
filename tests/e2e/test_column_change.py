"""Columns that come, go and change while several SQL processes of one tenant write."""

import psycopg
import pytest

from tests.e2e.schema_load import SPREAD, fill, jobs, writing
from tests.e2e.stack import wait_until

pytestmark = pytest.mark.e2e
STACK_CONFIG = SPREAD
ROWS = 4_000


@pytest.fixture
def connection(stack):
    """A session beside those of the test, with the table t filled anew."""
    with stack.connect("acme") as opened:
        opened.execute("drop table if exists t")
        fill(opened, ROWS)
        yield opened


def wait_for_writes(writers, count):
    """Wait until each writer has done `count` more."""
    wanted = [len(writer.times) + count for writer in writers]

    def done():
        assert all(writer.is_alive() for writer in writers)
        return all(len(w.times) >= n for w, n in zip(writers, wanted, strict=True))

    wait_until(done, 30, "writes")


def change(connection, sql):
    """Run one change and require that a job has done it."""
    connection.execute(sql)
    job = jobs(connection)[0]
    assert (job["description"], job["status"]) == (sql, "succeeded")


def only_cut_off(errors):
    """Return the errors other than those of a transaction open when a type changed.

    A COMMIT that fails so has ended its block: nothing of the next one is refused (25P02).
    """
    return [error for error in errors if error[0] != "40001"]


def test_columns_come_and_go_under_load(stack, connection):
    """Writers would fail, or wait for ever, whenever somebody adds a column."""
    with writing(stack, row_count=ROWS) as writers:
        assert len(stack.sql_pids("acme")) >= 2
        change(connection, "alter table t add column c int not null default 7")
        wait_for_writes(writers, 10)
        wrong = connection.execute("select count(*) from t where c is distinct from 7")
        assert wrong.fetchone() == (0,)
        change(connection, "alter table t add column n bigserial")
        wait_for_writes(writers, 10)
        change(connection, "alter table t drop column c")
        wait_for_writes(writers, 10)
    for writer in writers:
        assert not writer.errors, writer.errors[:3]
    counts = connection.execute("select count(*), count(n), count(distinct n) from t").fetchone()
    assert len(set(counts)) == 1, counts


def test_a_failed_transaction_block_holds_nothing_up(stack, connection):
    """A client that sits in an aborted transaction would keep every schema change waiting."""
    with stack.connect("acme", autocommit=False) as failed:
        failed.execute("update t set a = 1 where id = 1")
        with pytest.raises(psycopg.errors.DivisionByZero):
            failed.execute("select 1 / 0")
        connection.execute("set statement_timeout = '20s'")
        change(connection, "alter table t add column c int")
        failed.rollback()


def test_types_change_under_load(stack, connection):
    """A service would have to stop to make a key wider, and values written meanwhile be lost."""
    with writing(stack, row_count=ROWS) as writers:
        change(connection, "alter table t alter a type bigint")
        wait_for_writes(writers, 10)
        change(connection, "alter table t alter a type text using 'a' || a::text")
        connection.execute("alter table t alter b type varchar")  # nothing to be done for it
        assert "type text" in jobs(connection)[0]["description"]
    for writer in writers:
        assert not only_cut_off(writer.errors), writer.errors[:3]
    bad = connection.execute("select count(*) from t where a !~ '^a?[0-9]+$' or a is null")
    assert bad.fetchone() == (0,)
    names = connection.execute(
        "select attname, attnum, format_type(atttypid, atttypmod) from pg_attribute "
        "where attrelid = 't'::regclass and attnum > 0 and not attisdropped order by attnum"
    ).fetchall()
    assert names == [("id", 1, "integer"), ("a", 2, "text"), ("b", 3, "character varying")]
