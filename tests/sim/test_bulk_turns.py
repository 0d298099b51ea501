"""Loads of several tenants on a slow disk, by few and by many connections: who gets what is left.

The real gates, queue of bulk and group commit, in virtual time.
"""

import asyncio
import os

import pytest

from admission.fairness import fairness_index
from kvapi.errors import Cancelled
from tests.sim.slow_disk import PATH_BYTES
from tests.sim.virtual_loop import run_virtual
from tests.sim.write_world import SimTenant, SimWrite, WriteWorld

SEEDS = range(max(30, int(os.environ.get("INSULA_SIM_SEEDS", "0"))))
RUN_S = 14.0  # before the limit is fitted again
PIECE_MAX = 256 << 10  # and a batch of several


class SimChunk(SimWrite):
    """A chunk of a load."""

    is_bulk = True

    def cancel(self):
        super().cancel()
        self.world.group.withdraw([self], Cancelled("by the client"))


class BulkWorld(WriteWorld):
    """That disk, and loads."""

    def __init__(self, loop, seed):
        super().__init__(loop, seed)
        self.chunks = set()  # under way

    async def load(self, tenant):
        """Write chunks, one after the other; now and then somebody is impatient."""
        rng = self.rng
        while not self.is_over:
            chunk = SimChunk(self, tenant).start()
            self.chunks.add(chunk)
            if rng.random() < 0.02:
                self.loop.call_later(rng.uniform(0, 1), chunk.cancel)
            if await chunk.done is not None:
                await asyncio.sleep(0.2)
            self.chunks.remove(chunk)


def loads_of(world, depths=(1, 4, 20)):
    """Return tenants that load by few and by many connections."""
    rng = world.rng
    tenants = []
    for tenant_id in range(1, rng.randint(2, 5) + 1):
        weight, depth = rng.choice((1, 1, 2, 4)), rng.choice(depths)
        size = rng.choice((64 << 10, PIECE_MAX - 100))
        tenants.append(SimTenant(tenant_id, weight, depth, size))
        world.gate.set_weight(tenant_id, weight)
        world.bulk.queue.set_weight(tenant_id, weight)
    return tenants


async def watch(world, tenants):
    while not world.is_over:
        for tenant in tenants:
            tenant.looks += 1
            waiting = world.bulk.queue.waiting(tenant.id) + world.gate.queue.waiting(tenant.id)
            tenant.backlogs += waiting > 0
        await asyncio.sleep(0.01)


async def run(world, loads, commits):
    """Let them write for a while; return what each load wrote."""
    under_way = [2 * PIECE_MAX // one.size + 1 for one in loads]  # chunks of a connection
    lives = [
        world.load(one)
        for one, count in zip(loads, under_way, strict=True)
        for _ in range(count * one.depth)
    ]
    lives += [world.live(one) for one in commits]
    tasks = [asyncio.ensure_future(one) for one in (*lives, watch(world, loads))]
    await asyncio.sleep(RUN_S)
    written = [tenant.written for tenant in loads]
    world.is_over = True
    for chunk in list(world.chunks):
        chunk.cancel()  # what has begun goes on
    async with asyncio.timeout(60):
        await asyncio.gather(*tasks)
    return written


async def play(loop, seed):
    world = BulkWorld(loop, seed)
    rng, writer = world.rng, world.writer
    if rng.random() < 0.7:
        world.make_syncs_slow()  # else the gate is closed as well
    loads = loads_of(world)
    commits = [SimTenant(9, 1, 0, 200, pause_s=0.3)] if rng.random() < 0.7 else []
    spent_before = world.io.tokens._tokens.taken
    written = await run(world, loads, commits)
    assert len(world.bulk) == len(world.gate) == 0
    assert world.group.is_idle
    assert sum(tenant.answered for tenant in (*loads, *commits)) == world.started
    spent = world.io.tokens._tokens.taken - spent_before
    assert spent == pytest.approx(writer.written_bytes, rel=1e-6), f"{seed=}"
    backlogged = [(t, w) for t, w in zip(loads, written, strict=True) if t.backlogs > 0.9 * t.looks]
    sizes = [w * (1 + PATH_BYTES / t.size) for t, w in backlogged]
    weights = [t.weight for t, _ in backlogged]
    # Of what is written in that time, a piece more or less of each is by chance.
    chance = sum((PIECE_MAX + PATH_BYTES) / size / len(sizes) for size in sizes if size)
    assert all(sizes), f"{seed=}: starved, {sizes}"
    if len(sizes) > 1 and chance < 0.1:
        index = fairness_index(sizes, weights)
        assert index >= 0.95, f"{seed=} {index:.3f} {sizes} {weights}"
    return len(sizes) > 1 and chance < 0.1


@pytest.mark.parametrize("seed", SEEDS)
def test_loads_share_what_is_left(seed):
    """Who loads by a hundred connections has a hundred times the part of who does by one."""
    run_virtual(play, seed)


async def one_load(loop, pause_s):
    world = BulkWorld(loop, 1)
    world.make_syncs_slow()
    load = SimTenant(1, 1, 4, 64 << 10)
    (written,) = await run(world, [load], [SimTenant(9, 1, 0, 200, pause_s)] if pause_s else [])
    return written / RUN_S, world


def test_a_load_alone_has_the_whole_disk():
    """It is held to half of a limit that protects nobody."""

    async def body(loop):
        alone, world = await one_load(loop, 0.0)
        limit = world.io.tokens.limit
        beside, _ = await one_load(loop, 0.2)
        sync_s = world.writer.sync_s + PIECE_MAX / world.writer.bytes_per_s
        assert alone >= 0.8 * min(PIECE_MAX / sync_s, limit), (alone, limit)
        assert alone >= 1.9 * beside, (alone, beside)

    run_virtual(body)
