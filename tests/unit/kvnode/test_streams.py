"""One stream on a simulated node: the contract's corners."""

import asyncio

import pytest

from kvapi.errors import (
    BadRequest,
    Cancelled,
    CounterExhausted,
    DiskFull,
    KeyExists,
    KvError,
    SchemaChanged,
    TenantSuspended,
    WriteConflict,
)
from kvapi.hlc import from_wall_us
from kvapi.pb import kv_pb2
from kvnode.node_config import NodeConfig
from kvnode.storage.memory_engine import MemoryEngine
from kvnode.tenants.lifecycle import NameInvalid, TenantExists
from tests.kv_blocks import block_rows
from tests.sim.sim_node import SimNode, SimStream
from tests.sim.virtual_loop import run_virtual
from tests.unit.kvnode.stream_scene import commit, simulated, value


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
    assert node.core.memory.staging.total == 0


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
async def test_suspension_holds_for_open_streams(node, stream, tenant_id):
    """A suspended tenant's running processes would go on working."""
    await node.lifecycle.change("acme", suspended=True, gc_ttl_s=None)
    with pytest.raises(TenantSuspended):
        await stream.request(get=kv_pb2.Get(key=b"k"))
    await node.lifecycle.change("acme", suspended=False, gc_ttl_s=None)
    assert await value(stream, b"k") is None


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
async def test_a_counter_is_shown_when_its_value_is_durable(node, stream, tenant_id):
    """A reader would see a sequence's value that a power failure then takes back."""
    step = stream.request(increment=kv_pb2.Increment(key=b"s", by=1, count=1, start=7))
    peek = stream.request(increment=kv_pb2.Increment(key=b"s", start=1, peek=True))
    assert not peek.done()
    assert not step.done()
    assert (await peek).counter.value == 7
    assert step.done()
