"""Jobs of online schema changes: held in each state, killed, cancelled, failing."""

import threading
from contextlib import contextmanager

import psycopg
import pytest

from tests.e2e.schema_load import fill, index_reports, jobs
from tests.e2e.stack import wait_until

pytestmark = pytest.mark.e2e
ROWS = 3_000
# Every session has a SQL process of its own.
STACK_CONFIG = """
[pool]
sessions_per_process = 1
processes_per_tenant_max = 12
warm_min = 6
"""
STATES = ("delete-only", "write-only", "backfill")


@pytest.fixture
def connection(stack):
    """A session beside those of the test, with the table t filled anew."""
    with stack.connect("acme") as opened:
        opened.execute("drop table if exists child, t cascade")
        fill(opened, ROWS)
        yield opened


class Statement(threading.Thread):
    """A statement that runs in a session and thread of its own."""

    def __init__(self, stack, sql):
        super().__init__(name=sql[:20])
        self.connection, self.sql, self.error = stack.connect("acme"), sql, None
        self.start()

    def run(self):
        try:
            self.connection.execute(self.sql)
        except psycopg.Error as error:
            self.error = error

    def end(self):
        """Wait for the end; return the error."""
        self.join(40)
        assert not self.is_alive(), self.sql
        self.connection.close()
        return self.error


def newest_job(connection):
    return jobs(connection)[0]


def wait_for_step(connection, step, before=frozenset()):
    """Wait until the newest job has done `step` and waits for older transactions."""

    def found():
        new = [job for job in jobs(connection) if job["job_id"] not in before]
        return new and (new[0]["running_status"] or "").startswith(f"{step}, waiting") and new[0]

    return wait_until(found, 20, f"a job at {step}")


def wait_for_end(connection, job_id):
    def ended():
        (job,) = (job for job in jobs(connection) if job["job_id"] == job_id)
        return job["status"] in ("succeeded", "failed", "canceled") and job

    return wait_until(ended, 40, f"the end of job {job_id}")


@contextmanager
def open_transaction(stack, number):
    """A transaction that has written t and stays open for the length of the block."""
    with stack.connect("acme", autocommit=False) as session:
        session.execute("insert into t values (%s, %s, %s)", (-number, number, f"open {number}"))
        session.execute("update t set a = a + 1 where id = %s", (number,))
        yield session
        session.commit()


@contextmanager
def held(stack, connection, state, sql):
    """A statement whose job is held in `state` until the block ends; yields (statement, job)."""
    before = {job["job_id"] for job in jobs(connection)}
    with open_transaction(stack, 1) as first:
        statement = Statement(stack, sql)
        job = wait_for_step(connection, "delete-only", before)
        if state == "delete-only":
            yield statement, job
            return
        with open_transaction(stack, 2):
            first.commit()
            job = wait_for_step(connection, "write-only", before)
            if state == "write-only":
                yield statement, job
                return
    # No transaction holds the backfill: it may be anywhere in its chunks, or done.
    yield statement, job


def test_transactions_open_across_each_step_commit(stack, connection):
    """Every long transaction would fail whenever somebody makes an index."""
    with open_transaction(stack, 1) as first:
        statement = Statement(stack, "create index t_a on t (a)")
        wait_for_step(connection, "delete-only")
        with open_transaction(stack, 2) as second:
            first.execute("delete from t where id = 11")
            first.commit()
            wait_for_step(connection, "write-only")
            with open_transaction(stack, 3) as third:
                second.execute("update t set a = 5 where id = 12")
                second.commit()
                assert statement.end() is None
                third.execute("update t set a = 6 where id = 13")
                third.commit()
    (report,) = index_reports(stack)
    assert report.is_right, report
    assert newest_job(connection)["fraction_completed"] == 1.0


def test_a_change_begins_when_nobody_is_two_versions_behind(stack, connection):
    """One change right after another would fail the transactions that outlived the first."""
    with open_transaction(stack, 1) as first:
        statement = Statement(stack, "alter table t add column c int")
        wait_for_step(connection, "adding")
        with open_transaction(stack, 2) as second:  # knows c as hidden
            first.commit()
            assert statement.end() is None
            impatient = stack.connect("acme")
            impatient.execute("set lock_timeout = 200")
            with pytest.raises(psycopg.errors.LockNotAvailable, match="due to lock timeout"):
                impatient.execute("create index t_a on t (a)")
            patient = Statement(stack, "create index t_b on t (b)")
            second.execute("update t set a = 5 where id = 12")
            second.commit()
            assert patient.end() is None
            impatient.close()
    assert [report.index for report in index_reports(stack)] == ["t_b"]


@pytest.mark.parametrize("state", STATES)
def test_a_killed_owner_leaves_the_job_to_others(stack, connection, state):
    """An index would stay half-built for ever, and its name taken."""
    with held(stack, connection, state, "create index t_a on t (a)") as (statement, job):
        stack.kill(int(job["coordinator"].partition("-")[0]))
    assert statement.end() is not None
    ended = wait_for_end(connection, job["job_id"])
    assert ended["status"] == "succeeded", ended
    (report,) = index_reports(stack)
    assert report.is_right, report


@pytest.mark.parametrize("state", STATES[:2])
@pytest.mark.parametrize("way", ["CANCEL JOB", "cancel request"])
def test_a_cancelled_job_rolls_back(stack, connection, state, way):
    """Who cancels would be left with an index that writers maintain and nobody reads."""
    with held(stack, connection, state, "create unique index t_b on t (b)") as (statement, job):
        if way == "CANCEL JOB":
            connection.execute(f"cancel job {job['job_id']}")
        else:
            statement.connection.cancel()
            error = statement.end()
            assert error is not None
            assert error.sqlstate == "57014"
    assert wait_for_end(connection, job["job_id"])["status"] == "canceled"
    if way == "CANCEL JOB":
        assert statement.end().sqlstate == "57014"
    assert index_reports(stack) == []
    connection.execute("create unique index t_b on t (id, b)")  # the name is free again
    (report,) = index_reports(stack)
    assert report.is_right, report


def test_a_duplicate_written_while_the_index_is_built(stack, connection):
    """A unique index with two rows for one key returns either."""
    with held(stack, connection, "write-only", "create unique index t_b on t (b)") as (
        statement,
        job,
    ):
        connection.execute("insert into t values (-50, 0, 'text 2999')")
    error = statement.end()
    assert error.sqlstate == "23505", error
    assert error.diag.message_detail == "Key (b)=(text 2999) is duplicated."
    assert wait_for_end(connection, job["job_id"])["status"] == "failed"
    assert index_reports(stack) == []


def test_duplicates_that_were_there(stack, connection):
    """ADD CONSTRAINT UNIQUE over doubles must name one, and leave nothing behind."""
    connection.execute("insert into t values (-50, 0, 'text 1')")
    with pytest.raises(psycopg.errors.UniqueViolation) as caught:
        connection.execute("alter table t add constraint one_b unique (b)")
    assert 'could not create unique index "one_b"' in str(caught.value)
    connection.execute("delete from t where id = -50")
    connection.execute("alter table t add constraint one_b unique (b)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute("insert into t values (-51, 0, 'text 1')")
    (report,) = index_reports(stack)
    assert report.is_right, report


def test_a_constraint_not_valid_binds_every_writer(stack, connection):
    """Rows written after ALTER TABLE has returned would break what it promised."""
    connection.execute("update t set a = -5 where id = 6")
    with open_transaction(stack, 1) as older:
        statement = Statement(stack, "alter table t add constraint pos check (a > -1) not valid")
        wait_for_step(connection, "enforced")
        older.execute("update t set a = -4 where id = 1")  # began before: it knows of nothing
    assert statement.end() is None
    with pytest.raises(psycopg.errors.CheckViolation):
        connection.execute("update t set a = -3 where id = 2")
    assert newest_job(connection)["job_type"] == "ADD NOT VALID"
    for broken in (1, 6):
        with pytest.raises(psycopg.errors.CheckViolation, match="is violated by some row"):
            connection.execute("alter table t validate constraint pos")
        assert newest_job(connection)["status"] == "failed"
        assert known(connection, "pos") == [(False, "CHECK ((a > '-1'::integer)) NOT VALID")]
        connection.execute("update t set a = 0 where id = %s", (broken,))
    with open_transaction(stack, 3):
        statement = Statement(stack, "alter table t validate constraint pos")
        wait_for_step(connection, "enforced")
        with pytest.raises(psycopg.errors.ObjectInUse):
            connection.execute("alter table t validate constraint pos")
    assert statement.end() is None
    assert known(connection, "pos") == [(True, "CHECK ((a > '-1'::integer))")]


def known(connection, name):
    """Return what pg_constraint says about a constraint."""
    asked = "select convalidated, pg_get_constraintdef(oid) from pg_constraint where conname = %s"
    return connection.execute(asked, (name,)).fetchall()


@pytest.mark.parametrize("way", ["killed", "CANCEL JOB"])
@pytest.mark.parametrize("sql", ["add constraint pos check (a > -1) not valid",
                                 "validate constraint pos"])  # fmt: skip
def test_not_valid_survives_its_owner_and_can_be_cancelled(stack, connection, way, sql):
    """A constraint would be locked by a job that is no more, or stay although it was given up."""
    if sql.startswith("validate"):
        connection.execute("alter table t add constraint pos check (a > -1) not valid")
    before = {job["job_id"] for job in jobs(connection)}
    with open_transaction(stack, 1):
        statement = Statement(stack, f"alter table t {sql}")
        job = wait_for_step(connection, "enforced", before)
        if way == "killed":
            stack.kill(int(job["coordinator"].partition("-")[0]))
        else:
            connection.execute(f"cancel job {job['job_id']}")
    assert statement.end() is not None
    done = way == "killed"
    assert wait_for_end(connection, job["job_id"])["status"] == (
        "succeeded" if done else "canceled"
    )
    is_there, is_valid = sql.startswith("validate") or done, sql.startswith("validate") and done
    assert [row[0] for row in known(connection, "pos")] == ([is_valid] if is_there else [])


CONSTRAINTS = (
    ("alter table t add constraint small check (a < 1000000)", "23514", "a = 2000000"),
    ("alter table t alter b set not null", "23502", "b = null"),
    (
        "alter table t add constraint parent foreign key (a) references p (id)",
        "23503",
        "a = 2000000",
    ),
)


def validated(connection):
    """Return what pg_constraint says about the constraint; NOT NULL is not in there."""
    asked = "select convalidated from pg_constraint where conname in ('small', 'parent')"
    return [row[0] for row in connection.execute(asked).fetchall()]


@pytest.mark.parametrize(("sql", "sqlstate", "broken"), CONSTRAINTS)
def test_constraints_are_enforced_then_validated(stack, connection, sql, sqlstate, broken):
    """A row that came in while older ones were looked at would break the constraint unseen."""
    connection.execute("drop table if exists p cascade")
    connection.execute("create table p (id int primary key)")
    connection.execute("insert into p select generate_series(0, 100100)")
    connection.execute("insert into t values (-9, 1, 'x')")
    connection.execute(f"update t set {broken} where id = -9")
    with pytest.raises(psycopg.Error) as caught:
        connection.execute(sql)
    assert caught.value.sqlstate == sqlstate
    assert newest_job(connection)["status"] == "failed"
    connection.execute(f"update t set {broken} where id = 5")  # it is gone again
    connection.execute("delete from t where id in (-9, 5)")
    with open_transaction(stack, 1):
        statement = Statement(stack, sql)
        wait_for_step(connection, "enforced")
        with pytest.raises(psycopg.Error) as caught:
            connection.execute(f"update t set {broken} where id = 6")
        assert caught.value.sqlstate == sqlstate
        assert validated(connection) in ([], [False])
    assert statement.end() is None
    assert newest_job(connection)["status"] == "succeeded"
    assert validated(connection) in ([], [True])


def test_concurrently_is_the_same_and_no_part_of_a_transaction(stack, connection):
    """Tools that migrate with CONCURRENTLY rely on PostgreSQL's rule."""
    with pytest.raises(psycopg.errors.ActiveSqlTransaction), connection.transaction():
        connection.execute("create index concurrently t_a on t (a)")
    connection.execute("create index concurrently t_a on t (a)")
    assert newest_job(connection)["job_type"] == "CREATE INDEX"
    (report,) = index_reports(stack)
    assert report.is_right, report


def test_a_transaction_makes_its_index_itself(stack, connection):
    """Migrations that run in one transaction must see what they made, and take it back."""
    known = len(jobs(connection))
    with connection.transaction():
        connection.execute("create index t_a on t (a)")
        connection.execute("insert into t values (-1, 77, 'x')")
    assert len(jobs(connection)) == known
    (report,) = index_reports(stack)
    assert report.is_right, report


def test_jobs_are_rows_of_a_relation(stack, connection):
    """Tools could not ask which tables are being changed, or alert on what failed."""

    def rows(sql, session=connection):
        return session.execute(sql).fetchall()

    connection.execute("create index t_a on t (a)")
    with pytest.raises(psycopg.errors.CheckViolation):
        connection.execute("alter table t add constraint small check (a < 3)")
    assert rows(
        "select j.job_type, j.status, j.fraction_completed, c.relname, left(j.error, 24)"
        " from pg_insula.jobs j join pg_class c on c.oid = j.relid"
        " where c.oid = 't'::regclass order by j.job_id"
    ) == [
        ("CREATE INDEX", "succeeded", 1.0, "t", None),
        ("ADD CHECK", "failed", 0.0, "t", 'check constraint "small"'),
    ]
    (newest,) = rows("select * from pg_insula.jobs order by job_id desc limit 1")
    assert tuple(newest_job(connection).values()) == newest
    with (
        held(stack, connection, "delete-only", "create index t_b on t (b)") as (statement, job),
        stack.connect("acme", autocommit=False) as session,
    ):
        session.execute("insert into t values (-60, 0, 'x')")
        asked = f"select running_status from pg_insula.jobs where job_id = {job['job_id']}"
        assert rows(asked, session) == [("delete-only, waiting for older transactions",)]
        connection.execute(f"cancel job {job['job_id']}")
        session.commit()  # although what it read has changed
    assert statement.end().sqlstate == "57014"
