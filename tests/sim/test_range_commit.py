"""Commits over several ranges, range by range: a crash between two steps leaves all or nothing."""

import asyncio
import random

import pytest

from kvapi.errors import Cancelled, KeyExists, KvError, WriteConflict
from kvapi.pb import kv_pb2
from kvnode.node_config import NodeConfig
from kvnode.storage.engine import Table
from tests.sim.sim_node import SimNode
from tests.sim.virtual_loop import run_virtual

CONFIG = NodeConfig(range_commit="staged")
CUTS = (b"g", b"p")
ROWS = (b"a", b"h", b"q")  # one in each range
TXN = b"t" * 16


async def start(loop, seed=0):
    node = SimNode(loop, seed=seed, config=CONFIG)
    tenant_id = await node.create("acme")
    for cut in CUTS:
        await node.keeper.split(node.core.load_tenant(tenant_id), cut)
    return node, tenant_id


def commit_of(rows, value, *, absent=(), deletes=()):
    writes = kv_pb2.Writes(put_keys=rows, put_values=[value] * len(rows), delete_keys=deletes)
    return kv_pb2.Commit(writes=writes, absent_keys=absent)


async def values(stream, rows=ROWS, read_ts=0):
    got = (await stream.request(multi_get=kv_pb2.MultiGet(keys=rows), read_ts=read_ts)).values
    return [value if found else None for value, found in zip(got.values, got.found, strict=True)]


def test_each_range_writes_its_own_intents():
    """The protocol that several nodes will use would never have run on one."""

    async def body(loop):
        node, tenant_id = await start(loop)
        stream = node.stream(tenant_id)
        batches = node.core.group.batch_count
        answer = await stream.request(commit=commit_of(ROWS, b"new"), txn_id=TXN)
        assert answer.commit.commit_ts
        assert node.core.group.batch_count - batches >= len(ROWS), "prewrites, then the record"
        assert node.core.commits.staged_count == 1
        assert await values(stream) == [b"new"] * 3
        await stream.request(commit=commit_of([b"b"], b"one"), txn_id=b"o" * 16)
        assert node.core.commits.staged_count == 1, "one range needs no protocol"
        await asyncio.sleep(1)
        assert node.engine.snapshot().seek(Table.LAYERS, b"") is None, "all is resolved"

    run_virtual(body)


def test_refusals_leave_nothing():
    """A refused transaction would leave its writes in the ranges that had agreed."""

    async def body(loop):
        node, tenant_id = await start(loop)
        stream, other = node.stream(tenant_id), node.stream(tenant_id)
        await stream.request(commit=commit_of(ROWS, b"old"), txn_id=TXN)
        commit = commit_of([b"a", b"i"], b"new", absent=[b"i", b"a"])
        with pytest.raises(KeyExists) as caught:
            await stream.request(commit=commit, txn_id=b"u" * 16)
        assert caught.value.key == b"a"
        read_ts = node.core.timeline.durable_ts
        await other.request(commit=commit_of([b"z"], b"z"), txn_id=b"v" * 16)
        stale = commit_of(ROWS, b"new")
        stale.footprint.keys.append(b"z")
        with pytest.raises(WriteConflict):
            await stream.request(commit=stale, txn_id=b"w" * 16, read_ts=read_ts)
        assert await values(stream) == [b"old"] * 3
        await other.request(lock=kv_pb2.Lock(keys=[b"q"]), txn_id=b"x" * 16)
        waiting = stream.request(commit=commit_of(ROWS, b"new"), txn_id=b"y" * 16)
        await asyncio.sleep(0.1)
        stream.receive(
            kv_pb2.ClientFrame(
                requests=[kv_pb2.Request(cancel=kv_pb2.Cancel(request_id=stream.next_id))]
            )
        )
        with pytest.raises(Cancelled):
            await waiting
        await other.request(rollback=kv_pb2.Rollback(), txn_id=b"x" * 16)
        assert await values(stream) == [b"old"] * 3
        await stream.request(commit=commit_of(ROWS, b"free"), txn_id=b"z" * 16)
        assert await values(stream) == [b"free"] * 3

    run_virtual(body)


def crash_after(node, batch_count):
    """Lose everything when so many writes of the store are done; return an event for that."""
    crashed, left, run = asyncio.Event(), batch_count, node.writer.run

    def counted(operations, report):
        nonlocal left
        if left == 0:
            node.writer.is_dead = True  # this write never happens
            crashed.set()
            return
        left -= 1
        run(operations, report)

    node.writer.run = counted
    return crashed


@pytest.mark.parametrize("step", range(8))
def test_a_crash_between_any_two_steps(step):
    """After a crash one range would have the new row and another the old one, for ever."""

    async def body(loop):
        node, tenant_id = await start(loop, seed=step)
        stream = node.stream(tenant_id)
        await stream.request(commit=commit_of(ROWS, b"old"), txn_id=b"o" * 16)
        await asyncio.sleep(1)
        crashed = crash_after(node, step)
        stream.request(commit=commit_of(ROWS[:2], b"new", deletes=[b"q"]), txn_id=TXN)
        async with asyncio.timeout(60):
            done = asyncio.ensure_future(crashed.wait())
            await asyncio.wait([done], timeout=5)  # the last steps have no further write
            done.cancel()
        node.crash()
        stream = node.stream(tenant_id)
        status = (await stream.request(txn_status=kv_pb2.TxnStatus(txn_id=TXN))).txn_status
        is_committed = status.state == kv_pb2.TxnStatusResult.COMMITTED
        expected = [b"new", b"new", None] if is_committed else [b"old"] * 3
        # A prewrite of each range, then the record: that decides.
        assert is_committed == (step > len(ROWS))
        assert await values(stream) == expected
        await asyncio.sleep(5)
        assert await values(stream) == expected
        assert node.engine.snapshot().seek(Table.LAYERS, b"") is None, "recovery left nothing"
        await stream.request(commit=commit_of(ROWS, b"next"), txn_id=b"n" * 16)
        assert await values(stream) == [b"next"] * 3

    run_virtual(body)


async def transfers(node, tenant_id, rng, sums, acknowledged):
    """Move money between accounts of different ranges until the node is gone."""
    stream = node.stream(tenant_id)
    while not stream.session.is_closed:
        txn_id = rng.randbytes(16)
        try:
            answer = await stream.request(multi_get=kv_pb2.MultiGet(keys=ROWS))
            balances = [int(value) for value in answer.values.values]
            sums.add(sum(balances))
            source, target = rng.sample(range(len(ROWS)), 2)
            balances[source] -= 1
            balances[target] += 1
            commit = kv_pb2.Commit(
                footprint=kv_pb2.Footprint(keys=ROWS),
                writes=kv_pb2.Writes(
                    put_keys=[ROWS[source], ROWS[target], b"log" + txn_id],
                    put_values=[b"%d" % balances[source], b"%d" % balances[target], b"1"],
                ),
            )
            await stream.request(commit=commit, txn_id=txn_id, read_ts=answer.read_ts)
            acknowledged.append(b"log" + txn_id)
        except KvError:
            await asyncio.sleep(rng.uniform(0, 0.01))


@pytest.mark.parametrize("seed", range(12))
def test_transfers_between_ranges_balance(seed):
    """Money would come into being whenever a crash hits between two ranges."""

    async def body(loop):
        rng = random.Random(seed)
        node, tenant_id = await start(loop, seed)
        stream = node.stream(tenant_id)
        await stream.request(commit=commit_of(ROWS, b"100"), txn_id=TXN)
        sums, acknowledged = set(), []
        for _ in range(4):
            clients = [
                asyncio.ensure_future(transfers(node, tenant_id, rng, sums, acknowledged))
                for _ in range(3)
            ]
            await asyncio.sleep(rng.uniform(0.05, 0.5))
            node.crash()
            for task in clients:
                task.cancel()
            await asyncio.gather(*clients, return_exceptions=True)
        stream = node.stream(tenant_id)
        await asyncio.sleep(2)
        assert sums == {300}, f"{seed=}"
        assert sum(int(value) for value in await values(stream)) == 300
        assert acknowledged, "a simulation that commits nothing proves nothing"
        assert None not in await values(stream, acknowledged), f"{seed=}: acknowledged, and lost"

    run_virtual(body)
