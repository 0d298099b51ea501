"""A schema change that reads every row of a table, beside others: whom it keeps waiting.

PostgreSQL is asked the same: it locks the relations that a statement names, and no others.
"""

import threading
from contextlib import contextmanager

import psycopg
import pytest

from tests.e2e.schema_load import SPREAD
from tests.e2e.stack import wait_until
from tests.oracle import postgres

pytestmark = pytest.mark.e2e
STACK_CONFIG = SPREAD
# It is under way while lock 1 is taken, and goes on when lock 2 is free.
GATE = "(pg_advisory_xact_lock(1) is null)::int + (pg_advisory_xact_lock(2) is null)::int"
LONG = (
    f"create table slow as select {GATE} as number",
    f"alter table wide alter number type bigint using number + {GATE}",
    f"alter table wide add column slow int default {GATE}, add check (number > 0)",
)
OTHERS = (
    "create table quick (id int)",
    "alter table other add column c int",
    "alter table other alter a set not null, alter a set default 3",
    "create index on other (a)",
    "alter table other alter a type bigint",
    "begin; create view seen as select id from quick; drop view seen; commit",
    "drop table quick",
)


@pytest.fixture(scope="module")
def oracle():
    """A function that connects to PostgreSQL."""
    with postgres() as url:
        yield lambda: psycopg.connect(url, autocommit=True)


@pytest.fixture(params=["insula", "postgres"])
def connect(request, stack, oracle):
    """A function that connects to the one or the other, with tables to work with."""
    found = oracle if request.param == "postgres" else lambda: stack.connect("acme")
    with found() as connection:
        connection.execute("create table wide (number int, text text)")
        connection.execute("create index on wide (number)")
        connection.execute("insert into wide select n, 'x' from generate_series(1, 200) n")
        connection.execute("create table other (id int primary key, a int)")
        connection.execute("insert into other select n, n from generate_series(1, 50) n")
        yield found
        connection.execute("drop table if exists wide, other, slow, quick")


@contextmanager
def under_way(connect, sql):
    """Run a long statement in another session as long as the block lasts; it must succeed."""
    errors = []

    def run():
        try:
            with connect() as connection:
                connection.execute(sql)
        except psycopg.Error as error:
            errors.append(error)

    with connect() as holder:
        holder.execute("select pg_advisory_lock(2)")
        thread = threading.Thread(target=run)
        thread.start()
        try:
            wait_until(lambda: not _is_free(holder) or errors, 10, f"it is under way: {sql}")
            yield
            assert thread.is_alive(), errors
        finally:
            holder.execute("select pg_advisory_unlock(2)")
            thread.join(30)
    assert not errors, errors


def _is_free(connection):
    free = connection.execute("select pg_try_advisory_lock(1)").fetchone()[0]
    return free and connection.execute("select pg_advisory_unlock(1)").fetchone()[0]


@pytest.mark.parametrize("sql", LONG)
def test_other_relations_change_meanwhile(connect, sql):
    """While one table is written anew nobody could create, change or index another."""
    with under_way(connect, sql), connect() as connection:
        connection.execute("set statement_timeout = '1500ms'")
        for other in OTHERS:
            connection.execute(other)
    with connect() as connection:
        assert connection.execute("select count(*) from wide").fetchone() == (200,)
        assert connection.execute("select count(a), count(c) from other").fetchone() == (50, 0)


@pytest.mark.parametrize("sql", LONG[1:])
@pytest.mark.parametrize("change", ["alter table wide add column late int", "drop table wide"])
def test_the_same_relation_changes_afterwards(connect, sql, change):
    """The long change would begin anew with each short one of the same table, and never end."""
    late = threading.Thread(target=lambda: _execute(connect, change))
    with under_way(connect, sql), connect() as connection:
        connection.execute("set lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            connection.execute(change)
        late.start()
    late.join(30)
    with connect() as connection:
        tables = connection.execute("select count(*) from pg_class where relname = 'wide'")
        assert tables.fetchone() == (0 if "drop" in change else 1,)
        if "drop" not in change:
            assert connection.execute("select count(number) from wide").fetchone() == (200,)
            assert connection.execute("select count(late) from wide").fetchone() == (0,)


def _execute(connect, sql):
    with connect() as connection:
        connection.execute(sql)


def test_a_block_that_reads_rows_keeps_no_other_change_waiting(connect):
    """A migration in a block would stop every CREATE TABLE of the tenant until its end."""
    with connect() as connection, connect() as block:
        connection.execute("set statement_timeout = '1500ms'")
        block.execute("begin")
        block.execute("alter table wide add check (number > 0), alter number set not null")
        for sql in ("create table quick (id int)", "truncate other", "drop table quick"):
            connection.execute(sql)
        block.execute("commit")
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute("insert into wide values (-1)")
