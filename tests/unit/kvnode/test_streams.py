"""One stream on a simulated node: the contract's corners."""

import asyncio

import pytest

from kvapi.errors import (
    BadRequest,
    Cancelled,
    CounterExhausted,
    DiskFull,
    KeyExists,
    KeyTooLong,
    KvError,
    RequestTooLarge,
    SchemaChanged,
    TenantSuspended,
    Throttled,
    WriteConflict,
)
from kvapi.hlc import from_wall_us
from kvapi.pb import kv_pb2
from kvnode.mvcc.scan import ScanRun, ScanSpec
from kvnode.node_config import NodeConfig
from kvnode.server.stream_session import StreamSession
from kvnode.storage.memory_engine import MemoryEngine
from kvnode.tenants.lifecycle import NameInvalid, TenantExists
from tests.kv_blocks import block_rows
from tests.sim.busy_engine import BusyEngine
from tests.sim.sim_node import SimNode, SimStream
from tests.sim.virtual_loop import run_virtual


def simulated(test):
    """Run an async test body on a virtual loop with a node and one tenant's stream."""

    def run():
        async def body(loop):
            node = SimNode(loop)
            tenant_id = await node.create("acme")
            await test(node, node.stream(tenant_id), tenant_id)

        run_virtual(body)

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


def commit(stream, puts=None, deletes=(), txn_id=b"", read_ts=0, **fields):
    puts = puts or {}
    planned = {name: fields.pop(name) for name in {"catalog_version", "relations"} & fields.keys()}
    writes = kv_pb2.Writes(put_keys=list(puts), put_values=list(puts.values()), delete_keys=deletes)
    message = kv_pb2.Commit(writes=writes, **fields)
    return stream.request(txn_id=txn_id, read_ts=read_ts, commit=message, **planned)


async def value(stream, key, **fields):
    response = await stream.request(get=kv_pb2.Get(key=key), **fields)
    return response.value.value if response.value.HasField("value") else None


@simulated
async def test_a_commit_is_visible_only_when_durable(node, stream, tenant_id):
    """A reader would see, and act on, what a power failure then takes back."""
    pending = commit(stream, {b"k": b"1"})
    assert await value(stream, b"k") is None
    await pending
    assert await value(stream, b"k") == b"1"


@simulated
async def test_write_conflicts_and_phantoms(node, stream, tenant_id):
    """Two transactions that read and wrote the same row would both commit."""
    first = (await commit(stream, {b"a": b"1", b"c": b"1"})).commit.commit_ts
    keys, span = kv_pb2.Footprint(keys=[b"a"]), kv_pb2.Footprint(spans=[kv_pb2.Span(start=b"b")])
    await commit(stream, {b"a": b"2"}, read_ts=first, footprint=keys)
    with pytest.raises(WriteConflict) as caught:
        await commit(stream, {b"a": b"3"}, read_ts=first, footprint=keys)
    assert caught.value.key == b"a"
    await commit(stream, {b"x": b"2"}, read_ts=first, footprint=span)
    with pytest.raises(WriteConflict) as caught:
        await commit(stream, {b"y": b"3"}, read_ts=first, footprint=span)
    assert caught.value.key == b"x"
    with pytest.raises(BadRequest):
        await commit(stream, {b"y": b"3"}, footprint=keys)


@simulated
async def test_absent_keys_also_see_what_is_queued(node, stream, tenant_id):
    """Two INSERTs of one primary key in the same millisecond would both succeed."""
    first = commit(stream, {b"k": b"1"}, absent_keys=[b"k"])
    second = commit(stream, {b"k": b"2"}, absent_keys=[b"k"])
    await first
    with pytest.raises(KeyExists) as caught:
        await second
    assert caught.value.key == b"k"
    gone = commit(stream, deletes=[b"k"])
    again = commit(stream, {b"k": b"3"}, absent_keys=[b"k"])
    await gone
    await again
    assert await value(stream, b"k") == b"3"


@simulated
async def test_schema_changes_are_seen_at_once(node, stream, tenant_id):
    """A statement planned against a dropped column would run."""
    other = node.stream(tenant_id)
    version = other.frames[0].catalog_version
    changed = await commit(stream, {b"d": b"1"}, catalog_version=version, schema_change=True)
    newer = changed.commit.commit_ts
    for request in (
        other.request(catalog_version=version, get=kv_pb2.Get(key=b"k")),
        commit(other, {b"k": b"1"}, catalog_version=version),
        other.request(catalog_version=version, scan=kv_pb2.Scan()),
    ):
        with pytest.raises(SchemaChanged) as caught:
            await request
        assert caught.value.number == newer
    assert other.frames[-1].catalog_version == newer
    await commit(other, {b"k": b"1"}, catalog_version=newer)


@simulated
async def test_staged_writes_apply_in_order_and_end_with_the_transaction(node, stream, tenant_id):
    """A large transaction would lose a part, or a rolled back one would leave one."""
    txn_id = b"t" * 16
    staged = kv_pb2.Writes(put_keys=[b"a", b"b"], put_values=[b"1", b"1"], delete_keys=[b"z"])
    await stream.request(txn_id=txn_id, stage=kv_pb2.Stage(writes=staged))
    assert await value(stream, b"a") is None
    await commit(stream, {b"a": b"2", b"z": b"2"}, deletes=[b"b"], txn_id=txn_id)
    rows = await stream.request(scan=kv_pb2.Scan(start=b"a"))
    assert block_rows(rows.block) == [(b"a", b"2"), (b"z", b"2")]
    other = b"o" * 16
    await stream.request(txn_id=other, stage=kv_pb2.Stage(writes=staged))
    await stream.request(txn_id=other, rollback=kv_pb2.Rollback())
    await commit(stream, txn_id=other)
    assert await value(stream, b"b") is None
    assert node.core.staged_bytes == 0


@simulated
async def test_the_node_bounds_what_is_being_staged_by_all_streams(node, stream, tenant_id):
    """Many large transactions at once would eat the node's memory; small commits go on."""
    writes = kv_pb2.Writes(put_keys=[b"a"], put_values=[b"v" * 1000])
    other = node.core.config.staged_bytes_node_max - 1
    node.core.staged_bytes = other
    with pytest.raises(Throttled):
        await stream.request(txn_id=b"u" * 16, stage=kv_pb2.Stage(writes=writes))
    await commit(stream, {b"b": b"1"})
    stream.session.closed()
    assert node.core.staged_bytes == other


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
async def test_counters(node, stream, tenant_id):
    """A sequence would hand out a value twice, or go back after a restart."""

    async def step(**fields):
        response = await stream.request(increment=kv_pb2.Increment(key=b"seq", **fields))
        return response.counter.value, response.counter.is_called

    assert await step(peek=True, start=5) == (5, False)
    both = await asyncio.gather(step(by=2, start=5), step(by=2, start=5))
    assert both == [(5, True), (7, True)]
    assert await step(set=True, start=100, is_called=False) == (100, False)
    assert await step(by=1, count=3) == (102, True)
    with pytest.raises(CounterExhausted):
        await step(by=1, has_bounds=True, min=1, max=102)
    await commit(stream, deletes=[b"seq"])
    assert await step(by=1, start=9) == (9, True)


@simulated
async def test_cancel_ends_a_wait(node, stream, tenant_id):
    """A cancelled statement would hang on until the lock is free, and then take it."""
    holder = node.stream(tenant_id)
    await holder.request(txn_id=b"h" * 16, lock=kv_pb2.Lock(keys=[b"k"]))
    waiting = stream.request(txn_id=b"w" * 16, lock=kv_pb2.Lock(keys=[b"k"]))
    blocked = commit(stream, {b"k": b"1"})
    for request_id in (stream.next_id - 1, stream.next_id):
        cancel = kv_pb2.Request(id=99, cancel=kv_pb2.Cancel(request_id=request_id))
        stream.receive(kv_pb2.ClientFrame(requests=[cancel]))
    for future in (waiting, blocked):
        with pytest.raises(Cancelled):
            await future
    assert node.core.locks.table.waiting_count() == 0


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
async def test_suspension_holds_for_open_streams(node, stream, tenant_id):
    """A suspended tenant's running processes would go on working."""
    await node.lifecycle.change("acme", suspended=True, gc_ttl_s=None)
    with pytest.raises(TenantSuspended):
        await stream.request(get=kv_pb2.Get(key=b"k"))
    await node.lifecycle.change("acme", suspended=False, gc_ttl_s=None)
    assert await value(stream, b"k") is None


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
async def test_names_are_checked_and_unique(node, stream, tenant_id):
    """A tenant that cannot be named in a connection could be created, or two of one name."""
    for name in ("", "A", "a b", "-a", "x" * 64, "ä", "a\n"):
        with pytest.raises(NameInvalid):
            await node.lifecycle.create(name, "u", "x")
    with pytest.raises(NameInvalid):
        await node.lifecycle.create("ok", "", "x")
    results = await asyncio.gather(
        *(node.lifecycle.create("twin", "u", "x") for _ in range(2)), return_exceptions=True
    )
    assert sorted(type(r).__name__ for r in results) == ["Tenant", "TenantExists"]
    assert isinstance(results[1], TenantExists)


@simulated
async def test_passwords_and_users(node, stream, tenant_id):
    """A new password would not be asked for, or a second user could not be made."""
    await node.lifecycle.set_password("acme", "owner", "new")
    await node.lifecycle.set_password("acme", "second", "x")
    tenant = node.core.tenants.find("acme")
    assert node.lifecycle.find_role(tenant, "owner").scram_verifier == "new"
    assert node.lifecycle.users(tenant) == ["owner", "second"]
    assert node.lifecycle.find_role(tenant, "nobody") is None


def test_an_interrupted_drop_is_finished_after_the_restart():
    """Half of a dropped tenant would stay on the disk for ever."""

    async def body(loop):
        node = SimNode(loop)
        stream = node.stream(await node.create("gone"))
        await commit(stream, {b"k%d" % n: b"v" for n in range(10)})
        drop = asyncio.ensure_future(node.lifecycle.drop("gone"))
        while not next(node.core.tenants.records(count_max=1)).is_dropping:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        drop.cancel()
        node.crash()
        with pytest.raises(AssertionError, match="dropped"):
            node.stream(1)
        await node.lifecycle.finish_drops()
        assert not node.engine._tables["live"].rows
        assert await node.create("gone") == 2

    run_virtual(body)


def test_a_full_disk_refuses_writes_and_serves_reads():
    """A full disk would take reads down, or let half a commit through."""

    async def body(loop):
        node = SimNode(loop, engine=MemoryEngine(bytes_max=20_000))
        stream = node.stream(await node.create("acme"))
        await commit(stream, {b"k": b"1"})
        with pytest.raises(DiskFull):
            await commit(stream, {b"k": b"2", b"big": bytes(50_000)})
        assert await value(stream, b"k") == b"1"
        assert await value(stream, b"big") is None
        await commit(stream, {b"k": b"3"})
        assert await value(stream, b"k") == b"3"

    run_virtual(body)


def test_a_draining_node_takes_nobody():
    """A client would connect to a node that is about to end."""

    async def body(loop):
        node = SimNode(loop, config=NodeConfig())
        tenant_id = await node.create("acme")
        node.core.is_draining = True
        stream = SimStream(node)
        stream.hello(node.credential(tenant_id))
        assert isinstance(stream.fatal, KvError)
        assert "shutting down" in stream.fatal.message

    run_virtual(body)


@simulated
async def test_no_request_pushes_time_on_for_everyone(node, stream, tenant_id):
    """One SQL process could move the clock of all tenants into the next century."""
    start = node.core.timeline.hlc.wall()
    for _ in range(20):
        ahead = node.core.timeline.hlc.newest + from_wall_us(400_000)
        stream.request(read_ts=ahead, get=kv_pb2.Get(key=b"k"))
        await asyncio.sleep(0)
    assert node.core.timeline.hlc.newest <= start + from_wall_us(600_000)
    with pytest.raises(BadRequest, match="future"):
        await stream.request(read_ts=(1 << 64) - 1, get=kv_pb2.Get(key=b"k"))


@simulated
async def test_a_commit_under_another_streams_name_keeps_no_locks(node, stream, tenant_id):
    """Rows would stay locked until the node restarts, by a stream that is long gone."""
    other, txn_id = node.stream(tenant_id), b"t" * 16
    await other.request(txn_id=txn_id, lock=kv_pb2.Lock(keys=[b"k"]))
    first = commit(stream, {b"a": b"1"}, txn_id=txn_id)
    with pytest.raises(BadRequest):
        await commit(other, {b"b": b"1"}, txn_id=txn_id)
    await first
    await stream.request(txn_id=b"u" * 16, lock=kv_pb2.Lock(keys=[b"k"], wait=kv_pb2.NOWAIT))


@simulated
async def test_a_commit_that_comes_after_its_status_may_be_run_again(node, stream, tenant_id):
    """The client would see an internal error where a retry is safe and right."""
    txn_id = b"t" * 16
    status = kv_pb2.TxnStatus(txn_id=txn_id)
    assert (await stream.request(txn_status=status)).txn_status.commit_ts == 0
    with pytest.raises(WriteConflict, match="given up"):
        await commit(stream, {b"k": b"1"}, txn_id=txn_id)
    assert await value(stream, b"k") is None


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
    assert node.core.request_bytes > 50 << 20
    stream.break_off()
    assert node.core.request_bytes == 0


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
            most = max(most, stream.session.reads_started)
            await asyncio.sleep(0)
        assert 1 < most <= node.config.reads_max
        counts = {scan.result().block.row_count for scan in scans}
        assert counts == {scans[0].result().block.row_count}
        assert stream.session.reads_started == 0

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
async def test_a_counter_is_shown_when_its_value_is_durable(node, stream, tenant_id):
    """A reader would see a sequence's value that a power failure then takes back."""
    step = stream.request(increment=kv_pb2.Increment(key=b"s", by=1, count=1, start=7))
    peek = stream.request(increment=kv_pb2.Increment(key=b"s", start=1, peek=True))
    assert not peek.done()
    assert not step.done()
    assert (await peek).counter.value == 7
    assert step.done()


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
        config = NodeConfig(locks_max=100, locks_node_max=150)
        node = SimNode(loop, config=config)
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
        with pytest.raises(Throttled, match="node"):
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
