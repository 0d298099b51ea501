"""Types that change and columns that are filled: jobs killed, cancelled, failing, or not needed."""

import psycopg
import pytest

from tests.e2e.schema_load import fill, jobs
from tests.e2e.test_schema_jobs import (
    STACK_CONFIG,  # noqa: F401 - of this module's stack as well
    Statement,
    newest_job,
    open_transaction,
    wait_for_end,
    wait_for_step,
)

pytestmark = pytest.mark.e2e
ROWS = 1_000


@pytest.fixture
def connection(stack):
    """A session beside those of the test, with the table t filled anew."""
    with stack.connect("acme") as opened:
        opened.execute("drop table if exists t")
        fill(opened, ROWS)
        yield opened


def type_of(connection, name):
    return connection.execute(
        "select format_type(atttypid, atttypmod) from pg_attribute "
        "where attrelid = 't'::regclass and attname = %s",
        (name,),
    ).fetchone()[0]


def at_step(stack, connection, sql, step, act):
    """Run a statement, and do `act(job)` while its job is held at a step; return the statement."""
    before = {job["job_id"] for job in jobs(connection)}
    with open_transaction(stack, 1) as first:
        statement = Statement(stack, sql)
        job = wait_for_step(connection, "known", before)
        if step == "known":
            act(job)
            return statement, job
        with open_transaction(stack, 2):
            first.commit()
            job = wait_for_step(connection, step, before)
            act(job)
    return statement, job


@pytest.mark.parametrize("step", ["known", "filling"])
def test_a_killed_owner_leaves_the_change_of_type_to_others(stack, connection, step):
    """A column would stay half changed for ever, and every write pay for it."""

    def kill(job):
        stack.kill(int(job["coordinator"].partition("-")[0]))

    statement, job = at_step(stack, connection, "alter table t alter a type text", step, kill)
    assert statement.end() is not None
    ended = wait_for_end(connection, job["job_id"])
    assert (ended["job_type"], ended["status"]) == ("ALTER COLUMN TYPE", "succeeded")
    assert ended["fraction_completed"] == 1.0
    assert type_of(connection, "a") == "text"
    rows = connection.execute("select count(*), count(a) from t where id > 2").fetchone()
    assert rows == (ROWS - 3, ROWS - 3)
    assert connection.execute("select a from t where id = 10").fetchone() == ("70",)
    stack.expect_log("process_died", "sql_process_crashed", "sql_process_lost")


@pytest.mark.parametrize("step", ["known", "filling"])
def test_a_cancelled_change_of_type_changes_nothing(stack, connection, step):
    """Who thinks better of it would be left with a column that nobody sees."""

    def cancel(job):
        connection.execute(f"cancel job {job['job_id']}")

    statement, job = at_step(stack, connection, "alter table t alter a type text", step, cancel)
    assert statement.end().sqlstate == "57014"
    assert wait_for_end(connection, job["job_id"])["status"] == "canceled"
    assert type_of(connection, "a") == "integer"
    connection.execute("insert into t values (-70, 7, 'after')")
    connection.execute("alter table t alter a type numeric(12, 2)")
    assert connection.execute("select sum(a) from t where id in (10, -70)").fetchone() == (77,)


@pytest.mark.parametrize(
    ("sql", "sqlstate"),
    [
        ("alter table t alter b type int using b::int", "22P02"),
        ("alter table t alter a type smallint using (a * 1000)", "22003"),
        ("alter table t alter b type varchar(5)", "22001"),
        ("alter table t alter a type bigint using nullif(a, 70)", "23502"),
        ("alter table t alter b type int", "42804"),
    ],
)
def test_a_row_that_does_not_fit_takes_the_change_back(connection, sql, sqlstate):
    """A value would be lost, or the column be of two types."""
    connection.execute("alter table t alter a set not null")
    before = connection.execute("select * from t order by id").fetchall()
    with pytest.raises(psycopg.Error) as caught:
        connection.execute(sql)
    assert caught.value.sqlstate == sqlstate
    assert [type_of(connection, "a"), type_of(connection, "b")] == ["integer", "text"]
    assert connection.execute("select * from t order by id").fetchall() == before
    if sqlstate != "42804":
        assert newest_job(connection)["status"] == "failed"


def test_what_keeps_every_byte_is_done_at_once(connection):
    """Making a column wider would rewrite the table, as it need not."""
    connection.execute("alter table t alter b type varchar(20)")
    connection.execute("create index t_b on t (b)")
    known = len(jobs(connection))
    for wider in ("varchar(30)", "varchar", "text", "varchar"):
        connection.execute(f"alter table t alter b type {wider}")
    connection.execute("alter table t add column n numeric(8, 2) default 1.5")
    connection.execute("alter table t alter n type numeric(10, 2)")
    assert len(jobs(connection)) == known + 1  # the added column
    assert type_of(connection, "n") == "numeric(10,2)"
    found = connection.execute("select id, n from t where b = 'text 9'").fetchall()
    assert [(row[0], str(row[1])) for row in found] == [(9, "1.50")]


def test_a_transaction_changes_a_type_itself(connection):
    """Migrations that run in one transaction must see what they made, and take it back."""
    known = len(jobs(connection))
    with connection.transaction(force_rollback=True):
        connection.execute("alter table t alter a type text")
        connection.execute("insert into t values (-1, 'seven', 'x')")
    assert type_of(connection, "a") == "integer"
    connection.execute("alter table t alter id type bigint")  # a key: rewritten at once
    assert len(jobs(connection)) == known
    assert type_of(connection, "id") == "bigint"


@pytest.mark.parametrize(
    "definition",
    [
        "uuid default gen_random_uuid()",
        "float8 not null default random()",
        "timestamptz default clock_timestamp()",
        "serial",
        "bigint generated always as identity",
    ],
)
def test_every_row_gets_a_default_of_its_own(connection, definition):
    """Rows would share one value, or have none."""
    connection.execute(f"alter table t add column c {definition}")
    assert newest_job(connection)["job_type"] == "ADD COLUMN WITH DEFAULT"
    connection.execute("insert into t (id, a, b) values (-1, 0, 'new')")
    total, different = connection.execute("select count(*), count(distinct c) from t").fetchone()
    assert total == ROWS + 1
    assert different > ROWS / 20 if "clock" in definition else different == total
