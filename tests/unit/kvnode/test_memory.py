"""The KV node's memory bound: its parts, what happens at them, and who is hit."""

import asyncio

import pytest

from kvapi.errors import Throttled
from kvapi.pb import kv_pb2
from kvnode.memory import NodeMemory, private_bytes
from kvnode.node_config import MEMORY_BYTES_MIN, NodeConfig
from kvnode.txn.recent_writes import RecentRoom, RecentWrites
from runtime.config_error import ConfigError
from tests.sim.sim_node import SimNode
from tests.sim.virtual_loop import run_virtual
from tests.unit.kvnode.shared_node import GET, ask, on_shared_node
from tests.unit.kvnode.stream_scene import commit, value

TXN = b"t" * 16


def unused(_):
    raise AssertionError("nobody waits")


@pytest.mark.parametrize("bytes_max", [MEMORY_BYTES_MIN, 1 << 30, 8 << 30])
def test_the_parts_fit_into_the_bound(bytes_max):
    """A bound that its parts exceed bounds nothing."""
    memory = NodeMemory(bytes_max, unused)
    counted = [pool.bytes_max for pool in memory.pools().values()]
    locks = memory.locks_max * 450
    assert sum(counted) + locks + memory.recent.bytes_max <= 0.75 * bytes_max
    assert memory.streams_max * (16 << 10) <= bytes_max / 8
    assert all(pool > NodeConfig().block_bytes_max for pool in counted)


def test_a_bound_that_holds_nothing_is_refused():
    """A node that refuses every request looks broken instead of misconfigured."""
    with pytest.raises(ConfigError, match="memory_bytes_max"):
        NodeConfig(memory_bytes_max=MEMORY_BYTES_MIN - 1)


def test_near_the_bound_the_parts_shrink_until_there_is_room():
    """What is counted wrongly would not be bounded at all."""
    memory = NodeMemory(1 << 30, unused)
    memory.look(990 << 20)
    assert memory.is_short
    assert memory.requests.is_short
    assert memory.recent.is_short
    memory.look(900 << 20)
    assert memory.is_short, "it would go back and forth"
    memory.look(800 << 20)
    assert not memory.is_short
    assert not memory.lanes.is_short


def test_the_process_knows_what_it_has():
    """The metric would show a bound beside nothing."""
    assert private_bytes() > 1 << 20


def waits(stream, count, size):
    """Ask for locks that somebody else holds, of so many bytes each."""
    lock = kv_pb2.Lock(keys=[b"held", b"x" * size])
    return [stream.request(txn_id=b"%016d" % n, lock=lock) for n in range(count)]


@on_shared_node
async def test_waiting_requests_of_others_do_not_shut_a_tenant_out(node, one, two):
    """Two tenants fill the node with waiting requests, and a third one's statements fail."""
    three = node.stream(await node.create("three"))
    node.core.memory.requests.bytes_max = 100_000
    for stream in (one, two, three):
        holder = node.stream(stream.session.tenant.id)
        await holder.request(txn_id=b"h" * 16, lock=kv_pb2.Lock(keys=[b"held"]))
    for stream in (one, two):
        waiting = waits(stream, 100, 900)
        with pytest.raises(Throttled, match="bytes of the tenant"):
            await waiting[-1]
    quiet = waits(three, 10, 900)
    await asyncio.sleep(0.1)
    assert not any(wait.done() for wait in quiet)
    assert node.core.memory.requests.total <= 100_000
    for stream in (one, two, three):
        stream.break_off()
    assert not node.core.memory.requests.total


@on_shared_node
async def test_only_streams_of_tenants_over_their_share_are_read_no_further(node, one, two):
    """A flood fills the lanes of the node, and the quiet tenant's socket is not read either."""
    node.core.memory.lanes.bytes_max = 400_000
    flood = [get for _ in range(3) for get in ask(one, [{"get": GET}] * 200)]
    assert one.session.lane.is_full
    quiet = ask(two, [{"get": GET}] * 20)
    assert two.session.may_read
    await asyncio.gather(*quiet, *flood)
    assert one.session.may_read
    assert not node.core.memory.lanes.total


@on_shared_node
async def test_chunks_of_others_do_not_keep_a_tenant_from_staging(node, one, two):
    """One large transaction would keep all others from beginning."""
    staging = node.core.memory.staging
    staging.bytes_max = 10_000
    staging.add(two.session.tenant.id, 5_000)
    stage = kv_pb2.Stage(writes=kv_pb2.Writes(put_keys=[b"a"], put_values=[b"v" * 1000]))
    await one.request(txn_id=TXN, stage=stage)
    with pytest.raises(Throttled) as caught:
        await two.request(txn_id=TXN, stage=stage)
    assert caught.value.detail == Throttled.REPEAT, "its client sends it again"
    staging.add(two.session.tenant.id, -5_000)
    await two.request(txn_id=TXN, stage=stage)
    assert not staging.total


@on_shared_node
async def test_commits_under_way_are_bounded_for_the_node(node, one, two):
    """Behind a slow disk the commits of all streams would fill the node's memory."""
    commits = node.core.memory.commits
    commits.bytes_max = 10_000
    commits.add(two.session.tenant.id, 5_000)
    await two.request(txn_id=TXN, lock=kv_pb2.Lock(keys=[b"k"]))
    stage = kv_pb2.Stage(writes=kv_pb2.Writes(put_keys=[b"staged"], put_values=[b"v"]))
    await two.request(txn_id=TXN, stage=stage)
    with pytest.raises(Throttled, match="commits") as caught:
        await commit(two, {b"k": b"v" * 1000}, txn_id=TXN)
    assert caught.value.detail == Throttled.REPEAT, "its client sends it again"
    assert two.session.holds_rows(TXN), "others would change what it relies on"
    await commit(one, {b"k": b"v" * 1000}, txn_id=TXN)
    commits.add(two.session.tenant.id, -5_000)
    await commit(two, {b"k": b"v" * 1000}, txn_id=TXN)
    assert await value(two, b"staged") == b"v"
    assert not two.session.holds_locks(TXN)
    assert not commits.total


@on_shared_node
async def test_scans_wait_for_room_of_answers_and_go_on(node, one, two):
    """Half-built answers of a thousand streams would fill the node's memory."""
    for first in range(0, 12_000, 4000):
        puts = {b"k%05d" % n: b"v" * 100 for n in range(first, first + 4000)}
        await commit(one, puts)
        await commit(two, puts)
    answers = node.core.memory.answers
    answers.bytes_max = 6 << 20
    streams = [node.stream(one.session.tenant.id) for _ in range(4)]
    scans = [s.request(scan=kv_pb2.Scan()) for s in streams for _ in range(10)]
    most = 0
    quiet = two.request(scan=kv_pb2.Scan())
    while not quiet.done():
        most = max(most, answers.of(one.session.tenant.id))
        await asyncio.sleep(0)
    assert sum(scan.done() for scan in scans) < 20
    while not all(scan.done() for scan in scans):
        most = max(most, answers.of(one.session.tenant.id))
        await asyncio.sleep(0)
    assert 1 << 20 <= most <= 3 << 20
    assert not answers.total
    assert not len(node.core.scheduler)


def test_one_tenants_locks_do_not_shut_the_others_out():
    """A transaction that locks a million rows, and nobody can update one row any more."""

    async def body(loop):
        node = SimNode(loop)
        node.core.memory.locks_max = 400
        one, two = [node.stream(await node.create(name)) for name in ("one", "two")]

        def lock(on, txn, first, count):
            keys = [b"%04d" % n for n in range(first, first + count)]
            return on.request(txn_id=b"%016d" % txn, lock=kv_pb2.Lock(keys=keys))

        for n in range(30):
            await lock(one, 1, 10 * n, 10)
        with pytest.raises(Throttled, match="memory_bytes_max"):
            await lock(one, 1, 300, 10)
        for n in range(10):
            await lock(two, 1, 10 * n, 10)
        with pytest.raises(Throttled):
            await lock(two, 2, 200, 10)
        await one.request(txn_id=b"%016d" % 1, rollback=kv_pb2.Rollback())
        await lock(two, 2, 200, 10)
        two.break_off()
        assert not node.core.locks.table.held.by_stream

    run_virtual(body)


def test_recent_writes_of_all_tenants_have_one_bound():
    """A thousand tenants that load data would fill the node's memory with keys."""
    room = RecentRoom(100_000)
    tenants = [RecentWrites(low_water=0, keys_max=10**6, room=room) for _ in range(3)]
    for ts in range(1, 1700):
        tenant = tenants[0 if ts < 1500 else ts % 3]
        tenant.add(ts, [b"%08d" % ts], durable_ts=ts - 1)
        assert room.total <= 101_000
    assert all(tenant.size_bytes for tenant in tenants)
    assert tenants[0].low_water
    assert not tenants[1].low_water, "who has most forgets"
    assert room.total == sum(tenant.size_bytes for tenant in tenants)
    for tenant in tenants:
        tenant.forget_all()
    assert not room.total


def test_a_tenant_that_is_forgotten_gives_its_room_back():
    """Memory of tenants that nobody uses would count for ever."""

    async def body(loop):
        node = SimNode(loop)
        stream = node.stream(await node.create("one"))
        await commit(stream, {b"k": b"v"})
        assert node.core.memory.recent.total
        stream.break_off()
        node.core.tenants.forget_unused()
        assert not node.core.memory.recent.total
        again = node.stream(stream.session.tenant.id)
        assert await value(again, b"k") == b"v"

    run_virtual(body)
