"""Clients that leave answers unread: nobody within its share waits for them for long, and nobody is
cut off without need. The real room, gates and watch in virtual time.
"""

import asyncio
import os

import pytest

from tests.sim.room_world import CLOSE_S, GRACE_S, WAIT_S_MAX, RoomWorld
from tests.sim.virtual_loop import run_virtual

SEEDS = range(int(os.environ.get("INSULA_SIM_SEEDS", "200")))


async def live(loop, seed):
    """Let things happen; return the world."""
    errors = []
    loop.set_exception_handler(lambda _, context: errors.append(context["exception"]))
    world = RoomWorld(loop, seed)
    for _ in range(150):
        world.act()
        world.check()
        await asyncio.sleep(world.rng.choice((0, 0, 0.001, 0.02, 0.5, GRACE_S / 3)))
        world.check()
        assert not errors, errors
    return world


async def settle(loop, world):
    """Let everybody read on; what was asked is answered."""
    for stream in list(world.streams):
        stream.read(1)
    ends_s = loop.time() + 60
    while any(stream.reads for stream in world.streams) and loop.time() < ends_s:
        await asyncio.sleep(0.1)
        world.check()
    assert not any(stream.reads for stream in world.streams), "reads wait for ever"
    await asyncio.sleep(2 * GRACE_S)
    assert not world.room.total
    assert not world.room.missing_bytes
    assert not world.unread._notes
    assert not world.unread.beyond_bytes


@pytest.mark.parametrize("seed", SEEDS)
def test_nobody_waits_for_ever_and_nobody_is_cut_off_without_need(seed):
    """Whoever leaves most unread decides who may read, or is ended beside room for all."""

    async def body(loop):
        world = await live(loop, seed)
        assert world.longest_s <= WAIT_S_MAX
        await settle(loop, world)

    run_virtual(body)


def test_there_is_something_to_mend():
    """A simulation in which nobody waits, or nobody is cut off, proves nothing."""
    worlds = [run_virtual(live, seed) for seed in range(40)]
    for is_watched in (False, True):
        assert sum(world.cut_count[is_watched] for world in worlds) > 20
    assert max(world.longest_s for world in worlds) > CLOSE_S
    assert any(not world.cut_count for world in worlds)
