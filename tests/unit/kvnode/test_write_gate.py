"""Commits that wait for a slow disk on a simulated node: order, cancel, bounds; no cost else."""

import asyncio

import pytest

from admission.io_tokens import IoSample
from kvapi.errors import Cancelled, DiskFull, Throttled
from kvapi.pb import kv_pb2
from kvnode.admission.lane import ELASTIC
from kvnode.node_config import NodeConfig
from tests.sim.sim_node import SimNode
from tests.sim.slow_disk import SlowCore
from tests.sim.virtual_loop import on_virtual_loop, run_virtual

LARGE = 1 << 20


def put(key, size=10):
    return kv_pb2.Commit(writes=kv_pb2.Writes(put_keys=[key], put_values=[bytes(size)]))


def txn(name):
    return name.ljust(16, b".")


class World:
    """A disk that is slow; `noisy` is far over its share, so that its next commits wait."""

    def __init__(self, loop, **config):
        self.loop = loop
        self.node = SimNode(loop, 0, NodeConfig(**config), core_type=SlowCore)
        self.writes = self.node.core.writes

    async def open(self, *, is_slow=True):
        self.noisy, self.quiet = [
            self.node.stream(await self.node.create(name)) for name in ("noisy", "quiet")
        ]
        if is_slow:
            self.make_slow()
            await self.quiet.request(commit=put(b"k"))
            self.flood = [self.noisy.request(commit=put(b"f", LARGE)) for _ in range(20)]
            assert len(self.writes) >= 19
        return self

    def make_slow(self):
        """Let the disk's past be one of slow syncs."""
        io = self.node.core.io
        for number in range(1, 9):
            sample = IoSample()
            sample.add(latency_s=1.0, size_bytes=1 << 20, pages=256)
            io.tokens.refit(sample, now_s=self.loop.time() + number)
        io.on_refit()
        assert not self.writes.is_open


def on_slow_disk(**config):
    async def scene(loop, test):
        async with asyncio.timeout(100):
            await test(await World(loop, **config).open())

    return on_virtual_loop(scene)


@on_slow_disk()
async def test_a_tenant_within_its_share_passes(world):
    """The disk of everybody is as slow as the worst of its users makes it."""
    began_s = world.loop.time()
    await world.quiet.request(commit=put(b"k"))
    assert world.loop.time() - began_s <= 2.3 * world.node.writer.sync_s
    assert sum(commit.done() for commit in world.flood) < 10
    await asyncio.gather(*world.flood)


@on_slow_disk()
async def test_who_holds_locks_goes_first(world):
    """Everyone who waits for a row waits for all that its holder's neighbours write."""
    holder = world.node.stream(world.noisy.session.tenant.id)
    await holder.request(txn_id=txn(b"holder"), lock=kv_pb2.Lock(keys=[b"row"]))
    await holder.request(txn_id=txn(b"holder"), commit=put(b"row"))
    assert sum(commit.done() for commit in world.flood) < 5
    await asyncio.gather(*world.flood)


@on_slow_disk()
async def test_a_waiting_commit_can_be_cancelled(world):
    """A cancelled statement commits all the same, or its locks stay for ever."""
    stream = world.node.stream(world.noisy.session.tenant.id)
    await stream.request(txn_id=txn(b"gone"), lock=kv_pb2.Lock(keys=[b"row"]))
    commit = stream.request(txn_id=txn(b"gone"), commit=put(b"row"))
    again = stream.request(txn_id=txn(b"gone"), rollback=kv_pb2.Rollback())
    cancel = kv_pb2.Cancel(request_id=stream.next_id - 1)
    stream.receive(kv_pb2.ClientFrame(requests=[kv_pb2.Request(id=999, cancel=cancel)]))
    with pytest.raises(Cancelled):
        await commit
    with pytest.raises(Exception, match="committing"):
        await again
    assert not world.node.core.locks.table
    waiting = len(world.writes)
    world.noisy.break_off()
    assert len(world.writes) < waiting, "what a closed stream wanted to write"
    assert not world.writes.queue.waiting(world.noisy.session.tenant.id)
    await world.quiet.request(commit=put(b"k"))


@on_slow_disk(write_wait_s_max=1.5)
async def test_no_commit_waits_for_ever(world):
    """A client waits for an answer that never comes, and nobody tells it why."""
    results = await asyncio.gather(*world.flood, return_exceptions=True)
    late = [result for result in results if isinstance(result, Throttled)]
    assert late
    assert all(error.number > 0 for error in late)
    assert any(not isinstance(result, Exception) for result in results)
    assert not len(world.writes)


@on_slow_disk(write_waits_tenant_max=25, write_wait_bytes_tenant_max=30 << 20)
async def test_what_waits_is_bounded(world):
    """A flood of commits fills the node's memory while the disk cannot take it."""
    more = [world.noisy.request(commit=put(b"m")) for _ in range(20)]
    large = world.noisy.request(commit=put(b"m", 14 << 20))
    assert len(world.writes) <= 25
    refused = [one for one in more if one.done()]
    assert len(refused) >= 14
    for commit in (*refused, large):
        with pytest.raises(Throttled) as caught:
            await commit
        assert caught.value.number > 0
    await world.quiet.request(commit=put(b"k"))
    await asyncio.gather(*world.flood)


@on_slow_disk()
async def test_chunks_of_large_transactions_wait_in_the_same_order(world):
    """Who stages instead of committing gets a slow disk for itself."""
    bulk, other = world.node.stream(world.noisy.session.tenant.id), world.quiet
    writes = kv_pb2.Writes(put_keys=[b"s"], put_values=[bytes(1000)])
    chunk = bulk.request(txn_id=txn(b"bulk"), stage=kv_pb2.Stage(writes=writes))
    quick = other.request(txn_id=txn(b"quick"), stage=kv_pb2.Stage(writes=writes))
    await quick
    assert not chunk.done()
    end = kv_pb2.Rollback()
    await bulk.request(txn_id=txn(b"bulk"), rollback=end)
    with pytest.raises(Exception, match="rolled back"):
        await chunk
    again = bulk.request(txn_id=txn(b"again"), stage=kv_pb2.Stage(writes=writes))
    cancel = kv_pb2.Cancel(request_id=bulk.next_id)
    bulk.receive(kv_pb2.ClientFrame(requests=[kv_pb2.Request(id=999, cancel=cancel)]))
    with pytest.raises(Cancelled):
        await again
    last = bulk.request(txn_id=txn(b"last"), stage=kv_pb2.Stage(writes=writes))
    await asyncio.gather(last, *world.flood)
    await bulk.request(txn_id=txn(b"last"), commit=kv_pb2.Commit())


def stage(stream, name, key, size=1000, **fields):
    writes = kv_pb2.Writes(put_keys=[key], put_values=[bytes(size)])
    return stream.request(txn_id=txn(name), stage=kv_pb2.Stage(writes=writes), **fields)


async def goes_first(one, other):
    """Tell whether chunk `one` is let through before `other`: they are written in that order."""
    done, _ = await asyncio.wait((one, other), return_when=asyncio.FIRST_COMPLETED)
    await other
    return done == {one}


@on_slow_disk()
async def test_a_chunk_of_who_holds_locks_goes_first(world):
    """Everyone who waits for a row waits for all that its holder's neighbours write."""
    tenant_id = world.noisy.session.tenant.id
    load, holder = world.node.stream(tenant_id), world.node.stream(tenant_id)
    await holder.request(txn_id=txn(b"holder"), lock=kv_pb2.Lock(keys=[b"row"]))
    earlier = stage(load, b"load", b"l")
    await asyncio.sleep(0.01)
    assert await goes_first(stage(holder, b"holder", b"row"), earlier)
    await asyncio.gather(*world.flood)


@on_slow_disk()
async def test_a_load_goes_first_only_if_somebody_waits_for_it(world):
    """A load of an hour, whose rows nobody asked for, stops all else that its tenant writes."""
    await asyncio.gather(*world.flood)
    tenant_id = world.noisy.session.tenant.id
    one, other, waiter = [world.node.stream(tenant_id) for _ in range(3)]
    await asyncio.gather(stage(one, b"one", b"l0"), stage(other, b"other", b"m0"))
    flood = [world.noisy.request(commit=put(b"f", LARGE)) for _ in range(10)]
    earlier = stage(other, b"other", b"m1")
    await asyncio.sleep(0.01)
    assert not await goes_first(stage(one, b"one", b"l1"), earlier)
    await asyncio.gather(*flood)
    waiting = waiter.request(txn_id=txn(b"waiter"), lock=kv_pb2.Lock(keys=[b"l0"]))
    flood = [world.noisy.request(commit=put(b"f", LARGE)) for _ in range(10)]
    earlier = stage(other, b"other", b"m2")
    await asyncio.sleep(0.01)
    assert await goes_first(stage(one, b"one", b"l2"), earlier)
    await one.request(txn_id=txn(b"one"), commit=kv_pb2.Commit())
    await asyncio.gather(waiting, *flood)


@on_slow_disk()
async def test_bulk_is_the_last_of_its_tenant(world):
    """A COPY that says it has time goes before the commits of people who wait."""
    tenant_id = world.noisy.session.tenant.id
    copy, other = world.node.stream(tenant_id), world.node.stream(tenant_id)
    bulk = stage(copy, b"copy", b"c", priority=ELASTIC)
    await asyncio.sleep(0.01)
    assert await goes_first(stage(other, b"other", b"o"), bulk)
    await asyncio.gather(*world.flood)


@on_slow_disk(heartbeat_lapse_s=0.4)
async def test_a_commit_that_the_node_keeps_waiting_does_not_lapse(world):
    """A large commit fails for a silence that is the node's own: its client waits for it."""
    stream = world.node.stream(world.noisy.session.tenant.id)
    began_s = world.loop.time()
    await stream.request(txn_id=txn(b"large"), commit=put(b"large", 3 << 20))
    assert world.node.core.commits.staged_count == 1, "it is staged before it commits"
    assert world.loop.time() - began_s > 4 * 0.4
    await asyncio.gather(*world.flood)


@on_slow_disk(heartbeat_lapse_s=0.4)
async def test_a_commit_that_waits_for_a_lock_does_not_lapse(world):
    """As above, where the wait is for another transaction."""
    await asyncio.gather(*world.flood)
    holder, waiter = world.quiet, world.node.stream(world.quiet.session.tenant.id)
    await holder.request(txn_id=txn(b"holder"), lock=kv_pb2.Lock(keys=[b"row"]))
    commit = waiter.request(txn_id=txn(b"large"), commit=put(b"row", 3 << 20))
    await asyncio.sleep(2)
    assert not commit.done()
    await holder.request(txn_id=txn(b"holder"), rollback=kv_pb2.Rollback())
    await commit


@on_slow_disk(heartbeat_lapse_s=0.4)
async def test_silence_after_a_wait_for_the_disk_lapses(world):
    """Who once waited for the disk keeps its locks for ever."""
    chunk = stage(world.node.stream(world.noisy.session.tenant.id), b"silent", b"s")
    await asyncio.gather(chunk, *world.flood)
    await asyncio.sleep(1)
    assert world.node.core.intents.lapsed_count == 1


@on_slow_disk()
async def test_a_full_disk_costs_nobody_tokens(world):
    """After a full disk tenants wait for bytes that were never written."""
    await asyncio.gather(*world.flood)
    world.node.writer.is_full = True
    tokens = world.node.core.io.tokens._tokens
    before = tokens.taken
    writes = [world.noisy.request(commit=put(b"f", LARGE)) for _ in range(3)]
    writes += [world.quiet.request(commit=put(b"k")), stage(world.quiet, b"load", b"l")]
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    assert all(isinstance(outcome, DiskFull) for outcome in outcomes), outcomes
    assert tokens.taken == pytest.approx(before)


def test_with_room_on_the_disk_nobody_asks():
    """Every commit pays for a queue that has nothing to do."""

    async def body(loop):
        world = await World(loop).open(is_slow=False)
        world.writes.try_pass = None  # whoever asks, fails
        world.writes.queue = None
        commits = [world.noisy.request(commit=put(b"k%d" % n)) for n in range(50)]
        await asyncio.gather(*commits)

    run_virtual(body)


def test_a_disk_that_recovers_opens_the_gate():
    """One bad hour of a disk slows everybody down for good."""

    async def body(loop):
        world = await World(loop).open()
        await asyncio.gather(*world.flood)
        world.node.writer.sync_s = 0.001
        while not world.writes.is_open:
            await world.noisy.request(commit=put(b"k"))
            await asyncio.sleep(1)
        assert loop.time() < 200

    run_virtual(body)
