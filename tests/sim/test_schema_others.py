"""Schema changes beside schema changes: who has nothing to do with one does not notice it."""

import asyncio
import random

import pytest

from kvapi.errors import Deadlock, KeyExists, SchemaChanged, WriteConflict
from tests.sim.schema_world import QUICK, SEEDS, job_beside_writers, world
from tests.sim.sim_client import SimProcess, SimSession, sql_name
from tests.sim.test_index_change import Writer
from tests.sim.virtual_loop import run_virtual


class QuietWriter(Writer):
    """Conflicts with other writers are in order; a change of the schema is not."""

    def failed(self, error):
        is_conflict = isinstance(error, WriteConflict | KeyExists | Deadlock)
        if not is_conflict and sql_name(error) != "23505":
            self.errors.append(error)


async def change_others(process, seed, stop):
    """Create, change and drop tables that nobody else uses; return how often."""
    rng, count = random.Random(seed), 0
    while not stop.is_set():
        name = f"own_{seed}_{count}"
        for sql in (
            f"create table {name} (id int primary key)",
            f"alter table {name} add column a int",
            f"drop table {name}",
        ):
            await SimSession(process).change_schema(sql, online=False)
            count += 1
            await asyncio.sleep(rng.choice([0, 0, 0.01]))
    return count


def storm_until_done(node, tenant_id, seed, counts):
    """Return a disturbance: a client of its own process changes other tables all the time."""

    async def disturb(owner, job_id):
        process = await SimProcess(node, tenant_id, seed + 77, **QUICK).start()
        stop = asyncio.Event()
        task = asyncio.ensure_future(change_others(process, seed, stop))
        store = owner.engine.jobs.store
        while not (await store.get(job_id)).is_finished:  # noqa: ASYNC110  virtual time
            await asyncio.sleep(0.01)
        stop.set()
        counts.append(await task)
        await process.stop()

    return disturb


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "sql", ["create index t_a on t (a)", "alter table t add column n int default 7"]
)
def test_a_change_beside_changes_of_other_tables(seed, sql):
    """Writers would fail, or the job would wait for ever, in a tenant that creates tables."""

    async def body(loop):
        found, counts = await world(loop, seed), []
        node, tenant_id, _ = found
        disturb = storm_until_done(node, tenant_id, seed, counts)
        record, _, processes, _ = await job_beside_writers(
            found, seed, sql, QuietWriter, disturb=disturb
        )
        assert record.status == "succeeded", (seed, record)
        assert counts[0] >= 3, (seed, counts)
        for process in processes:
            await process.stop()

    run_virtual(body)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_transaction_ends_only_with_what_it_uses(seed):
    """Every open transaction of a tenant would fail whenever anybody changes a table."""

    async def body(loop):
        _, _, processes = await world(loop, seed)
        rng, changing = random.Random(seed), SimSession(processes[1])
        await changing.change_schema("create table u (id int primary key, a int)", online=False)
        await asyncio.sleep(0.1)
        open_ones = [SimSession(processes[n % 2]) for n in range(6)]
        uses = [rng.choice(["t", "u"]) for _ in open_ones]
        for n, (session, table) in enumerate(zip(open_ones, uses, strict=True)):
            await session.begin()
            await session.execute(f"insert into {table} (id, a) values ({500 + n}, 1)")
        changed = rng.choice(["t", "u", "other"])
        sql = "create table other (id int)" if changed == "other" else f"truncate {changed}"
        await changing.change_schema(sql, online=False)
        for n, (session, table) in enumerate(zip(open_ones, uses, strict=True)):
            try:
                await session.execute(f"insert into {table} (id, a) values ({600 + n}, 1)")
                await session.commit()
            except SchemaChanged:
                await session.rollback()
                assert table == changed, seed
            else:
                assert table != changed, seed
        for process in processes:
            await process.stop()

    run_virtual(body)
