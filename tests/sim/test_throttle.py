"""Limited tenants on the real wire: streams of a simulated node, frames that are late, lost, sent
again; a node that dies. The bucket's own arithmetic is in test_admission_sim.py.
"""

import asyncio
from statistics import mean, pstdev

import pytest

from kvapi.pb import kv_pb2
from kvnode.tenants.bucket_row import read_row
from tests.sim.throttle_world import World, simulated
from tests.sim.virtual_loop import run_virtual


@simulated
async def test_at_the_limit_work_goes_on_evenly(world):
    """A tenant at its limit stops and goes, or gets more or less than it pays for."""
    await world.begin(rate_ru_per_s=200, burst_ru_max=100)
    process = await world.process()
    process.work(8)
    await asyncio.sleep(70)
    served = process.per_second(10, 70)
    assert mean(served) == pytest.approx(200, rel=0.05)
    assert pstdev(served) < 0.2 * 200


@simulated
async def test_without_a_trickle_it_would_stop_and_go(world):
    """The trickle would be a complication that nobody needs."""
    await world.begin(rate_ru_per_s=200, burst_ru_max=100)
    process = await world.process()
    process.has_trickle = False
    process.work(8)
    await asyncio.sleep(70)
    served = process.per_second(10, 70)
    assert mean(served) == pytest.approx(200, rel=0.05)
    assert pstdev(served) > 0.4 * 200


@simulated
async def test_large_statements_are_paid_back(world):
    """One report of 500 RU every now and then must not lift the tenant above its rate."""
    await world.begin(rate_ru_per_s=100, burst_ru_max=100)
    process = await world.process()
    process.work(2, cost_ru=(100, 900))
    await asyncio.sleep(200)
    assert mean(process.per_second(20, 200)) == pytest.approx(100, rel=0.1)


@simulated
async def test_two_processes_share_by_demand(world):
    """Of two processes of one tenant, the busier one gets no more than the other."""
    await world.begin(rate_ru_per_s=200, burst_ru_max=100)
    many, few = await world.process(), await world.process()
    many.work(9)
    few.work(3)
    await asyncio.sleep(80)
    sums = [sum(process.per_second(20, 80)) for process in (many, few)]
    assert sums[0] / sums[1] == pytest.approx(3, rel=0.15)
    assert sum(sums) / 60 == pytest.approx(200, rel=0.05)


@simulated
async def test_a_newcomer_beside_a_busy_process_is_served_at_once(world):
    """A second process of a busy tenant stands still, and asks the node 200 times a second."""
    await world.begin(rate_ru_per_s=200, burst_ru_max=100)
    busy = await world.process()
    busy.work(9)
    await asyncio.sleep(20)
    newcomer = await world.process()
    for _ in ("new", "woken"):
        begin_s, sent = world.loop.time(), newcomer.sent
        newcomer.work(3)
        await asyncio.sleep(8)
        served = newcomer.per_second(begin_s, begin_s + 8)
        assert min(served) > 10, served
        assert mean(served[3:]) == pytest.approx(50, rel=0.3), served
        assert newcomer.sent - sent <= 12, "it asks with reason"
        newcomer.rest()
        await asyncio.sleep(30)


@simulated
async def test_a_changed_limit_acts_within_two_seconds(world):
    """A customer who pays for more waits for it; a tenant that is capped goes on as before."""
    await world.begin(rate_ru_per_s=50, burst_ru_max=0)
    process = await world.process()
    process.work(8)
    await asyncio.sleep(20)
    start_s = world.loop.time()
    await world.limit(rate_ru_per_s=500, burst_ru_max=0)
    await asyncio.sleep(6)
    assert min(process.per_second(start_s + 2, start_s + 6)) > 400
    start_s = world.loop.time()
    await world.limit(rate_ru_per_s=50, burst_ru_max=0)
    await asyncio.sleep(12)
    assert mean(process.per_second(start_s + 2, start_s + 12)) < 60
    await world.limit()
    assert world.row() is None
    start_s = world.loop.time()
    await asyncio.sleep(2)
    assert min(process.per_second(start_s + 1, start_s + 2)) > 1000, "no limit, no wait"


@simulated
async def test_who_is_unlimited_or_idle_asks_nothing(world):
    """Ten thousand sleeping tenants would keep the node busy with their buckets."""
    await world.begin()
    process = await world.process()
    process.work(4)
    await asyncio.sleep(3)
    process.rest()
    assert process.sent == 0
    assert world.node.core.buckets.request_count == 0
    await world.limit(rate_ru_per_s=50, burst_ru_max=1000)
    await asyncio.sleep(30)
    assert process.sent == 0, "limits alone are no work"
    process.work(2)
    await asyncio.sleep(10)
    process.rest()
    await asyncio.sleep(30)
    sent = process.sent
    assert sent > 0
    await asyncio.sleep(600)
    assert process.sent == sent, "an idle process asks"
    consumed = world.row().bucket.consumed_ru
    assert consumed == pytest.approx(sum(ru for when, ru in process.served if when > 30), abs=10)


@pytest.mark.parametrize("seed", range(40))
def test_nothing_is_lost_or_counted_twice(seed):
    """Broken connections and a node that dies make tokens, or lose what was used."""

    async def body(loop):
        world = await World(loop, seed).begin(rate_ru_per_s=300, burst_ru_max=200)
        rng = world.rng
        for _ in range(rng.randint(1, 3)):
            (await world.process()).work(rng.choice((1, 6)), pause_s=rng.choice((0, 0.02)))
        begun_s = loop.time()
        for _ in range(8):
            await asyncio.sleep(rng.uniform(0.2, 3))
            for link in list(world.network.links):
                if rng.random() < 0.3:
                    link.break_off()
            if rng.random() < 0.4:
                world.network.crash_node()
                await asyncio.sleep(rng.uniform(0, 3))
                world.network.start_node()
        for process in world.processes:
            process.rest()
        elapsed_s = loop.time() - begun_s
        await asyncio.sleep(60)  # the rest is reported
        used = sum(process.meter.total for process in world.processes)
        assert world.row().bucket.consumed_ru == pytest.approx(used, abs=1e-6)
        # Each starts with 100, may hold two seconds of trickle, and is in debt by what runs.
        slack = sum(100 + 2 * 300 + 6 * 3 for _ in world.processes)
        assert used <= 200 + 300 * elapsed_s + slack
        await world.close()

    run_virtual(body)


@simulated
async def test_a_node_that_dies_does_not_stop_the_tenant(world):
    """While the node is away a limited tenant stands still, though it has its rate to go on."""
    await world.begin(rate_ru_per_s=100, burst_ru_max=0)
    process = await world.process()
    process.work(4)
    await asyncio.sleep(20)
    start_s = world.loop.time()
    world.network.crash_node()
    await asyncio.sleep(10)
    world.network.start_node()
    await asyncio.sleep(20)
    served = process.per_second(start_s, start_s + 30)
    assert min(served[3:10]) > 50, "it goes on at the fallback rate"
    assert mean(served) == pytest.approx(100, rel=0.1), "what was borrowed is paid back"


@simulated
async def test_the_months_budget_is_counted_and_closes(world):
    """A spend cap that is passed, or that stays closed in the new month, costs money."""
    await world.begin(month_ru_max=1000)
    process = await world.process()
    process.work(2, cost_ru=(5, 5), pause_s=0.1)
    await asyncio.sleep(5)
    assert not process.throttle.limits.is_used_up
    assert process.throttle.waiting_count == 0, "a budget alone holds nobody back"
    for _ in range(40):
        if process.throttle.limits.is_used_up:
            break
        await asyncio.sleep(1)
    assert process.throttle.limits.is_used_up
    process.rest()
    await asyncio.sleep(15)
    used_ru = world.tenant.bucket.month_used_ru(world.node.core.buckets.now())
    assert world.row().budget.reported == 1.0
    assert used_ru == pytest.approx(process.meter.total)
    assert used_ru < 1500
    await world.limit(month_ru_max=10_000)
    await asyncio.sleep(0.1)
    assert not process.throttle.limits.is_used_up, "raised: goes on at once"
    await world.limit(month_ru_max=500)
    await asyncio.sleep(0.1)
    assert process.throttle.limits.is_used_up, "lowered below what is used: closed at once"
    await asyncio.sleep(40 * 86400)
    process.throttle.ask_for_budget()
    await asyncio.sleep(2)
    assert not process.throttle.limits.is_used_up, "a new month"


@simulated
async def test_what_a_sql_process_may_not_ask(world):
    """A process that is not trusted could print tokens, or break the bucket with a NaN."""
    await world.begin(rate_ru_per_s=100, burst_ru_max=1000)
    stream = world.node.stream(world.tenant_id)
    for wrong in (
        {"consumed_ru": -5.0},
        {"wanted_ru": float("nan")},
        {"borrowed_ru": float("-inf")},
        {"period_s": 0.0},
        {"period_s": 1e9},
    ):
        asked = {"client_id": 1, "sequence": 1, "period_s": 2.0, **wrong}
        with pytest.raises(Exception, match="must be from"):
            await stream.request(tokens=kv_pb2.Tokens(**asked))
    assert world.row().bucket.balance_ru == 1000


@simulated
async def test_dropping_a_tenant_drops_its_bucket(world):
    """A new tenant would begin with somebody else's debt, or the store keep rows for ever."""
    await world.begin(rate_ru_per_s=100, burst_ru_max=1000)
    prefix = world.tenant.prefix
    await world.node.lifecycle.drop("acme")
    snapshot = world.node.engine.snapshot()
    assert read_row(snapshot, prefix) is None
    snapshot.close()
