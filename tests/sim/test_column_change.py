"""Columns that come and go online: no transaction beside it fails, or loses what it wrote."""

import asyncio
import random

import pytest

from kvapi.errors import KvError, WriteConflict
from pgwire.sql_error import SqlError
from tests.sim.schema_world import (
    ROWS,
    SEEDS,
    cancel_within,
    job_beside_writers,
    kill_within,
    rows_of,
    world,
)
from tests.sim.sim_client import SimSession, sql_name
from tests.sim.virtual_loop import run_virtual


class ColumnWriter:
    """One client: moves and rewrites rows; sets the column c wherever it sees one.

    A row's `u` says what its `c` must be: written together, or not at all.
    """

    def __init__(self, process, seed):
        self.rng = random.Random(seed)
        self.session = SimSession(process, self.rng.choice(["serializable", "read committed"]))
        self.fresh = 1000 * (seed + 1)
        self.errors, self.committed = [], 0

    async def run(self, stop):
        while not stop.is_set():
            try:
                await self.session.begin()
                (table,) = (t for t in self.session.catalog.tables() if t.name == "t")
                sees = table.find_column("c") is not None
                for _ in range(self.rng.randint(1, 3)):
                    await self.session.execute(self.statement(sees))
                    await asyncio.sleep(self.rng.choice([0, 0.01, 0.05]))
                await self.session.commit()
                self.committed += 1
            except (SqlError, KvError) as error:
                await self.session.rollback()
                if isinstance(error, KvError) and not isinstance(error, WriteConflict):
                    self.errors.append(error)  # a change of the schema is not to be seen
                elif sql_name(error) not in ("40001", "40P01", "23505"):
                    self.errors.append(error)

    def statement(self, sees):
        rng = self.rng
        row, value = rng.randrange(ROWS), rng.randrange(100, 200)
        kind = rng.randrange(4)
        if kind == 0:
            self.fresh += 1
            return f"insert into t (id, a, u) values ({self.fresh}, {value}, 0)"
        if kind == 1 and sees:
            return f"update t set u = {value}, c = {value} where id = {row}"
        if kind == 2:
            return f"update t set id = id + 1000000 where id = {row}"
        return f"update t set a = {value} where id % {ROWS} = {row}"


async def column_under_load(loop, seed, sql, *, prepare=None, disturb=None):
    """Run one change of a column while four clients write; return (record, table, processes)."""
    node, tenant_id, processes = await world(loop, seed)
    session = SimSession(processes[0])
    if prepare is not None:
        await session.change_schema(prepare, online=False)
    await session.begin()
    await session.execute("update t set u = 0")
    await session.commit()
    record, table, processes, _ = await job_beside_writers(
        (node, tenant_id, processes), seed, sql, ColumnWriter, disturb=disturb
    )
    return record, table, processes


@pytest.mark.parametrize("seed", SEEDS)
def test_a_column_comes_without_a_trace(seed):
    """A transaction would fail for a change it does not use, or take a new value back."""

    async def body(loop):
        record, table, processes = await column_under_load(
            loop,
            seed,
            "alter table t add column c int not null default 0",
            disturb=kill_within(0.4) if seed % 3 == 0 else None,
        )
        assert record.status == "succeeded", (seed, record)
        assert not any(column.state or column.hidden for column in table.columns)
        rows = await rows_of(processes[0], "select id, u, c from t")
        assert all(u == c for _, u, c in rows), (seed, rows)
        assert seed or any(c for _, _, c in rows), "nobody has set the column"
        for process in processes:
            await process.stop()

    run_virtual(body)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_column_goes_without_a_trace(seed):
    """A transaction would fail for a column it does not use, or read another one's bytes."""

    async def body(loop):
        record, table, processes = await column_under_load(
            loop,
            seed,
            "alter table t drop column c",
            prepare="alter table t add column c int not null default 0",
        )
        assert record.status == "succeeded", (seed, record)
        assert [column.name for column in table.columns] == ["id", "a", "u"]
        assert [column.name for column in table.dropped_columns] == ["c"]
        rows = await rows_of(processes[0], "select id, a, u from t")
        assert all(u == 0 or 100 <= u < 200 for _, _, u in rows), (seed, rows)
        for process in processes:
            await process.stop()

    run_virtual(body)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_cancelled_column_leaves_nothing(seed):
    """A column that nobody wanted would stay, or its layout with it."""

    async def body(loop):
        record, table, processes = await column_under_load(
            loop,
            seed,
            "alter table t add column c int default 7 not null",
            disturb=cancel_within(0.1),
        )
        has_column = table.find_column("c") is not None
        assert has_column == (record.status == "succeeded"), (seed, record)
        assert len(table.layouts) == (2 if has_column else 1)
        for process in processes:
            await process.stop()

    run_virtual(body)


async def begun(process, state):
    """Begin a transaction as soon as the process knows the column c in `state`; None: not at all.

    READ COMMITTED: it sees what others commit after it began.
    """

    def known():
        (table,) = (found for found in process.engine.catalog.tables() if found.name == "t")
        return next((str(c.state) for c in table.columns if c.name == "c"), None)

    async with asyncio.timeout(20):
        while known() != state:  # noqa: ASYNC110  virtual time
            await asyncio.sleep(0.001)
    session = SimSession(process, "read committed")
    await session.begin()
    await session.execute("select count(*) from t")
    return session


async def touch(session, row):
    """Rewrite one row without a word about c, and commit."""
    assert await session.execute(f"update t set a = a + 1 where id = {row}") == 1
    await session.commit()


def test_a_row_keeps_the_new_column_through_writers_one_step_behind():
    """A writer that began before the column was public would take its values back."""

    async def body(loop):
        _, _, (one, two) = await world(loop, 3)
        absent = await begun(one, None)
        sql = "alter table t add column c int not null default 7"
        job_id = await SimSession(two).change_schema(sql)
        hidden, writer = await begun(two, "adding"), await begun(two, "adding")
        await writer.execute("insert into t values (100, 0, 0)")
        await touch(writer, 1)
        assert await absent.execute("select a from t where id in (1, 100) order by id") == [
            (2,),
            (0,),
        ]
        await absent.execute("update t set a = 1 where id = 100")
        await touch(absent, 1)
        public = await begun(one, "")
        await public.execute("update t set c = 8 where id in (2, 3)")
        await public.execute("insert into t values (101, 0, 0, 9)")
        await touch(public, 4)
        await hidden.execute("update t set id = 200 where id = 2")
        await hidden.execute("update t set a = 5 where id = 101")
        await touch(hidden, 3)
        rows = await rows_of(one, "select id, c from t where c <> 7 order by id")
        assert rows == [(3, 8), (101, 9), (200, 8)]
        assert len(await rows_of(two, "select id from t where c = 7")) == ROWS - 2 + 1
        assert (await one.engine.jobs.store.get(job_id)).status == "succeeded"
        for process in (one, two):
            await process.stop()

    run_virtual(body)


def test_a_column_that_goes_is_there_for_those_who_see_it():
    """A writer that began before the column was dropped would find NULL, or fail on it."""

    async def body(loop):
        _, _, (one, two) = await world(loop, 3)
        setup = SimSession(one)
        await setup.change_schema("alter table t add column c int not null default 7", online=False)
        public = await begun(one, "")
        await SimSession(two).change_schema("alter table t drop column c")
        leaving, other = await begun(two, "leaving"), await begun(two, "leaving")
        await other.execute("update t set c = 8 where id = 1")
        await touch(other, 1)
        assert await public.execute("select c from t where id in (1, 2)") == [(8,), (7,)]
        await touch(public, 1)
        hidden, writer = await begun(one, "dropping"), await begun(one, "dropping")
        await writer.execute("insert into t values (100, 0, 0)")
        await touch(writer, 1)
        assert await leaving.execute("select c from t where id in (1, 100) order by id") == [
            (8,),
            (None,),
        ]
        await leaving.execute("update t set a = 4 where id = 100")
        await touch(leaving, 1)
        gone = await begun(two, None)
        await gone.execute("insert into t values (101, 0, 0)")
        await touch(gone, 1)
        await hidden.execute("update t set a = 9 where id = 101")
        await touch(hidden, 1)
        rows = await rows_of(two, "select * from t where id in (1, 100, 101) order by id")
        assert rows == [(1, 7, 1), (100, 4, 0), (101, 9, 0)]
        for process in (one, two):
            await process.stop()

    run_virtual(body)
