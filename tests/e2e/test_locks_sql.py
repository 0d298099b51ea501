"""Locks as SQL clients meet them: advisory locks, deadlocks, timeouts, transaction modes."""

import re
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.e2e.stack import Stack
from tests.oracle import postgres

pytestmark = pytest.mark.e2e
WAIT_S = 15


@pytest.fixture(scope="module")
def stack():
    """A stack with one tenant and one table."""
    with Stack() as running:
        running.create_tenant("acme")
        with running.connect("acme") as connection:
            connection.execute("create table t (id int primary key, v int)")
            connection.execute("insert into t values (1, 10), (2, 20)")
        yield running


@pytest.fixture
def connections(stack):
    """Two sessions."""
    with stack.connect("acme") as one, stack.connect("acme") as other:
        yield one, other


def sqlstate_of(connection, sql):
    """Return the SQLSTATE that a statement fails with."""
    with pytest.raises(psycopg.Error) as caught:
        connection.execute(sql)
    return caught.value.sqlstate


def value(connection, sql):
    return connection.execute(sql).fetchone()[0]


def test_advisory_locks_are_counted_and_end_with_their_session(stack, connections):
    """Programs elect leaders with them: two would lead, or nobody ever again."""
    one, other = connections
    notices = []
    one.add_notice_handler(lambda d: notices.append((d.severity, d.message_primary)))
    for _ in range(2):
        one.execute("select pg_advisory_lock(1)")
    assert value(one, "select pg_advisory_unlock(1)") is True
    assert value(other, "select pg_try_advisory_lock(1)") is False
    assert value(one, "select pg_advisory_unlock(1)") is True
    assert value(one, "select pg_advisory_unlock(1)") is False
    assert notices == [("WARNING", "you don't own a lock of type ExclusiveLock")]
    assert value(other, "select pg_try_advisory_lock(1)") is True
    with stack.connect("acme") as third:
        third.execute("select pg_advisory_lock_shared(2), pg_advisory_lock(3, 4)")
        assert value(one, "select pg_try_advisory_lock(2)") is False
        assert value(one, "select pg_try_advisory_lock(3, 4)") is False
    deadline = time.monotonic() + WAIT_S
    while not value(one, "select pg_try_advisory_lock(2)"):
        assert time.monotonic() < deadline, "the locks outlived their session"
    one.execute("select pg_advisory_unlock_all()")
    assert value(other, "select pg_try_advisory_lock(2)") is True


def test_another_tenant_has_locks_of_its_own(stack, connections):
    """A neighbour could stop a tenant's jobs, or learn of them."""
    stack.create_tenant("globex")
    connections[0].execute("select pg_advisory_lock(77)")
    with stack.connect("globex") as neighbour:
        assert value(neighbour, "select pg_try_advisory_lock(77)") is True


def test_a_deadlock_ends_within_a_second_and_names_both_statements(connections):
    """Without it two sessions wait for ever, or nobody can tell why one was ended."""
    one, other = connections
    for connection, row in ((one, 1), (other, 2)):
        connection.execute("begin")
        connection.execute(f"update t set v = v + 1 where id = {row}")
    with ThreadPoolExecutor() as threads:
        crossing = [
            threads.submit(one.execute, "update t set v = 0 where id = 2"),
            threads.submit(other.execute, "delete from t where id = 1"),
        ]
        # The survivor goes on at once: the victim's locks are free before its ROLLBACK.
        errors = [future.exception(WAIT_S) for future in crossing]
    (error,) = [error for error in errors if error is not None]
    assert error.sqlstate == "40P01"
    detail = error.diag.message_detail
    pids = {str(one.info.backend_pid), str(other.info.backend_pid)}
    assert set(re.findall(r"Process (\d+) waits for", detail)) == pids, detail
    assert "blocked by process" in detail
    assert re.search(r"(?i)Process \d+: delete from t", detail), detail
    assert re.search(r"(?i)Process \d+: update t set v", detail), detail
    one.execute("rollback")
    other.execute("rollback")


def test_lock_timeout_and_statement_timeout_have_their_codes(connections):
    """Programs tell "busy row" from "slow query" by them."""
    one, other = connections
    one.execute("begin")
    one.execute("select v from t where id = 1 for update")
    other.execute("set lock_timeout = '50ms'")
    assert sqlstate_of(other, "update t set v = 1 where id = 1") == "55P03"
    one.execute("select pg_advisory_xact_lock(5)")
    assert sqlstate_of(other, "select pg_advisory_lock(5)") == "55P03"
    other.execute("set lock_timeout = 0")
    other.execute("set statement_timeout = '80ms'")
    assert sqlstate_of(other, "update t set v = 1 where id = 1") == "57014"
    other.execute("reset statement_timeout")
    assert sqlstate_of(other, "select v from t where id = 1 for update nowait") == "55P03"
    one.execute("rollback")
    other.execute("update t set v = 10 where id = 1")


def test_an_idle_transaction_is_ended_and_its_locks_are_free(stack, connections):
    """A forgotten psql would block a row over the weekend."""
    with stack.connect("acme") as idle:
        idle.execute("set idle_in_transaction_session_timeout = 100")
        idle.execute("begin")
        idle.execute("update t set v = 0 where id = 2")
        connections[0].execute("update t set v = 21 where id = 2")  # waits for the timeout
        assert sqlstate_of(idle, "select 1") == "25P03"
    assert value(connections[0], "select v from t where id = 2") == 21


def test_lock_table_takes_what_leaves_dml_alone_and_refuses_the_rest(connections):
    """A lock that does nothing would be believed."""
    one, other = connections
    one.execute("begin")
    assert sqlstate_of(one, "lock table t") == "0A000"
    one.execute("rollback")
    one.execute("begin")
    one.execute("lock table t in share update exclusive mode")
    other.execute("begin")
    other.execute("lock table t in row exclusive mode")
    command = "lock table t in share update exclusive mode nowait"
    assert sqlstate_of(other, command) == "55P03"
    other.execute("rollback")
    one.execute("rollback")


def test_the_first_statement_of_a_block_runs_again_inside(connections):
    """The client has seen nothing of the transaction yet: it should not see a conflict either."""
    one, other = connections
    one.execute("begin")
    one.execute("update t set v = v + 1 where id = 1")
    with ThreadPoolExecutor() as threads:
        other.execute("begin")  # SERIALIZABLE: what the scan reads has to be so at the commit
        waiting = threads.submit(other.execute, "update t set v = v + 100 where v > 0")
        one.execute("commit")
        assert waiting.result(WAIT_S).rowcount == 2
    other.execute("commit")


def test_a_conflict_that_the_client_has_seen_says_that_a_retry_may_help(connections):
    """Retrying programs look for the code, people for the hint."""
    one, other = connections
    one.execute("begin")
    one.execute("select sum(v) from t")
    other.execute("update t set v = v + 1 where id = 1")
    with pytest.raises(psycopg.errors.SerializationFailure) as caught:
        one.execute("update t set v = 0 where id = 1")
    assert caught.value.diag.message_hint == "The transaction might succeed if retried."
    one.execute("rollback")


MODES = """
begin; set transaction isolation level read uncommitted; show transaction_isolation; commit
begin isolation level repeatable read; show transaction_isolation; rollback
begin; select 1; set transaction isolation level repeatable read; rollback
begin; savepoint a; set transaction isolation level repeatable read; rollback
begin; select 1; set transaction read only; create table n (a int); rollback
begin read only; select 1; set transaction read write; rollback
begin read only; savepoint a; set transaction read write; rollback
begin read only; set transaction read write; create table nn (a int); rollback
begin; select 1; set transaction deferrable; rollback
begin; savepoint a; set transaction not deferrable; rollback
begin isolation level serializable, read only, deferrable; show transaction_deferrable; commit
begin read only; update m set v = 1; rollback
begin read only; select * from m for update; rollback
begin read only; insert into m values (1); rollback
begin read only; truncate m; rollback
begin read only; select nextval('seq'); rollback
set session characteristics as transaction isolation level repeatable read
show default_transaction_isolation
show transaction_isolation
begin; show transaction_isolation; commit
set session characteristics as transaction read only
update m set v = 2
begin read write; update m set v = 2; commit
set default_transaction_read_only = off
set default_transaction_isolation = 'read committed'
begin; show transaction_isolation; commit
set default_transaction_isolation = 'snapshot'
set default_transaction_deferrable = on
show default_transaction_deferrable
begin; set transaction_isolation = 'serializable'; show transaction_isolation; commit
begin; select 1; set transaction_isolation = 'read committed'; rollback
begin; select 1; set local transaction_read_only = on; update m set v = 3; rollback
begin; savepoint a; savepoint a; release a; rollback to a; release a; rollback to a; rollback
begin; savepoint a; select 1/0; savepoint b; rollback to a; select 2; release a; commit
begin; savepoint a; insert into m values (7); rollback to a; select * from m; commit
begin; rollback to nowhere; commit
savepoint a
rollback to a
release a
"""


def answers(connection):
    """Return what each statement of MODES says."""
    said = []
    for line in filter(None, MODES.splitlines()):
        for sql in line.split("; "):
            try:
                cursor = connection.execute(sql)
                said.append((sql, cursor.fetchall() if cursor.description else "ok"))
            except psycopg.Error as error:
                said.append((sql, error.sqlstate, error.diag.message_primary))
    return said


def test_transaction_modes_answer_as_postgres_does(stack):
    """Frameworks set them in every order there is, and read the errors."""
    with (
        postgres() as url,
        psycopg.connect(url, autocommit=True) as real,
        stack.connect("acme") as ours,
    ):
        for connection in (real, ours):
            connection.execute("create table m (v int)")
            connection.execute("create sequence seq")
        ours.execute("set default_transaction_isolation = 'read committed'")
        for expected, found in zip(answers(real), answers(ours), strict=True):
            assert found == expected


QUEUES = (
    "update jobs set state = %s where id = (select id from jobs where state = 'new' order by id"
    " limit 1 for update skip locked) returning id",
    "with picked as (select id from jobs where state = 'new' order by id limit 1"
    " for update skip locked) update jobs set state = %s from picked where jobs.id = picked.id"
    " returning jobs.id",
    "update jobs set state = %s where id in (select id from jobs where state = 'new' order by id"
    " limit 2 for update skip locked) returning id",
)


@pytest.mark.parametrize("take", QUEUES)
def test_workers_take_each_job_of_a_queue_once(stack, take):
    """Every job queue on PostgreSQL is this statement: it would not run, or jobs run twice."""
    with stack.connect("acme") as connection:
        connection.execute("drop table if exists jobs")
        connection.execute("create table jobs (id int primary key, state text)")
        connection.execute("insert into jobs select g, 'new' from generate_series(1, 60) g")

    def work(name):
        taken = []
        with stack.connect("acme") as connection:
            while rows := connection.execute(take, (name,)).fetchall():
                taken += [row[0] for row in rows]
        return taken

    with ThreadPoolExecutor(8) as pool:
        taken = [job for jobs in pool.map(work, [f"w{n}" for n in range(8)]) for job in jobs]
    assert sorted(taken) == list(range(1, 61))


def test_parts_of_a_statement_lock_rows_wherever_they_stand(stack, connections):
    """Frameworks lock in subqueries, FROM and WITH; rows of others' must wait or be skipped."""
    one, other = connections
    one.execute("create table if not exists parts (id int primary key, v int)")
    one.execute("insert into parts select g, g from generate_series(1, 6) g")
    other.execute("begin")
    other.execute("select * from parts where id = 1 for update")
    skipping = "select id from parts order by id limit 2 for update skip locked"
    assert one.execute(f"select * from ({skipping}) s").fetchall() == [(2,), (3,)]
    assert one.execute(f"with s as ({skipping}) select max(id) from s").fetchall() == [(3,)]
    assert one.execute(f"select array({skipping})").fetchall() == [([2, 3],)]
    waiting = "select 1 where exists (select 1 from parts where id = 1 for update nowait)"
    assert sqlstate_of(one, waiting) == "55P03"
    own = "select id from parts where id = (select min(id) from parts) for update nowait"
    assert sqlstate_of(one, own) == "55P03"
    many = "select (select id from parts where id > 1 for update)"
    assert sqlstate_of(one, many) == "21000"
    outer = "select 1 from parts p where exists (select 1 from parts where id = p.v for update)"
    assert sqlstate_of(one, outer) == "0A000"
    other.execute("rollback")


def test_advisory_locks_in_conditional_expressions(connections):
    """Migration tools ask in CASE, AND and COALESCE whether they may run."""
    one, other = connections
    ask = "select case when pg_try_advisory_lock(71) then 'mine' else 'not' end"
    assert (value(one, ask), value(other, ask)) == ("mine", "not")
    assert value(other, "select pg_try_advisory_lock(72) and pg_try_advisory_lock(71)") is False
    assert value(one, "select coalesce(pg_try_advisory_lock(72), true)") is False
    one.execute("select pg_advisory_unlock_all()")
    other.execute("select pg_advisory_unlock_all()")
