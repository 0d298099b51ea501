"""Every DDL statement, through psycopg: what it makes, what it refuses, what it leaves."""

import psycopg
import pytest

pytestmark = pytest.mark.e2e


@pytest.fixture
def connection(stack):
    """A connection with an empty schema of its own in front."""
    with stack.connect("acme") as opened:
        opened.execute("drop schema if exists work cascade")
        opened.execute("create schema work")
        opened.execute("set search_path = work")
        yield opened


def rows(connection, sql):
    return connection.execute(sql).fetchall()


def refused(connection, sql):
    """Run SQL that must fail; return SQLSTATE and message."""
    with pytest.raises(psycopg.Error) as caught:
        connection.execute(sql)
    return caught.value.sqlstate, caught.value.diag.message_primary


def test_composite_primary_key_orders_and_excludes(connection):
    """The key is what rows are found by."""
    connection.execute("create table t (a int, b text, c int, primary key (b, a))")
    connection.execute("insert into t values (2, 'x', 1), (1, 'x', 2), (1, 'a', 3)")
    assert rows(connection, "select c from t where b = 'x' order by a") == [(2,), (1,)]
    assert refused(connection, "insert into t values (1, 'x', 9)")[0] == "23505"
    assert refused(connection, "insert into t values (null, 'x', 9)")[0] == "23502"


def test_a_table_without_a_key_keeps_equal_rows_apart(connection):
    """The hidden row id must never show and never collide."""
    connection.execute("create table t (a int)")
    connection.execute("insert into t values (1), (1), (1)")
    assert rows(connection, "select * from t") == [(1,)] * 3
    connection.execute("truncate t")
    connection.execute("insert into t select g from generate_series(1, 500) g")
    assert rows(connection, "select count(*), sum(a) from t") == [(500, 125250)]
    assert connection.execute("delete from t where a <= 100").rowcount == 100


def test_defaults_checks_and_not_null(connection):
    """Each constraint refuses with its own SQLSTATE and name."""
    connection.execute(
        "create table t (a int default 2 + 3, b text not null default 'x',"
        " c numeric(6,2) check (c > 0), d timestamptz default now(), constraint low check (a < 10))"
    )
    connection.execute("insert into t (c) values (1.005)")
    assert str(rows(connection, "select a, b, c, d is not null from t")) == (
        "[(5, 'x', Decimal('1.01'), True)]"
    )
    state, message = refused(connection, "insert into t (c) values (0)")
    assert (state, "t_c_check" in message) == ("23514", True)
    assert refused(connection, "insert into t (a) values (10)")[0] == "23514"
    assert refused(connection, "insert into t (b) values (null)")[0] == "23502"
    assert refused(connection, "create table u (a int default b)")[0] == "0A000"


@pytest.mark.parametrize(
    ("action", "left"),
    [("cascade", []), ("set null", [(None,)]), ("no action", None), ("restrict", None)],
)
def test_foreign_key_on_delete(connection, action, left):
    """Children follow, lose their parent, or hold it."""
    connection.execute("create table p (id int primary key)")
    connection.execute(f"create table c (pid int references p on delete {action})")
    connection.execute("insert into p values (1)")
    connection.execute("insert into c values (1)")
    assert refused(connection, "insert into c values (2)")[0] == "23503"
    if left is None:
        assert refused(connection, "delete from p")[0] == "23503"
    else:
        connection.execute("delete from p")
        assert rows(connection, "select pid from c") == left


def test_foreign_key_on_update_cascade_and_self_reference(connection):
    """A key may change and take its references along."""
    connection.execute(
        "create table tree (id int primary key, parent int references tree on update cascade)"
    )
    connection.execute("insert into tree values (1, null), (2, 1), (3, 2)")
    connection.execute("update tree set id = 20 where id = 2")
    assert rows(connection, "select id, parent from tree order by id") == [
        (1, None),
        (3, 20),
        (20, 1),
    ]


def test_serial_identity_and_sequences(connection):
    """Generated keys come from sequences that live with their column."""
    connection.execute(
        "create table t (a serial primary key, b bigint generated always as identity)"
    )
    assert rows(connection, "insert into t default values returning a, b") == [(1, 1)]
    assert refused(connection, "insert into t (b) values (5)")[0] == "428C9"
    assert rows(connection, "select pg_get_serial_sequence('t', 'a') is not null") == [(True,)]
    connection.execute("create sequence s start 10 increment -5 minvalue 0 maxvalue 10")
    assert rows(connection, "select nextval('s'), nextval('s'), nextval('s')") == [(10, 5, 0)]
    assert refused(connection, "select nextval('s')")[0] == "2200H"
    connection.execute("alter sequence s restart with 7")
    assert rows(connection, "select nextval('s')") == [(7,)]
    assert refused(connection, "drop sequence t_a_seq")[0] == "2BP01"
    connection.execute("drop table t")
    assert refused(connection, "select nextval('t_a_seq')")[0] == "42P01"


def test_unique_index_is_built_checked_and_used(connection):
    """Also over rows that were there before."""
    connection.execute("create table t (a int primary key, b text, c int)")
    connection.execute("insert into t values (1, 'x', 1), (2, 'y', 2), (3, null, 3), (4, null, 4)")
    connection.execute("create unique index t_b on t (b)")
    assert refused(connection, "insert into t values (5, 'x', 5)")[0] == "23505"
    connection.execute("insert into t values (5, null, 5)")
    assert rows(connection, "select a from t where b = 'y'") == [(2,)]
    connection.execute("update t set b = 'z' where a = 2")
    assert rows(connection, "select a from t where b = 'y'") == []
    assert rows(connection, "select a from t where b = 'z'") == [(2,)]
    connection.execute("insert into t values (6, 'dup', 7), (7, 'dup2', 7)")
    assert refused(connection, "create unique index on t (c)")[0] == "23505"
    connection.execute("create index if not exists t_b on t (c)")
    connection.execute("drop index t_b")
    assert refused(connection, "drop index t_b")[0] == "42704"
    assert refused(connection, "drop index t_pkey")[0] == "2BP01"


def test_add_and_drop_columns_keep_old_rows_readable(connection):
    """ADD and DROP COLUMN rewrite nothing, so every stored version must read right."""
    connection.execute("create table t (a int primary key, b text)")
    connection.execute("insert into t values (1, 'one')")
    connection.execute("alter table t add column c int default 7 not null, add d text")
    connection.execute("insert into t values (2, 'two', 8, 'd')")
    connection.execute("alter table t drop column b")
    connection.execute("insert into t values (3, 9, null)")
    assert rows(connection, "select * from t order by a") == [
        (1, 7, None),
        (2, 8, "d"),
        (3, 9, None),
    ]
    connection.execute("alter table t add column b int default 1")
    connection.execute("update t set d = 'new' where a = 1")
    assert rows(connection, "select * from t where a = 1") == [(1, 7, "new", 1)]
    assert refused(connection, "alter table t add column e int not null")[0] == "23502"
    assert refused(connection, "alter table t drop column nope")[0] == "42703"
    connection.execute("alter table t drop column if exists nope")


def test_volatile_default_fills_old_rows_one_by_one(connection):
    """A serial column added later numbers the rows there are."""
    connection.execute("create table t (a int)")
    connection.execute("insert into t values (1), (2), (3)")
    connection.execute("alter table t add column n serial")
    assert rows(connection, "select count(distinct n), min(n), max(n) from t") == [(3, 1, 3)]


def test_renames_follow_everywhere(connection):
    """Checks, keys and views keep meaning the same columns and tables."""
    connection.execute("create table t (a int primary key, b int check (b > 0))")
    connection.execute("alter table t rename column b to bb")
    assert refused(connection, "insert into t values (1, -1)")[0] == "23514"
    connection.execute("alter table t rename to t2")
    connection.execute("insert into t2 values (1, 1)")
    assert refused(connection, "select * from t")[0] == "42P01"
    assert rows(connection, "select bb from t2") == [(1,)]


def test_alter_column_type_and_constraints(connection):
    """Rewrites keep every row."""
    connection.execute("create table t (a int, b text)")
    connection.execute("insert into t select g, g::text from generate_series(1, 300) g")
    connection.execute("alter table t alter column b type int using b::int + 1")
    assert rows(connection, "select sum(a), sum(b) from t") == [(45150, 45450)]
    connection.execute("alter table t add primary key (a)")
    assert rows(connection, "select b from t where a = 300") == [(301,)]
    connection.execute("alter table t add constraint ub unique (b)")
    assert refused(connection, "insert into t values (1000, 2)")[0] == "23505"
    connection.execute("alter table t drop constraint ub")
    connection.execute("alter table t drop constraint t_pkey")
    connection.execute("insert into t values (1, 2)")
    assert refused(connection, "alter table t add primary key (a)")[0] == "23505"
    assert refused(connection, "alter table t add check (a > 1)")[0] == "23514"


def test_using_never_reads_what_the_same_statement_changed(connection):
    """PostgreSQL computes all new values from the old row; another answer would be silent."""
    connection.execute("create table t (a int, b int)")
    connection.execute("insert into t values (1, 2)")
    swap = "alter table t alter a type int using b, alter b type bigint using a"
    assert refused(connection, swap)[0] == "0A000"
    assert rows(connection, "select a, b from t") == [(1, 2)]
    connection.execute("alter table t alter a type bigint using a + 1, alter b type bigint")
    assert rows(connection, "select a, b from t") == [(2, 2)]


def test_views_depend_on_their_tables(connection):
    """A table under a view cannot vanish unnoticed."""
    connection.execute("create table t (a int, b int)")
    connection.execute("insert into t values (1, 2)")
    connection.execute("create view v (x) as select a + b from t")
    assert rows(connection, "select x from v") == [(3,)]
    assert refused(connection, "alter table t alter a type text")[0] == "0A000"
    connection.execute("create or replace view v (x, y) as select a + b, a from t")
    assert rows(connection, "select * from v") == [(3, 1)]
    assert refused(connection, "drop table t")[0] == "2BP01"
    assert refused(connection, "insert into v values (1)")[0] == "55000"
    connection.execute("drop table t cascade")
    assert refused(connection, "select * from v")[0] == "42P01"


def test_create_table_as_and_like(connection):
    """Tables made from tables."""
    connection.execute("create table t (a int primary key, b text default 'd' not null)")
    connection.execute("insert into t values (1, 'x')")
    assert connection.execute("create table c as select * from t").statusmessage == "SELECT 1"
    connection.execute("create table l (like t including all)")
    connection.execute("insert into l (a) values (1)")
    assert rows(connection, "select * from l") == [(1, "d")]
    assert refused(connection, "insert into l (a) values (1)")[0] == "23505"


def test_ddl_is_transactional(connection, stack):
    """Nobody sees half of a migration, and a rollback leaves nothing of it."""
    connection.execute("begin")
    connection.execute("create table t (a int primary key)")
    connection.execute("insert into t values (1)")
    with stack.connect("acme") as other:
        assert refused(other, "select * from work.t")[0] == "42P01"
    connection.execute("savepoint s")
    connection.execute("alter table t add column b int default 5")
    assert rows(connection, "select * from t") == [(1, 5)]
    connection.execute("rollback to s")
    assert rows(connection, "select * from t") == [(1,)]
    connection.execute("rollback")
    assert refused(connection, "select * from t")[0] == "42P01"


def test_if_exists_and_if_not_exists(connection):
    """Migrations run twice."""
    for _ in range(2):
        connection.execute("create table if not exists t (a int)")
        connection.execute("create index if not exists i on t (a)")
        connection.execute("create sequence if not exists s")
        connection.execute("create schema if not exists work")
        connection.execute("alter table t add column if not exists b int")
    for _ in range(2):
        connection.execute("drop index if exists i")
        connection.execute("drop sequence if exists s")
        connection.execute("drop view if exists v")
        connection.execute("alter table if exists t drop column if exists b")
        connection.execute("drop table if exists t")


def test_truncate_restarts_and_cascades(connection):
    """TRUNCATE empties at once, whatever the size."""
    connection.execute("create table p (id serial primary key)")
    connection.execute("create table c (id int references p)")
    connection.execute("insert into p default values")
    connection.execute("insert into c values (1)")
    assert refused(connection, "truncate p")[0] == "0A000"
    connection.execute("truncate p restart identity cascade")
    assert rows(connection, "insert into p default values returning id") == [(1,)]
    assert rows(connection, "select count(*) from c") == [(0,)]


def test_what_is_not_supported_says_so(connection):
    """Never silently something else."""
    for sql in (
        "create temp table t (a int)",
        "create table t (a int) partition by range (a)",
        "create table t (a int[])",
        "create index on work.x ((a + 1))",
        "create materialized view v as select 1",
        "create extension hstore",
        "create type mood as enum ('a')",
        "create role x",
    ):
        assert refused(connection, sql)[0] in ("0A000", "42P01"), sql
