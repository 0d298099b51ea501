"""What CPU tokens and their two tiers do, and where they do nothing: ADR 8 relies on it."""

import asyncio

from admission.cpu_tokens import CpuTier
from tests.sim.turn_world import SLICE_S, TURN_S, Flood, World
from tests.sim.virtual_loop import run_virtual

RUN_S = 1.0
GREEDY, QUIET = (1, 2, 3), 9


def play(*, cores, greedy=GREEDY, has_quiet=True, is_enabled=True):
    """Return the world after a second, the quiet tenant's waits, and the tiers' levels."""
    waits, levels = [], []

    async def body(loop):
        world = World(loop, cores=cores, is_enabled=is_enabled)
        for tenant_id in greedy:
            loop.call_soon(Flood(world, tenant_id, 0.002).ask)
        loop.call_soon(world.turn)
        quiet = world.live_quietly(QUIET, waits) if has_quiet else asyncio.sleep(0)
        living = asyncio.ensure_future(quiet)
        while loop.time() < RUN_S:
            await asyncio.sleep(0.01)
            levels.append(world.scheduler.tokens.levels)
        world.greedy_s = sum(world.spent[tenant_id] for tenant_id in greedy)
        world.is_over = True
        await living
        return world

    return run_virtual(body), waits, levels


def test_where_cpu_is_short_tenants_within_their_share_go_ahead():
    """Greedy tenants use up the quota of the process, and all stand still until its period ends."""
    world, waits, levels = play(cores=0.5)
    assert world.greedy_s <= 0.81 * 0.5 * RUN_S + 0.25 * 0.5, "the tier's rate, and what is saved"
    assert min(level[CpuTier.REGULAR] for level in levels) <= 0, "this test would show nothing"
    assert max(waits) <= 0.002, "the other tier is for who asks for little"


def test_on_two_cores_the_tiers_do_nothing_and_the_queue_does_it_all():
    """One thread cannot use 80 % of two cores: what the tiers are for has to come from the queue.

    Whoever is within his share goes first, behind the slice that is running.
    """
    world, waits, levels = play(cores=2.0)
    assert min(level[CpuTier.REGULAR] for level in levels) > 0, "they bind after all: say so"
    assert world.greedy_s > 0.75 * RUN_S, "the loop is as busy as it can be"
    assert max(waits) <= 3 * (2 * SLICE_S + TURN_S)
    limited, waits_limited, _ = play(cores=0.5)
    assert limited.greedy_s < 0.7 * world.greedy_s
    assert max(waits) <= max(waits_limited), "a limit costs the others, and gains nobody anything"


def test_a_lone_tenant_has_all_that_there_is():
    """Tokens would leave the node idle while its only tenant waits: nobody is protected."""
    with_tokens, *_ = play(cores=0.5, greedy=(1,), has_quiet=False)
    without, *_ = play(cores=0.5, greedy=(1,), has_quiet=False, is_enabled=False)
    assert with_tokens.greedy_s >= 0.95 * without.greedy_s
