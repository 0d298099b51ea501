"""Drivers and psql: every type in text and binary, COPY, pipelines, cancel."""

import asyncio
import datetime as dt
import decimal
import subprocess
import threading
import time
import uuid

import asyncpg
import psycopg
import pytest
from psycopg.types.json import Json, Jsonb

pytestmark = pytest.mark.e2e
D = decimal.Decimal
UTC = dt.UTC
# type: values that a driver sends and gets back.
VALUES = {
    "bool": [True, False],
    "int2": [-32768, 0, 32767],
    "int4": [-(2**31), 0, 2**31 - 1],
    "int8": [-(2**63), 0, 2**63 - 1],
    "float4": [0.0, 1.5, -3.25e3, float("inf"), float("-inf")],
    "float8": [0.0, 0.1, -1.7976931348623157e308, 5e-324, float("inf")],
    "numeric": [D("0"), D("0.00"), D("-12345678901234567890.123456789"), D("1E+20"), D("NaN")],
    "numeric(10,2)": [D("12.30"), D("-99999999.99")],
    "text": ["", "ä€😀", "tab\tline\nquote'\\", "x" * 10_000],
    "varchar(5)": ["", "äöü", "12345"],
    "char(4)": ["ab  ", "abcd"],
    "bytea": [b"", b"\x00\xff\\'", bytes(range(256))],
    "date": [dt.date(1, 1, 1), dt.date(2000, 2, 29), dt.date(9999, 12, 31)],
    "time": [dt.time(0), dt.time(23, 59, 59, 999999)],
    "timestamp": [dt.datetime(1970, 1, 1), dt.datetime(2024, 2, 29, 12, 30, 0, 1)],
    "timestamptz": [dt.datetime(2024, 7, 1, 12, tzinfo=UTC)],
    "interval": [dt.timedelta(0), dt.timedelta(days=-3, seconds=5, microseconds=7)],
    "uuid": [uuid.UUID(int=0), uuid.UUID("5fbeb1ea-c9cb-4e2b-8f2c-0a0f0c1c1d1e")],
    "int4[]": [[], [1, None, -3], [[1, 2], [3, 4]]],
    "text[]": [["", 'a"b', "c,d", None, "NULL"]],
}
JSON = {"a": [1, 2.5, None, True, "ä\n"], "b": {}}


def _is_same(got, sent):
    return got == sent or (got != got and sent != sent)


@pytest.fixture(scope="module")
def table(stack):
    """A table with a column of each type, named c0, c1, ..."""
    columns = ", ".join(f"c{i} {name}" for i, name in enumerate(VALUES) if name[-1] != "]")
    with stack.connect("acme") as connection:
        connection.execute(f"create table every (id int primary key, {columns})")
    return "every"


@pytest.fixture
def connection(stack):
    """A psycopg connection in UTC."""
    with stack.connect("acme", options="-c timezone=UTC --tenant=acme") as opened:
        yield opened


def _sqlstate(connection, sql, parameters=None):
    with pytest.raises(psycopg.Error) as caught:
        connection.execute(sql, parameters)
    return caught.value.sqlstate


@pytest.mark.parametrize("is_binary", [False, True], ids=["text", "binary"])
@pytest.mark.parametrize("name", VALUES)
def test_psycopg_round_trips(connection, table, name, is_binary):
    """A value would change between an application and its table."""
    column = f"c{list(VALUES).index(name)}"
    mark = "%b" if is_binary else "%t"
    cursor = connection.cursor(binary=is_binary)
    for value in [*VALUES[name], None]:
        cursor.execute(f"select {mark}::{name}", (value,))
        (got,) = cursor.fetchone()
        assert _is_same(got, value), (got, value)
        if name.endswith("[]"):
            continue  # values only: no columns of arrays yet
        cursor.execute(f"delete from {table} where id = 1")
        cursor.execute(f"insert into {table} (id, {column}) values (1, {mark})", (value,))
        cursor.execute(f"select {column} from {table} where id = 1")
        (got,) = cursor.fetchone()
        assert _is_same(got, value), (got, value)


@pytest.mark.parametrize("is_binary", [False, True], ids=["text", "binary"])
def test_psycopg_json(connection, is_binary):
    """Documents would lose members or types."""
    cursor = connection.cursor(binary=is_binary)
    for wrap, name in ((Json, "json"), (Jsonb, "jsonb")):
        assert cursor.execute(f"select %s::{name}", (wrap(JSON),)).fetchone() == (JSON,)


def test_asyncpg_round_trips(stack):
    """asyncpg speaks binary only, and asks the catalog for what it does not know."""

    async def run():
        opened = await asyncpg.connect(stack.url("acme"))
        try:
            for name, values in VALUES.items():
                for value in [*values, None]:
                    got = await opened.fetchval(f"select $1::{name}", value)
                    assert _is_same(got, value), (name, got, value)
            text = '{"a": [1, null]}'
            assert await opened.fetchval("select $1::jsonb", text) == text
            assert await opened.fetchval("select $1::json", text) == text
        finally:
            await opened.close()

    asyncio.run(run())


def test_asyncpg_prepared_many_cursor_and_transactions(stack):
    """The calls that every asyncpg program makes."""

    async def run():
        opened = await asyncpg.connect(stack.url("acme"))
        try:
            await opened.execute("drop table if exists many")
            await opened.execute("create table many (id int primary key, t text)")
            await opened.executemany(
                "insert into many values ($1, $2)", [(n, f"row {n}") for n in range(500)]
            )
            find = await opened.prepare("select t from many where id = $1")
            assert [p.name for p in find.get_parameters()] == ["int4"]
            assert [(a.name, a.type.name) for a in find.get_attributes()] == [("t", "text")]
            assert [await find.fetchval(n) for n in (3, 499, 500)] == ["row 3", "row 499", None]
            undone = opened.transaction()
            await undone.start()
            await opened.execute("delete from many")
            await undone.rollback()
            async with opened.transaction():
                with pytest.raises(asyncpg.UniqueViolationError):
                    async with opened.transaction():  # a savepoint
                        await opened.execute("insert into many values (1, 'twice')")
                rows = [row async for row in opened.cursor("select * from many", prefetch=70)]
            assert len(rows) == 500
        finally:
            await opened.close()

    asyncio.run(run())


def test_asyncpg_copies(stack, tmp_path):
    """Text COPY works; binary COPY works, or says that it does not and the session goes on."""

    async def run():
        opened = await asyncpg.connect(stack.url("acme"))
        try:
            await opened.execute("drop table if exists copied")
            await opened.execute("create table copied (id int, t text)")
            file = tmp_path / "in.csv"
            file.write_text('id,t\n1,"a,b"\n2,\n')
            done = await opened.copy_to_table("copied", source=file, format="csv", header=True)
            assert done == "COPY 2"
            out = tmp_path / "out"
            assert await opened.copy_from_query("select * from copied", output=out) == "COPY 2"
            assert out.read_text() == "1\ta,b\n2\t\\N\n"
            with pytest.raises(asyncpg.FeatureNotSupportedError, match=r"(?i)binary"):
                await opened.copy_records_to_table("copied", records=[(3, "x"), (4, None)])
            assert await opened.fetchval("select count(*) from copied where id < 3") == 2
        finally:
            await opened.close()

    asyncio.run(run())


def test_psycopg_pipeline_with_an_error_in_the_middle(connection):
    """A batch would stop answering, or run what stands behind the error."""
    connection.execute("create table if not exists piped (id int primary key)")
    connection.execute("truncate piped")
    with connection.pipeline() as pipeline:
        first = connection.execute("insert into piped values (1) returning id")
        pipeline.sync()
        connection.execute("insert into piped values (1)")
        connection.execute("insert into piped values (2)")
        with pytest.raises(psycopg.errors.UniqueViolation):
            pipeline.sync()
        fourth = connection.execute("insert into piped values (4) returning id")
        assert (first.fetchone(), fourth.fetchone()) == ((1,), (4,))
    assert connection.execute("select id from piped order by id").fetchall() == [(1,), (4,)]


def test_psycopg_named_cursor_scrolls_forward_in_batches(connection):
    """Server-side cursors keep a large result out of the client's memory."""
    with connection.transaction(), connection.cursor(name="big") as cursor:
        cursor.itersize = 1000
        cursor.execute("select g, g * 2 from generate_series(1, 20000) g")
        assert cursor.fetchmany(3) == [(1, 2), (2, 4), (3, 6)]
        assert sum(1 for _ in cursor) == 19_997


def test_a_portal_gives_rows_in_pieces(connection):
    """Row limits of Execute: JDBC's fetch size. psycopg's stream reads row by row."""
    rows = connection.cursor().stream("select * from generate_series(1, 5000)")
    assert sum(n for (n,) in rows) == 5000 * 5001 // 2


def test_cancel_request_ends_the_statement_only(connection):
    """Ctrl-C would end the session, or nothing."""
    for sql in (
        "select pg_sleep(30)",
        "select count(*) from generate_series(1, 100000) a, generate_series(1, 100000) b",
    ):
        timer = threading.Timer(0.3, connection.cancel)
        timer.start()
        started_s = time.monotonic()
        assert _sqlstate(connection, sql) == "57014"
        assert time.monotonic() - started_s < 5
        timer.join()
        assert connection.execute("select 1").fetchone() == (1,)


def test_statement_timeout_ends_cpu_bound_statements(connection):
    """A runaway join would burn its tenant's budget for ever."""
    connection.execute("set statement_timeout = '300ms'")
    sql = "select count(*) from generate_series(1, 100000) a, generate_series(1, 100000) b"
    started_s = time.monotonic()
    assert _sqlstate(connection, sql) == "57014"
    assert time.monotonic() - started_s < 5
    assert connection.execute("select 1").fetchone() == (1,)


SCRIPT = r"""
\set ON_ERROR_STOP off
create temp table never (x int);
drop table if exists script;
create table script (id int generated always as identity primary key, t text not null);
insert into script (t) values ('a'), ('b') returning id;
begin;
delete from script;
rollback;
select count(*) from script;
insert into script (t) values (null);
\copy script (t) from stdin
c
d
\.
\copy (select t from script order by t) to stdout
prepare find as select t from script where id = $1;
execute find(2);
select 'x' as "Column", 1.50 as n \gx
\bind 40
select $1::int + 2;
select nonsense;
select 'still here';
"""


def test_psql_runs_a_script(stack, psql):
    """Migrations and dumps are psql scripts."""
    done = subprocess.run(
        [psql, stack.url("acme"), "-XqAt", "-v", "VERBOSITY=sqlstate"],
        input=SCRIPT.replace("\\bind 40\nselect $1::int + 2;\n", ""),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.splitlines() == [
        *("1", "2", "2", "a", "b", "c", "d", "b", "Column|x", "n|1.50", "still here")
    ]
    errors = [line.split()[-1] for line in done.stderr.splitlines() if "ERROR" in line]
    assert errors[-2:] == ["23502", "42703"]
