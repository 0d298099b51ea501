"""A schema change is nobody's affair but of those who use what it changes."""

import struct
import threading
import time

import psycopg
import pytest

from tests.e2e.raw_client import RawClient, message, sqlstate, tcp
from tests.e2e.schema_load import SPREAD
from tests.e2e.stack import wait_until

pytestmark = pytest.mark.e2e
STACK_CONFIG = SPREAD
CLIENTS = 8
CHANGES = (
    "create table other (id int primary key, a int)",
    "create index other_a on other (a)",
    "alter table other add column b text",
    "alter table other rename to renamed",
    "create view seen as select * from renamed",
    "drop table renamed cascade",
)
PARSE = message(b"P", b"\0insert into t values (13, 13)\0\0\0")
BIND = message(b"B", bytes(8))  # the unnamed portal of the unnamed statement, without parameters
EXECUTE_ONE = message(b"E", b"\0" + struct.pack("!I", 1))


@pytest.fixture
def changing(stack):
    """A session in whose hands the schema is."""
    with stack.connect("acme") as connection:
        yield connection


@pytest.fixture
def table(changing):
    """A table to work with; `others` apart, there is no other."""
    changing.execute("create table t (id int primary key, a int)")
    changing.execute("insert into t select n, n from generate_series(1, 10) as n")
    yield
    changing.execute("drop table t")


def count(connection, table="t"):
    return connection.execute(f"select count(*) from {table}").fetchone()[0]


def test_copy_goes_on_beside_changes_of_other_tables(stack, changing, table):
    """Every load of a tenant would fail whenever any of its clients creates a table."""
    with stack.connect("acme") as connection, connection.cursor() as cursor:
        with cursor.copy("copy t from stdin") as copy:
            for number, sql in enumerate(CHANGES):
                rows = range(1000 * (number + 1), 1000 * (number + 2))
                copy.write("".join(f"{n}\t{n}\n" for n in rows))
                changing.execute(sql)
        assert count(connection) == 10 + 1000 * len(CHANGES)


def test_copy_of_a_table_that_changes_is_refused(stack, changing, table):
    """Rows would be stored as a table that is gone wanted them."""

    def load():
        with cursor.copy("copy t from stdin") as copy:
            copy.write("".join(f"{n}\t{n}\n" for n in range(1000, 5000)))
            changing.execute("truncate t")
            copy.write("".join(f"{n}\t{n}\n" for n in range(5000, 9000)))

    with stack.connect("acme") as connection, connection.cursor() as cursor:
        with pytest.raises(psycopg.errors.SerializationFailure):
            load()
        assert count(connection) == 0


@pytest.mark.parametrize("isolation", ["serializable", "repeatable read", "read committed"])
def test_a_block_goes_on_beside_changes_of_other_tables(stack, changing, table, isolation):
    """Long transactions would never end in a tenant that creates tables all the time."""
    with stack.connect("acme") as connection:
        connection.execute(f"begin isolation level {isolation}")
        for number, sql in enumerate(CHANGES, start=1):
            connection.execute("update t set a = a + 100 where id = %s", (number,))
            changing.execute("update t set a = 0 where id = 9")
            changing.execute(sql)
            connection.execute("insert into t values (%s, 0)", (100 + number,))
            if isolation != "read committed":
                row = connection.execute("select a from t where id = 10").fetchone()
                assert row == (10,), "it is the same snapshot"
        connection.execute("commit")
        assert count(connection) == 10 + len(CHANGES)


def test_a_cursor_goes_on_beside_changes_of_other_tables(stack, changing, table):
    """A report that is fetched in pieces would break off."""
    with stack.connect("acme", autocommit=False) as connection:
        changing.execute("insert into t select n, n from generate_series(100, 20000) as n")
        with connection.cursor("report") as cursor:
            cursor.execute("select * from t order by id")
            assert len(cursor.fetchmany(10)) == 10
            for sql in CHANGES:
                changing.execute(sql)
                assert len(cursor.fetchmany(1000)) == 1000
            assert len(cursor.fetchall()) == 19911 - 10 - 1000 * len(CHANGES)


def test_a_statement_on_a_table_that_changed_before_it_runs_on_the_new_one(stack, changing, table):
    """A block that comes to a table after its change would fail for having begun before."""
    with stack.connect("acme") as connection:
        connection.execute("create table u (id int primary key)")
        connection.execute("begin")
        connection.execute("update t set a = 0 where id = 1")
        changing.execute("alter table u add column b int default 7")
        connection.execute("insert into u values (1)")
        connection.execute("commit")
        assert connection.execute("select * from u").fetchall() == [(1, 7)]
        connection.execute("drop table u")


class Client(threading.Thread):
    """Creates, loads, changes and drops a table of its own, again and again."""

    def __init__(self, stack, number, until_s):
        super().__init__(name=f"client-{number}")
        self.stack, self.number, self.until_s = stack, number, until_s
        self.rounds, self.errors = 0, []

    def run(self):
        with self.stack.connect("acme") as connection:
            while time.monotonic() < self.until_s:
                try:
                    self.once(connection)
                    self.rounds += 1
                except Exception as error:
                    self.errors.append(error)
                    return

    def once(self, connection):
        name = f"own_{self.number}_{self.rounds}"
        connection.execute(f"create table {name} (id int primary key, a text)")
        with connection.cursor() as cursor, cursor.copy(f"copy {name} from stdin") as copy:
            copy.write("".join(f"{n}\tr{n}\n" for n in range(1500)))
        connection.execute(f"insert into {name} select n, 'i' from generate_series(2000, 2099) n")
        connection.execute(f"update {name} set a = 'u' where id < 10")
        if not self.number:
            connection.execute(f"create index on {name} (a)")  # online: a job
        assert count(connection, name) == 1600
        connection.execute(f"drop table {name}")


def test_many_clients_with_tables_of_their_own_never_meet(stack):
    """Tests of an application that run in parallel would fail at random."""
    until_s = time.monotonic() + 4
    clients = [Client(stack, number, until_s) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join(60)
    assert not [error for client in clients for error in client.errors]
    assert len(stack.sql_pids("acme")) >= 2
    rounds = [client.rounds for client in clients]
    print(f"\nrounds {rounds}")
    assert min(rounds) >= 1, rounds


def test_blocks_that_change_the_schema_go_together(stack, changing, table):
    """Of two migrations that run at once only one would come through, whatever they change."""
    with stack.connect("acme") as connection:
        connection.execute("begin")
        connection.execute("create table made (id int primary key, t_id int references t)")
        changing.execute("create table other (id int primary key, a int)")
        connection.execute("insert into made values (1, 1)")
        changing.execute("create index other_a on other (a)")
        connection.execute("create index made_t on made (t_id)")
        changing.execute("create view seen as select * from other")
        connection.execute("commit")
        assert count(changing, "made") == 1
        assert count(connection, "seen") == 0
        for connected in (changing, connection):
            with pytest.raises(psycopg.errors.ForeignKeyViolation):
                connected.execute("insert into made values (2, 77)")
        connection.execute("drop table made")
        changing.execute("drop table other cascade")


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        ("create table made (id int)", "create table made (id int)"),
        ("create view made as select * from t", "alter table t add column b int default random()"),
        ("alter table t add column b int", "create index t_a on t (a)"),
        ("drop table t", "create table made (t_id int references t)"),
        ("create table made (t_id int references t)", "truncate t"),
    ],
)
def test_blocks_that_change_the_same_do_not(stack, changing, mine, theirs):
    """Two relations would have one name, or a key refer to a table that is gone."""
    changing.execute("create table t (id int primary key, a int)")
    with stack.connect("acme") as connection:
        connection.execute("begin")
        connection.execute(mine)
        changing.execute(theirs)
        with pytest.raises(psycopg.errors.SerializationFailure):
            connection.execute("commit")
        assert count(connection) == 0
        connection.execute("drop view if exists made" if "view" in mine else "select 1")
        if "made" in theirs:
            connection.execute("drop table made")
    changing.execute("drop table t")


def test_a_block_sees_tables_that_came_after_its_begin(stack, changing, table):
    """A block would have to end before it may use what another session has made for it."""
    with stack.connect("acme") as connection:
        connection.execute("begin")
        connection.execute("update t set a = 0 where id = 1")
        for number, params in enumerate((None, ())):
            name = f"fresh_{number}"
            changing.execute(f"create table {name} (id int)")
            changing.execute(f"insert into {name} values (1)")
            found = connection.execute(f"select count(*) from {name}", params, prepare=bool(number))
            assert found.fetchone() == (1,)
            with pytest.raises(psycopg.errors.UndefinedTable), connection.transaction():
                connection.execute(f"select count(*) from {name}_not")
        connection.execute("commit")
        changing.execute("drop table fresh_0, fresh_1")


@pytest.mark.parametrize("block", [(), ("begin isolation level serializable",)])
def test_rows_inserted_by_a_limited_execute_meet_the_table_as_it_is(stack, changing, table, block):
    """Drivers that ask for one row at most would store rows where TRUNCATE left garbage."""
    with RawClient(tcp(stack)).connect("acme") as client:
        for sql in block:
            client.run(sql)
        client.send(PARSE, BIND, message(b"H"))
        assert client.until(b"2", b"E")[-1][0] == b"2", "bound to the table as it was"
        changing.execute("truncate t")
        client.send(EXECUTE_ONE, message(b"S"))
        assert sqlstate(client.until(b"Z")) is None
        for _ in block:
            assert sqlstate(client.run("commit")) is None
    assert changing.execute("select id from t").fetchall() == [(13,)]


def test_modes_stand_once_a_transaction_has_changed_the_schema(stack, changing, table):
    """A table made before SET TRANSACTION would be gone, and nobody be told."""
    for first in ("create table made (id int)", "lock table t in access share mode"):
        with stack.connect("acme") as connection:
            connection.execute("begin")
            connection.execute(first)
            with pytest.raises(psycopg.errors.ActiveSqlTransaction):
                connection.execute("set transaction isolation level read committed")
            connection.execute("rollback")
    assert changing.execute("select count(*) from pg_class where relname = 'made'").fetchone() == (
        0,
    )


def test_a_table_made_of_another_ties_the_block_to_it(stack, changing, table):
    """One transaction would see the rows of a table in its copy, and then none in the table."""
    with stack.connect("acme") as connection:
        connection.execute("begin isolation level serializable")
        connection.execute("create table copied as select * from t")
        changing.execute("truncate t")
        with pytest.raises(psycopg.errors.SerializationFailure):
            _end_with_count(connection)
        connection.execute("rollback")


def _end_with_count(connection):
    connection.execute("select count(*) from t")
    connection.execute("commit")


@pytest.mark.parametrize("isolation", ["serializable", "repeatable read", "read committed"])
def test_a_view_means_one_thing_in_a_transaction(stack, changing, table, isolation):
    """A report would add up numbers of which some are what others were before."""
    changing.execute("create view seen as select id, a as shown from t")
    changing.execute("create view outer_seen as select * from seen")
    with stack.connect("acme") as connection:
        connection.execute(f"begin isolation level {isolation}")
        assert connection.execute("select sum(shown) from outer_seen").fetchone() == (55,)
        changing.execute("create or replace view seen as select id, -a as shown from t")
        with pytest.raises(psycopg.errors.SerializationFailure):
            connection.execute("select sum(shown) from outer_seen")
        connection.execute("rollback")
        assert connection.execute("select sum(shown) from outer_seen").fetchone() == (-55,)
    changing.execute("drop view seen cascade")


@pytest.mark.parametrize("isolation", ["serializable", "repeatable read", "read committed"])
def test_a_view_that_changed_before_it_is_used_is_the_new_one(stack, changing, table, isolation):
    """Who was told that a view is replaced would still get the answers of the old one."""
    changing.execute("create view seen as select id, a as shown from t")
    with stack.connect("acme") as connection:
        connection.execute(f"begin isolation level {isolation}")
        connection.execute("insert into t values (100, 0)")
        changing.execute("create or replace view seen as select id, -a as shown from t")
        assert connection.execute("select sum(shown) from seen").fetchone() == (-55,)
        changing.execute("drop view seen")
        with pytest.raises(psycopg.errors.SerializationFailure):
            connection.execute("insert into t values (101, 0)")


LONG = {
    "create table slow as select {wait} as number": 1,
    "alter table wide alter number type bigint using {wait}": 200,  # some requests of rows each
}


@pytest.mark.parametrize("sql", LONG)
def test_a_long_change_comes_through_beside_short_ones(stack, changing, sql):
    """A table could not be written anew while others are created: each try would be in vain."""
    changing.execute("create sequence tries")
    changing.execute("create table wide (number int, text text)")
    changing.execute("create index on wide (number)")
    changing.execute("insert into wide select n, repeat('x', 20000) from generate_series(1, 200) n")
    begun, go_on = (f"(pg_advisory_xact_lock({number}) is null)::int" for number in (1, 2))

    def change():
        with stack.connect("acme") as connection:
            connection.execute(sql.format(wait=f"nextval('tries') + {begun} + {go_on}"))

    def is_under_way():
        free = changing.execute("select pg_try_advisory_lock(1)").fetchone()[0]
        return not (free and changing.execute("select pg_advisory_unlock(1)"))

    slow = threading.Thread(target=change)
    with stack.connect("acme") as holder:
        holder.execute("select pg_advisory_lock(2)")
        slow.start()
        wait_until(is_under_way, 10, "the long change is under way")
        changing.execute("create table quick (id int)")
        assert slow.is_alive()
    slow.join(30)
    assert changing.execute("select nextval('tries')").fetchone() == (LONG[sql] + 1,)
    changing.execute("drop table if exists slow")
    changing.execute("drop table quick, wide")
    changing.execute("drop sequence tries")


def test_what_a_savepoint_took_back_is_no_change(stack, changing, table):
    """A block that tried to create something would fail for whatever others change."""
    with stack.connect("acme") as connection:
        connection.execute("begin")
        connection.execute("insert into t values (100, 1)")
        connection.execute("savepoint before")
        connection.execute("create table made (id int)")
        connection.execute("insert into made values (1)")
        connection.execute("rollback to before")
        changing.execute("create sequence passing")
        changing.execute("create table made (id int)")
        connection.execute("insert into t values (101, 1)")
        changing.execute("drop sequence passing")
        connection.execute("insert into made values (2)")
        connection.execute("commit")
    assert changing.execute("select * from made").fetchall() == [(2,)]
    assert count(changing) == 12
    changing.execute("drop table made")
