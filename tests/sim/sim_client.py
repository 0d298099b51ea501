"""A KV client and a SQL process on a simulated node: no sockets, virtual time, seeded delays."""

import random
from typing import ClassVar

from kvapi.client.config import ClientConfig
from kvapi.client.kv_client import KvClient
from kvapi.errors import SchemaChanged, WriteConflict
from kvapi.pb import kv_pb2
from kvapi.wire import PROTOCOL_VERSION
from kvnode.server.stream_session import StreamSession
from pgwire.codecs.settings import DEFAULT_SETTINGS
from pgwire.sql_error import SqlError
from sqlnode.catalog.store import CatalogEditor, load_catalog
from sqlnode.context import ExecContext, SessionInfo
from sqlnode.ddl.context import DdlContext
from sqlnode.ddl.execute import execute_ddl
from sqlnode.engine import Engine
from sqlnode.jobs.handle import JobConfig
from sqlnode.jobs.record import JobRecord, encode_job, key_of
from sqlnode.jobs.runner import JobRunner
from sqlnode.kv_errors import sql_error
from sqlnode.plan_cache import PlanEnv
from sqlnode.planner import PlanKind, literal_params
from sqlnode.rowexec.deferred_checks import check_deferred
from sqlnode.sequences import SessionSequences
from sqlnode.session.inner_sql import EngineSql

PATH = ("public",)
DELAY_S_MAX = 0.002


class SimKvClient(KvClient):
    """The real client; its frames travel through the loop with random delays, in order."""

    def __init__(self, node, tenant_id, rng):
        super().__init__("unix:sim", config=ClientConfig(), clock=node.loop)
        self.node, self.rng = node, rng
        self.is_cut = False
        self._arrivals_s = {"up": 0.0, "down": 0.0}
        self.session = StreamSession(node.core, self, hello_s_max=60)
        self._stream.wake = self._woken
        hello = kv_pb2.Hello(
            protocol_version=PROTOCOL_VERSION, credential=node.credential(tenant_id, life_s=10**6)
        )
        self._deliver("up", kv_pb2.ClientFrame(hello=hello).SerializeToString())

    async def close(self):
        """End the stream."""
        self.cut()

    def cut(self):
        """Die: what is on its way to the node arrives, nothing comes back."""
        if not self.is_cut:
            self.is_cut = True
            self.node.loop.call_later(DELAY_S_MAX * 2, self.session.closed)

    def _woken(self):
        self.node.loop.call_soon(self._send_frames)

    def _send_frames(self):
        for body in self._stream.take_frames():
            if not self.is_cut:
                self._deliver("up", body)

    def send(self, body):
        """Take a frame from the node."""
        self._deliver("down", body)

    def _deliver(self, way, body):
        loop = self.node.loop
        at_s = loop.time() + self.rng.uniform(0.0001, DELAY_S_MAX)
        at_s = self._arrivals_s[way] = max(at_s, self._arrivals_s[way])
        loop.call_at(at_s, self._arrived, way, body)

    def _arrived(self, way, body):
        if way == "down":
            if not self.is_cut:
                self._stream.receive(body)
            return
        self.session.begin_chunk()
        self.session.receive(body)
        self.session.end_chunk()


class SimProcess:
    """One SQL process of the tenant: the real engine, catalog and jobs."""

    client_type: ClassVar = SimKvClient
    engine_options: ClassVar = {}

    def __init__(self, node, tenant_id, seed, **job_config):
        self.node, self.rng = node, random.Random(seed)
        self.kv = self.client_type(node, tenant_id, self.rng)
        self.config = JobConfig(**job_config)

    async def start(self):
        """Load the catalog and look for jobs."""
        self.engine = Engine(
            self.kv,
            await load_catalog(self.kv),
            self.node.loop,
            random_bytes=self.rng.randbytes,
            rng=self.rng,
            **self.engine_options,
        )
        owner = self.rng.randbytes(4).hex()
        self.engine.jobs = JobRunner(self.engine, owner=owner, config=self.config)
        self.engine.jobs.start()
        return self

    async def kill(self):
        """End at once: nothing is told to anybody."""
        self.kv.cut()
        await self.engine.jobs.stop()
        await self.engine.catalog_use.close()

    async def stop(self):
        """End in order."""
        await self.engine.jobs.stop()
        await self.engine.catalog_use.close()
        self.kv.cut()


class SimSession:
    """Transactions of one client in one process. `catalog_version_used` as a session's block."""

    def __init__(self, process, isolation="serializable"):
        self.process, self.isolation = process, isolation
        self.txn = self.catalog = None
        process.engine.catalog_use.add(self)

    @property
    def catalog_version_used(self):
        return 0 if self.txn is None else self.txn.catalog_version

    async def begin(self):
        """Begin on the newest catalog that the process knows."""
        engine = self.process.engine
        if engine.is_catalog_stale:
            await engine.reload()
        self.catalog = engine.catalog
        self.txn = engine.begin(self.isolation, False)

    def context(self, params=()):
        engine = self.process.engine
        info = SessionInfo("owner", "owner", "defaultdb", "acme", 1, PATH, {})
        now = engine.now_micros()
        return ExecContext(
            txn=self.txn,
            catalog=self.catalog,
            params=params,
            settings=DEFAULT_SETTINGS,
            session=info,
            sequences=SessionSequences(engine.counters, lambda: self.catalog),
            txn_start_micros=now,
            statement_micros=now,
            clock_micros=engine.now_micros,
            random=engine.random,
            notice=lambda *_: None,
        )

    async def execute(self, sql):
        """Run one statement in the open transaction; return rows or a row count."""
        engine = self.process.engine
        (statement,) = engine.read(sql)
        env = PlanEnv(self.catalog, PATH, DEFAULT_SETTINGS, is_shared=True)
        plan = engine.plan(statement, env)
        self.txn.begin_statement()
        self.txn.used.add(plan.relations)
        context = self.context(literal_params(statement, plan, env))
        if plan.kind is PlanKind.QUERY:
            return [row async for rows in plan.executable.run(context) for row in rows]
        count, _ = await plan.executable.run(context)
        return count

    async def commit(self):
        """Commit. Raises: SqlError, KvError."""
        try:
            await check_deferred(self.context())
            await self.txn.commit()
        finally:
            self._end()

    async def rollback(self):
        """Give up."""
        if self.txn is not None:
            await self.txn.rollback()
        self._end()

    def _end(self):
        self.txn = self.catalog = None
        self.process.engine.catalog_use.settle()

    async def change_schema(self, sql, *, online=True):
        """Run DDL as a transaction of its own; return the id of its job, 0 if it is done."""
        engine = self.process.engine
        for _ in range(20):
            await self.begin()
            editor = CatalogEditor(self.txn, self.catalog, engine.allocate_id)
            inner = EngineSql(lambda catalog: self._with(catalog))
            (statement,) = engine.read(sql)
            ddl = DdlContext(editor, self.context(), inner, sql)
            ddl.has_rows = self.has_rows if online else None
            try:
                await execute_ddl(ddl, statement.parsed.tree)
                if ddl.change is not None and not engine.older.are_over(editor):
                    await self.rollback()
                    await engine.older.wait(editor.base, timeout_ms=0)
                    continue
                job_id = 0 if ddl.change is None else await self._begin_job(ddl.change, sql)
                self.txn.changed = editor.changed()
                self.txn.keeps_previous = bool(job_id)
                await self.commit()
            except (SchemaChanged, WriteConflict):
                await self.rollback()
                continue
            engine.jobs.notify()
            return job_id
        raise AssertionError("no progress")

    async def has_rows(self, span):
        block = await self.process.kv.scan(span, limit_rows=1)
        return block.row_count > 0

    def _with(self, catalog):
        context = self.context()
        context.catalog = catalog
        return context

    async def _begin_job(self, change, sql):
        engine = self.process.engine
        record = JobRecord(
            id=await engine.allocate_id(),
            kind=change.kind,
            statement=sql,
            user="owner",
            table_id=change.table_id,
            part=change.part,
            step=change.step,
            created_ms=1,
            updated_ms=1,
        )
        self.txn.put(key_of(record), encode_job(record))
        return record.id


def sql_name(error):
    """Return what an error is called in a history: its SQLSTATE."""
    return error.sqlstate if isinstance(error, SqlError) else sql_error(error).sqlstate
