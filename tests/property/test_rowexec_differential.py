"""rowexec against a real PostgreSQL, and against vecexec: same rows, counts, errors and details."""

import random
from pathlib import Path

import psycopg
import pytest

from pgwire.codecs.registry import text_output
from pgwire.errors import SqlError
from sqlnode.parse.dml import DmlParser
from sqlnode.plan.bind import bind_statement
from sqlnode.plan.logical import LockRows, walk_plans
from sqlnode.plan.statement import Query
from sqlnode.rowexec.dml import compile_dml
from sqlnode.rowexec.not_row_shape import NotRowShape
from sqlnode.rowexec.query import compile_query
from sqlnode.vecexec.query import compile_query as compile_wide
from tests.fakes.memory_txn import MemoryStore
from tests.unit.sqlnode.rowexec import family, key_types, random_sql
from tests.unit.sqlnode.rowexec.context import FakeSequences, make_ctx, rows_of, stored
from tests.unit.sqlnode.vecexec import postgres

STATEMENTS = Path(family.__file__).with_name("statements.sql").read_text()
RANDOM_COUNT = 150
TABLES = (*family.TABLES, key_types.K)


@pytest.fixture(scope="module")
def server():
    with postgres.running() as connection:
        yield connection


class Database:
    """The same tables here and in PostgreSQL."""

    def __init__(self, connection):
        self.connection = connection
        connection.execute("drop table if exists t, u, w, h, k cascade")
        connection.execute(family.DDL)
        connection.execute(key_types.DDL)
        self.store = MemoryStore()
        self.sequences = FakeSequences()

    def theirs(self, sql):
        result = self.connection.pgconn.exec_(sql.encode())
        field = psycopg.pq.DiagnosticField
        if result.status not in (psycopg.pq.ExecStatus.TUPLES_OK, psycopg.pq.ExecStatus.COMMAND_OK):
            texts = [
                result.error_field(f)
                for f in (field.SQLSTATE, field.MESSAGE_PRIMARY, field.MESSAGE_DETAIL)
            ]
            return tuple(None if text is None else text.decode() for text in texts)
        count = int(result.command_tuples or 0)
        rows = [
            tuple(
                None if (value := result.get_value(n, i)) is None else value.decode()
                for i in range(result.nfields)
            )
            for n in range(result.ntuples)
        ]
        return count, rows

    async def ours(self, sql):
        """Return rowexec's answer and, for queries, vecexec's (None where it has none)."""
        ctx = make_ctx(
            store=self.store, tables=TABLES, work_mem_bytes=1 << 28, cancelled=lambda: False
        )
        ctx.session.search_path = ("public",)
        ctx.sequences = self.sequences
        try:
            bound = bind_statement(
                DmlParser(sql).planned_statement(),
                text=sql,
                catalog=ctx.catalog,
                search_path=("public",),
            ).bound
            if isinstance(bound, Query):
                return await self._query(bound, ctx)
            count, rows = await compile_dml(bound, ctx.catalog, compile_wide).run(ctx)
            await ctx.txn.commit()
            return (count, _texts(bound, rows)), None
        except SqlError as error:
            return (error.sqlstate, error.message, error.detail), None

    async def _query(self, bound, ctx):
        wide = None
        locks = any(isinstance(plan, LockRows) for plan in walk_plans(bound.plan))
        if not locks:
            wide = _texts(bound, await rows_of(compile_wide(bound), ctx))
        try:
            compiled = compile_query(bound, ctx.catalog, lambda: compile_wide(bound))
            rows = _texts(bound, await rows_of(compiled, ctx))
        except NotRowShape:
            rows = wide
        return (len(rows), rows), None if wide is None else (len(wide), wide)


def _texts(bound, rows):
    outputs = [text_output(column.type.oid) for column in bound.columns]
    return [
        tuple(None if d is None else write(d) for d, write in zip(row, outputs, strict=True))
        for row in rows
    ]


def _comparable(sql, answer):
    if isinstance(answer[0], str) or "order by" in sql:
        return answer
    return answer[0], sorted(answer[1], key=repr)


async def _differences(database, statements):
    found = []
    for sql in statements:
        theirs = _comparable(sql, database.theirs(sql))
        for name, answer in zip(("rowexec", "vecexec"), await database.ours(sql), strict=True):
            if answer is not None and (ours := _comparable(sql, answer)) != theirs:
                found.append(f"{sql}\n  postgres {theirs}\n  {name}  {ours}")
    for table in TABLES:
        stored(database.store, table)  # checks every index
    return "\n".join(found)


async def test_statements_one_by_one(server):
    """A program that works with PostgreSQL behaves differently here."""
    statements = [sql.strip() for sql in STATEMENTS.split(";") if sql.strip()]
    assert not await _differences(Database(server), statements)


@pytest.mark.parametrize("seed", range(4))
async def test_random_statements(server, seed):
    """Some combination of condition, index, order and limit gives other rows than it should."""
    rng = random.Random(seed)
    statements = [random_sql.statement(rng) for _ in range(RANDOM_COUNT)]
    assert not await _differences(Database(server), statements)


@pytest.mark.parametrize("seed", range(2))
async def test_keys_of_every_type(server, seed):
    """An index gives other rows than the table would: padding, NaN, scales, mixed types."""
    rng = random.Random(seed)
    database = Database(server)
    assert not await _differences(database, list(key_types.inserts(rng, 40)))
    assert not await _differences(database, [key_types.query(rng) for _ in range(150)])
