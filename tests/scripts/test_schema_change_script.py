"""Online schema change, told as a transcript: real engines over a simulated node."""

import asyncio
from pathlib import Path

import pytest

from pgwire.sql_error import SqlError
from sqlnode.catalog.store import load_catalog
from sqlnode.rowexec.table_codec import codec_of
from tests.scripts.runner import run_script
from tests.sim.sim_client import SimProcess, SimSession
from tests.sim.sim_node import SimNode
from tests.sim.virtual_loop import VirtualLoop

HERE = Path(__file__).parent
SETTLE_S = 0.5  # virtual: what can happen has happened


class World:
    """Directives: process, table, begin, run, commit, change, cancel, kill, pass, show."""

    isolation = "serializable"

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
        process = self.processes[directive.get("process")]
        session = self.sessions[name] = SimSession(process, self.isolation)
        await session.begin()
        (table,) = session.catalog.tables()
        return f"{name} begins; {self.known(table)}"

    async def do_run(self, directive):
        name, sql = directive.get("session"), directive.get("sql")
        try:
            answer = await self.sessions[name].execute(sql)
        except SqlError as error:
            await self.sessions[name].rollback()
            return f"{name}: {sql}\n  {error.sqlstate}: {error.message}"
        shown = f" → {texts(answer)}" if isinstance(answer, list) else ""
        return f"{name}: {sql}{shown}"

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
        error = ""
        if job.error is not None:
            error = f", {job.error.sqlstate}: {job.error.detail or job.error.message}"
        (table,) = (await load_catalog(self.watcher.kv)).tables()
        lines = [f"job {job.status} at {job.step}{waiting}{error}", *await self.shown(table)]
        return "\n".join(lines)

    async def stored(self, table):
        """Return the table's rows as (layout version, row)."""
        codec = codec_of(table)
        values = (value for _, value in (await self.watcher.kv.scan(codec.span)).rows())
        return [(int.from_bytes(value[:2], "little"), codec.decode_row(value)) for value in values]

    async def shown(self, table):
        """Return lines about what is being changed. For subclasses."""
        raise NotImplementedError

    def known(self, table):
        """Say what a transaction knows of it. For subclasses."""
        raise NotImplementedError


class IndexWorld(World):
    """Shows rows as id:a, entries as a→id."""

    async def shown(self, table):
        codec = codec_of(table)
        rows = [row for _, row in await self.stored(table)]
        lines = [f"rows: {' '.join(f'{row[0]}:{row[1]}' for row in rows)}"]
        for index in (*codec.building, *codec.indexes):
            shown = []
            for key, value in (await self.watcher.kv.scan(index.span)).rows():
                row_key = index.row_key(key, value)
                shown.append(f"{index.decode(key)[0]}→{codec.primary.decode(row_key)[0]}")
            state = f"{index.desc.name} {index.desc.state}"
            lines.append(f"{state}: {' '.join(shown) or '(no entries)'}")
        return lines if len(lines) > 1 else [*lines, "no index"]

    def known(self, table):
        indexes = (*table.building, *table.indexes)
        return f"index state it knows: {indexes[0].state if indexes else 'none'}"


class ColumnWorld(World):
    """Shows the columns with their states, and each row with the layout it is written in."""

    isolation = "read committed"

    async def shown(self, table):
        rows = (f"{texts([row])} in v{version}" for version, row in await self.stored(table))
        return [columns(table), f"rows: {' '.join(rows)}"]

    def known(self, table):
        return f"it knows {columns(table)}"


class ConstraintWorld(World):
    """Shows rows as id:a, and the constraints."""

    async def shown(self, table):
        rows = " ".join(f"{row[0]}:{row[1]}" for _, row in await self.stored(table))
        return [f"rows: {rows}", self.known(table)]

    def known(self, table):
        checks = (f"{c.name}{'' if c.validated else ' not valid'}" for c in table.checks)
        return f"constraints: {' '.join(checks) or 'none'}"


def columns(table):
    """Return the table's columns, and the state of each that is not public."""
    names = (f"{c.name} {c.state}".strip() for c in table.columns)
    return f"t({', '.join(names)})"


def texts(rows):
    """Return rows as (1,2,null)."""
    return " ".join(
        "(" + ",".join("null" if d is None else str(d) for d in row) + ")" for row in rows
    )


@pytest.mark.parametrize(
    ("name", "world"),
    [
        ("schema_change", IndexWorld),
        ("schema_change_column", ColumnWorld),
        ("schema_change_constraint", ConstraintWorld),
        ("schema_change_type", ColumnWorld),
    ],
)
def test_schema_change(rewrite, name, world):
    """The steps of an online schema change, and what writers do in each."""
    try:
        run_script(HERE / f"{name}.txt", world(), rewrite=rewrite)
    finally:
        asyncio.set_event_loop(None)
