"""Limits and buckets of tenants on a simulated node: what operators set, what a crash leaves."""

import asyncio
import json

import msgspec
import pytest

from admission.token_bucket import TokenRequest
from kvapi.errors import DiskFull
from kvapi.pb import admin_pb2, kv_pb2
from kvnode.admin.limits_calls import describe_limits
from kvnode.storage.engine import StoreCorrupt, Table
from kvnode.storage.memory_engine import MemoryEngine
from kvnode.tenants.bucket_keeper import BucketKeeper
from kvnode.tenants.bucket_row import Limits, LimitsInvalid, bucket_key, decode_row, read_row
from kvnode.verify import problems_of, verify_store
from tests.sim.sim_node import SimNode
from tests.sim.virtual_loop import run_virtual
from tests.unit.kvnode.bucket_scene import ask, read_nothing, set_some, simulated


@simulated
async def test_operators_change_one_limit_at_a_time(node, tenant_id):
    """Raising the rate would forget the budget, or a removed one stay in force."""
    found = await set_some(node, tenant_id, rate_ru_per_s=100)
    assert (found.rate_ru_per_s, found.burst_ru_max, found.balance_ru) == (100, 1000, 1000)
    found = await set_some(node, tenant_id, month_ru_max=5000)
    assert (found.rate_ru_per_s, found.month_ru_max) == (100, 5000)
    found = await set_some(node, tenant_id, burst_ru_max=0)
    assert (found.burst_ru_max, found.balance_ru) == (0, 0)
    found = await set_some(node, tenant_id, rate_ru_per_s=0)
    assert (found.rate_ru_per_s, found.burst_ru_max, found.month_ru_max) == (0, 0, 5000)
    found = await set_some(node, tenant_id, month_ru_max=0)
    assert found == admin_pb2.TenantLimits(name="acme")
    snapshot = node.engine.snapshot()
    assert read_row(snapshot, node.core.load_tenant(tenant_id).prefix) is None
    snapshot.close()


@simulated
async def test_limits_that_make_no_sense_are_refused(node, tenant_id):
    """A tenant would be stopped for good, or its bucket be broken by a NaN."""
    for wrong in (
        {"rate_ru_per_s": -1},
        {"rate_ru_per_s": float("nan")},
        {"rate_ru_per_s": 1e15},
        {"month_ru_max": float("inf")},
        {"burst_ru_max": 5},  # without a rate
    ):
        with pytest.raises(LimitsInvalid):
            await set_some(node, tenant_id, **wrong)
        assert node.core.load_tenant(tenant_id).bucket is None


@simulated
async def test_without_trickles_a_period_comes_at_once(node, tenant_id):
    """The bench would compare the trickle with itself."""
    await set_some(node, tenant_id, rate_ru_per_s=100, burst_ru_max=0)
    tenant = node.core.load_tenant(tenant_id)
    given = []
    for has_trickle in (True, False):
        keeper = BucketKeeper(node.core.group, node.clock, read_nothing, has_trickle=has_trickle)
        request = TokenRequest(client_id=int(has_trickle), sequence=1, wanted_ru=50)
        keeper.ask(tenant, request, lambda grant, _: given.append(grant))
        await asyncio.sleep(1)
    evenly, at_once = given
    assert evenly.trickle_ru > 0 == evenly.at_once_ru
    assert at_once.at_once_ru > 0 == at_once.trickle_ru
    assert at_once.trickle_s > 0, "then more may be asked for"


@simulated
async def test_a_crash_forgets_nothing_that_was_answered(node, tenant_id):
    """Tokens would be handed out twice, and what was used not be billed."""
    await set_some(node, tenant_id, rate_ru_per_s=100, burst_ru_max=500, month_ru_max=900)
    stream = node.stream(tenant_id)
    first = (await ask(stream, 1, wanted_ru=300, demand_ru_per_s=50)).tokens
    second = (await ask(stream, 2, wanted_ru=100, consumed_ru=290)).tokens
    assert (first.at_once_ru, second.at_once_ru) == (300, 100)
    node.crash()
    await asyncio.sleep(0)
    stream = node.stream(tenant_id)
    assert stream.frames[0].limits.rate_ru_per_s == 100
    again = (await ask(stream, 2, wanted_ru=100, consumed_ru=290)).tokens
    assert again == second
    found = describe_limits(node.core, node.core.load_tenant(tenant_id))
    assert (found.consumed_ru, found.month_used_ru) == (290, 290)
    assert found.balance_ru < 101


@simulated
async def test_a_request_that_changes_nothing_writes_nothing(node, tenant_id):
    """A process that asks in vain would keep the disk busy for everybody."""
    await set_some(node, tenant_id, rate_ru_per_s=100, burst_ru_max=0)
    stream, tenant = node.stream(tenant_id), node.core.load_tenant(tenant_id)
    assert (await ask(stream, 1, wanted_ru=1000, demand_ru_per_s=50)).tokens.trickle_ru == 200
    for sequence in (2, 3, 3):
        pending = ask(stream, sequence, wanted_ru=1000, demand_ru_per_s=50)
        assert tenant.bucket_writes == 0
        assert (await pending).tokens.trickle_ru == pytest.approx(0, abs=1)
    used = ask(stream, 4, wanted_ru=0, consumed_ru=10)
    assert tenant.bucket_writes == 1, "what was used is durable before the answer"
    assert (await used).tokens.sequence == 4


@simulated
async def test_streams_hear_of_changes_without_asking(node, tenant_id):
    """A running SQL process would go on at the old limit until its tenant sleeps."""
    stream = node.stream(tenant_id)
    assert not stream.frames[0].HasField("limits")
    assert (await ask(stream, 1, wanted_ru=10)).tokens.at_once_ru == 0, "nobody is limited"
    await set_some(node, tenant_id, rate_ru_per_s=100)
    assert stream.frames[-1].limits.rate_ru_per_s == 100
    assert not stream.frames[-1].responses
    await set_some(node, tenant_id, rate_ru_per_s=0)
    assert stream.frames[-1].HasField("limits")
    assert stream.frames[-1].limits == kv_pb2.Limits()
    stream.break_off()
    assert not node.core.load_tenant(tenant_id).on_limits


@simulated
async def test_a_forgotten_tenant_comes_back_with_its_bucket(node, tenant_id):
    """Every sleep of a tenant would fill its bucket."""
    await set_some(node, tenant_id, rate_ru_per_s=1, burst_ru_max=500)
    stream = node.stream(tenant_id)
    pending = ask(stream, 1, wanted_ru=400)
    stream.break_off()
    node.core.tenants.forget_unused()
    assert node.core.load_tenant(tenant_id).bucket_writes == 1, "it is still being written"
    await asyncio.sleep(1)
    pending.exception()
    before = node.core.load_tenant(tenant_id)
    node.core.tenants.forget_unused()
    after = node.core.load_tenant(tenant_id)
    assert after is not before
    assert after.bucket.tokens.record.balance_ru == pytest.approx(100, abs=2)


@simulated
async def test_a_tenant_stays_loaded_as_soon_as_its_limits_change(node, tenant_id):
    """Its SQL processes would go on with a copy of the tenant that is without limits."""
    tenant = node.core.load_tenant(tenant_id)
    limits = Limits(rate_ru_per_s=100, burst_ru_max=500)
    change = node.core.buckets.change_limits(tenant, lambda _: limits)
    changing = asyncio.ensure_future(change)
    await asyncio.sleep(0)
    node.core.tenants.forget_unused()
    assert node.core.load_tenant(tenant_id) is tenant
    await changing
    node.core.tenants.forget_unused()
    assert node.core.load_tenant(tenant_id) is not tenant
    assert node.core.load_tenant(tenant_id).limits.rate_ru_per_s == 100


class FullEngine(MemoryEngine):
    """Refuses to write while it is full, or so many times."""

    is_full = False
    refusals = 0

    def write(self, **options):
        if self.is_full or self.refusals:
            self.refusals = max(0, self.refusals - 1)
            raise DiskFull("no space left on device")
        return super().write(**options)


def test_limits_that_could_not_be_stored_are_not_in_force():
    """The operator is told of a failure, and the limit acts until the next restart."""

    async def body(loop):
        engine = FullEngine()
        node = SimNode(loop, engine=engine)
        tenant_id = await node.create("acme")
        await set_some(node, tenant_id, rate_ru_per_s=100)
        engine.is_full = True
        for limits in ({"rate_ru_per_s": 5}, {"rate_ru_per_s": 0}):
            with pytest.raises(DiskFull):
                await set_some(node, tenant_id, **limits)
            found = describe_limits(node.core, node.core.load_tenant(tenant_id))
            assert found.rate_ru_per_s == 100

    run_virtual(body)


@pytest.mark.parametrize("is_cancelled", [False, True])
def test_two_changes_at_once_of_which_one_fails(is_cancelled):
    """A change that the operator was told has failed would stay in force, or undo the other."""

    async def body(loop):
        engine = FullEngine()
        node = SimNode(loop, engine=engine)
        tenant_id = await node.create("acme")
        await set_some(node, tenant_id, rate_ru_per_s=100)
        engine.refusals = 1
        first = asyncio.ensure_future(set_some(node, tenant_id, rate_ru_per_s=5))
        second = asyncio.ensure_future(set_some(node, tenant_id, month_ru_max=900))
        await asyncio.sleep(0)
        (first.cancel if is_cancelled else first.done)()
        await asyncio.wait([first])
        await second
        found = describe_limits(node.core, node.core.load_tenant(tenant_id))
        assert (found.rate_ru_per_s, found.month_ru_max) == (100, 900)
        engine.is_full = True
        for change in (set_some(node, tenant_id, rate_ru_per_s=n) for n in (7, 8)):
            with pytest.raises(DiskFull):
                await change
        node.crash()
        await asyncio.sleep(0)
        found = describe_limits(node.core, node.core.load_tenant(tenant_id))
        assert (found.rate_ru_per_s, found.month_ru_max) == (100, 900)

    run_virtual(body)


@simulated
async def test_damage_of_a_row_is_found(node, tenant_id):
    """A tenant with a damaged row could not be loaded, and nobody would know before."""
    await set_some(node, tenant_id, rate_ru_per_s=100)
    prefix = node.core.load_tenant(tenant_id).prefix
    snapshot = node.engine.snapshot()
    stored = snapshot.get(Table.SYSTEM, bucket_key(prefix))
    snapshot.close()
    assert json.loads(stored)["limits"]["rate_ru_per_s"] == 100
    for damaged in (b"{}", stored[:-3], stored.replace(b"100", b"-10")):
        with pytest.raises(StoreCorrupt):
            decode_row(damaged)
    await node.core.write(0, lambda txn: txn.put(Table.SYSTEM, bucket_key(b"nobo"), b"{}"))
    snapshot = node.engine.snapshot()
    told = problems_of(verify_store(snapshot))
    snapshot.close()
    assert len(told) == 2
    assert "limits a tenant without record" in told[0]
    assert "bucket is damaged" in told[1]


class SteppedClock:
    """A wall clock that is set now and then; monotonic time goes on."""

    step_s = 0

    def __init__(self, loop):
        self.monotonic_s, self.loop = loop.monotonic_s, loop

    def now_ns(self):
        return self.loop.now_ns() + self.step_s * 10**9


def test_setting_the_clock_fills_no_bucket():
    """A clock that is set back and forth would hand out the burst each time, or stop the tenant."""

    async def body(loop):
        clock = SteppedClock(loop)
        node = SimNode(loop, clock=clock)
        tenant_id = await node.create("acme")
        await set_some(node, tenant_id, rate_ru_per_s=1, burst_ru_max=1000)
        stream = node.stream(tenant_id)
        assert (await ask(stream, 1, wanted_ru=1000)).tokens.at_once_ru == 1000
        for sequence, clock.step_s in enumerate((-3600, 0, 7200, 0), 2):
            assert (await ask(stream, sequence, wanted_ru=1000)).tokens.at_once_ru < 1
        clock.step_s = -86_400
        node.crash()
        stream = node.stream(tenant_id)
        await asyncio.sleep(5)
        got = (await ask(stream, 6, wanted_ru=1000, demand_ru_per_s=9)).tokens
        assert got.at_once_ru < 10
        assert got.trickle_ru > 0, "it goes on"

    run_virtual(body)


@simulated
async def test_a_burst_that_nobody_gave_follows_the_rate(node, tenant_id):
    """A tenant raised from 50 to 10,000 would keep the burst of 50: 50 ms of its rate."""
    found = await set_some(node, tenant_id, rate_ru_per_s=50)
    assert found.burst_ru_max == 500
    found = await set_some(node, tenant_id, rate_ru_per_s=10_000)
    assert found.burst_ru_max == 100_000
    found = await set_some(node, tenant_id, burst_ru_max=100_000)
    found = await set_some(node, tenant_id, rate_ru_per_s=50)
    assert found.burst_ru_max == 100_000, "it was given"
    await set_some(node, tenant_id, rate_ru_per_s=0)
    found = await set_some(node, tenant_id, rate_ru_per_s=50)
    assert found.burst_ru_max == 500, "with the rate its burst was removed"


@simulated
async def test_a_burst_of_an_old_row_is_told_from_the_rate(node, tenant_id):
    """Tenants that had limits before an upgrade would keep the burst of their first rate."""
    tenant = node.core.load_tenant(tenant_id)
    for burst, expected in ((500, 100_000), (400, 400)):
        stored = json.dumps({"rate_ru_per_s": 50, "burst_ru_max": burst})
        old = msgspec.json.decode(stored, type=Limits)
        await node.core.buckets.change_limits(tenant, lambda _, old=old: old)
        found = await set_some(node, tenant_id, rate_ru_per_s=10_000)
        assert found.burst_ru_max == expected
