"""Chunks of large transactions that wait for the writer of a simulated node: cancel, bounds."""

import asyncio

import pytest

from kvapi.errors import Cancelled, KvError, Throttled
from kvapi.pb import kv_pb2
from kvnode.node_config import NodeConfig
from tests.sim.sim_node import SimNode
from tests.sim.slow_disk import SlowCore
from tests.sim.virtual_loop import on_virtual_loop

SIZE = 300 << 10  # more than a batch takes with another one
LARGE = 3 << 20  # several pieces


def txn(name):
    return name.ljust(16, b".")


def stage(stream, name, key, size=SIZE):
    size_each = size // 16
    keys = [key + b"%02d" % n for n in range(16)]
    writes = kv_pb2.Writes(put_keys=keys, put_values=[bytes(size_each)] * 16)
    return stream.request(txn_id=txn(name), stage=kv_pb2.Stage(writes=writes))


def cancel(stream, request_id):
    request = kv_pb2.Request(id=999, cancel=kv_pb2.Cancel(request_id=request_id))
    stream.receive(kv_pb2.ClientFrame(requests=[request]))


class World:
    """Two tenants; `backlog` chunks of the first wait behind the one that is being written."""

    def __init__(self, loop, **config):
        self.loop = loop
        self.node = SimNode(loop, 0, NodeConfig(**config), core_type=SlowCore)
        self.core = self.node.core

    async def open(self, backlog=10):
        self.noisy, self.other = [
            self.node.stream(await self.node.create(name)) for name in ("noisy", "other")
        ]
        self.chunks = [stage(self.noisy, b"load", b"b%d" % n) for n in range(backlog)]
        await asyncio.sleep(0.01)
        return self

    async def end(self):
        results = await asyncio.gather(*self.chunks, return_exceptions=True)
        await self.noisy.request(txn_id=txn(b"load"), rollback=kv_pb2.Rollback())
        return results


def with_backlog(**config):
    async def scene(loop, test):
        async with asyncio.timeout(1000):
            world = await World(loop, **config).open()
            await test(world)
            await world.end()
            await asyncio.sleep(60)
        assert world.core.group.is_idle
        assert not len(world.core.bulk)
        assert not world.core.locks.table

    return on_virtual_loop(scene)


@with_backlog()
async def test_another_tenants_chunk_does_not_wait_for_the_backlog(world):
    """A load by one connection stands still while a neighbour loads by many."""
    assert len(world.core.bulk) >= 8
    await stage(world.other, b"other", b"o")
    assert sum(chunk.done() for chunk in world.chunks) <= 3
    await world.other.request(txn_id=txn(b"other"), rollback=kv_pb2.Rollback())


@with_backlog()
async def test_a_chunk_that_waits_can_be_cancelled(world):
    """A cancelled COPY goes on for as long as its neighbours keep the disk busy."""
    waiting = len(world.core.bulk)
    chunk = stage(world.noisy, b"gone", b"g", LARGE)
    await asyncio.sleep(0.01)
    assert len(world.core.bulk) > waiting + 5, "in pieces"
    cancel(world.noisy, world.noisy.next_id)
    with pytest.raises(Cancelled):
        await chunk
    assert len(world.core.bulk) <= waiting
    written = world.node.writer.written_bytes
    await world.noisy.request(txn_id=txn(b"gone"), rollback=kv_pb2.Rollback())
    assert world.node.writer.written_bytes - written < LARGE


@with_backlog()
async def test_a_chunk_that_has_begun_is_written_as_a_whole(world):
    """A transaction whose chunk was cancelled half-way has half of its rows."""
    chunk = stage(world.other, b"whole", b"w", LARGE)
    await asyncio.sleep(2 * world.node.writer.sync_s + 0.1)
    assert 0 < world.core.bulk.queue.waiting(world.other.session.tenant.id) < 12, "under way"
    cancel(world.other, world.other.next_id)
    await chunk
    await world.other.request(txn_id=txn(b"whole"), rollback=kv_pb2.Rollback())


@with_backlog()
async def test_what_is_rolled_back_is_not_written_first(world):
    """Who gives up a load keeps the disk busy with it for minutes."""
    waiting = len(world.core.bulk)
    await world.noisy.request(txn_id=txn(b"load"), rollback=kv_pb2.Rollback())
    assert len(world.core.bulk) <= waiting - 7
    results = await asyncio.gather(*world.chunks, return_exceptions=True)
    assert sum(isinstance(result, KvError) for result in results) >= 7


@with_backlog(bulk_wait_s_max=1.0)
async def test_no_chunk_waits_for_ever(world):
    """A client waits for an answer that never comes, and nobody tells it why."""
    large = stage(world.noisy, b"large", b"l", LARGE)
    results = await world.end()
    late = [result for result in results if isinstance(result, Throttled)]
    assert 0 < len(late) < len(results)
    assert all(error.number > 0 for error in late)
    with pytest.raises(Throttled):
        await large
    await world.noisy.request(txn_id=txn(b"large"), rollback=kv_pb2.Rollback())


@with_backlog(write_waits_tenant_max=12)
async def test_what_waits_is_bounded(world):
    """One tenant's loads fill the node's memory, or the bound of all."""
    more = [stage(world.noisy, b"more", b"m%d" % n) for n in range(10)]
    results = await asyncio.gather(*more, return_exceptions=True)
    refused = [result for result in results if isinstance(result, Throttled)]
    assert len(refused) >= 5
    assert all(error.number > 0 for error in refused)
    await stage(world.other, b"other", b"o")
    for stream, name in ((world.other, b"other"), (world.noisy, b"more")):
        await stream.request(txn_id=txn(name), rollback=kv_pb2.Rollback())
