"""Indexes made online: writers of two processes, one step apart, never break one."""

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
    reached,
    verify,
    world,
)
from tests.sim.sim_client import SimProcess, SimSession, sql_name
from tests.sim.sim_node import SimNode
from tests.sim.virtual_loop import run_virtual


class Writer:
    """One client: random transactions over t, some of them slow."""

    def __init__(self, process, seed):
        self.rng = random.Random(seed)
        isolation = self.rng.choice(["serializable", "repeatable read", "read committed"])
        self.session = SimSession(process, isolation)
        self.fresh = 1000 * (seed + 1)
        self.errors, self.committed = [], 0

    async def run(self, stop):
        while not stop.is_set():
            try:
                await self.session.begin()
                for _ in range(self.rng.randint(1, 3)):
                    await self.session.execute(self.statement())
                    await asyncio.sleep(self.rng.choice([0, 0, 0.01, 0.05]))
                await self.session.commit()
                self.committed += 1
            except (SqlError, KvError) as error:
                await self.session.rollback()
                self.failed(error)

    def failed(self, error):
        """Take note of a transaction that failed; conflicts are in order."""
        expected = ("23505", "40001", "40P01")
        if not isinstance(error, WriteConflict) and sql_name(error) not in expected:
            self.errors.append(error)

    def statement(self):
        rng = self.rng
        row, value = rng.randrange(ROWS), rng.randrange(30)
        kind = rng.randrange(6)
        if kind == 0:
            self.fresh += 1
            return f"insert into t values ({self.fresh}, {value}, {self.fresh})"
        if kind == 1:
            return f"delete from t where id = {row}"
        if kind == 2:
            return f"insert into t values ({row}, {value}, {row}) on conflict do nothing"
        if kind == 3:
            return f"update t set id = {1_000_000 + row} where id = {row}"
        if kind == 4:
            return f"update t set u = {2_000_000 + rng.randrange(500)} where id = {row}"
        return f"update t set a = {value} where id = {row}"


async def change_under_load(loop, seed, sql, *, disturb=None, duplicates=False):
    """Run one change while four clients write; return (record, table)."""
    found = await world(loop, seed, duplicates=duplicates)
    record, table, processes, _ = await job_beside_writers(
        found, seed, sql, Writer, disturb=disturb
    )
    for process in processes:
        await process.stop()
    return record, table


@pytest.mark.parametrize("seed", SEEDS)
def test_an_index_agrees_with_its_table(seed):
    """Queries through a new index would miss rows, or find what is not there."""

    async def body(loop):
        record, table = await change_under_load(loop, seed, "create index t_a on t (a)")
        assert record.status == "succeeded", (seed, record)
        assert [index.name for index in table.indexes] == ["t_a"]
        assert not table.building

    run_virtual(body)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_unique_index_is_right_or_gone(seed):
    """Two rows with one key would both be there, or a row would be lost to its index."""

    async def body(loop):
        record, table = await change_under_load(
            loop, seed, "create unique index t_u on t (u)", duplicates=seed % 3 == 0
        )
        names = [index.name for index in table.indexes]
        assert names == (["t_u"] if record.status == "succeeded" else []), (seed, record)
        if record.status != "succeeded":
            assert record.error.sqlstate == "23505", (seed, record)
        assert not table.building

    run_virtual(body)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_killed_owner_changes_nothing(seed):
    """A half-built index would stay, or be published without its last rows."""

    async def body(loop):
        record, table = await change_under_load(
            loop, seed, "create index t_a on t (a)", disturb=kill_within(0.6)
        )
        assert record.status == "succeeded", (seed, record)
        assert [index.name for index in table.indexes] == ["t_a"]

    run_virtual(body)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_cancelled_job_leaves_nothing(seed):
    """An index that nobody reads would cost every writer for ever."""

    async def body(loop):
        record, table = await change_under_load(
            loop, seed, "create unique index t_u on t (u)", disturb=cancel_within(0.4)
        )
        is_public = record.status == "succeeded"
        assert [i.name for i in table.indexes] == (["t_u"] if is_public else []), (seed, record)
        assert not table.building

    run_virtual(body)


def test_an_entry_that_another_row_took_stays():
    """Deleting a row that the backfill had not come to would take the entry of its successor."""

    async def body(loop):
        node = SimNode(loop, 1)
        tenant_id = await node.create("acme")
        process = await SimProcess(node, tenant_id, 1, chunk_rows_max=2, beat_s=0.0).start()
        session = SimSession(process)
        await session.change_schema(
            "create table t (id int primary key, a int, u int)", online=False
        )
        await session.begin()
        for row in range(300):
            await session.execute(f"insert into t values ({row}, 0, {row})")
        await session.commit()
        job_id = await session.change_schema("create unique index t_u on t (u)")
        store = process.engine.jobs.store
        async with asyncio.timeout(100):
            await reached(store, job_id, lambda record: record.row_count >= 10)
            for sql in ("insert into t values (-1, 0, 290)", "delete from t where id = 290"):
                await session.begin()
                await session.execute(sql)
                await session.commit()
            assert (await store.get(job_id)).row_count < 280, "the backfill was too fast"
            record = await reached(store, job_id, lambda record: record.is_finished)
        assert record.status == "succeeded", record
        table = await verify(node, tenant_id, 1)
        assert [index.name for index in table.indexes] == ["t_u"]
        await process.stop()

    run_virtual(body)
