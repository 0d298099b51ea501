"""Upkeep: history ages out, running scans keep what they need."""

import asyncio

from kvapi.pb import kv_pb2
from kvnode.storage.engine import Table
from tests.sim.sim_node import SimNode
from tests.sim.virtual_loop import run_virtual


def put(stream, value, txn_id=b""):
    writes = kv_pb2.Writes(put_keys=[b"k"], put_values=[value])
    return stream.request(txn_id=txn_id, commit=kv_pb2.Commit(writes=writes))


def test_history_and_outcomes_age_out():
    """The store would grow with every update, for ever."""

    async def body(loop):
        node = SimNode(loop)
        stream = node.stream(await node.create("acme"))
        for n in range(5):
            await put(stream, b"%d" % n, txn_id=b"%016d" % n)
        await node.maintenance.run_once()
        assert len(node.engine._tables[Table.HISTORY].rows) == 4
        assert len(node.engine._tables[Table.TXNS].rows) == 10
        await asyncio.sleep(node.config.gc_ttl_s + 1)
        await node.maintenance.run_once()
        assert not node.engine._tables[Table.HISTORY].rows
        assert not node.engine._tables[Table.GARBAGE].rows
        assert not node.engine._tables[Table.TXNS].rows
        assert (await stream.request(get=kv_pb2.Get(key=b"k"))).value.value == b"4"

    run_virtual(body)


def test_a_running_scan_keeps_its_snapshot():
    """A long report would lose rows in its middle."""

    async def body(loop):
        node = SimNode(loop)
        tenant_id = await node.create("acme")
        stream = node.stream(tenant_id)
        first = (await put(stream, b"old")).commit.commit_ts
        await put(stream, b"new")
        tenant = node.core.tenants.load(tenant_id)
        tenant.reads["a scan"] = first
        await asyncio.sleep(node.config.gc_ttl_s + 1)
        await node.maintenance.run_once()
        old = await stream.request(read_ts=first, get=kv_pb2.Get(key=b"k"))
        assert old.value.value == b"old"
        del tenant.reads["a scan"]
        await node.maintenance.run_once()
        assert not node.engine._tables[Table.HISTORY].rows

    run_virtual(body)


def test_unused_tenants_leave_memory_and_come_back():
    """Ten thousand sleeping tenants would fill the node's memory."""

    async def body(loop):
        node = SimNode(loop)
        tenant_id = await node.create("acme")
        stream = node.stream(tenant_id)
        await put(stream, b"1")
        await node.maintenance.run_once()
        assert node.core.tenants.loaded()
        stream.break_off()
        await node.maintenance.run_once()
        assert not node.core.tenants.loaded()
        again = node.stream(tenant_id)
        assert (await again.request(get=kv_pb2.Get(key=b"k"))).value.value == b"1"

    run_virtual(body)


def test_the_present_stays_readable_however_long_nothing_was_written():
    """After ten quiet minutes every transaction of two reads would fail: its snapshot, the newest
    there is, counts as garbage."""

    async def body(loop):
        node = SimNode(loop)
        stream = node.stream(await node.create("acme"))
        await put(stream, b"1")
        await put(stream, b"2")
        await asyncio.sleep(node.config.gc_ttl_s + 1)
        await node.maintenance.run_once()
        assert not node.engine._tables[Table.HISTORY].rows
        read_ts = (await stream.request(get=kv_pb2.Get(key=b"k"))).read_ts
        again = await stream.request(read_ts=read_ts, get=kv_pb2.Get(key=b"k"))
        assert again.value.value == b"2"

    run_virtual(body)


def test_garbage_of_a_dropped_tenant_is_not_counted_any_more():
    """Upkeep in the middle of a drop would leave records of a tenant that does not exist."""

    async def body(loop):
        node = SimNode(loop)
        stream = node.stream(await node.create("acme"))
        keys = [b"%05d" % n for n in range(3000)]
        for value in (b"1", b"2"):
            for first in range(0, len(keys), 1000):
                part = keys[first : first + 1000]
                writes = kv_pb2.Writes(put_keys=part, put_values=[value] * len(part))
                await stream.request(commit=kv_pb2.Commit(writes=writes))
        await asyncio.sleep(node.config.gc_ttl_s + 1)
        upkeep = asyncio.ensure_future(node.maintenance.run_once())
        await asyncio.sleep(0)
        await asyncio.gather(upkeep, node.lifecycle.drop("acme"))
        tables = node.engine._tables
        assert [key for key in tables[Table.SYSTEM].rows if not key.startswith(b"m")] == []
        assert not any(tables[table].rows for table in Table if table is not Table.SYSTEM)

    run_virtual(body)
