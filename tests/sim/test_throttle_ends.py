"""SQL processes of a limited tenant that end: what they used, owe or have left is not lost."""

import asyncio

import pytest

from tests.sim.throttle_world import simulated


@simulated
async def test_a_process_that_ends_reports_what_it_used(world):
    """Who opens a new process for each statement pays nothing, and starts with 100 RU each time."""
    await world.begin(rate_ru_per_s=1, burst_ru_max=1000)
    for _ in range(5):
        process = await world.process()
        process.work(2, cost_ru=(1, 2), pause_s=0.01)
        await asyncio.sleep(0.1)
        process.rest()
        assert process.sent == 0, "it has not used what it started with"
        before_s = world.loop.time()
        await process.throttle.end()
        assert world.loop.time() - before_s < 0.1
        used = sum(process.meter.total for process in world.processes)
        assert world.row().bucket.consumed_ru == pytest.approx(used)
        assert world.row().bucket.balance_ru == pytest.approx(1000 - used, abs=2)


async def five_that_end(world, first_ru, last_ru):
    """Run processes that use something, get tokens, use the rest and end."""
    for _ in range(5):
        process = await world.process()
        process.meter.total += first_ru
        assert not process.throttle.must_wait()
        await asyncio.sleep(0.2)  # it has got tokens
        process.meter.total += last_ru
        await process.throttle.end()


@simulated
async def test_debt_outlives_the_process_that_ran_it_up(world):
    """Who opens a new process for each large statement would have no limit."""
    await world.begin(rate_ru_per_s=1, burst_ru_max=1000)
    await five_that_end(world, 50, 250)
    assert world.row().bucket.consumed_ru == 1500
    assert world.row().bucket.balance_ru == pytest.approx(1000 - 1500, abs=10)


@simulated
async def test_what_a_process_has_left_outlives_it(world):
    """A tenant whose connections come and go would pay for tokens that nobody used."""
    await world.begin(rate_ru_per_s=1, burst_ru_max=10_000)
    await five_that_end(world, 300, 20)
    assert world.row().bucket.consumed_ru == 5 * 320
    assert world.row().bucket.balance_ru == pytest.approx(10_000 - 5 * 320, abs=10)


@simulated
async def test_ending_takes_no_longer_than_a_second(world):
    """Without the KV node no SQL process could be ended."""
    await world.begin(rate_ru_per_s=100, burst_ru_max=1000)
    process = await world.process()
    process.work(2)
    await asyncio.sleep(1)
    process.rest()
    world.network.crash_node()
    before_s = world.loop.time()
    await process.throttle.end()
    assert world.loop.time() - before_s <= 1.0
    process.throttle.set_limits(process.client.stream.limits)
    assert not process.throttle.is_on, "it has ended"
