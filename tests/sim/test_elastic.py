"""Elastic work beside neighbours that leave nothing: it goes on, and nobody notices."""

import asyncio

import pytest

from kvapi.errors import BadRequest
from kvapi.pb import kv_pb2
from kvnode.admission.task import Task
from tests.sim.busy_field import Field
from tests.sim.sim_node import SimNode
from tests.sim.virtual_loop import on_virtual_loop, run_virtual

TXN = b"t" * 16


class Busy:
    """A node on which one tenant asks without a pause; another does elastic work."""

    def __init__(self, loop, load):
        self.loop, self.load = loop, load
        self.field = Field(loop)
        self.wild = None

    async def start(self, *, run_s):
        field = self.field
        noisy, self.elastic = await field.tenant("noisy"), await field.tenant("elastic")
        streams, depth = (8, 16) if self.load == "get" else (1, 4)
        more = [noisy] + [field.node.stream(noisy.session.tenant.id) for _ in range(streams - 1)]
        field.ends_s = self.loop.time() + run_s
        make = getattr(field, self.load)
        self.wild = asyncio.ensure_future(
            asyncio.wait(
                [asyncio.ensure_future(field.closed_loop(s, make, depth=depth)) for s in more]
            )
        )
        while not field.node.core.scheduler.is_shared:
            await self.elastic.request(**field.get())
        await asyncio.sleep(0.1)

    async def took(self, future):
        """Return how long an answer took."""
        began_s = self.loop.time()
        await future
        return self.loop.time() - began_s

    def stage(self, key=b"s"):
        writes = kv_pb2.Writes(put_keys=[key], put_values=[b"v"])
        return self.elastic.request(txn_id=TXN, stage=kv_pb2.Stage(writes=writes))

    def lock(self, key=b"row"):
        return self.elastic.request(txn_id=TXN, lock=kv_pb2.Lock(keys=[key]))

    def rollback(self):
        return self.elastic.request(txn_id=TXN, rollback=kv_pb2.Rollback())


def beside(load, *, run_s=1.0):
    """Run an async test body with a busy node."""

    async def scene(loop, test):
        busy = Busy(loop, load)
        await busy.start(run_s=run_s)
        await test(busy)
        busy.field.ends_s = 0.0
        await busy.wild

    return on_virtual_loop(scene)


@pytest.mark.parametrize("load", ["get", "scan", "lock_many"])
def test_elastic_work_goes_on_beside_a_neighbour_that_leaves_nothing(load):
    """One tenant scans all day, and nobody's backfill, garbage collection or COPY goes on."""

    async def body(loop):
        busy = Busy(loop, load)
        await busy.start(run_s=1.0)
        waits = []
        while loop.time() < busy.field.ends_s:
            read = kv_pb2.MultiGet(keys=[b"k%05d" % n for n in range(300)])
            waits.append(await busy.took(busy.elastic.request(priority=2, multi_get=read)))
        await busy.wild
        assert len(waits) > 30
        assert max(waits) < 0.1

    run_virtual(body)


@beside("scan")
async def test_who_holds_locks_is_not_elastic(busy):
    """All who wait for a row wait until the node has nothing else to do."""
    await busy.lock()
    assert await busy.took(busy.stage()) < 0.01


@beside("scan")
async def test_chunks_are_raised_with_what_comes_after_them(busy):
    """Chunks that wait when their transaction takes a lock keep it until they get a turn."""
    staged = [busy.stage(b"s%d" % n) for n in range(20)]
    lock = busy.lock()
    more = busy.stage(b"t")
    assert await busy.took(asyncio.gather(*staged, lock, more)) < 0.2


@beside("scan")
async def test_a_rollback_does_not_wait_for_what_it_ends(busy):
    """A cancelled bulk load keeps its rows locked until all its chunks had their turn."""
    staged = [busy.stage(b"s%d" % n) for n in range(50)]
    assert await busy.took(busy.rollback()) < 0.005
    with pytest.raises(BadRequest, match="rolled back"):
        await staged[-1]
    assert not busy.elastic.session.elastic.txns
    assert not len(busy.field.node.core.locks.table)
    assert not busy.elastic.session.tenant.layers.holding


class Burn(Task):
    """Keeps the loop busy for a while, again and again."""

    def __init__(self, scheduler, loop, tenant_id, *, every_s, is_elastic=False):
        self.scheduler, self.loop, self.tenant_id = scheduler, loop, tenant_id
        self.every_s, self.is_elastic = every_s, is_elastic
        self.needs_s = 0.0002

    def run(self, ends_s):
        self.loop.burn(self.needs_s)
        self.loop.call_later(self.every_s, self.scheduler.submit, self)
        return True


def test_the_limit_follows_the_scheduling_latency():
    """Bulk work goes on as before while the users of all tenants wait, or never gets more."""

    async def body(loop):
        core = SimNode(loop).core
        core.watchdog.start()
        users = [Burn(core.scheduler, loop, tenant, every_s=0.001) for tenant in (1, 2)]
        bulk = [Burn(core.scheduler, loop, 3, every_s=0.0, is_elastic=True) for _ in range(2)]
        for task in (*users, *bulk):
            core.scheduler.submit(task)

        def limit():
            return core.scheduler.elastic.tokens.limit

        await asyncio.sleep(3)
        first = limit()
        users[0].needs_s = 0.003  # more than a slice, so everybody waits
        await asyncio.sleep(12)
        low = limit()
        users[0].needs_s = 0.0002
        await asyncio.sleep(15)  # what is measured is smoothed
        calm = limit()
        await asyncio.sleep(10)
        assert calm <= low < first - 0.01
        assert limit() > calm + 0.005
        core.watchdog.stop()

    run_virtual(body)


def test_the_ticker_is_slow_while_nothing_happens():
    """A node that nobody uses wakes up two hundred times a second."""

    async def body(loop):
        core = SimNode(loop).core
        core.watchdog.start()
        await asyncio.sleep(1)
        before = len(core.watchdog._lateness)
        await asyncio.sleep(10)
        assert len(core.watchdog._lateness) - before <= 41
        core.watchdog.stop()

    run_virtual(body)
