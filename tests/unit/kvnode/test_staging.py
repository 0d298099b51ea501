"""Staging on a simulated node: locks, heartbeats, limits, who sees what."""

import asyncio
import gc

import pytest

from kvapi.errors import (
    BadRequest,
    Deadlock,
    KeyExists,
    LockNotAvailable,
    RequestTooLarge,
    Throttled,
    WriteConflict,
)
from kvapi.pb import kv_pb2
from kvnode.node_config import NodeConfig
from kvnode.storage.engine import Table
from kvnode.txn.layers import StageRequest
from tests.kv_blocks import block_rows
from tests.sim.sim_node import SimNode
from tests.sim.virtual_loop import run_virtual
from tests.unit.kvnode.stream_scene import commit, simulated, value

BULK, SMALL = b"b" * 16, b"s" * 16


def stage(stream, puts=None, deletes=(), *, txn_id=BULK, layer=0, absent_keys=()):
    puts = puts or {}
    writes = kv_pb2.Writes(put_keys=list(puts), put_values=list(puts.values()), delete_keys=deletes)
    staged = kv_pb2.Stage(writes=writes, layer=layer, absent_keys=absent_keys, statement="COPY")
    return stream.request(txn_id=txn_id, stage=staged)


def row_count(node, table):
    return len(list(node.engine.snapshot().rows_from(table, b"\x00")))


@simulated
async def test_a_staged_row_is_locked_without_an_entry(node, stream, tenant_id):
    """A bulk load would keep a million locks in memory, or let others overwrite its rows."""
    await stage(stream, {b"k%03d" % n: b"v" for n in range(300)})
    assert len(node.core.locks.table) == 0
    other = node.stream(tenant_id)
    lock = kv_pb2.Lock(keys=[b"k001"], wait=kv_pb2.NOWAIT)
    with pytest.raises(LockNotAvailable):
        await other.request(txn_id=SMALL, lock=lock)
    skip = kv_pb2.Lock(keys=[b"k001", b"free"], wait=kv_pb2.SKIP_LOCKED)
    assert (await other.request(txn_id=SMALL, lock=skip)).values.found == b"\x02\x00"
    waiting = commit(other, {b"k002": b"small"})
    await asyncio.sleep(1)
    assert not waiting.done()
    await commit(stream, txn_id=BULK)
    await waiting
    assert await value(other, b"k002") == b"small"
    assert await value(other, b"k003") == b"v"
    assert node.core.locks.table.intents is None


@simulated
async def test_a_staged_chunk_is_freed_at_once(node, stream, tenant_id):
    """Python's collector would free a hundred chunks at a time, and hold the loop for 10 ms."""
    gc.collect()
    gc.disable()
    try:
        for number in range(20):
            await stage(stream, {b"k%03d" % number: b"v"})
        alive = sum(isinstance(each, StageRequest) for each in gc.get_objects())
    finally:
        gc.enable()
    assert alive <= 1


@simulated
async def test_a_deadlock_with_a_bulk_load_is_found(node, stream, tenant_id):
    """Two transactions would wait for each other until somebody's patience ends."""
    other = node.stream(tenant_id)
    await stage(stream, {b"a": b"1"})
    await other.request(txn_id=SMALL, lock=kv_pb2.Lock(keys=[b"b"]))
    waiting = other.request(txn_id=SMALL, lock=kv_pb2.Lock(keys=[b"a"]))
    with pytest.raises(Deadlock) as caught:
        await stage(stream, {b"b": b"1"})
    assert "COPY" in caught.value.detail
    assert caught.value.key == b"b"
    await stream.request(txn_id=BULK, rollback=kv_pb2.Rollback())
    await waiting


@simulated
async def test_keys_that_must_be_absent(node, stream, tenant_id):
    """A duplicate key would be overwritten, within one load or against the table."""
    await commit(stream, {b"old": b"1"})
    await stage(stream, {b"new": b"1"}, absent_keys=[b"new"])
    for key in (b"old", b"new"):
        with pytest.raises(KeyExists) as caught:
            await stage(stream, {key: b"2"}, absent_keys=[key])
        assert caught.value.key == key
    with pytest.raises(KeyExists):
        await commit(stream, {b"new": b"3"}, txn_id=BULK, absent_keys=[b"new"])
    assert await value(stream, b"new") is None


@simulated
async def test_pipelined_chunks_are_taken_in_order(node, stream, tenant_id):
    """A load's later write of a row would lose against its earlier one."""
    chunks = [stage(stream, {b"k": b"%d" % n, b"k%d" % n: b""}) for n in range(20)]
    seen = value(stream, b"k", txn_id=BULK)
    await asyncio.gather(*chunks)
    assert await seen == b"19"
    await commit(stream, txn_id=BULK)
    assert await value(stream, b"k") == b"19"


@simulated
async def test_layers_are_opened_upwards_and_dropped_for_good(node, stream, tenant_id):
    """ROLLBACK TO SAVEPOINT would keep what it takes back."""
    await stage(stream, {b"a": b"1", b"b": b"1"}, layer=1)
    await stage(stream, {b"a": b"2"}, deletes=[b"b"], layer=2)
    with pytest.raises(BadRequest):
        await stage(stream, {b"c": b"1"}, layer=1)
    assert await value(stream, b"a", txn_id=BULK) == b"2"
    assert await value(stream, b"a", txn_id=BULK, layer_max=1) == b"1"
    await stream.request(txn_id=BULK, unstage=kv_pb2.Unstage(layer=2))
    with pytest.raises(BadRequest):
        await stage(stream, {b"c": b"1"}, layer=2)
    scan = await stream.request(txn_id=BULK, scan=kv_pb2.Scan(start=b"a"))
    assert block_rows(scan.block) == [(b"a", b"1"), (b"b", b"1")]
    await stage(stream, {b"c": b"3"}, layer=3)
    await commit(stream, txn_id=BULK)
    rows = await stream.request(scan=kv_pb2.Scan(start=b"a"))
    assert block_rows(rows.block) == [(b"a", b"1"), (b"b", b"1"), (b"c", b"3")]


@simulated
async def test_an_abandoned_transaction_is_rolled_back(node, stream, tenant_id):
    """A SQL process that hangs would hold its rows for ever."""
    await stage(stream, {b"a": b"1"})
    for _ in range(5):
        await asyncio.sleep(8)
        await stream.request(txn_id=BULK, heartbeat=kv_pb2.Heartbeat())
    other = node.stream(tenant_id)
    waiting = commit(other, {b"a": b"other"})
    await asyncio.sleep(5)
    assert not waiting.done()
    await waiting
    for request in (
        stage(stream, {b"b": b"1"}),
        stream.request(txn_id=BULK, heartbeat=kv_pb2.Heartbeat()),
        # What it locked is no part of what it validates, and is free now.
        stream.request(
            txn_id=BULK, read_ts=node.core.timeline.durable_ts, refresh=kv_pb2.Refresh()
        ),
        commit(stream, txn_id=BULK),
    ):
        with pytest.raises(WriteConflict, match="heartbeat lapsed"):
            await request
    status = await other.request(txn_status=kv_pb2.TxnStatus(txn_id=BULK))
    assert not status.txn_status.commit_ts
    await asyncio.sleep(1)
    assert row_count(node, Table.INTENTS) == row_count(node, Table.LAYERS) == 0


@simulated
async def test_a_stream_that_breaks_takes_its_intents_along(node, stream, tenant_id):
    """A crashed SQL process would leave rows that nobody may write."""
    other = node.stream(tenant_id)
    await stage(stream, {b"a": b"1"})
    stage(stream, {b"b": b"1"})
    stream.break_off()
    await commit(other, {b"a": b"2", b"b": b"2"})
    await asyncio.sleep(1)
    assert row_count(node, Table.INTENTS) == row_count(node, Table.LAYERS) == 0
    assert node.core.memory.staging.total == 0


@simulated
async def test_a_counter_deleted_in_bulk_starts_again_and_stays(node, stream, tenant_id):
    """A sequence created anew would go on from the dropped one, or vanish later."""
    step = kv_pb2.Increment(key=b"seq", by=1, start=7)
    await stream.request(increment=step)
    await stage(stream, {b"a%04d" % n: b"" for n in range(1000)}, deletes=[b"seq"])
    await commit(stream, txn_id=BULK)
    assert (await stream.request(increment=step)).counter.value == 7
    await asyncio.sleep(5)
    assert (await stream.request(increment=step)).counter.value == 8


def test_a_tenant_has_a_quota_of_staged_bytes():
    """One tenant's bulk load would fill the disk of all."""
    config = NodeConfig(intents_bytes_tenant_max=10_000)

    @simulated
    async def body(node, stream, tenant_id):
        node = SimNode(node.loop, config=config)
        stream = node.stream(await node.create("t"))
        await stage(stream, {b"a": bytes(5_000)})
        with pytest.raises(RequestTooLarge, match="intents_bytes_tenant_max"):
            await stage(stream, {b"b": bytes(5_000)})
        await stream.request(txn_id=BULK, rollback=kv_pb2.Rollback())
        await asyncio.sleep(1)
        await stage(stream, {b"b": bytes(5_000)})

    body()


@simulated
async def test_dropping_a_tenant_takes_its_layers(node, stream, tenant_id):
    """The next start would stumble over layers of nobody."""
    await stage(stream, {b"a%04d" % n: b"" for n in range(1000)})
    await commit(stream, txn_id=BULK)
    stage(stream, {b"b": b""}, txn_id=SMALL)
    await node.lifecycle.drop("acme")
    assert row_count(node, Table.INTENTS) == row_count(node, Table.LAYERS) == 0
    node.crash()
    await asyncio.sleep(1)


@simulated
async def test_an_unlock_does_not_untie_what_waits_for_a_bulk_load(node, stream, tenant_id):
    """Who waits for a staged row would wait for ever, when the stream of the load closes."""
    other = node.stream(tenant_id)
    await stage(stream, {b"a": b"1"})
    await stream.request(txn_id=BULK, unlock=kv_pb2.Unlock())
    waiting = commit(other, {b"a": b"2"})
    await asyncio.sleep(1)
    assert not waiting.done()
    await stream.request(txn_id=BULK, unlock=kv_pb2.Unlock(keys=[b"a"]))
    await asyncio.sleep(1)
    assert not waiting.done()
    stream.break_off()
    await asyncio.wait_for(waiting, 1)


@simulated
async def test_a_large_request_is_cut_by_the_node(node, stream, tenant_id):
    """A client that fills a frame would hold up the commits of all tenants while it is written."""
    sizes = []
    run = node.writer.run

    def watched(operations, report):
        sizes.append(sum(operation.size_bytes for operation in operations))
        run(operations, report)

    node.writer.run = watched
    rows = {b"k%02d" % n: bytes([n]) * (200 << 10) for n in range(60)}
    await stage(stream, rows, [b"gone"])
    assert max(sizes) < 1 << 20
    for key, content in rows.items():
        assert await value(stream, key, txn_id=BULK) == content
    await commit(stream, txn_id=BULK)
    more = {key + b"+": content for key, content in rows.items()}
    await commit(stream, more, txn_id=SMALL, absent_keys=list(more))
    assert max(sizes) < 1 << 20
    other = node.stream(tenant_id)
    for key, content in {**rows, **more}.items():
        assert await value(other, key) == content
    with pytest.raises(KeyExists):
        await commit(stream, more, txn_id=b"x" * 16, absent_keys=list(more))


@simulated
async def test_more_rows_than_a_turn_can_look_at_are_refused(node, stream, tenant_id):
    """A frame of a million tiny rows would stop the node for half a second."""
    rows = {b"k%05d" % n: b"" for n in range(5000)}
    with pytest.raises(RequestTooLarge, match="write_rows_max"):
        await stage(stream, rows)
    with pytest.raises(RequestTooLarge, match="write_rows_max"):
        await commit(stream, rows)
    with pytest.raises(RequestTooLarge, match="write_rows_max"):
        await stage(stream, {b"k": b""}, absent_keys=list(rows))
    await stage(stream, {b"k": b""})


@simulated
async def test_chunks_that_waited_are_taken_one_in_a_turn(node, stream, tenant_id):
    """The node would stand still when a lock becomes free that a hundred chunks waited for."""
    other = node.stream(tenant_id)
    await other.request(txn_id=SMALL, lock=kv_pb2.Lock(keys=[b"k00"]))
    chunks = [stage(stream, {b"k%02d" % n: b""}) for n in range(50)]
    await asyncio.sleep(1)
    staging = node.core.load_tenant(tenant_id).layers.staging
    await other.request(txn_id=SMALL, rollback=kv_pb2.Rollback())
    before = len(staging)
    assert before < 5
    await asyncio.gather(*chunks)


@simulated
async def test_a_key_is_absent_once_its_delete_is_on_disk(node, stream, tenant_id):
    """If the disk is full for the delete, but not for the load, a row would be overwritten."""
    await commit(stream, {b"k": b"1"})
    deleting = commit(stream, {}, deletes=[b"k"])
    staging = stage(stream, {b"k": b"2"}, absent_keys=[b"k"])
    assert not len(node.core.bulk)  # not before the delete
    await deleting
    await staging
    await commit(stream, txn_id=BULK)
    assert await value(stream, b"k") == b"2"


def test_transactions_that_stage_are_bounded():
    """One stream could open any number of them, and each lock would look at all."""

    async def body(loop):
        node = SimNode(loop, config=NodeConfig(staged_txns_tenant_max=3))
        stream = node.stream(await node.create("acme"))
        for n in range(3):
            await stage(stream, {b"k%d" % n: b""}, txn_id=b"%016d" % n)
        with pytest.raises(Throttled):
            await stage(stream, {b"k": b""})
        await stream.request(txn_id=b"%016d" % 1, rollback=kv_pb2.Rollback())
        await stage(stream, {b"k": b""})

    run_virtual(body)
