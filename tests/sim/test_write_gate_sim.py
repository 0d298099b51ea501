"""All kinds of tenants write to a slow disk: fair, bounded, nothing lost, in virtual time."""

import asyncio
import os

import pytest

from admission.fairness import fairness_index
from tests.sim.slow_disk import PATH_BYTES
from tests.sim.virtual_loop import run_virtual
from tests.sim.write_world import BYTES_MAX, WAITING_MAX, SimTenant, WriteWorld

SEEDS = range(max(200, int(os.environ.get("INSULA_SIM_SEEDS", "0"))))
RUN_S = 14.0  # before the limit is fitted again
WARM_S = 8.0
GAP_S_MAX = 10.0  # twice the memory of the queue, for who came first and took much
DEBT_S = 0.5  # of what is written at once, for which those over their share wait


def tenants_of(world):
    """Return greedy ones, and quiet ones that ask for a part of their share."""
    rng = world.rng
    count = rng.randint(2, 6)
    greedy = rng.randint(1, count - 1)
    weights = [rng.choice((1, 1, 2, 4)) for _ in range(count)]
    tenants = []
    for number, weight in enumerate(weights):
        depth = rng.choice((4, 20, 60)) if number < greedy else 0
        size = rng.choice((2 << 10, 64 << 10, 300 << 10)) if depth else rng.choice((200, 20_000))
        tenants.append(SimTenant(number + 1, weight, depth, size))
        world.gate.set_weight(number + 1, weight)
    for tenant in tenants[greedy:]:
        part = rng.uniform(0.05, 0.4) * tenant.weight / sum(weights)
        tenant.pause_s = max((tenant.size + PATH_BYTES) / (part * world.limit), 0.2)
    return tenants


async def watch(world, tenants):
    """Look at what waits, all the time."""
    while not world.is_over:
        queue = world.gate.queue
        assert sum(queue.waiting(tenant.id) for tenant in tenants) == len(world.gate)
        for tenant in tenants:
            assert queue.waiting(tenant.id) <= WAITING_MAX
            tenant.looks += 1
            tenant.backlogs += queue.waiting(tenant.id) > 0
            waiting_bytes = world.gate._waiting_bytes.get(tenant.id, 0)
            assert waiting_bytes == queue.waiting(tenant.id) * tenant.size <= BYTES_MAX
        assert not len(world.gate) or world.gate._timer is not None
        await asyncio.sleep(0.02)


async def play(loop, seed):
    world = WriteWorld(loop, seed)
    tenants, writer = tenants_of(world), world.writer
    spent_before = world.io.tokens._tokens.taken
    lives = [world.live(one) for one in tenants for _ in range(max(1, one.depth))]
    tasks = [asyncio.ensure_future(one) for one in (*lives, watch(world, tenants))]
    await asyncio.sleep(WARM_S)  # whoever came first wrote alone, and pays for that
    before, bytes_before = [tenant.written for tenant in tenants], writer.written_bytes
    await asyncio.sleep(RUN_S - WARM_S)
    assert not world.gate.is_open
    bytes_max = world.io.tokens.regular_limit * (RUN_S - WARM_S + DEBT_S)
    assert writer.written_bytes - bytes_before <= 1.05 * bytes_max, f"{seed=}: tokens from nothing"
    written = [tenant.written - was for tenant, was in zip(tenants, before, strict=True)]
    for tenant in tenants:  # those that wait now count as well
        if world.gate.queue.waiting(tenant.id):
            tenant.gap_s = max(tenant.gap_s, loop.time() - tenant.last_s)
    world.is_over = True
    async with asyncio.timeout(120):
        await asyncio.gather(*tasks)
    # Nothing is lost: everybody was answered, and what reached the disk was charged, no more.
    assert sum(tenant.answered for tenant in tenants) == world.started
    assert len(world.gate) == 0
    assert not world.gate._waiting_bytes
    assert world.group.is_idle
    assert all(0 < retry_ms <= 5000 for retry_ms in world.hints)
    spent = world.io.tokens._tokens.taken - spent_before
    assert spent == pytest.approx(writer.written_bytes, rel=1e-6), f"{seed=}"
    batch_s = writer.sync_s + 0.5
    for tenant in tenants:
        if not tenant.depth:
            assert max(tenant.waits) <= DEBT_S + batch_s, f"{seed=}: {max(tenant.waits)}"
        else:
            assert tenant.gap_s <= GAP_S_MAX, f"{seed=}: {tenant.id} starved"
    backlogged = [
        (t, w) for t, w in zip(tenants, written, strict=True) if t.backlogs > 0.95 * t.looks
    ]
    if len(backlogged) > 1:
        sizes = [w * (1 + PATH_BYTES / t.size) for t, w in backlogged]
        weights = [t.weight for t, _ in backlogged]
        assert fairness_index(sizes, weights) >= 0.97, f"{seed=} {sizes} {weights}"


@pytest.mark.parametrize("seed", SEEDS)
def test_everybody_gets_a_share_of_the_disk(seed):
    """A tenant within its share waits for others, a greedy one starves, tokens are lost."""
    run_virtual(play, seed)
