"""Online schema change, told as a transcript: real engines over a simulated node."""

import asyncio
from pathlib import Path

from sqlnode.catalog.store import load_catalog
from sqlnode.jobs.record import JobKind
from sqlnode.rowexec.table_codec import codec_of
from tests.scripts.runner import run_script
from tests.sim.sim_client import SimProcess, SimSession
from tests.sim.sim_node import SimNode
from tests.sim.virtual_loop import VirtualLoop

HERE = Path(__file__).parent
SETTLE_S = 0.5  # virtual: what can happen has happened


class World:
    """Directives: process, table, begin, run, commit, change, cancel, kill, pass, show."""

    def __init__(self):
        self.loop = VirtualLoop()
        asyncio.set_event_loop(self.loop)
        self.processes, self.sessions, self.number = {}, {}, 0
        self.loop.run_until_complete(self.start())

    async def start(self):
        self.node = SimNode(self.loop, 1)
        self.tenant_id = await self.node.create("acme")
        self.watcher = await self.new_process()

    async def new_process(self):
        self.number += 1
        config = {"lease_s": 4.0, "beat_s": 0.2, "poll_s": 0.3, "wait_s_max": 0.05}
        return await SimProcess(self.node, self.tenant_id, self.number, **config).start()

    def __call__(self, directive):
        async def act():
            answer = await getattr(self, f"do_{directive.name}")(directive)
            await asyncio.sleep(SETTLE_S)
            return answer

        return self.loop.run_until_complete(act())

    async def do_process(self, directive):
        for name in directive.words:
            self.processes[name] = await self.new_process()
        return f"{len(self.processes)} SQL processes"

    async def do_table(self, directive):
        session = SimSession(self.watcher)
        await session.change_schema("create table t (id int primary key, a int)", online=False)
        await session.begin()
        for row in directive.words:
            await session.execute(f"insert into t values ({row})")
        await session.commit()
        return f"t has {len(directive.words)} rows"

    async def do_begin(self, directive):
        name = directive.get("session")
        session = self.sessions[name] = SimSession(self.processes[directive.get("process")])
        await session.begin()
        return f"{name} begins; index state it knows: {self.state(session.catalog)}"

    async def do_run(self, directive):
        name = directive.get("session")
        sql = directive.get("sql")
        await self.sessions[name].execute(sql)
        return f"{name}: {sql}"

    async def do_commit(self, directive):
        name = directive.get("session")
        await self.sessions[name].commit()
        return f"{name} commits"

    async def do_change(self, directive):
        sql = directive.get("sql")
        self.job_id = await SimSession(self.processes[directive.get("process")]).change_schema(sql)
        return "a job has begun"

    async def do_cancel(self, directive):
        await self.watcher.engine.jobs.cancel(self.job_id)
        return "cancel requested"

    async def do_kill(self, directive):
        await self.processes.pop(directive.get("process")).kill()
        return "gone, its lease still runs"

    async def do_pass(self, directive):
        seconds = float(directive.get("s"))
        await asyncio.sleep(seconds)
        return f"{seconds:g} s later"

    async def do_show(self, directive):
        job = await self.watcher.engine.jobs.store.get(self.job_id)
        waiting = ", waits for older transactions" if job.is_waiting else ""
        error = "" if job.error is None else f", {sql_name_of(job)}: {job.error.detail}"
        lines = [f"job {job.status} at {job.step}{waiting}{error}"]
        catalog = await load_catalog(self.watcher.kv)
        if job.kind is JobKind.CREATE_INDEX:
            lines += await self.entries(catalog)
        return "\n".join(lines)

    async def entries(self, catalog):
        (table,) = catalog.tables()
        codec = codec_of(table)
        rows = [codec.decode_row(v) for _, v in (await self.watcher.kv.scan(codec.span)).rows()]
        lines = [f"rows: {' '.join(f'{row[0]}:{row[1]}' for row in rows)}"]
        for index in (*codec.building, *codec.indexes):
            shown = []
            for key, value in (await self.watcher.kv.scan(index.span)).rows():
                row_key = index.row_key(key, value)
                shown.append(f"{index.decode(key)[0]}→{codec.primary.decode(row_key)[0]}")
            state = f"{index.desc.name} {index.desc.state}"
            lines.append(f"{state}: {' '.join(shown) or '(no entries)'}")
        return lines if len(lines) > 1 else [*lines, "no index"]

    def state(self, catalog):
        (table,) = catalog.tables()
        indexes = (*table.building, *table.indexes)
        return str(indexes[0].state) if indexes else "none"


def sql_name_of(job):
    """Return the SQLSTATE a job failed with."""
    return job.error.sqlstate


def test_schema_change(rewrite):
    """The steps of an online schema change, and what writers do in each."""
    try:
        run_script(HERE / "schema_change.txt", World(), rewrite=rewrite)
    finally:
        asyncio.set_event_loop(None)
