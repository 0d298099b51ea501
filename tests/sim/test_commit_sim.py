"""Transactions, random delays, crashes: what was acknowledged stays, and nothing tears."""

import asyncio
import os
import random
from collections import Counter

import pytest

from kvapi.errors import Deadlock, KvError, LockNotAvailable, LockTimeout, WriteConflict
from kvapi.pb import kv_pb2
from tests.kv_blocks import block_rows
from tests.sim.sim_node import SimNode
from tests.sim.virtual_loop import NothingCanHappen, run_virtual

SEEDS = range(int(os.environ.get("INSULA_SIM_SEEDS", "50")))
ACCOUNTS = [b"acct%d" % n for n in range(6)]
TOTAL = 600


def writes(puts=None, deletes=()):
    puts = puts or {}
    return kv_pb2.Writes(put_keys=list(puts), put_values=list(puts.values()), delete_keys=deletes)


async def transfer(client, rng, txn_id, attempts, done):
    """Move money between two accounts, optimistically or under locks, and leave a receipt."""
    stream = client.stream
    source, target = rng.sample(ACCOUNTS, 2)
    if rng.random() < 0.5:
        wait = rng.choice([kv_pb2.BLOCK, kv_pb2.BLOCK, kv_pb2.NOWAIT])
        lock = kv_pb2.Lock(keys=[source, target], wait=wait, timeout_ms=rng.choice([0, 20]))
        got = await stream.request(txn_id=txn_id, lock=lock)
        footprint, read_ts = kv_pb2.Footprint(), got.read_ts
        balances = [int(v) for v in got.values.values]
    else:
        got = await stream.request(multi_get=kv_pb2.MultiGet(keys=[source, target]))
        read_ts = got.read_ts
        balances = [int(v) for v in got.values.values]
        footprint = kv_pb2.Footprint(keys=[source, target])
        await asyncio.sleep(rng.uniform(0, 0.004))
    amount = rng.randint(1, 5)
    puts = {source: b"%d" % (balances[0] - amount), target: b"%d" % (balances[1] + amount)}
    attempts[txn_id] = True
    if rng.random() < 0.3:
        receipt = [b"r" + txn_id]
        staged = kv_pb2.Stage(writes=writes({b"r" + txn_id: b"1"}), absent_keys=receipt)
        await stream.request(txn_id=txn_id, stage=staged)
        commit = kv_pb2.Commit(footprint=footprint, writes=writes(puts))
    else:
        puts[b"r" + txn_id] = b"1"
        commit = kv_pb2.Commit(
            footprint=footprint, writes=writes(puts), absent_keys=[b"r" + txn_id]
        )
    answer = await stream.request(txn_id=txn_id, read_ts=read_ts, commit=commit)
    done[txn_id] = answer.commit.commit_ts


class Client:
    """One stream that is replaced when it breaks."""

    def __init__(self, node, tenant_id):
        self.node, self.tenant_id = node, tenant_id
        self.stream = node.stream(tenant_id)

    async def run(self, rng, count, attempts, done, failures):
        for _ in range(count):
            txn_id = rng.randbytes(16)
            if self.stream.session.is_closed:
                self.stream = self.node.stream(self.tenant_id)
            try:
                await transfer(self, rng, txn_id, attempts, done)
            except (WriteConflict, LockTimeout, LockNotAvailable, Deadlock) as error:
                failures[type(error).__name__] += 1
                await self.stream.request(txn_id=txn_id, rollback=kv_pb2.Rollback())
            except KvError as error:
                failures[type(error).__name__] += 1
            await asyncio.sleep(rng.uniform(0, 0.003))


async def check_sums(node, tenant_id, stop, read_count):
    """Read all accounts at one snapshot, again and again: the total never changes."""
    while not stop.is_set():
        try:
            stream = node.stream(tenant_id)
            response = await stream.request(scan=kv_pb2.Scan(start=b"acct", end=b"accu"))
            total = sum(int(value) for _, value in block_rows(response.block))
            assert total == TOTAL, f"{total=}"
            read_count[0] += 1
            stream.break_off()
        except KvError:
            pass  # the node crashed under the read
        await asyncio.sleep(0.002)


async def bank(loop, seed):
    rng = random.Random(seed)
    node = SimNode(loop, seed)
    tenant_id = await node.create("bank")
    setup = node.stream(tenant_id)
    opening = writes({key: b"%d" % (TOTAL // len(ACCOUNTS)) for key in ACCOUNTS})
    await setup.request(commit=kv_pb2.Commit(writes=opening))
    attempts, done, failures = {}, {}, Counter()
    stop, read_count = asyncio.Event(), [0]
    checker = loop.create_task(check_sums(node, tenant_id, stop, read_count))
    clients = [Client(node, tenant_id) for _ in range(5)]
    work = asyncio.gather(
        *(c.run(random.Random(rng.random()), 12, attempts, done, failures) for c in clients)
    )
    for _ in range(rng.randint(0, 3)):
        await asyncio.sleep(rng.uniform(0.005, 0.04))
        node.crash()
        await node.maintenance.run_once()
    await work
    stop.set()
    await checker
    await verify(node, tenant_id, attempts, done, seed)
    assert done, f"{seed=}: a simulation that commits nothing proves nothing"
    assert read_count[0]
    assert len(node.core.locks.table) == 0, f"{seed=}: locks were left behind"


async def verify(node, tenant_id, attempts, done, seed):
    stream = node.stream(tenant_id)
    response = await stream.request(scan=kv_pb2.Scan())
    rows = dict(block_rows(response.block))
    assert sum(int(rows[key]) for key in ACCOUNTS) == TOTAL, f"{seed=}"
    receipts = {key[1:] for key in rows if key[:1] == b"r"}
    assert set(done) <= receipts, f"{seed=}: an acknowledged commit is gone"
    for txn_id in attempts:
        status = (await stream.request(txn_status=kv_pb2.TxnStatus(txn_id=txn_id))).txn_status
        assert (status.state == kv_pb2.TxnStatusResult.COMMITTED) == (txn_id in receipts), (
            f"{seed=}"
        )
        if txn_id in done:
            assert status.commit_ts == done[txn_id], f"{seed=}"


@pytest.mark.parametrize("seed", SEEDS)
def test_acknowledged_commits_survive_and_nothing_tears(seed):
    """Money appears or vanishes, or an acknowledged commit is gone after a crash."""
    run_virtual(bank, seed)


async def _doubt(loop):
    node = SimNode(loop)
    tenant_id = await node.create("t")
    stream = node.stream(tenant_id)
    txn_id = b"t" * 16
    status = await stream.request(txn_status=kv_pb2.TxnStatus(txn_id=txn_id))
    assert status.txn_status.state == kv_pb2.TxnStatusResult.UNKNOWN
    with pytest.raises(KvError):
        await stream.request(txn_id=txn_id, commit=kv_pb2.Commit(writes=writes({b"k": b"v"})))
    other = b"o" * 16
    commit = stream.request(txn_id=other, commit=kv_pb2.Commit(writes=writes({b"k": b"v"})))
    asked = stream.request(txn_status=kv_pb2.TxnStatus(txn_id=other))
    assert not asked.done()
    assert (await asked).txn_status.commit_ts == (await commit).commit.commit_ts
    again = await stream.request(txn_id=other, commit=kv_pb2.Commit(writes=writes({b"k": b"v"})))
    assert again.commit.commit_ts == (await commit).commit.commit_ts


def test_a_transaction_called_unknown_never_commits():
    """A client that was told "unknown" runs its transaction again: it must not be applied twice."""
    run_virtual(_doubt)


async def _dead_stream(loop):
    node = SimNode(loop)
    tenant_id = await node.create("t")
    holder, waiter = node.stream(tenant_id), node.stream(tenant_id)
    await holder.request(txn_id=b"h" * 16, lock=kv_pb2.Lock(keys=[b"k"]))
    waiting = waiter.request(txn_id=b"w" * 16, lock=kv_pb2.Lock(keys=[b"k"]))
    blind = waiter.request(commit=kv_pb2.Commit(writes=writes({b"k": b"blind"})))
    await asyncio.sleep(1)
    assert not waiting.done()
    assert not blind.done()
    holder.break_off()
    await waiting
    assert not blind.done()
    await waiter.request(txn_id=b"w" * 16, rollback=kv_pb2.Rollback())
    await blind
    assert (await waiter.request(get=kv_pb2.Get(key=b"k"))).value.value == b"blind"
    assert len(node.core.locks.table) == 0


def test_locks_end_with_their_stream_and_hold_back_writers():
    """A client that vanishes would block a row; a writer that ignores locks loses updates."""
    run_virtual(_dead_stream)


async def _time_travel(loop):
    node = SimNode(loop)
    tenant_id = await node.create("t")
    stream = node.stream(tenant_id)
    first = await stream.request(commit=kv_pb2.Commit(writes=writes({b"k": b"1"})))
    ahead = node.core.timeline.hlc.now() + 1000
    pending = stream.request(commit=kv_pb2.Commit(writes=writes({b"k": b"2"})))
    ahead = max(ahead, node.core.timeline.hlc.newest)
    read = stream.request(read_ts=ahead, get=kv_pb2.Get(key=b"k"))
    later = stream.request(commit=kv_pb2.Commit(writes=writes({b"k": b"3"})))
    assert (await read).value.value == b"2"
    assert (await pending).commit.commit_ts <= ahead < (await later).commit.commit_ts
    again = await stream.request(read_ts=ahead, get=kv_pb2.Get(key=b"k"))
    assert again.value.value == b"2"
    await asyncio.sleep(node.config.gc_ttl_s + 1)
    await node.maintenance.run_once()
    with pytest.raises(KvError, match="older than the garbage"):
        await stream.request(read_ts=first.commit.commit_ts, get=kv_pb2.Get(key=b"k"))
    assert (await stream.request(get=kv_pb2.Get(key=b"k"))).value.value == b"3"


def test_a_snapshot_is_the_same_whenever_it_is_read():
    """AS OF a moment that commits are still reaching would change under its reader."""
    run_virtual(_time_travel)


async def _drop(loop):
    node = SimNode(loop)
    kept = await node.create("kept")
    size = node.engine.used_bytes()
    tenant_id = await node.create("gone")
    assert node.engine.used_bytes() - size <= 2048
    stream = node.stream(tenant_id)
    for n in range(3):
        data = {b"k%d" % i: b"%d" % n for i in range(50)}
        await stream.request(txn_id=b"%016d" % n, commit=kv_pb2.Commit(writes=writes(data)))
    await stream.request(increment=kv_pb2.Increment(key=b"seq", by=1, start=1))
    await stream.request(commit=kv_pb2.Commit(writes=writes(deletes=[b"k1"])))
    await node.lifecycle.drop("gone")
    assert stream.fatal is not None
    prefix = tenant_id.to_bytes(4, "big")
    for table, rows in node.engine._tables.items():
        left = [key for key in rows.keys if prefix in key or b"gone" in key]
        assert not left, (table, left)
    assert node.stream(kept).fatal is None


def test_drop_removes_every_byte():
    """A tenant that left would leave its data behind."""
    run_virtual(_drop)


async def _hang(loop):
    await loop.create_future()


def test_the_virtual_loop_tells_a_hang():
    """A deadlock in a simulation must fail at once, not after the test's timeout."""
    with pytest.raises(NothingCanHappen):
        run_virtual(_hang)
