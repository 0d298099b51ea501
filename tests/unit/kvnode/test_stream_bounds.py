"""What one stream may ask of the node: everything has a bound, and hitting it is told."""

import asyncio

import pytest

from kvapi.errors import (
    BadRequest,
    KeyTooLong,
    RequestTooLarge,
    Throttled,
)
from kvapi.pb import kv_pb2
from kvnode.mvcc.scan import ScanRun, ScanSpec
from kvnode.node_config import NodeConfig
from kvnode.server.stream_session import StreamSession
from tests.sim.busy_engine import BusyEngine
from tests.sim.sim_node import SimNode, SimStream
from tests.sim.virtual_loop import run_virtual
from tests.unit.kvnode.stream_scene import commit, simulated, value


@simulated
async def test_the_node_bounds_what_is_being_staged_by_all_streams(node, stream, tenant_id):
    """Many large transactions at once would eat the node's memory; small commits go on."""
    writes = kv_pb2.Writes(put_keys=[b"a"], put_values=[b"v" * 1000])
    staging = node.core.memory.staging
    staging.add(tenant_id, other := staging.bytes_max - 1)
    with pytest.raises(Throttled):
        await stream.request(txn_id=b"u" * 16, stage=kv_pb2.Stage(writes=writes))
    await commit(stream, {b"b": b"1"})
    stream.session.closed()
    assert staging.total == other


@simulated
async def test_keys_have_a_limit_that_is_told(node, stream, tenant_id):
    """A key that cannot be kept in the history would break the writer thread."""
    limit = node.core.tenants.keyspace(1).key_bytes_max
    await commit(stream, {b"k" * limit: b"1"})
    await commit(stream, {b"k" * limit: b"2"})
    await commit(stream, {bytes(limit // 2): b"1"})
    for key in (b"k" * (limit + 1), bytes(limit // 2 + 1)):
        with pytest.raises(KeyTooLong) as caught:
            await commit(stream, {key: b"1"})
        assert caught.value.number == limit
    assert await value(stream, b"k" * 5000) is None


@simulated
async def test_a_client_that_does_not_read_stops_its_own_scans_only(node, stream, tenant_id):
    """One stalled client would fill the node's memory, or stall its neighbours."""
    for first in range(0, 20_000, 4000):
        await commit(stream, {b"k%05d" % n: b"v" for n in range(first, first + 4000)})
    scan = stream.request(scan=kv_pb2.Scan(count_only=True))
    stream.session.pause()
    other = node.stream(tenant_id)
    assert (await other.request(scan=kv_pb2.Scan(count_only=True))).block.row_count == 20_001
    await asyncio.sleep(1)
    if not scan.done():
        assert len(node.core.scheduler) == 1
    stream.session.resume()
    assert (await scan).block.row_count == 20_001


@simulated
async def test_too_many_outstanding_requests_are_refused(node, stream, tenant_id):
    """A client that ignores its credit would fill the node's memory."""
    await node.stream(tenant_id).request(txn_id=b"h" * 16, lock=kv_pb2.Lock(keys=[b"k"]))
    limit = 2 * node.config.credit_requests
    lock = kv_pb2.Lock(keys=[b"k"])
    waits = [stream.request(txn_id=b"%016d" % n, lock=lock) for n in range(limit + 1)]
    with pytest.raises(Throttled):
        await waits[-1]
    assert not waits[0].done()


@simulated
async def test_a_frame_whose_answers_nobody_reads_is_not_worked_through(node, stream, tenant_id):
    """A few thousand small requests for large values would fill the node's memory."""
    await commit(stream, {b"k": b"v" * 2_000_000})
    send, sent = stream.send, []

    def stalling(body):
        send(body)
        sent.append(len(body))
        stream.session.pause()

    stream.send = stalling
    requests = [kv_pb2.Request(id=1000 + n, get=kv_pb2.Get(key=b"k")) for n in range(50)]
    for request in requests:
        stream.waiting[request.id] = node.loop.create_future()
    stream.receive(kv_pb2.ClientFrame(requests=requests[:25]))
    stream.receive(kv_pb2.ClientFrame(requests=requests[25:]))
    for count in range(1, 51):
        assert len(sent) == count
        stream.session.resume()
    assert not stream.waiting


@simulated
async def test_a_frame_of_more_requests_than_granted_ends_the_stream(node, stream, tenant_id):
    """One frame of a million requests would hold up every tenant for seconds."""
    count = 2 * node.config.credit_requests + 1
    requests = [kv_pb2.Request(id=n + 1, get=kv_pb2.Get(key=b"k")) for n in range(count)]
    stream.receive(kv_pb2.ClientFrame(requests=requests))
    assert isinstance(stream.fatal, BadRequest)


@simulated
async def test_waiting_keys_are_bounded_in_bytes(node, stream, tenant_id):
    """Requests within the credit, but of megabytes each, would fill the node's memory."""
    await node.stream(tenant_id).request(txn_id=b"h" * 16, lock=kv_pb2.Lock(keys=[b"k"]))
    lock = kv_pb2.Lock(keys=[b"k", b"x" * (8 << 20)])
    waits = [stream.request(txn_id=b"%016d" % n, lock=lock) for n in range(9)]
    with pytest.raises(Throttled, match="bytes"):
        await waits[-1]
    requests = node.core.memory.requests
    assert 8 << 20 < requests.total <= requests.bytes_max
    stream.break_off()
    assert requests.total == 0


def test_reads_of_one_stream_take_turns():
    """A thousand scans at once would each hold megabytes of half an answer."""

    async def body(loop):
        node = SimNode(loop, engine=BusyEngine(loop))
        stream = node.stream(await node.create("acme"))
        for first in (0, 4000):
            await commit(stream, {b"k%05d" % n: b"v" * 100 for n in range(first, first + 4000)})
        scans = [stream.request(scan=kv_pb2.Scan()) for _ in range(40)]
        most = 0
        while not all(scan.done() for scan in scans):
            most = max(most, stream.session.read_gate.entered)
            await asyncio.sleep(0)
        assert 1 < most <= node.config.reads_max
        counts = {scan.result().block.row_count for scan in scans}
        assert counts == {scans[0].result().block.row_count}
        assert stream.session.read_gate.entered == 0

    run_virtual(body)


def test_few_streams_may_stay_without_a_tenant_for_long():
    """One process could take every stream of the node and keep it for a day."""

    async def body(loop):
        node = SimNode(loop, config=NodeConfig(warm_streams_max=3, hello_s_max=5))
        sessions = [
            StreamSession(node.core, SimStream(node), hello_s_max=86_400.0) for _ in range(3)
        ]
        await asyncio.sleep(6)
        assert sum(not session.is_closed for session in sessions) <= 3
        assert node.core.warm_stream_count == sum(not s.is_closed for s in sessions)
        tenant_id = await node.create("acme")
        node.stream(tenant_id)
        assert node.core.warm_stream_count <= 3

    run_virtual(body)


@simulated
async def test_large_rows_behind_small_ones_are_read_in_small_steps(node, stream, tenant_id):
    """A scan would copy gigabytes in one go and hold up every tenant."""
    await commit(stream, {b"a%05d" % n: b"v" for n in range(3000)})
    for first in range(0, 300, 50):
        await commit(stream, {b"b%05d" % n: b"v" * 100_000 for n in range(first, first + 50)})
    for reverse in (False, True):
        spec = ScanSpec(
            start=node.core.load_tenant(tenant_id).keyspace.key(b"a"),
            end=node.core.load_tenant(tenant_id).keyspace.key(b"c"),
            read_ts=node.core.timeline.durable_ts,
            reverse=reverse,
            limit_rows=10_000,
            limit_bytes=1 << 30,
        )
        run, largest = ScanRun(spec), 0
        while not run.done:
            before = run.bytes_read
            run.step(node.core.timeline.snapshot(), deleted_since=False)
            largest = max(largest, run.bytes_read - before)
        assert run.row_count == 3300
        assert largest < 5_000_000


def test_locks_are_bounded_for_a_transaction_a_stream_and_the_node():
    """One tenant's forgotten transactions would fill the lock table that all share."""

    async def body(loop):
        config = NodeConfig(locks_max=100)
        node = SimNode(loop, config=config)
        node.core.memory.locks_max = 200
        tenant_id = await node.create("acme")
        stream, other = node.stream(tenant_id), node.stream(tenant_id)

        def lock(on, txn, first, count):
            keys = [b"%04d" % n for n in range(first, first + count)]
            return on.request(txn_id=b"%016d" % txn, lock=kv_pb2.Lock(keys=keys))

        with pytest.raises(RequestTooLarge):
            await lock(stream, 1, 0, 101)
        await lock(stream, 1, 0, 60)
        with pytest.raises(Throttled, match="stream"):
            await lock(stream, 2, 100, 60)
        await lock(other, 3, 200, 60)
        with pytest.raises(Throttled, match="tenant"):
            await lock(other, 4, 300, 31)
        await stream.request(txn_id=b"%016d" % 1, rollback=kv_pb2.Rollback())
        await lock(other, 4, 300, 31)

    run_virtual(body)


def test_a_large_frame_before_the_hello_is_refused():
    """Whoever can connect could fill the node's memory without a credential."""

    async def body(loop):
        node = SimNode(loop)
        stream = SimStream(node)
        stream.session.receive(b"x" * 5000)
        assert isinstance(stream.fatal, RequestTooLarge)

    run_virtual(body)
