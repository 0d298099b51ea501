"""Two SQL processes of one tenant, a table whose schema will change, what must hold afterwards."""

import asyncio
import random
from contextlib import suppress

from pgwire.sql_error import SqlError
from sqlnode.catalog.store import load_catalog
from sqlnode.jobs.index_check import check_indexes
from tests.sim.sim_client import SimKvClient, SimProcess, SimSession
from tests.sim.sim_node import SimNode

ROWS = 40
SEEDS = range(25)
QUICK = {"chunk_rows_max": 7, "lease_s": 1.0, "beat_s": 0.1, "poll_s": 0.2, "wait_s_max": 0.05}


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


async def rows_of(process, sql):
    """Return a query's rows in a transaction of its own."""
    session = SimSession(process)
    await session.begin()
    rows = await session.execute(sql)
    await session.commit()
    return rows


async def job_beside_writers(loop_world, seed, sql, writer_type, *, disturb=None):
    """Leave one change to a job while four clients write.

    Returns (record, table, processes, writers); `loop_world` is what `world` returned.
    """
    node, tenant_id, processes = loop_world
    stop = asyncio.Event()
    writers = [writer_type(processes[n % 2], seed * 10 + n) for n in range(4)]
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
    return record, table, (*processes, owner), writers


def kill_within(seconds):
    """Return a disturbance: the job's owner dies after so long at most."""

    async def kill(owner, _job_id):
        await asyncio.sleep(owner.rng.uniform(0, seconds))
        await owner.kill()

    return kill


def cancel_within(seconds):
    """Return a disturbance: the job is cancelled after so long at most."""

    async def cancel(owner, job_id):
        await asyncio.sleep(owner.rng.uniform(0, seconds))
        with suppress(SqlError):  # it was done already
            await owner.engine.jobs.cancel(job_id)

    return cancel
