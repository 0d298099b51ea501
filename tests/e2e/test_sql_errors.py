"""Wrong and unsupported statements: the right SQLSTATE, 0A000 with a name; the session lives."""

from pathlib import Path

import psycopg
import pytest
from psycopg import pq

from tests.oracle import postgres

pytestmark = pytest.mark.e2e
_LINES = (Path(__file__).parent / "wrong_statements.sql").read_text().splitlines()
WRONG = [line for line in _LINES if not line.startswith("--")]
TABLE = """create table every (id int primary key, c0 bool, c1 int2, c2 int4, c3 int8, c4 float4,
    c5 float8, c6 numeric, c7 numeric(10,2), c8 text, c9 varchar(5), c10 char(4), c11 bytea,
    c12 date);
    insert into every values (0)"""
UNSUPPORTED = [
    "create function f() returns int language sql as 'select 1'",
    "create trigger t before insert on every for each row execute function f()",
    "create extension hstore",
    "create materialized view m as select 1",
    "create type mood as enum ('sad')",
    "create domain d as int",
    "create rule r as on select to every do nothing",
    "create policy p on every",
    "create publication p for all tables",
    "create foreign table f (a int) server s",
    "create table part (a int) partition by range (a)",
    "create table child () inherits (every)",
    "create aggregate a (int) (sfunc = f, stype = int)",
    "create cast (int as text) without function",
    'create collation c from "C"',
    "create tablespace t location '/tmp'",
    "create server s foreign data wrapper w",
    "create statistics s on id, c0 from every",
    "listen channel",
    "notify channel",
    "do $$ begin end $$",
    "call f()",
    "cluster every",
    "prepare transaction 'x'",
    "load 'x'",
    "security label on table every is 'x'",
    "merge into every using (select 1) s on false when not matched then do nothing",
    "import foreign schema s from server w into public",
]


@pytest.fixture(scope="module")
def table(stack):
    """A table that the statements name."""
    with stack.connect("acme") as connection:
        connection.execute(TABLE)


@pytest.fixture(scope="module")
def theirs():
    """A PostgreSQL with the same table."""
    with postgres() as url, psycopg.connect(url, autocommit=True) as connection:
        connection.execute(TABLE)
        yield connection


@pytest.fixture
def connection(stack, table):
    with stack.connect("acme") as opened:
        yield opened


def _answer(connection, sql, mode):
    """Run a statement; return its SQLSTATE, empty if it succeeded, and the message."""
    raw = connection.pgconn
    run = raw.exec_ if mode == "simple" else lambda text: raw.exec_params(text, [])
    result = run(sql.encode())
    while result is not None and result.status == pq.ExecStatus.COPY_IN:
        raw.put_copy_end()
        result = raw.get_result()
    while result.status == pq.ExecStatus.COPY_OUT and raw.get_copy_data(0)[0] > 0:
        pass
    while raw.get_result() is not None:
        pass
    code = result.error_field(pq.DiagnosticField.SQLSTATE)
    if raw.transaction_status != pq.TransactionStatus.IDLE:
        raw.exec_(b"rollback")
    return (code or b"").decode(), result.error_message.decode()


@pytest.mark.parametrize("mode", ["simple", "extended"])
def test_wrong_statements_have_postgresqls_sqlstate(connection, theirs, mode):
    """Programs decide by SQLSTATE whether to retry, to report, or to give up."""
    found = []
    for sql in WRONG:
        ours, right = _answer(connection, sql, mode), _answer(theirs, sql, mode)
        if ours[0] not in (right[0], "0A000"):
            found.append(f"{sql}\n  ours: {ours}\n  PostgreSQL: {right}")
    assert connection.execute("select 1").fetchone() == (1,)
    assert not found, f"{len(found)} of {len(WRONG)}:\n" + "\n".join(found)


def test_what_is_missing_names_itself(connection):
    """A user must learn that a feature is missing, and which, instead of a syntax error."""
    found = {}
    for sql in UNSUPPORTED:
        result = connection.pgconn.exec_(sql.encode())
        code = result.error_field(pq.DiagnosticField.SQLSTATE)
        text = result.error_message.decode().lower()
        words = [word for word in sql.lower().replace("(", " ").split()[:2] if len(word) > 1]
        if result.status != pq.ExecStatus.FATAL_ERROR:
            continue  # supported by now
        if code != b"0A000" or not any(word in text for word in words):
            found[sql] = (code, text)
    assert connection.execute("select 1").fetchone() == (1,)
    assert not found, "\n".join(f"{sql}: {what}" for sql, what in found.items())
