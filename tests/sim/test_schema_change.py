"""Online schema change: writers of two processes, one step apart, never break an index."""

import asyncio
import random
from contextlib import suppress

import pytest

from kvapi.errors import KvError, WriteConflict
from pgwire.sql_error import SqlError
from sqlnode.catalog.store import load_catalog
from sqlnode.jobs.index_check import check_indexes
from tests.sim.sim_client import SimKvClient, SimProcess, SimSession, sql_name
from tests.sim.sim_node import SimNode
from tests.sim.virtual_loop import run_virtual

ROWS = 40
SEEDS = range(25)
QUICK = {"chunk_rows_max": 7, "lease_s": 1.0, "beat_s": 0.1, "poll_s": 0.2, "wait_s_max": 0.05}


class Writer:
    """One client: random transactions over t, some of them slow."""

    def __init__(self, process, seed):
        self.rng = random.Random(seed)
        isolation = self.rng.choice(["serializable", "repeatable read", "read committed"])
        self.session = SimSession(process, isolation)
        self.fresh = 1000 * (seed + 1)
        self.committed, self.failures = 0, []

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
                self.failures.append(sql_name(error))
                is_conflict = isinstance(error, WriteConflict) or sql_name(error) in (
                    "23505",
                    "40001",
                    "40P01",
                )
                await self.session.rollback()
                if not is_conflict:
                    raise

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


async def world(loop, seed, *, duplicates=False):
    """Return (node, tenant id, two processes), with t filled."""
    node = SimNode(loop, seed)
    tenant_id = await node.create("acme")
    processes = [await SimProcess(node, tenant_id, seed + n, **QUICK).start() for n in (1, 2)]
    session = SimSession(processes[0])
    await session.change_schema("create table t (id int primary key, a int, u int)", online=False)
    await session.begin()
    for row in range(ROWS):
        u = 5 if duplicates and row in (3, 30) else row
        await session.execute(f"insert into t values ({row}, {row % 9}, {u})")
    await session.commit()
    return node, tenant_id, processes


async def verify(node, tenant_id, seed):
    """Return the table's indexes after comparing each with its rows."""
    kv = SimKvClient(node, tenant_id, random.Random(seed))
    catalog = await load_catalog(kv)
    (table,) = (found for found in catalog.tables() if found.name == "t")
    for report in await check_indexes(kv, table):
        assert report.is_right, f"{seed=} {report}"
    kv.cut()
    return table


async def reached(store, job_id, condition):
    """Wait until a job's record meets a condition; return it."""
    while not condition(record := await store.get(job_id)):  # noqa: ASYNC110  virtual time
        await asyncio.sleep(0.001)
    return record


async def change_under_load(loop, seed, sql, *, disturb=None, duplicates=False):
    """Run one change while four clients write; return (record, table, writers)."""
    node, tenant_id, processes = await world(loop, seed, duplicates=duplicates)
    stop = asyncio.Event()
    writers = [Writer(processes[n % 2], seed * 10 + n) for n in range(4)]
    tasks = [asyncio.ensure_future(writer.run(stop)) for writer in writers]
    await asyncio.sleep(0.05)
    owner = await SimProcess(node, tenant_id, seed + 9, **QUICK).start()
    job_id = await SimSession(owner).change_schema(sql)
    disturbing = asyncio.ensure_future(disturb(owner, job_id)) if disturb else None
    store = processes[0].engine.jobs.store
    async with asyncio.timeout(200):
        while not (record := await store.get(job_id)).is_finished:
            for task in tasks:
                assert not task.done(), f"{seed=} {task.exception()!r}"
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.1)
    stop.set()
    await asyncio.gather(*tasks)
    if disturbing is not None:
        await disturbing
    table = await verify(node, tenant_id, seed)
    for process in (*processes, owner):
        await process.stop()
    return record, table, writers


@pytest.mark.parametrize("seed", SEEDS)
def test_an_index_agrees_with_its_table(seed):
    """Queries through a new index would miss rows, or find what is not there."""

    async def body(loop):
        record, table, writers = await change_under_load(loop, seed, "create index t_a on t (a)")
        assert record.status == "succeeded", (seed, record)
        assert [index.name for index in table.indexes] == ["t_a"]
        assert sum(writer.committed for writer in writers) > 10
        assert not table.building

    run_virtual(body)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_unique_index_is_right_or_gone(seed):
    """Two rows with one key would both be there, or a row would be lost to its index."""

    async def body(loop):
        record, table, _ = await change_under_load(
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

    async def kill(owner, _job_id):
        await asyncio.sleep(owner.rng.uniform(0, 0.6))
        await owner.kill()

    async def body(loop):
        record, table, _ = await change_under_load(
            loop, seed, "create index t_a on t (a)", disturb=kill
        )
        assert record.status == "succeeded", (seed, record)
        assert [index.name for index in table.indexes] == ["t_a"]

    run_virtual(body)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_cancelled_job_leaves_nothing(seed):
    """An index that nobody reads would cost every writer for ever."""

    async def cancel(owner, job_id):
        await asyncio.sleep(owner.rng.uniform(0, 0.4))
        with suppress(SqlError):  # it was done already
            await owner.engine.jobs.cancel(job_id)

    async def body(loop):
        record, table, _ = await change_under_load(
            loop, seed, "create unique index t_u on t (u)", disturb=cancel
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


async def rows_of(process, sql):
    """Return a query's rows in a transaction of its own."""
    session = SimSession(process)
    await session.begin()
    rows = await session.execute(sql)
    await session.commit()
    return rows


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
    stop = asyncio.Event()
    writers = [ColumnWriter(processes[n % 2], seed * 10 + n) for n in range(4)]
    tasks = [asyncio.ensure_future(writer.run(stop)) for writer in writers]
    await asyncio.sleep(0.1)
    owner = await SimProcess(node, tenant_id, seed + 9, **QUICK).start()
    job_id = await SimSession(owner).change_schema(sql)
    assert job_id, "the change was not left to a job"
    disturbing = asyncio.ensure_future(disturb(owner, job_id)) if disturb else None
    store = processes[0].engine.jobs.store
    async with asyncio.timeout(200):
        record = await reached(store, job_id, lambda record: record.is_finished)
        await asyncio.sleep(0.5)
        stop.set()
        await asyncio.gather(*tasks, *([disturbing] if disturbing else []))
    errors = [error for writer in writers for error in writer.errors]
    assert not errors, (seed, errors)
    assert sum(writer.committed for writer in writers) > 10
    table = await verify(node, tenant_id, seed)
    return record, table, (*processes, owner)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_column_comes_without_a_trace(seed):
    """A transaction would fail for a change it does not use, or take a new value back."""

    async def kill(owner, _job_id):
        await asyncio.sleep(owner.rng.uniform(0, 0.4))
        await owner.kill()

    async def body(loop):
        record, table, processes = await column_under_load(
            loop,
            seed,
            "alter table t add column c int not null default 0",
            disturb=kill if seed % 3 == 0 else None,
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

    async def cancel(owner, job_id):
        await asyncio.sleep(owner.rng.uniform(0, 0.1))
        with suppress(SqlError):  # it was done already
            await owner.engine.jobs.cancel(job_id)

    async def body(loop):
        record, table, processes = await column_under_load(
            loop, seed, "alter table t add column c int default 7 not null", disturb=cancel
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
