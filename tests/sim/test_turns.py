"""The scheduler alone under tenants at random, in virtual time: who gets a turn, and when.

Floods that run where they arrive, long tasks, quiet tenants and elastic work compete for the loop.
"""

import os

import pytest

from tests.sim.turn_world import RUN_S, SLICE_S, TURN_S, World
from tests.sim.virtual_loop import run_virtual

SEEDS = range(max(200, int(os.environ.get("INSULA_SIM_SEEDS", "0"))))
PIECE_S = 0.001
ELASTIC_PART = 0.05  # at least, of a core
ELASTIC_PART_MAX = 0.12  # while the others ask for more


@pytest.mark.parametrize("seed", SEEDS)
def test_everybody_gets_a_turn(seed):
    """Elastic work starves, or costs the others their latency; a task is lost or run twice."""

    async def body(loop):
        world = World(loop, seed)
        waits = await world.play()
        assert len(world.scheduler) == 0
        assert world.asked_s == pytest.approx(world.done_s), f"{seed=}: work was lost"
        tenants = len(world.greedy) + len(world.quiet)
        wait_s_max = (tenants + 2) * (2 * SLICE_S + TURN_S)  # a turn for each of the others
        assert max(waits) <= wait_s_max, f"{seed=}: {max(waits)}"
        assert world.elastic_s >= ELASTIC_PART * RUN_S * 0.9, f"{seed=}: {world.elastic_s}"
        assert world.paid_s() <= ELASTIC_PART_MAX * loop.time() + PIECE_S, f"{seed=}"
        assert max(world.elastic_gaps) <= 0.03, f"{seed=}: {max(world.elastic_gaps)}"
        weights = sum(world.weights[tenant] for tenant in world.greedy)
        for tenant in world.greedy:
            share = world.weights[tenant] / weights * RUN_S
            assert world.spent[tenant] >= share / 3, f"{seed=}: tenant {tenant} starved"

    run_virtual(body)
