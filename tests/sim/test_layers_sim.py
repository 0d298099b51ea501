"""Large transactions against a model that keeps every version, with crashes at any step."""

import asyncio
import os
import random

import pytest

from kvapi.errors import KeyExists, KvError, WriteConflict
from kvapi.pb import kv_pb2
from kvnode.mvcc import intents as intents_module
from kvnode.storage.engine import Table
from kvnode.txn.layer_mover import LayerMover
from kvnode.verify import problems_of, verify_store
from tests.kv_blocks import block_rows
from tests.sim.sim_node import SimNode
from tests.sim.virtual_loop import run_virtual

SEEDS = range(int(os.environ.get("INSULA_SIM_SEEDS", "50")))
STEPS = 80
KEYS = [b"r%c%c" % (a, b) for a in b"abcd" for b in b"\x00\x01z"]
SPAN = (b"r", b"s")


class Model:
    """Every version of every key, and what the open transactions have staged."""

    def __init__(self):
        self.versions = {key: [] for key in KEYS}
        self.times = []

    def apply(self, commit_ts, writes):
        for key, value in writes.items():
            self.versions[key].append((commit_ts, value))
        self.times.append(commit_ts)

    def read(self, key, ts, own=()):
        for layer in reversed(own):
            if key in layer:
                return layer[key]
        return next((v for t, v in reversed(self.versions[key]) if t <= ts), None)

    def rows(self, ts, own=(), *, start=b"", end=b"\xff"):
        found = ((key, self.read(key, ts, own)) for key in sorted(KEYS) if start <= key < end)
        return [(key, value) for key, value in found if value is not None]

    def changed(self, keys, span, since):
        """Tell whether something was changed, and whether it was at least written."""
        inside = [key for key in KEYS if key in keys or span[0] <= key < span[1]]
        written = [(key, ts) for key in inside for ts, _ in self.versions[key] if ts > since]
        return any(self.read(key, ts) != self.read(key, ts - 1) for key, ts in written), written


class Txn:
    """An open transaction: numbers and contents of its layers."""

    def __init__(self, txn_id, read_ts):
        self.txn_id, self.read_ts = txn_id, read_ts
        self.numbers, self.layers = [], []
        self.used = 0
        self.locked = set()

    def merged(self):
        return {key: value for layer in self.layers for key, value in layer.items()}


def message(writes):
    puts = {key: value for key, value in writes.items() if value is not None}
    deletes = [key for key, value in writes.items() if value is None]
    return kv_pb2.Writes(put_keys=list(puts), put_values=list(puts.values()), delete_keys=deletes)


class Run:
    """One seed."""

    def __init__(self, node, tenant_id, rng):
        self.node, self.tenant_id, self.rng = node, tenant_id, rng
        self.stream = node.stream(tenant_id)
        self.model = Model()
        self.open = []
        self.counts = dict.fromkeys(["commit", "layered", "conflict", "read", "crash", "lost"], 0)
        self.serial = 0

    def free_keys(self, txn=None):
        taken = set().union(*(other.locked for other in self.open if other is not txn), ())
        return [key for key in KEYS if key not in taken]

    def writes(self, keys, most):
        chosen = self.rng.sample(keys, min(len(keys), self.rng.randint(1, most)))
        self.serial += 1
        return {k: None if self.rng.random() < 0.3 else b"v%d" % self.serial for k in chosen}

    def newest(self):
        return self.model.times[-1]

    async def begin(self):
        if len(self.open) < 3:
            self.open.append(Txn(self.rng.randbytes(16), self.newest()))

    async def stage(self):
        if not self.open:
            return
        txn = self.rng.choice(self.open)
        keys = self.free_keys(txn)
        if not keys:
            return
        writes = self.writes(keys, 8)
        opens = not txn.numbers or self.rng.random() < 0.5
        number = txn.used + 1 if opens else txn.numbers[-1]
        puts = [key for key, value in writes.items() if value is not None]
        absent = [key for key in puts if self.rng.random() < 0.2]
        exists = any(self.model.read(key, self.newest(), txn.layers) is not None for key in absent)
        staged = kv_pb2.Stage(writes=message(writes), layer=number, absent_keys=absent)
        try:
            await self.stream.request(txn_id=txn.txn_id, stage=staged)
        except KeyExists:
            assert exists
            return
        assert not exists
        if number not in txn.numbers:
            txn.numbers.append(number)
            txn.layers.append({})
            txn.used = number
        txn.layers[-1].update(writes)
        txn.locked.update(writes)

    async def unstage(self):
        txns = [txn for txn in self.open if txn.numbers]
        if not txns:
            return
        txn = self.rng.choice(txns)
        number = self.rng.choice(txn.numbers)
        await self.stream.request(txn_id=txn.txn_id, unstage=kv_pb2.Unstage(layer=number))
        at = txn.numbers.index(number)
        del txn.numbers[at:], txn.layers[at:]

    async def rollback(self):
        if self.open:
            txn = self.open.pop(self.rng.randrange(len(self.open)))
            await self.stream.request(txn_id=txn.txn_id, rollback=kv_pb2.Rollback())

    async def commit(self):
        if not self.open:
            return
        txn = self.rng.choice(self.open)
        direct = self.writes(self.free_keys(txn), 3) if self.rng.random() < 0.6 else {}
        writes = txn.merged() | direct
        keys = self.rng.sample(KEYS, 2)
        low, high = sorted(self.rng.sample([*KEYS, b"s"], 2))
        footprint = kv_pb2.Footprint(keys=keys, spans=[kv_pb2.Span(start=low, end=high)])
        must_conflict, may_conflict = self.model.changed(keys, (low, high), txn.read_ts)
        if self.rng.random() < 0.5:
            footprint, must_conflict, may_conflict = kv_pb2.Footprint(), False, False
        request = self.stream.request(
            txn_id=txn.txn_id,
            read_ts=txn.read_ts,
            commit=kv_pb2.Commit(footprint=footprint, writes=message(direct)),
        )
        self.open.remove(txn)
        if self.rng.random() < 0.1:
            await self.crash()
        try:
            commit_ts = (await request).commit.commit_ts
        except WriteConflict:
            assert may_conflict, "a conflict that is none"
            self.counts["conflict"] += 1
            return
        except KvError:
            commit_ts = await self.outcome(txn.txn_id)
            if not commit_ts:
                self.counts["lost"] += 1
                return
        assert not must_conflict, "a conflict was missed"
        if writes:
            self.model.apply(commit_ts, writes)
        self.counts["commit"] += 1
        self.counts["layered"] += bool(txn.layers)

    async def outcome(self, txn_id):
        status = await self.stream.request(txn_status=kv_pb2.TxnStatus(txn_id=txn_id))
        return status.txn_status.commit_ts

    async def small(self):
        keys = self.free_keys()
        if not keys:
            return
        writes = self.writes(keys, 2)
        response = await self.stream.request(commit=kv_pb2.Commit(writes=message(writes)))
        self.model.apply(response.commit.commit_ts, writes)

    async def crash(self):
        self.counts["crash"] += 1
        self.node.crash()
        self.stream = self.node.stream(self.tenant_id)
        self.open.clear()

    async def settle(self):
        await asyncio.sleep(self.rng.uniform(0, 0.02))

    async def read(self):
        self.counts["read"] += 1
        own = self.rng.choice([None, *self.open])
        ts = self.rng.choice(self.model.times)
        fields, layers = {"read_ts": ts}, ()
        if own is not None:
            fields["txn_id"], layers = own.txn_id, own.layers
            if own.numbers and self.rng.random() < 0.3:
                at = self.rng.randrange(len(own.numbers))
                fields["layer_max"], layers = own.numbers[at], layers[: at + 1]
        got = await self.stream.request(multi_get=kv_pb2.MultiGet(keys=KEYS), **fields)
        expected = [self.model.read(key, ts, layers) for key in KEYS]
        values = zip(got.values.values, got.values.found, strict=True)
        assert [value if found else None for value, found in values] == expected
        key = self.rng.choice(KEYS)
        one = (await self.stream.request(get=kv_pb2.Get(key=key), **fields)).value
        assert (one.value if one.HasField("value") else None) == self.model.read(key, ts, layers)
        await self.scan(ts, layers, fields)

    async def scan(self, ts, layers, fields):
        start, end = sorted(self.rng.sample([*KEYS, *SPAN], 2))
        reverse, limit = self.rng.random() < 0.5, self.rng.choice([0, 1, 2, 5])
        wanted = self.model.rows(ts, layers, start=start, end=end)
        rows, more = [], True
        while more:
            scan = kv_pb2.Scan(start=start, end=end, reverse=reverse, limit_rows=limit)
            block = (await self.stream.request(scan=scan, **fields)).block
            part = block_rows(block)
            rows += part
            more = block.more
            if more and reverse:
                end = part[-1][0]
            elif more:
                start = part[-1][0] + b"\x00"
            more = more and start < end
        assert rows == (wanted[::-1] if reverse else wanted)


async def drained(node, loop):
    """Wait until all layers were moved or discarded."""
    for _ in range(10_000):
        view = node.engine.snapshot()
        is_empty = view.seek(Table.LAYERS, b"\x00") is view.seek(Table.INTENTS, b"\x00") is None
        if is_empty and node.core.group.is_idle:  # it is gone from the disk, and that was reported
            return
        await asyncio.sleep(0.01)
    raise AssertionError("layers were left behind")


def slow_down(monkeypatch, loop, rng):
    """Let layers lie unmoved for a while, so that others come to lie over them."""
    wake = LayerMover.wake

    def later(mover, tenant):
        if rng.random() < 0.5:
            wake(mover, tenant)
        else:
            loop.call_later(rng.uniform(0, 0.1), wake, mover, tenant)

    monkeypatch.setattr(LayerMover, "wake", later)


async def body(loop, seed, monkeypatch):
    rng = random.Random(seed)
    slow_down(monkeypatch, loop, rng)
    node = SimNode(loop, seed)
    run = Run(node, await node.create("t"), rng)
    actions = {
        run.begin: 5,
        run.stage: 14,
        run.unstage: 2,
        run.rollback: 1,
        run.commit: 5,
        run.small: 5,
        run.read: 8,
        run.settle: 2,
        run.crash: 1,
    }
    await run.small()
    for step in range(STEPS):
        (action,) = rng.choices(list(actions), list(actions.values()))
        try:
            await action()
        except AssertionError as error:
            raise AssertionError(f"{seed=} {step=} {action.__name__}: {error}") from error
    problems = problems_of(verify_store(node.engine.snapshot()))
    assert not problems, f"{seed=}: {problems}"
    for txn in run.open:
        await run.stream.request(txn_id=txn.txn_id, rollback=kv_pb2.Rollback())
    run.open.clear()
    await drained(node, loop)
    for _ in range(5):
        await run.read()
    problems = problems_of(verify_store(node.engine.snapshot()))
    assert not problems, f"{seed=}: {problems}"
    tenant = node.core.tenants.load(run.tenant_id)
    assert tenant.layers.size_bytes == 0, f"{seed=}"
    assert len(node.core.locks.table) == 0, f"{seed=}: locks were left behind"
    return run.counts


@pytest.mark.parametrize("seed", SEEDS)
def test_every_reader_agrees_with_the_model(seed, monkeypatch):
    """A large transaction would be seen in part, lost in part, or seen by those who must not."""
    monkeypatch.setattr(intents_module, "RESOLVE_ROWS_MAX", 2)
    monkeypatch.setattr(intents_module, "DISCARD_ROWS_MAX", 2)
    run_virtual(body, seed, monkeypatch)
