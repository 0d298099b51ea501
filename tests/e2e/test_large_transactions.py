"""Transactions larger than a SQL process wants to hold: right answers, and little memory.

The SQL process stages what exceeds `stage_bytes`. Here that is small, so that the rows of one
statement are many times it; the long test loads a million rows with the default.
"""

import threading
import time

import psycopg
import pytest

from tests.e2e.stack import Stack

pytestmark = pytest.mark.e2e

CONFIG = "[sqlnode]\nstage_bytes = 1000000\n[kvnode]\nrecent_keys_max = 1000\n"
ROWS = 60_000  # with their index entries about 15 times what may be held
PAD = 10  # characters of each row
GROWTH_MIB_MAX = 40  # buffered until the commit they take 100
LONG_ROWS = 1_000_000
LONG_GROWTH_MIB_MAX = 160  # whatever is in flight; the rows themselves take ten times as much


def private_mib(pid):
    """Return what a process does not share with its zygote."""
    with open(f"/proc/{pid}/status") as status:
        (line,) = [line for line in status if line.startswith("RssAnon:")]
    return int(line.split()[1]) >> 10


class Watch:
    """Samples a process' memory for the length of a block."""

    def __init__(self, pid):
        self.pid = pid
        self._done = threading.Event()

    def __enter__(self):
        self.first = self.peak = private_mib(self.pid)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def _run(self):
        while not self._done.wait(0.01):
            self.peak = max(self.peak, private_mib(self.pid))

    def __exit__(self, *_):
        self._done.set()
        self._thread.join()

    @property
    def grown(self):
        return self.peak - self.first


@pytest.fixture(scope="module")
def stack():
    with Stack(config=CONFIG) as stack:
        stack.create_tenant("acme")
        yield stack


@pytest.fixture
def db(stack):
    with stack.connect("acme") as connection:
        connection.execute("drop table if exists child, big")
        connection.execute("create table big (id int primary key, k int unique, pad text)")
        yield connection


def fill(connection, rows=ROWS, pad=1_000):
    connection.execute(
        f"insert into big select g, g, repeat('x', {pad}) from generate_series(1, {rows}) g"
    )


def totals(connection):
    return connection.execute("select count(*), sum(id), sum(k) from big").fetchone()


def expected(rows, shift=0):
    total = rows * (rows + 1) // 2
    return (rows, total, total + shift * rows)


def work(db, rows):
    """Everything a large transaction does, with what it answers."""
    fill(db, rows, PAD)
    assert totals(db) == expected(rows)
    db.execute("update big set k = -k")
    assert db.execute("select sum(k) from big").fetchone() == (-expected(rows)[1],)
    db.execute("begin")
    db.execute("savepoint s")
    db.execute("delete from big")
    assert db.execute("select count(*) from big").fetchone() == (0,)
    db.execute("rollback to s")
    db.execute("update big set k = -k where id % 2 = 0")
    db.execute("commit")
    assert db.execute("select count(*) from big where k > 0").fetchone() == (rows // 2,)
    db.execute("delete from big")
    assert totals(db) == (0, None, None)
    with db.cursor() as cursor, cursor.copy("copy big from stdin") as copy:
        for n in range(1, rows + 1):
            copy.write_row((n, n, "y" * PAD))
    assert totals(db) == expected(rows)
    db.execute("delete from big")


def test_memory_does_not_grow_with_the_rows(stack, db):
    """One large load would end the process, and with it every session of the tenant."""
    work(db, ROWS // 4)  # what the first statements of a process leave behind is no growth
    (pid,) = stack.sql_pids("acme")
    with Watch(pid) as watch:
        work(db, ROWS)
    assert watch.grown <= GROWTH_MIB_MAX, f"{watch.first} MiB grew to {watch.peak}"


def test_a_statement_never_meets_its_own_rows(db):
    """INSERT … SELECT from its own table would never end; an UPDATE would count a row twice."""
    fill(db, rows=10_000)
    db.execute("create index big_pad on big (k, pad)")
    for _ in range(2):
        count = db.execute("select count(*) from big").fetchone()[0]
        done = db.execute("insert into big select id + 1000000, -k - id, pad from big where k > 0")
        assert done.rowcount == count
        assert db.execute("delete from big where k < 0").rowcount == count
    done = db.execute("update big set k = k + 1000000 where k > 0")  # read by the index on k
    assert done.rowcount == 10_000
    assert totals(db) == expected(10_000, shift=1_000_000)


def test_undone_layers_leave_nothing(db):
    """ROLLBACK TO after a staged statement would leave rows, or take too many away."""
    with db.transaction():
        fill(db, rows=3_000)
        with pytest.raises(psycopg.errors.UniqueViolation) as caught, db.transaction():
            db.execute(
                "insert into big select 10000 + g % 2500, -g, repeat('z', 1000)"
                " from generate_series(1, 3000) g"
            )
        assert caught.value.diag.message_detail == "Key (id)=(10001) already exists."
        with db.transaction():
            db.execute("delete from big where id > 1000")
            with pytest.raises(psycopg.errors.DivisionByZero), db.transaction():
                db.execute("update big set k = 1 / (id - 1000) where id <= 1000")
            # Deleted by ourselves, staged, and inserted again.
            db.execute(
                "insert into big select g, g, repeat('n', 1000) from generate_series(1001, 3000) g"
            )
        with db.transaction(force_rollback=True):
            db.execute("delete from big")
    assert totals(db) == expected(3_000)
    assert db.execute("select count(*) from big where pad like 'n%'").fetchone() == (2_000,)


def test_duplicates_are_found_whenever_they_are_staged(db):
    """A unique key broken within one large statement must be refused with its name."""
    for sql in (
        "insert into big select g % 3900, g, repeat('x', 1000) from generate_series(1, 4000) g",
        "insert into big select g, g % 3900, repeat('x', 1000) from generate_series(1, 4000) g",
    ):
        with pytest.raises(psycopg.errors.UniqueViolation) as caught:
            db.execute(sql)
        column = "id" if "select g %" in sql else "k"
        assert caught.value.diag.message_detail == f"Key ({column})=(1) already exists."
        assert caught.value.diag.constraint_name == f"big_{'pkey' if column == 'id' else 'k_key'}"
        assert totals(db) == (0, None, None)
    fill(db, rows=2_000)
    done = db.execute(
        "insert into big select g, -g, repeat('c', 1000) from generate_series(1, 4000) g"
        " on conflict (id) do update set k = big.k + 1000000"
    )
    assert done.rowcount == 4_000
    assert db.execute("select count(*) from big where k > 1000000").fetchone() == (2_000,)


def test_cascades_and_references_of_many_rows(db):
    """ON DELETE CASCADE of a large parent, and foreign keys checked row by row."""
    fill(db, rows=2_000, pad=10)
    db.execute(
        "create table child (id int primary key, parent int references big on delete cascade,"
        " pad text); create index child_parent on child (parent)"
    )
    db.execute(
        "insert into child select g, 1 + g % 2000, repeat('x', 300)"
        " from generate_series(1, 12000) g"
    )
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        db.execute(
            "insert into child select 20000 + g, g, repeat('x', 300)"
            " from generate_series(1, 12000) g"
        )
    assert db.execute("select count(*) from child").fetchone() == (12_000,)
    assert db.execute("delete from big where id <= 1500").rowcount == 1_500
    assert db.execute("select count(*), min(parent) from child").fetchone() == (3_000, 1_501)


def test_a_long_transaction_commits_if_nothing_it_read_has_changed(stack, db):
    """A report over a large table fails for ever while its tenant writes to other tables."""
    fill(db, pad=10)
    deadline_s = time.monotonic() + 30
    while metric(stack, "kvnode_intents_bytes ") and time.monotonic() < deadline_s:
        time.sleep(0.05)  # until its rows are where a walk looks for them
    with stack.connect("acme", autocommit=True) as other:
        other.execute("create table child (id int primary key)")
        for shift, changes in ((0, None), (10, "update big set pad = 'new' where id = 30000")):
            db.execute("begin isolation level serializable")
            assert db.execute("select count(*) from big").fetchone() == (ROWS,)
            if changes:
                other.execute(changes)
            for n in range(shift, shift + 3):  # more than the KV node remembers
                first = n * 1_000
                other.execute(
                    f"insert into child select {first} + g from generate_series(1, 1000) g"
                )
            db.execute(f"insert into child values (-{shift + 1})")
            if not changes:
                db.execute("commit")
                continue
            with pytest.raises(psycopg.errors.SerializationFailure) as caught:
                db.execute("commit")
            detail = caught.value.diag.message_detail
            assert detail == 'What it has read in table "big" was changed by another transaction.'
            db.execute("rollback")
        assert other.execute("select count(*) from child where id < 0").fetchone() == (1,)
    assert metric(stack, "kvnode_long_validations_total ") > 0


def metric(stack, name):
    """Return a metric of the KV node."""
    lines = stack.http("/metrics")[1].splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith(f"insula_{name}"))


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_million_rows():
    """The promise: no limit of size but the tenant's quota."""
    with Stack() as stack:
        stack.create_tenant("acme")
        with stack.connect("acme") as db:
            db.execute("create table big (id int primary key, k int, pad text)")
            fill(db, rows=20_000, pad=10)
            db.execute("delete from big")
            (pid,) = stack.sql_pids("acme")
            with Watch(pid) as watch:
                fill(db, rows=LONG_ROWS, pad=10)
                assert db.execute("update big set k = k + 1").rowcount == LONG_ROWS
                with db.cursor() as cursor:
                    cursor.execute("begin")
                    cursor.execute("savepoint s")
                    cursor.execute("delete from big")
                    cursor.execute("rollback to s")
                    cursor.execute("commit")
                assert db.execute("delete from big where id % 2 = 0").rowcount == LONG_ROWS // 2
                with db.cursor() as cursor, cursor.copy("copy big from stdin") as copy:
                    for n in range(2, LONG_ROWS + 1, 2):
                        copy.write(f"{n}\t{n + 1}\tp\n")
            assert watch.grown <= LONG_GROWTH_MIB_MAX, f"{watch.first} MiB grew to {watch.peak}"
            assert totals(db) == expected(LONG_ROWS, shift=1)
