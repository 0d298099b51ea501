"""Long reads that wait for slots, for their clients, for room: nobody is forgotten, or looked at
for nothing. The real scheduler, gates and room in virtual time.
"""

import asyncio
import os

import pytest

from kvapi.pb import kv_pb2
from tests.sim.busy_engine import BusyEngine
from tests.sim.read_world import ReadWorld
from tests.sim.sim_node import SimNode
from tests.sim.virtual_loop import run_virtual

SEEDS = range(int(os.environ.get("INSULA_SIM_SEEDS", "200")))
STEPS = 40


@pytest.mark.parametrize("seed", SEEDS)
def test_nobody_waits_for_what_is_free(seed):
    """A wake-up goes to a read that was cancelled, or was refused, and the next one hangs."""

    async def body(loop):
        errors = []
        loop.set_exception_handler(lambda _, context: errors.append(context["exception"]))
        world = ReadWorld(loop, seed)
        for _ in range(STEPS):
            world.act()
            world.check()
            for _ in range(world.rng.choice((0, 1, 5))):
                await asyncio.sleep(0)
                world.check()
        world.settle()
        world.check()
        ends_s = loop.time() + 60
        while any(gate.reads for gate in world.gates) and loop.time() < ends_s:
            await asyncio.sleep(0.001)
            world.check()
        left = sum(len(gate.reads) for gate in world.gates)
        assert not left, f"{seed=}: {left} reads wait for ever"
        assert not errors
        assert world.over == world.started > 0
        assert not len(world.scheduler)
        assert not world.room.total

    run_virtual(body)


async def many_reads(loop, *, streams, each, room_bytes):
    """Return how many chunks and tasks so many scans made, all asked at once."""
    node = SimNode(loop, engine=BusyEngine(loop, row_s=4e-5))
    one = node.stream(await node.create("one"))
    puts = {"put_keys": [b"k%03d" % n for n in range(64)], "put_values": [b"v"] * 64}
    for _ in range(2):
        await one.request(commit=kv_pb2.Commit(writes=kv_pb2.Writes(**puts)))
    core, read_ts = node.core, node.core.timeline.durable_ts - 1  # older than what is under way
    core.memory.answers.bytes_max = room_bytes
    before = core.scheduler.activity_count
    asked = [
        stream.request(read_ts=read_ts, scan=kv_pb2.Scan())
        for stream in [node.stream(one.session.tenant.id) for _ in range(streams)]
        for _ in range(each)
    ]
    most = 0
    while not all(scan.done() for scan in asked):
        await asyncio.sleep(0)
        most = max(most, core.scheduler.aside_count)
    assert most > len(asked) / 2, "few wait"
    assert not core.memory.answers.total
    assert not len(core.scheduler)
    return core.scheduler.activity_count - before


@pytest.mark.parametrize(
    ("streams", "each", "room_bytes"),
    [(2, 200, 1 << 30), (40, 10, 20 << 20)],
    ids=["for slots", "for room of answers"],
)
def test_what_waiting_costs_grows_with_the_reads(streams, each, room_bytes):
    """2,000 scans at once, and the loop looks at all of them whenever one ends: 18 ms each time."""

    async def body(loop):
        looks = await many_reads(loop, streams=streams, each=each, room_bytes=room_bytes)
        # Each arrives in a frame, is looked at, set aside, woken, and has a quantum or two.
        assert looks <= 6 * streams * each, looks

    run_virtual(body)
