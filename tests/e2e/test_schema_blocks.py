"""A transaction block that changes the schema by what it has seen of rows: nobody came between."""

import psycopg
import pytest

pytestmark = pytest.mark.e2e
LEVELS = ["read committed", "repeatable read", "serializable"]
ROW = "insert into t values (100, -1, null)"
SCANS = [
    ("create index t_a on t (a)", ROW),
    ("create unique index t_a on t (a)", "insert into t values (100, 3, 3)"),
    ("alter table t add unique (a)", "insert into t values (100, 3, 3)"),
    ("alter table t add check (a > 0)", ROW),
    ("alter table t alter b set not null", ROW),
    ("alter table t add foreign key (a) references p", ROW),
    ("alter table t add foreign key (a) references p", "delete from p where id = 3"),
    ("alter table t validate constraint low", "update t set a = 9 where id = 3"),
    ("alter table t alter b type text using b || 'x'", ROW),
    ("alter table t add column s serial", ROW),
    ("alter table t add column c int check (a > 0)", ROW),
    ("alter table t drop constraint t_pkey", ROW),
    ("alter table t drop constraint t_pkey, add primary key (a)", ROW),
]


@pytest.fixture
def other(stack):
    """A session beside the block, with tables of some rows."""
    with stack.connect("acme") as connection:
        connection.execute("create table p (id int primary key)")
        connection.execute("create table t (id int primary key, a int, b int)")
        connection.execute("insert into p select * from generate_series(1, 9)")
        connection.execute("insert into t select n, n, n from generate_series(1, 9) n")
        connection.execute("alter table t add constraint low check (a < 1000000) not valid")
        yield connection
        connection.execute("drop table t, p")


@pytest.fixture
def block(stack, other):
    """The session whose block changes the schema."""
    with stack.connect("acme") as connection:
        yield connection


def shape(connection):
    """Return what a client sees of the schema of t."""
    return connection.execute(
        "select (select count(*) from pg_index where indrelid = 't'::regclass),"
        " (select array_agg(conname order by conname) filter (where convalidated)"
        "  from pg_constraint where conrelid = 't'::regclass),"
        " (select array_agg((attname, attnotnull, atttypid)::text order by attnum)"
        "  from pg_attribute where attrelid = 't'::regclass)"
    ).fetchall()


def rows(connection, condition="true"):
    return connection.execute(f"select * from t where {condition} order by id").fetchall()


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("change", "beside"), SCANS)
def test_rows_that_came_after_the_scan_are_not_passed_over(block, other, change, beside, level):
    """An index would miss rows for ever, a constraint be broken, a rewritten table lose rows."""
    before = shape(other)
    block.execute(f"begin isolation level {level}")
    block.execute(change)
    other.execute(beside)
    committed = rows(other)
    with pytest.raises(psycopg.errors.SerializationFailure):
        block.execute("commit")
    assert rows(block) == committed
    assert shape(block) == before


@pytest.mark.parametrize("level", LEVELS)
def test_a_row_that_was_open_during_the_scan_is_indexed_or_refused(stack, block, other, level):
    """The transaction with the row does not know the index, the one with the index not the row."""
    with stack.connect("acme") as third:
        for session, number in ((other, 100), (third, 101)):
            session.execute(f"begin isolation level {level}")
            session.execute("insert into t values (%s, 3)", (number,))
        block.execute(f"begin isolation level {level}")
        block.execute("create index t_a on t (a)")
        other.execute("commit")
        with pytest.raises(psycopg.errors.SerializationFailure):
            block.execute("commit")
        block.execute("begin")
        block.execute("create index t_a on t (a)")
        block.execute("commit")
        with pytest.raises(psycopg.errors.SerializationFailure):
            third.execute("commit")
    assert (
        [row[0] for row in rows(other, "a = 3")]
        == [3, 100]
        == [row[0] for row in rows(other, "a + 0 = 3")]
    )


@pytest.mark.parametrize("level", LEVELS)
def test_rows_from_before_the_scan_are_in_the_index(block, other, level):
    """A block whose snapshot is older than its DDL would index what was there then."""
    block.execute(f"begin isolation level {level}")
    assert len(rows(block)) == 9
    other.execute("insert into t values (100, 3), (101, 200)")
    block.execute("create index t_a on t (a)")
    if level == "read committed":
        block.execute("commit")
        assert len(rows(other, "a = 3")) == 2
    else:
        with pytest.raises(psycopg.errors.SerializationFailure):
            block.execute("commit")


@pytest.mark.parametrize("level", LEVELS)
def test_what_the_block_reads_through_its_index_is_so(block, other, level):
    """READ COMMITTED would find a row by what it was, not by what it is now."""
    block.execute(f"begin isolation level {level}")
    block.execute("create index t_a on t (a)")
    assert rows(block, "a in (3, 4)") == [(3, 3, 3), (4, 4, 4)]
    other.execute("insert into p values (100)")
    fresh = level == "read committed"
    assert block.execute("select count(*) from p").fetchone() == (10 if fresh else 9,)
    other.execute("delete from t where id = 3")
    other.execute("update t set a = 50 where id = 4")
    if not fresh:
        assert rows(block, "a in (3, 4)") == [(3, 3, 3), (4, 4, 4)]
    with pytest.raises(psycopg.errors.SerializationFailure):
        block.execute("select * from t where a in (3, 4)" if fresh else "commit")
    block.execute("rollback")


@pytest.mark.parametrize("level", LEVELS)
def test_many_rows_of_the_block_itself_do_not_stand_in_its_way(block, other, level):
    """A migration that fills a table and then indexes it would always fail."""
    block.execute(f"begin isolation level {level}")
    block.execute("insert into t select n, n from generate_series(100, 40000) n")
    block.execute("create index t_a on t (a)")
    block.execute("alter table t add column s text default random()::text")
    block.execute("update t set a = -1 where id = 5")
    other.execute("insert into p values (100)")
    block.execute("commit")
    assert rows(other, "a = -1")[0][0] == 5
    assert other.execute("select count(a), count(s) from t where a > 0").fetchone() == (
        39909,
        39909,
    )


def test_a_query_of_a_new_table_is_no_more_than_a_query(block, other):
    """READ COMMITTED loads would fail for rows that nothing relies on."""
    block.execute("begin isolation level read committed")
    block.execute("create table copied as select * from t")
    block.execute("truncate p, t")
    other.execute("insert into t values (100, 3)")
    block.execute("commit")
    assert rows(other) == [], "it came before TRUNCATE was there"
    assert other.execute("select count(*) from copied").fetchone() == (9,)
    other.execute("drop table copied")


def test_an_index_that_was_taken_back_stands_in_nobodys_way(block, other):
    """The block would fail for a row beside an index that it no longer makes."""
    block.execute("begin isolation level read committed")
    block.execute("savepoint s")
    block.execute("create index t_a on t (a)")
    block.execute("rollback to s")
    other.execute(ROW)
    assert len(rows(block)) == 10
    block.execute("insert into p values (100)")
    block.execute("commit")


def test_a_table_made_and_dropped_ends_nobodys_block(block, other):
    """Every scratch table of a migration would fail the open blocks of the whole tenant."""
    other.execute("begin")
    other.execute("insert into t values (100, 3)")
    for _ in range(2):
        block.execute("begin")
        block.execute("create table scratch (id int primary key)")
        block.execute("drop table scratch")
        block.execute("commit")
    other.execute("insert into t values (101, 3)")
    other.execute("commit")
    assert len(rows(other, "id >= 100")) == 2
