"""AS OF SYSTEM TIME: the past as it was recorded when it was the present."""

import asyncio
import itertools
import random
import re
import time

import asyncpg
import psycopg
import pytest
from psycopg import errors

from tests.e2e.stack import Stack

pytestmark = pytest.mark.e2e
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def stack():
    """One stack; every test has a tenant of its own."""
    with Stack() as running:
        yield running


@pytest.fixture
def tenant(stack):
    """A fresh tenant's name."""
    name = f"tenant-{next(_numbers)}"
    stack.create_tenant(name)
    return name


@pytest.fixture
def connection(stack, tenant):
    """A connection to it."""
    with stack.connect(tenant) as made:
        yield made


def rows(connection, sql):
    return connection.execute(sql).fetchall()


def moment(connection):
    """Return the present snapshot as AS OF SYSTEM TIME takes it."""
    return str(rows(connection, "SELECT cluster_logical_timestamp()")[0][0])


class Recorder:
    """Changes a schema and its rows at random and remembers what there was."""

    def __init__(self, connection, seed):
        self.connection = connection
        self.random = random.Random(seed)
        self.states = []  # (time, {table: (columns, rows)})
        self.tables = {}  # name → its columns beside the key
        self.count = 0

    def run(self, step_count):
        for _ in range(step_count):
            change = self.random.choice(
                [self.insert] * 4
                + [self.update] * 4
                + [self.delete] * 2
                + [self.create, self.drop, self.truncate, self.add_column, self.drop_column]
            )
            change()
            if self.random.random() < 0.6:
                self.record()

    def record(self):
        with self.connection.transaction():
            at = moment(self.connection)
            state = {name: self.read(name, "") for name in sorted(self.tables)}
        self.states.append((at, state))

    def read(self, name, clause):
        cursor = self.connection.execute(f"SELECT * FROM {name} {clause} ORDER BY k")
        return [column.name for column in cursor.description], cursor.fetchall()

    def pick(self):
        if not self.tables:
            self.create()
        return self.random.choice(sorted(self.tables))

    def create(self):
        if len(self.tables) >= 4:
            return
        self.count += 1
        name = f"t{self.count % 6}"
        if name in self.tables:
            return
        self.connection.execute(f"CREATE TABLE {name} (k int PRIMARY KEY, a int, b text)")
        self.connection.execute(f"CREATE INDEX ON {name} (a)")
        self.tables[name] = ["a", "b"]

    def drop(self):
        if self.tables:
            name = self.pick()
            self.connection.execute(f"DROP TABLE {name}")
            del self.tables[name]

    def truncate(self):
        self.connection.execute(f"TRUNCATE {self.pick()}")

    def add_column(self):
        name = self.pick()
        self.count += 1
        column = f"c{self.count}"
        self.connection.execute(f"ALTER TABLE {name} ADD COLUMN {column} int DEFAULT {self.count}")
        self.tables[name].append(column)

    def drop_column(self):
        name = self.pick()
        added = [column for column in self.tables[name] if column.startswith("c")]
        if added:
            column = self.random.choice(added)
            self.connection.execute(f"ALTER TABLE {name} DROP COLUMN {column}")
            self.tables[name].remove(column)

    def insert(self):
        name, first = self.pick(), self.random.randrange(200)
        self.connection.execute(
            f"INSERT INTO {name} (k, a, b) SELECT g, g * 2, 'v' || g "
            f"FROM generate_series({first}, {first + 9}) g ON CONFLICT DO NOTHING"
        )

    def update(self):
        name, bound = self.pick(), self.random.randrange(200)
        self.connection.execute(f"UPDATE {name} SET a = a + 1, b = b || 'x' WHERE k < {bound}")

    def delete(self):
        name, at = self.pick(), self.random.randrange(200)
        self.connection.execute(f"DELETE FROM {name} WHERE k BETWEEN {at} AND {at + 20}")


@pytest.mark.parametrize("seed", [1, 2])
def test_every_recorded_state_is_read_again(stack, tenant, connection, seed):
    """A report about yesterday would show other rows, columns or tables than there were."""
    connection.prepare_threshold = None  # a prepared statement's columns may not change
    recorder = Recorder(connection, seed)
    recorder.run(80)
    time.sleep(3)  # dropped tables' keys are garbage now, and collected as such
    with stack.connect(tenant, prepare_threshold=None) as fresh:
        for reader in (connection, fresh):
            recorder.connection = reader
            for at, state in random.Random(seed).sample(recorder.states, len(recorder.states)):
                clause = f"AS OF SYSTEM TIME {at}"
                assert {name: recorder.read(name, clause) for name in state} == state
                with reader.transaction():
                    reader.execute(f"SET TRANSACTION AS OF SYSTEM TIME '{at}'")
                    assert {name: recorder.read(name, "") for name in state} == state
                    names = rows(
                        reader, "SELECT tablename FROM pg_tables WHERE schemaname='public'"
                    )
                    assert sorted(name for (name,) in names) == list(state)
                for name in state:
                    by_index = rows(reader, f"SELECT k, a FROM {name} {clause} WHERE a > 50")
                    expected = [row[:2] for row in state[name][1] if row[1] > 50]
                    assert sorted(by_index) == expected
                    (total,) = rows(reader, f"SELECT count(*), sum(a) FROM {name} {clause}")
                    assert total[0] == len(state[name][1])


@pytest.fixture
def pets(connection):
    """A table with a past: returns the moment before its update and a later drop."""
    connection.execute("CREATE TABLE pet (id int PRIMARY KEY, name text)")
    connection.execute("INSERT INTO pet VALUES (1, 'Tom'), (2, 'Rex')")
    at = moment(connection)
    connection.execute("UPDATE pet SET name = upper(name)")
    return at


def test_forms_of_the_time(connection, pets):
    """One of the documented spellings would read another time, or none."""
    time.sleep(1.2)
    now = "SELECT name FROM pet AS OF SYSTEM TIME {} WHERE id = 1"
    for form in (
        "'-1s'", "'-1000ms'", "'-0h0m1s'", "INTERVAL '-1 second'", "'-1 second'::interval",
        "now() - interval '1 second'", "statement_timestamp() - interval '1s'",
        "follower_read_timestamp()", f"{pets}", f"'{pets}'", "current_timestamp - '1s'::interval",
    ):  # fmt: skip
        assert rows(connection, now.format(form))[0][0] in ("Tom", "TOM"), form
    assert rows(connection, now.format(pets)) == [("Tom",)]
    assert rows(connection, now.format(f"'{pets}'")) == [("Tom",)]
    (stamp,) = rows(connection, f"SELECT to_timestamp({pets} / 1e9)::text")[0]
    later = f"('{stamp}'::timestamptz + '1us'::interval)"
    assert rows(connection, now.format(later)) == [("Tom",)]
    connection.execute("SET TIME ZONE 'Asia/Tokyo'")
    (local,) = rows(connection, f"SELECT ({later})::timestamp::text")[0]
    assert rows(connection, now.format(f"'{local}'")) == [("Tom",)]
    assert rows(connection, now.format(f"timestamp '{local}'")) == [("Tom",)]
    assert rows(connection, "SELECT name FROM pet p AS OF SYSTEM TIME '-1us' WHERE id = 1")


def test_everything_that_reads_can_read_the_past(connection, pets):
    """Only the plainest SELECT would know the clause."""
    clause = f"AS OF SYSTEM TIME {pets}"
    query = f"SELECT name FROM pet {clause} ORDER BY id"
    old = [("Tom",), ("Rex",)]
    assert rows(connection, query) == old
    with connection.cursor().copy(f"COPY ({query}) TO STDOUT") as copy:
        assert b"".join(copy) == b"Tom\nRex\n"
    assert "Scan on pet" in str(rows(connection, f"EXPLAIN {query}"))
    assert "Rows: 2" in str(rows(connection, f"EXPLAIN ANALYZE {query}"))
    connection.execute(f"PREPARE old AS {query}")
    assert rows(connection, "EXECUTE old") == old
    prepared = f"SELECT name FROM pet {clause} WHERE id = %s"
    for _ in range(7):
        assert connection.execute(prepared, (2,), prepare=True).fetchall() == [("Rex",)]
    union = f"SELECT name FROM pet {clause} WHERE id = 1 UNION ALL SELECT name FROM pet WHERE id=2"
    assert rows(connection, union) == old
    joined = f"SELECT a.name FROM pet a JOIN pet b USING (id) {clause} ORDER BY a.id"
    assert rows(connection, joined) == old
    assert rows(connection, f"WITH p AS (SELECT * FROM pet) SELECT name FROM p {clause}") == old
    nested = f"SELECT name FROM (SELECT * FROM pet) s {clause} WHERE id IN (SELECT id FROM pet)"
    assert rows(connection, nested) == old
    with connection.transaction():
        connection.execute(f"SET TRANSACTION AS OF SYSTEM TIME {pets}")
        connection.execute("DECLARE c CURSOR FOR SELECT name FROM pet ORDER BY id")
        assert rows(connection, "FETCH 1 FROM c") == [("Tom",)]
        assert rows(connection, f"SELECT name FROM pet {clause} WHERE id = 2") == [("Rex",)]
        assert rows(connection, "FETCH ALL FROM c") == [("Rex",)]
        assert rows(connection, "SHOW transaction_read_only") == [("on",)]
    connection.execute(f"BEGIN AS OF SYSTEM TIME {pets}, ISOLATION LEVEL READ COMMITTED")
    assert rows(connection, "SELECT name FROM pet ORDER BY id") == old
    connection.execute("SAVEPOINT a")
    with pytest.raises(errors.DivisionByZero):
        connection.execute("SELECT 1 / 0")
    connection.execute("ROLLBACK TO a")
    assert rows(connection, "SELECT name FROM pet ORDER BY id") == old
    connection.execute("COMMIT AND CHAIN")
    assert rows(connection, "SELECT name FROM pet ORDER BY id") == old
    connection.execute("COMMIT")
    assert rows(connection, "SELECT name FROM pet ORDER BY id") == [("TOM",), ("REX",)]


def test_portals_of_the_extended_protocol_read_the_past(stack, tenant, connection, pets):
    """Drivers that fetch in parts would get the present, or an error."""
    connection.execute("DROP TABLE pet")
    query = f"SELECT name FROM pet AS OF SYSTEM TIME {pets} ORDER BY id"
    with connection.cursor(binary=True) as cursor:
        assert cursor.execute(query).fetchall() == [("Tom",), ("Rex",)]

    async def fetch():
        client = await asyncpg.connect(stack.url(tenant))
        try:
            assert [row["name"] for row in await client.fetch(query)] == ["Tom", "Rex"]
            statement = await client.prepare(query)
            for _ in range(3):
                assert (await statement.fetchrow())["name"] == "Tom"
            assert await client.fetchval("SELECT 1") == 1
        finally:
            await client.close()

    asyncio.run(fetch())


ERRORS = {
    "SELECT 1 FROM pet AS OF SYSTEM TIME '2999-01-01'": ("22023", "in the future"),
    "SELECT 1 FROM pet AS OF SYSTEM TIME '1h'": ("22023", "in the future"),
    "SELECT 1 FROM pet AS OF SYSTEM TIME now() + '1h'::interval": ("22023", "in the future"),
    "SELECT 1 FROM pet AS OF SYSTEM TIME 9e18": ("22023", "in the future"),
    "SELECT 1 FROM pet AS OF SYSTEM TIME 'soon'": ("22023", "neither timestamp, decimal, nor"),
    "SELECT 1 FROM pet AS OF SYSTEM TIME true": ("42804", "not boolean"),
    "SELECT 1 FROM pet AS OF SYSTEM TIME NULL": ("22023", "must not be null"),
    "SELECT 1 FROM pet AS OF SYSTEM TIME id": ("42703", "does not exist"),
    "SELECT 1 FROM pet AS OF SYSTEM TIME (SELECT now())": ("42601", "only constant"),
    "SELECT 1 FROM pet AS OF SYSTEM TIME '1999-01-01'": ("72000", "snapshot too old"),
    "SELECT 1 FROM pet AS OF SYSTEM TIME '-1d'": ("72000", "snapshot too old"),
    "SELECT 1 FROM pet AS OF SYSTEM TIME": ("42601", "syntax error at end of input"),
    "SELECT (SELECT 1 FROM pet AS OF SYSTEM TIME '-1s')": ("42601", "on a top-level statement"),
    "INSERT INTO pet SELECT * FROM pet AS OF SYSTEM TIME '-1s'": ("42601", "on a top-level"),
    "CREATE TABLE x AS SELECT * FROM pet AS OF SYSTEM TIME '-1us'": ("0A000", "inside of DDL"),
    "CREATE VIEW x AS SELECT * FROM pet AS OF SYSTEM TIME '-1us'": ("0A000", "inside of DDL"),
    "SELECT 1 FROM pet AS OF SYSTEM TIME '-1us' UNION SELECT 1 FROM pet AS OF SYSTEM TIME '-1us'": (
        "42601",
        "only once",
    ),
    "SELECT * FROM pet AS OF SYSTEM TIME '-1us' FOR UPDATE": ("25006", "SELECT FOR UPDATE"),
    "BEGIN READ WRITE, AS OF SYSTEM TIME '-1us'": ("25006", "READ WRITE"),
    "SET SESSION CHARACTERISTICS AS TRANSACTION AS OF SYSTEM TIME '-1s'": ("0A000", "session"),
}


@pytest.mark.parametrize("sql", ERRORS)
def test_what_cannot_be_is_refused_by_name(connection, pets, sql):
    """The client would get some other time, or an error that tells nothing."""
    sqlstate, text = ERRORS[sql]
    with pytest.raises(psycopg.Error, match=text) as caught:
        connection.execute(sql)
    assert caught.value.sqlstate == sqlstate
    assert rows(connection, "SELECT count(*) FROM pet") == [(2,)]


def test_too_old_names_the_oldest_time_and_that_is_readable(connection, pets):
    """Whoever restores by hand could not know how far back he may go."""
    with pytest.raises(psycopg.Error) as caught:
        connection.execute("SELECT 1 FROM pet AS OF SYSTEM TIME '-1d'")
    (oldest,) = re.fullmatch(
        r"The oldest readable time is (.+)\.", caught.value.diag.message_detail
    ).groups()
    sql = f"SELECT count(*) FROM pg_class AS OF SYSTEM TIME '{oldest}' WHERE relname = 'pet'"
    assert rows(connection, sql) == [(0,)]
    with pytest.raises(errors.UndefinedTable):
        connection.execute(f"SELECT 1 FROM pet AS OF SYSTEM TIME '{oldest}'")


def test_the_past_cannot_be_changed(connection, pets):
    """A write would land in the present, decided by what the past showed."""
    for sql in (
        "INSERT INTO pet VALUES (3, 'Ida')", "UPDATE pet SET name = ''", "DELETE FROM pet",
        "SELECT * FROM pet FOR SHARE", "DROP TABLE pet", "CREATE TABLE other (a int)",
        "TRUNCATE pet",
    ):  # fmt: skip
        connection.execute(f"BEGIN AS OF SYSTEM TIME {pets}")
        with pytest.raises(errors.ReadOnlySqlTransaction):
            connection.execute(sql)
        connection.execute("ROLLBACK")
    connection.execute(f"BEGIN AS OF SYSTEM TIME {pets}")
    with pytest.raises(errors.ReadOnlySqlTransaction, match="READ WRITE mode"):
        connection.execute("SET TRANSACTION READ WRITE")
    connection.execute("ROLLBACK")
    assert rows(connection, "SELECT name FROM pet ORDER BY id") == [("TOM",), ("REX",)]


def test_one_transaction_has_one_time(connection, pets):
    """A block would mix the rows of two times without a word."""
    clause = f"AS OF SYSTEM TIME {pets}"
    for begin in ("BEGIN", "BEGIN AS OF SYSTEM TIME '-1us'"):
        connection.execute(begin)
        with pytest.raises(errors.SyntaxError, match="inconsistent AS OF SYSTEM TIME"):
            connection.execute(f"SELECT 1 FROM pet {clause}")
        connection.execute("ROLLBACK")
    connection.execute("BEGIN")
    connection.execute("SELECT 1 FROM pet")
    with pytest.raises(errors.ActiveSqlTransaction):
        connection.execute(f"SET TRANSACTION {clause}")
    connection.execute("ROLLBACK")
    connection.execute("SET default_transaction_isolation = 'read committed'")
    connection.execute("BEGIN AS OF SYSTEM TIME '-1us'")
    before = rows(connection, "SELECT count(*), cluster_logical_timestamp() FROM pet")
    time.sleep(0.01)
    assert rows(connection, "SELECT count(*), cluster_logical_timestamp() FROM pet") == before
    connection.execute("COMMIT")


def test_the_past_outlives_the_node(pets_stack):
    """A report would end with each restart of the KV node, or go on with other rows."""
    stack, connection, at = pets_stack
    connection.execute(f"BEGIN AS OF SYSTEM TIME {at}")
    old = [("Tom",), ("Rex",)]
    assert rows(connection, "SELECT name FROM pet ORDER BY id") == old
    stack.kill_and_wait("kvnode")
    assert rows(connection, "SELECT name FROM pet ORDER BY id") == old
    connection.execute("COMMIT")
    sql = f"SELECT name FROM pet AS OF SYSTEM TIME {at} ORDER BY id"
    assert rows(connection, sql) == old
    connection.execute("DROP TABLE pet")
    stack.kill_and_wait("kvnode")
    assert rows(connection, sql) == old


@pytest.fixture
def pets_stack():
    """A stack of its own, to be hurt, and what `pets` returns."""
    with Stack() as stack:
        stack.create_tenant("acme")
        with stack.connect("acme") as connection:
            connection.execute("CREATE TABLE pet (id int PRIMARY KEY, name text)")
            connection.execute("INSERT INTO pet VALUES (1, 'Tom'), (2, 'Rex')")
            at = moment(connection)
            connection.execute("UPDATE pet SET name = upper(name)")
            yield stack, connection, at


def test_gc_ttl_is_an_operators_setting(stack, tenant, connection, pets):
    """History would be gone when it is wanted, or fill the disk."""
    stack.insula("tenant", "set", tenant, "gc_ttl=2h")
    assert '"gc_ttl_s": 7200' in stack.insula("tenant", "show", tenant, "-o", "json").stdout
    refused = stack.insula("tenant", "set", tenant, "gc_ttl=1s", check=False)
    assert refused.returncode == 1
    assert "gc_ttl_s must be from" in refused.stderr
    wrong = stack.insula("tenant", "set", tenant, "gc_ttl=soon", check=False)
    assert wrong.returncode == 2
    assert "no duration" in wrong.stderr
    words = ("tenant", "create", f"{tenant[:50]}-2", "--user", "app", "--password", "x")
    stack.insula(*words, "--gc-ttl", "90m")
    shown = stack.insula("tenant", "list", "-o", "json").stdout
    assert '"gc_ttl_s": 5400' in shown
