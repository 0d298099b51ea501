"""Protected snapshots stay whole while history ages out around them."""

import asyncio
import random

import pytest
from prometheus_client import CollectorRegistry

from kvapi.errors import SnapshotTooOld
from kvapi.pb import kv_pb2
from kvnode.metrics import KvnodeMetrics
from kvnode.node_config import NodeConfig
from kvnode.tenants.lifecycle import NameInvalid
from kvnode.tenants.protections import Protections
from tests.sim.sim_node import SimNode
from tests.sim.virtual_loop import run_virtual

TXN = b"t" * 16
OTHER = b"o" * 16


async def put(stream, value):
    writes = kv_pb2.Writes(put_keys=[b"k"], put_values=[value])
    return (await stream.request(commit=kv_pb2.Commit(writes=writes))).commit.commit_ts


async def read(stream, read_ts):
    return (await stream.request(read_ts=read_ts, get=kv_pb2.Get(key=b"k"))).value.value


def protect(stream, read_ts, txn_id=TXN):
    return stream.request(txn_id=txn_id, protect=kv_pb2.Protect(read_ts=read_ts))


async def age_out(node, stream):
    """Let everything that nobody protects become garbage, and collect it."""
    await put(stream, b"newer")
    await asyncio.sleep(node.core.tenants.find("acme").record.gc_ttl_s + 1)
    await node.maintenance.run_once()


ENDS = {
    "given up": lambda stream: protect(stream, 0),
    "rolled back": lambda stream: stream.request(txn_id=TXN, rollback=kv_pb2.Rollback()),
    "committed": lambda stream: stream.request(
        txn_id=TXN, commit=kv_pb2.Commit(writes=kv_pb2.Writes(put_keys=[b"x"], put_values=[b""]))
    ),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_protected_snapshot_outlives_gc_ttl_until_its_transaction_ends(end):
    """An open cursor would lose its rows, or an ended one would keep history for ever."""

    async def body(loop):
        node = SimNode(loop)
        stream = node.stream(await node.create("acme"))
        first = await put(stream, b"first")
        await protect(stream, first)
        await age_out(node, stream)
        assert await read(stream, first) == b"first"
        await ENDS[end](stream)
        await age_out(node, stream)
        with pytest.raises(SnapshotTooOld):
            await read(stream, first)

    run_virtual(body)


def test_protection_ends_with_its_stream_and_not_with_another():
    """A crashed SQL process would stop garbage collection for a day."""

    async def body(loop):
        node = SimNode(loop)
        tenant_id = await node.create("acme")
        one, two = node.stream(tenant_id), node.stream(tenant_id)
        first = await put(one, b"first")
        await protect(one, first)
        await protect(two, first, txn_id=TXN)  # the same id on another stream is another one
        one.break_off()
        await age_out(node, two)
        assert await read(two, first) == b"first"
        await protect(two, 0)
        await age_out(node, two)
        with pytest.raises(SnapshotTooOld):
            await read(two, first)

    run_virtual(body)


def test_what_is_garbage_already_cannot_be_protected():
    """A reader would be told that its rows are kept, and find some of them missing."""

    async def body(loop):
        node = SimNode(loop)
        stream = node.stream(await node.create("acme"))
        first = await put(stream, b"first")
        await age_out(node, stream)
        with pytest.raises(SnapshotTooOld) as caught:
            await protect(stream, first)
        assert caught.value.number > first
        assert not len(node.core.tenants.find("acme").protections)

    run_virtual(body)


def test_protection_lapses_after_its_time():
    """One forgotten session would make the store grow without end."""

    async def body(loop):
        node = SimNode(loop, config=NodeConfig(protect_s_max=2000.0))
        stream = node.stream(await node.create("acme"))
        first = await put(stream, b"first")
        await protect(stream, first)
        await age_out(node, stream)
        await protect(stream, first)  # asking again does not start the time anew
        await age_out(node, stream)
        assert await read(stream, first) == b"first"
        await asyncio.sleep(1000)
        await age_out(node, stream)
        with pytest.raises(SnapshotTooOld):
            await read(stream, first)

    run_virtual(body)


def test_a_newer_snapshot_of_the_same_transaction_replaces_the_older():
    """A READ COMMITTED transaction would keep the snapshot of its first statement."""
    held = Protections()
    held.hold("txn", 10, now_s=1.0)
    held.hold("txn", 20, now_s=2.0)
    assert (len(held), held.oldest_ts(99), held.oldest_since_s(9.0)) == (1, 20, 2.0)
    held.hold("txn", 15, now_s=3.0)
    assert (held.oldest_ts(99), held.oldest_since_s(9.0)) == (15, 2.0)
    assert held.lapse(until_s=1.9) == 0
    assert held.lapse(until_s=2.0) == 1
    assert held.oldest_ts(99) == 99


def test_nobody_protects_without_bound():
    """One process could fill the node's memory."""

    async def body(loop):
        node = SimNode(loop, config=NodeConfig(protections_max=1))
        stream = node.stream(await node.create("acme"))
        first = await put(stream, b"first")
        await protect(stream, first)
        with pytest.raises(Exception, match="too many snapshots"):
            await protect(stream, first, txn_id=OTHER)
        await protect(stream, 0)
        await protect(stream, first, txn_id=OTHER)

    run_virtual(body)


@pytest.mark.parametrize("seed", range(10))
def test_whatever_the_order_a_snapshot_is_whole_or_refused(seed):
    """Between the check of a threshold and its rise a reader could slip in and read half."""

    async def body(loop):
        node = SimNode(loop, seed=seed)
        rng = random.Random(seed)
        stream = node.stream(await node.create("acme"))
        await node.lifecycle.change("acme", suspended=None, gc_ttl_s=10.0)
        states, held = {}, {}
        for n in range(60):
            states[await put(stream, b"%d" % n)] = b"%d" % n
            await asyncio.sleep(rng.uniform(0, 3))
            upkeep = asyncio.ensure_future(node.maintenance.run_once())
            txn_id = b"%016d" % rng.randrange(4)
            wanted = rng.choice(list(states))
            try:
                await protect(stream, wanted, txn_id)
                held[txn_id] = wanted
            except SnapshotTooOld:
                pass
            await upkeep
            for read_ts in held.values():
                assert await read(stream, read_ts) == states[read_ts]
            past = rng.choice(list(states))
            is_gone = past < node.core.tenants.find("acme").threshold
            if is_gone:
                with pytest.raises(SnapshotTooOld):
                    await read(stream, past)
            else:
                assert await read(stream, past) == states[past]

    run_virtual(body)


def test_before_the_tenant_there_was_nothing_to_read():
    """AS OF a time before the tenant was created would answer that its tables do not exist."""

    async def body(loop):
        node = SimNode(loop)
        tenant_id = await node.create("acme")
        created = node.core.tenants.load(tenant_id).threshold
        stream = node.stream(tenant_id)
        assert await read(stream, created) == b""
        with pytest.raises(SnapshotTooOld):
            await read(stream, created - 1)

    run_virtual(body)


def test_gc_ttl_is_checked_and_counts_at_once():
    """A typo would delete the history an operator wants, or keep it until the disk is full."""

    async def body(loop):
        node = SimNode(loop)
        tenant = await node.lifecycle.create("acme", "owner", "x", gc_ttl_s=3600.0)
        assert tenant.record.gc_ttl_s == 3600
        for wrong in (0.0, -1.0, 9.9, 1e12, float("nan"), float("inf")):
            with pytest.raises(NameInvalid, match="from 10 to"):
                await node.lifecycle.change("acme", suspended=None, gc_ttl_s=wrong)
            with pytest.raises(NameInvalid, match="from 10 to"):
                await node.lifecycle.create("other", "owner", "x", gc_ttl_s=wrong)
        stream = node.stream(tenant.id)
        first = await put(stream, b"first")
        await put(stream, b"second")
        await asyncio.sleep(60)
        await node.maintenance.run_once()
        assert await read(stream, first) == b"first"
        await node.lifecycle.change("acme", suspended=None, gc_ttl_s=20.0)
        await node.maintenance.run_once()
        with pytest.raises(SnapshotTooOld):
            await read(stream, first)

    run_virtual(body)


def test_metrics_show_what_is_kept_and_for_how_long():
    """An operator could not tell why the store grows."""

    async def body(loop):
        node = SimNode(loop)
        registry = CollectorRegistry()
        KvnodeMetrics(node.core, node.maintenance, node.keeper, registry)
        stream = node.stream(await node.create("acme"))
        first = await put(stream, b"first")
        await put(stream, b"second")
        await protect(stream, first)
        await asyncio.sleep(1000)
        await node.maintenance.run_once()

        def value(name):
            return registry.get_sample_value(f"insula_kvnode_{name}")

        assert value("protected_timestamps") == 1
        assert value("protected_timestamps_age_seconds") == pytest.approx(1000, abs=1)
        assert value("gc_threshold_age_seconds") == pytest.approx(1000, abs=1)
        await protect(stream, 0)
        await node.maintenance.run_once()
        assert value("protected_timestamps") == 0
        assert value("protected_timestamps_age_seconds") == 0
        assert value("gc_threshold_age_seconds") == 0

    run_virtual(body)
