"""Columns that are filled online: writers of several processes, one step apart, lose nothing."""

import asyncio
import random

import pytest

from kvapi.errors import KvError, SchemaChanged, WriteConflict
from pgwire.sql_error import SqlError
from tests.sim.schema_world import (
    ROWS,
    SEEDS,
    cancel_within,
    job_beside_writers,
    kill_within,
    reached,
    rows_of,
    world,
)
from tests.sim.sim_client import SimSession, sql_name
from tests.sim.virtual_loop import run_virtual

CONFLICTS = ("40001", "40P01", "23505")


class TextWriter:
    """One client: gives `a` of t new values, moves and adds rows; `u` says what `a` must be."""

    def __init__(self, process, seed):
        self.rng = random.Random(seed)
        self.session = SimSession(process, self.rng.choice(["serializable", "read committed"]))
        self.fresh = 1000 * (seed + 1)
        self.errors, self.committed, self.cut_off = [], 0, 0
        self.sql = ""

    async def run(self, stop):
        while not stop.is_set():
            try:
                await self.session.begin()
                for _ in range(self.rng.randint(1, 3)):
                    self.sql = self.statement()
                    await self.session.execute(self.sql)
                    await asyncio.sleep(self.rng.choice([0, 0.01, 0.05]))
                await self.session.commit()
                self.committed += 1
            except (SqlError, KvError) as error:
                await self.session.rollback()
                self.cut_off += isinstance(error, SchemaChanged)
                is_conflict = isinstance(error, WriteConflict | SchemaChanged)
                # A row with a bad value is not written to a new place.
                is_bad_move = sql_name(error) == "22P02" and "set id" in self.sql
                if not is_conflict and not is_bad_move and sql_name(error) not in CONFLICTS:
                    self.errors.append(error)

    def statement(self):
        rng = self.rng
        row, value = rng.randrange(ROWS), rng.randrange(100, 200)
        kind = rng.randrange(4)
        if kind == 0:
            self.fresh += 1
            return f"insert into t (id, a, u) values ({self.fresh}, '{value}', {value})"
        if kind == 1:
            return f"update t set id = id + 1000000 where id = {row}"
        if kind == 2:
            return f"delete from t where id = {row}"
        return f"update t set a = '{value}', u = {value} where id % {ROWS} = {row}"


async def filled_under_load(loop, seed, sql, *, prepare=(), disturb=None):
    """Run one change while four clients write; return (record, table, processes, writers)."""
    node, tenant_id, processes = await world(loop, seed)
    session = SimSession(processes[0])
    await session.begin()
    await session.execute("update t set u = a")
    await session.commit()
    for statement in prepare:
        assert not await session.change_schema(statement, online=False)
    record, table, processes, writers = await job_beside_writers(
        (node, tenant_id, processes), seed, sql, TextWriter, disturb=disturb
    )
    assert not any(column.state or column.fill_sql for column in table.columns)
    return record, table, processes, writers


async def stop_all(processes):
    for process in processes:
        await process.stop()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_column_changes_its_type_under_load(seed):
    """A value written while the type changes would be lost, or an older one come back."""

    async def body(loop):
        record, table, processes, _ = await filled_under_load(
            loop,
            seed,
            "alter table t alter a type bigint using a::bigint",
            prepare=("alter table t alter a type text",),
            disturb=kill_within(0.6) if seed % 3 == 0 else None,
        )
        assert record.status == "succeeded", (seed, record)
        assert [(c.name, c.attnum, c.type_oid) for c in table.columns] == [
            ("id", 1, 23),
            ("a", 2, 20),
            ("u", 3, 23),
        ]
        rows = await rows_of(processes[0], "select id, a, u from t")
        assert all(a == u for _, a, u in rows), (seed, rows)
        await stop_all(processes)

    run_virtual(body)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_change_of_type_that_ends_early_leaves_the_column(seed):
    """A cancelled change, or one that meets a value of no use, would have changed something."""
    is_bad = seed % 2 == 0

    async def body(loop):
        prepare = ["alter table t alter a type text"]
        if is_bad:
            prepare.append("alter table t add column note text default 'none'")
            prepare.append("alter table t alter note drop default")
        sql = "alter table t alter a type int using a::int"
        if is_bad:
            sql = "alter table t alter note type int using note::int"
        record, table, processes, _ = await filled_under_load(
            loop, seed, sql, prepare=prepare, disturb=None if is_bad else cancel_within(0.4)
        )
        if is_bad:
            assert record.status == "failed", (seed, record)
            assert record.error.sqlstate == "22P02"
        is_changed = table.find_column("a").type_oid == 23
        assert is_changed == (record.status == "succeeded"), (seed, record)
        rows = await rows_of(processes[0], "select id, a::int, u from t")
        assert all(a == u for _, a, u in rows), (seed, rows)
        await stop_all(processes)

    run_virtual(body)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_default_that_differs_comes_once_for_each_row(seed):
    """Two rows would share a number, or a row would have none."""

    async def body(loop):
        record, table, processes, writers = await filled_under_load(
            loop,
            seed,
            "alter table t add column n bigserial",
            disturb=kill_within(0.6) if seed % 3 == 0 else None,
        )
        assert record.status == "succeeded", (seed, record)
        assert table.find_column("n").not_null
        rows = await rows_of(processes[0], "select id, a, u, n from t")
        assert all(a == u for _, a, u, _ in rows), (seed, rows)
        numbers = [n for *_, n in rows]
        assert None not in numbers, (seed, rows)
        assert len(set(numbers)) == len(numbers), (seed, rows)
        assert not sum(writer.cut_off for writer in writers), "adding a column disturbs nobody"
        await stop_all(processes)

    run_virtual(body)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_cancelled_fill_leaves_nothing(seed):
    """A column that nobody wanted would stay, or the sequence behind it."""

    async def body(loop):
        record, table, processes, _ = await filled_under_load(
            loop, seed, "alter table t add column n serial", disturb=cancel_within(0.4)
        )
        has_column = table.find_column("n") is not None
        assert has_column == (record.status == "succeeded"), (seed, record)
        catalog = processes[0].engine.catalog
        assert any(found.name == "t_n_seq" for found in catalog.by_id.values()) == has_column
        rows = await rows_of(processes[0], "select id, a, u from t")
        assert all(a == u for _, a, u in rows), (seed, rows)
        await stop_all(processes)

    run_virtual(body)


@pytest.mark.parametrize("seed", range(8))
def test_a_table_emptied_while_it_is_filled(seed):
    """The backfill would go on in keys that are garbage, or leave new rows without the column."""

    async def truncate(owner, _job_id):
        await asyncio.sleep(owner.rng.uniform(0, 0.4))
        await SimSession(owner).change_schema("truncate t", online=False)

    async def body(loop):
        record, _, processes, _ = await filled_under_load(
            loop, seed, "alter table t add column n serial", disturb=truncate
        )
        assert record.status == "succeeded", (seed, record)
        rows = await rows_of(processes[0], "select id, a, u, n from t")
        assert all(a == u for _, a, u, _ in rows), (seed, rows)
        numbers = [n for *_, n in rows]
        assert None not in numbers, (seed, rows)
        assert len(set(numbers)) == len(numbers), (seed, rows)
        await stop_all(processes)

    run_virtual(body)


@pytest.mark.parametrize("seed", range(8))
def test_a_table_dropped_while_it_is_filled(seed):
    """A job for a table that is gone would be tried for ever."""

    async def body(loop):
        _, _, (one, two) = await world(loop, seed)
        job_id = await SimSession(one).change_schema("alter table t alter a type text")
        await asyncio.sleep(two.rng.uniform(0, 0.1))
        store = two.engine.jobs.store
        await SimSession(two).change_schema("drop table t", online=False)
        dropped_ms = two.engine.clock.now_ns() // 1_000_000
        async with asyncio.timeout(20):
            record = await reached(store, job_id, lambda record: record.is_finished)
        assert record.status == "failed" or record.finished_ms <= dropped_ms, (seed, record)
        await stop_all((one, two))

    run_virtual(body)
