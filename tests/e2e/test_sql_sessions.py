"""SQL through real client programs and drivers: the session's manners, seen from outside."""

import asyncio
import random
import subprocess
import threading
import time

import asyncpg
import psycopg
import pytest
from psycopg import errors

from tests.e2e.accounts import accounts, sqlstate_of

pytestmark = pytest.mark.e2e


@pytest.fixture
def connection(stack):
    """A connection with a table of two accounts."""
    with accounts(stack) as opened:
        yield opened


def test_psql_runs_one_statement(stack, psql):
    """The first thing everybody does."""
    done = subprocess.run(
        [psql, stack.url("acme"), "-XAtc", "select 1"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "1\n"


def test_a_failed_block_refuses_everything_but_its_end(connection):
    """Otherwise half of a transaction would be committed."""
    connection.execute("begin")
    connection.execute("update account set balance = 0 where id = 1")
    assert sqlstate_of(connection, "select 1/0") == "22012"
    assert sqlstate_of(connection, "select 1") == "25P02"
    assert connection.execute("commit").statusmessage == "ROLLBACK"
    assert connection.execute("select balance from account where id = 1").fetchone() == (100,)


def test_statements_of_one_string_are_one_transaction(connection):
    """Migrations rely on it: a string that fails in the middle leaves nothing."""
    assert sqlstate_of(connection, "insert into account values (3, 1); select 1/0") == "22012"
    assert connection.execute("select count(*) from account").fetchone() == (2,)
    assert sqlstate_of(connection, "insert into account values (4, 1); selec") == "42601"
    assert connection.execute("select count(*) from account").fetchone() == (2,)


def test_begin_inside_a_string_keeps_the_block_open(connection):
    """BEGIN turns the implicit transaction into a block, as in PostgreSQL."""
    connection.execute(
        "insert into account values (3, 1); begin; insert into account values (4, 1)"
    )
    assert connection.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS
    connection.execute("rollback")
    assert connection.execute("select count(*) from account").fetchone() == (2,)


def test_negative_literals_do_not_leak_between_statements(connection):
    """Like statements share a plan; their literals must not."""
    for number in (-1, -6, 7, -6000000000):
        assert connection.execute(f"select {number}").fetchone() == (number,)
        assert connection.execute(f"select 1 + {number} as x").fetchone() == (1 + number,)
    for number in (-11, -12, 13):
        connection.execute(f"insert into account values ({number}, {number}, 'it''s {number}')")
    rows = connection.execute("select id, note from account where id not in (1, 2) order by id")
    assert rows.fetchall() == [(-12, "it's -12"), (-11, "it's -11"), (13, "it's 13")]


def test_savepoints_and_set_local_go_back_together(connection):
    """ROLLBACK TO undoes rows and settings made since."""
    with connection.transaction():
        connection.execute("set local work_mem = '1MB'")
        with connection.transaction(force_rollback=True):
            connection.execute("delete from account")
            connection.execute("set work_mem = '2MB'")
        assert connection.execute("show work_mem").fetchone() == ("1MB",)
        assert connection.execute("select count(*) from account").fetchone() == (2,)
    assert connection.execute("show work_mem").fetchone() == ("4MB",)


def test_warnings_arrive_as_notices(connection):
    """A second BEGIN is a warning, not an error."""
    seen = []
    connection.add_notice_handler(lambda notice: seen.append((notice.severity, notice.sqlstate)))
    connection.execute("begin")
    connection.execute("begin")
    connection.execute("commit")
    connection.execute("commit")
    assert seen == [("WARNING", "25001"), ("WARNING", "25P01")]


def test_pipelined_statements_answer_in_order(connection):
    """Pipelining is what makes batches fast."""
    with connection.pipeline():
        cursors = [connection.execute("select %s::int4", (n,)) for n in range(50)]
        assert [cursor.fetchone()[0] for cursor in cursors] == list(range(50))


def test_an_error_in_a_pipeline_skips_to_the_sync(connection):
    """The statements after the failed one must not run."""

    def run():
        with connection.pipeline():
            connection.execute("insert into account values (%s, 1)", (1,))
            connection.execute("insert into account values (%s, 1)", (9,))

    with pytest.raises(errors.UniqueViolation):
        run()
    assert connection.execute("select count(*) from account where id = 9").fetchone() == (0,)


def test_binary_and_text_results_agree(connection):
    """Drivers choose the format by type; both must say the same."""
    sql = """select 1::int2, 2::int8, 1.5::float8, 'x'::text, true, date '2024-02-29',
             12.50::numeric(6,2), interval '1 day 2 hours', '\\x00ff'::bytea,
             timestamptz '2024-01-01 00:00+00',
             '5fbeb1ea-c9cb-4e2b-8f2c-0a0f0c1c1d1e'::uuid, array[1,2,null]"""
    text = connection.cursor(binary=False).execute(sql).fetchone()
    binary = connection.cursor(binary=True).execute(sql).fetchone()
    assert text == binary


def test_statement_timeout(connection):
    """A runaway statement ends, and the session goes on."""
    connection.execute("set statement_timeout = '150ms'")
    assert sqlstate_of(connection, "select pg_sleep(10)") == "57014"
    connection.execute("reset statement_timeout")
    assert connection.execute("select 1").fetchone() == (1,)


def test_cancel_while_waiting_for_a_row_lock(stack, connection):
    """The commonest reason to cancel."""
    connection.execute("begin")
    connection.execute("update account set balance = 1 where id = 1")
    with stack.connect("acme") as other:
        timer = threading.Timer(0.3, other.cancel)
        timer.start()
        started_s = time.monotonic()
        assert sqlstate_of(other, "update account set balance = 2 where id = 1") == "57014"
        assert time.monotonic() - started_s < 5
        timer.join()
    connection.execute("commit")
    assert connection.execute("select balance from account where id = 1").fetchone() == (1,)


def test_idle_in_transaction_timeout_ends_the_session(stack):
    """Forgotten transactions must not hold locks for ever."""
    with stack.connect("acme") as opened:
        opened.execute("set idle_in_transaction_session_timeout = 100")
        opened.execute("begin")
        time.sleep(0.5)
        assert sqlstate_of(opened, "select 1") == "25P03"


def test_lost_updates_do_not_happen(stack, connection):
    """Increments by several clients all count, without an error seen by any."""

    def increment():
        with stack.connect("acme") as own:
            for _ in range(25):
                own.execute("update account set balance = balance + 1 where id = 2")

    threads = [threading.Thread(target=increment) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert connection.execute("select balance from account where id = 2").fetchone() == (300,)


def test_read_then_write_conflict_is_40001(stack, connection):
    """Serializable: what was read must still be so at commit."""
    with stack.connect("acme") as other:
        connection.execute("begin")
        connection.execute("select balance from account where id = 1").fetchall()
        other.execute("update account set balance = 5 where id = 1")
        connection.execute("update account set balance = 6 where id = 2")
        assert sqlstate_of(connection, "commit") == "40001"
    assert connection.execute("select balance from account where id = 2").fetchone() == (200,)


def test_another_process_sees_a_schema_change_at_once(stack, connection):
    """Plans of the old schema must not be used."""
    with stack.connect("acme") as other:
        assert other.execute("select * from account where id = 1").fetchone() == (1, 100, "a")
        connection.execute("alter table account add column extra int default 7")
        assert other.execute("select * from account where id = 1").fetchone() == (1, 100, "a", 7)
        connection.execute("alter table account drop column note")
        assert other.execute("select * from account where id = 1").fetchone() == (1, 100, 7)


def test_unrelated_ddl_does_not_fail_an_open_transaction(stack, connection):
    """Somebody creates a table while a long transaction runs."""
    with stack.connect("acme") as other:
        connection.execute("begin")
        connection.execute("select * from account where id = 1").fetchall()
        other.execute("drop table if exists unrelated")
        other.execute("create table unrelated (a int)")
        connection.execute("update account set balance = 11 where id = 1")
        connection.execute("commit")
    assert connection.execute("select balance from account where id = 1").fetchone() == (11,)


def test_prepare_execute_deallocate(connection):
    """SQL-level prepared statements, as pgbench and poolers use them."""
    connection.execute("prepare find (int) as select note from account where id = $1")
    assert connection.execute("execute find (2)").fetchone() == ("b",)
    assert sqlstate_of(connection, "prepare find as select 1") == "42P05"
    connection.execute("deallocate find")
    assert sqlstate_of(connection, "execute find (2)") == "26000"


def test_asyncpg_transactions_cursors_and_types(stack, connection):
    """asyncpg uses binary formats and introspection queries."""

    async def run():
        opened = await asyncpg.connect(stack.url("acme"))
        try:
            assert await opened.fetchval("select $1::int4 + 1", 41) == 42
            async with opened.transaction():
                rows = [
                    row["id"] async for row in opened.cursor("select id from account order by id")
                ]
            assert rows == [1, 2]
            with pytest.raises(asyncpg.UniqueViolationError):
                await opened.execute("insert into account values (1, 1)")
            with pytest.raises(asyncio.TimeoutError):
                await opened.execute("select pg_sleep(10)", timeout=0.3)
            assert await opened.fetchval("select count(*) from account") == 2
        finally:
            await opened.close()

    asyncio.run(run())


def test_unknown_and_fixed_parameters(connection):
    """Each kind of wrong SET has its own SQLSTATE."""
    assert sqlstate_of(connection, "set nonsense = 1") == "42704"
    assert sqlstate_of(connection, "set server_version = '16'") == "55P02"
    assert sqlstate_of(connection, "set client_encoding = 'latin1'") == "22023"
    assert sqlstate_of(connection, "set extra_float_digits = 99") == "22023"
    assert sqlstate_of(connection, "listen x") == "0A000"
    connection.execute("set app.user = 'me'")
    assert connection.execute("select current_setting('app.user')").fetchone() == ("me",)


def test_vacuum_only_outside_a_block(connection):
    """The rule scripts rely on."""
    assert connection.execute("vacuum").statusmessage == "VACUUM"
    connection.execute("begin")
    assert sqlstate_of(connection, "vacuum") == "25001"
    connection.execute("rollback")


def test_session_survives_a_restart_of_the_kv_node(stack, connection):
    """Sessions wait for the KV node instead of dying with it."""
    connection.execute("select * from account").fetchall()
    stack.kill_and_wait("kvnode")
    assert connection.execute("select count(*) from account").fetchone() == (2,)
    connection.execute("insert into account values (77, 1)")
    assert connection.execute("select count(*) from account").fetchone() == (3,)


def test_transfers_keep_the_sum(stack, connection):
    """Money neither appears nor vanishes, whatever order the clients come in."""
    connection.execute("insert into account select g, 100 from generate_series(3, 6) g")
    failures = []

    def transfer(seed):
        rng = random.Random(seed)
        with stack.connect("acme") as own:
            for _ in range(20):
                source, target = rng.sample(range(1, 7), 2)
                try:
                    with own.transaction():
                        query = "select balance from account where id = %s"
                        (balance,) = own.execute(query, (source,)).fetchone()
                        change = "update account set balance = %s where id = %s"
                        own.execute(change, (balance - 5, source))
                        own.execute(
                            "update account set balance = balance + 5 where id = %s", (target,)
                        )
                except (errors.SerializationFailure, errors.DeadlockDetected):
                    failures.append(seed)

    threads = [threading.Thread(target=transfer, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert connection.execute("select sum(balance) from account").fetchone() == (700,)
    assert len(failures) < 80
