"""SQL in transactions that stage at every chance, against the same that never do.

The same random statements, savepoints, errors and rollbacks run twice, in small batches; every
answer, every error and at the end every stored key must be alike.
"""

import random

import pytest

from kvapi.client.config import ClientConfig
from kvapi.client.kv_client import KvClient
from kvapi.errors import KvError
from kvapi.spans import Span
from pgwire.errors import SqlError
from runtime.clock import SystemClock
from sqlnode.kv_errors import sql_error
from sqlnode.parse.dml import DmlParser
from sqlnode.plan.bind import bind_statement
from sqlnode.plan.statement import Query
from sqlnode.rowexec import (
    bulk,
    dml_insert,
    foreign_keys,
    joined_targets,
    referential,
    row_locks,
    sources,
    targets,
)
from sqlnode.rowexec.dml import compile_dml
from sqlnode.rowexec.query import compile_query
from sqlnode.txn import Transaction
from sqlnode.vecexec.query import compile_query as compile_wide
from tests.fakes import kv_store
from tests.fakes.kv_server import CREDENTIAL, FakeKvServer
from tests.unit.sqlnode.rowexec import family, random_sql
from tests.unit.sqlnode.rowexec.context import FakeSequences, make_ctx

ALL = Span(b"", b"")
STATEMENT_COUNT = 60
OWN = (
    "update t set b = b + 1 where b > 3",
    "update t set b = b + 1",
    "update t set a = a + 100 where a < 100",
    "update t set a = a - 100 where a >= 100",
    "insert into t (a, b, c) select a + 40, b, null from t where a < 20",
    "insert into t (a, b) select a + 1, b from t",
    "insert into h select a, d from t",
    "insert into u select a, 7, 'n' from t where b is not null on conflict do nothing",
    "insert into t (a, b) select a, 1 from t on conflict (a) do update set b = t.b + excluded.b",
    "update t set b = u.y from u where u.x = t.a",
    "delete from t using w where w.ta = t.a",
    "delete from t where a % 3 = 0",
    "delete from t where b is null returning a",
    "delete from u",
    "delete from h",
    "insert into t (a) select a from t where a = 1",
    "update u set x = x + 1",
)
FILL = (
    "insert into t (a, b, c) values " + ", ".join(f"({n}, {n % 7}, 'c{n}')" for n in range(20)),
    "insert into u select a, 1, 'z' from t where a < 12",
    "insert into w select a, a, 'z' from t where a > 10",
)


class Side:
    """One store, and the SQL that runs on it."""

    def __init__(self, server, client, stage_bytes):
        self.store = server.store
        self.client = client
        self.stage_bytes = stage_bytes
        self.sequences = FakeSequences()
        self.txn = None

    def begin(self, txn_id, isolation):
        self.txn = Transaction(
            self.client, txn_id=txn_id, catalog_version=0, isolation=isolation,
            stage_bytes=self.stage_bytes,
        )  # fmt: skip

    async def run(self, sql):
        """Return (count, rows), or the error; then the statement is undone."""
        ctx = make_ctx(tables=family.TABLES, work_mem_bytes=1 << 28, cancelled=lambda: False)
        ctx.session.search_path = ("public",)
        ctx.txn, ctx.sequences = self.txn, self.sequences
        self.txn.begin_statement()
        try:
            bound = bind_statement(
                DmlParser(sql).planned_statement(),
                text=sql,
                catalog=ctx.catalog,
                search_path=("public",),
            ).bound
            if isinstance(bound, Query):
                executable = compile_query(bound, ctx.catalog, lambda: compile_wide(bound))
                return sorted([r async for rows in executable.run(ctx) for r in rows], key=repr)
            count, rows = await compile_dml(bound, ctx.catalog, compile_wide).run(ctx)
            return count, sorted(rows, key=repr)
        except KvError as error:
            found = sql_error(error, ctx.catalog)
        except SqlError as error:
            found = error
        # Of several broken references another may be met first.
        detail = None if found.sqlstate == "23503" else found.detail
        return found.sqlstate, found.message, detail

    async def commit(self):
        try:
            await self.txn.commit()
        except KvError as error:
            return type(error)
        return None

    def rows(self):
        return self.store.rows(ALL, self.store.newest_ts)


@pytest.fixture
async def sides(tmp_path, monkeypatch):
    for module in (bulk, dml_insert, joined_targets, referential, row_locks, sources, targets):
        monkeypatch.setattr(module, "BATCH_ROWS", 3)
    monkeypatch.setattr(foreign_keys, "PAGE_ROWS", 2)
    monkeypatch.setattr(foreign_keys, "_SPANS_AT_ONCE", 2)
    monkeypatch.setattr(referential, "_NOTED_MAX", 4)
    monkeypatch.setattr(kv_store, "BLOCK_ROWS_MAX", 4)
    made, servers = [], []
    for name, stage_bytes in (("plain", 1 << 40), ("spilling", 1)):
        server = FakeKvServer()
        await server.start(tmp_path / f"{name}.sock")
        client = KvClient(server.address("unix"), config=ClientConfig(), clock=SystemClock())
        await client.authenticate(CREDENTIAL)
        servers.append((server, client))
        made.append(Side(server, client, stage_bytes))
    yield made
    for server, client in servers:
        await client.close()
        await server.stop()


@pytest.mark.parametrize("isolation", ["serializable", "read committed"])
@pytest.mark.parametrize("seed", range(12))
async def test_size_changes_no_answer(sides, seed, isolation):
    """A statement would do something else once it has more rows than fit in memory."""
    plain, spilling = sides
    rng = random.Random(seed)
    savepoints = None
    for side in sides:
        side.begin(rng.randbytes(16), isolation)
        for sql in FILL:
            assert isinstance((await side.run(sql))[0], int)
        await side.commit()
    for _ in range(STATEMENT_COUNT):
        if savepoints is None:
            txn_id, savepoints = rng.randbytes(16), []
            for side in sides:
                side.begin(txn_id, isolation)
        choice = rng.random()
        if choice < 0.1:
            savepoints.append(rng.choice("ab"))
            for side in sides:
                side.txn.savepoints.set(savepoints[-1])
        elif choice < 0.2 and savepoints:
            name = rng.choice(savepoints)
            del savepoints[len(savepoints) - savepoints[::-1].index(name) :]
            for side in sides:
                side.txn.savepoints.rollback_to(name)
        elif choice < 0.25 and savepoints:
            name = savepoints.pop()
            for side in sides:
                side.txn.savepoints.release(name)
        elif choice < 0.32:
            savepoints = None
            assert [await side.commit() for side in sides] == [None, None]
            assert plain.rows() == spilling.rows()
        else:
            own = rng.random() < 0.5
            sql = rng.choice(OWN) if own else random_sql.statement(rng)
            expected = await plain.run(sql)
            assert repr(await spilling.run(sql)) == repr(expected), sql  # NaN is not NaN
    if savepoints is not None:
        assert [await side.commit() for side in sides] == [None, None]
    assert plain.rows() == spilling.rows()
    assert spilling.store.request_counts["stage"] > 5
    assert plain.store.request_counts["stage"] == 0
