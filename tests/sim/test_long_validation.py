"""Validations that take many turns, among commits, large transactions and garbage collection.

All bounds are tiny: memory forgets after a few keys, and a turn looks at a row or two. So nearly
every verdict comes from a walk through the store while others write to where it has been.
"""

import asyncio
import os
import random

import pytest

from kvapi.errors import Deadlock, SnapshotTooOld, WriteConflict
from kvapi.pb import kv_pb2
from kvnode.node_config import NodeConfig
from kvnode.txn.store_walk import StoreWalk
from kvnode.txn.validation import Validation
from tests.sim.busy_engine import BusyEngine
from tests.sim.sim_node import SimNode
from tests.sim.virtual_loop import run_virtual

SEEDS = range(int(os.environ.get("INSULA_SIM_SEEDS", "300")))
KEYS = [b"k%02d" % n for n in range(40)]
ROUNDS = 8


class Run:
    """One seed: writers and validators, and what they were told."""

    def __init__(self, node, tenant_id, rng):
        self.node, self.rng = node, rng
        self.streams = [node.stream(tenant_id) for _ in range(3)]
        self.written = []  # (commit_ts, key, is a put)
        self.valid, self.conflicts = [], []  # (keys, span, since_ts, until_ts)
        self.is_over = False
        self.walked = 0

    def txn_id(self):
        return self.rng.randbytes(16)

    async def pause(self, s_max):
        await asyncio.sleep(self.rng.uniform(0, s_max))

    async def write(self):
        """Commit small and large transactions."""
        while not self.is_over:
            stream, txn_id = self.rng.choice(self.streams), self.txn_id()
            keys = self.rng.sample(KEYS, self.rng.choice([1, 1, 2, 6]))
            cut = self.rng.randrange(len(keys) + 1) if len(keys) > 2 else 0
            writes = {key: self.rng.random() < 0.7 for key in keys}
            try:
                if cut:
                    chunk = kv_pb2.Stage(writes=message(writes, keys[:cut]), layer=1)
                    await stream.request(txn_id=txn_id, stage=chunk)
                commit = kv_pb2.Commit(writes=message(writes, keys[cut:]))
                answer = await stream.request(txn_id=txn_id, commit=commit)
            except Deadlock:
                await stream.request(txn_id=txn_id, rollback=kv_pb2.Rollback())
            else:
                commit_ts = answer.commit.commit_ts
                self.written += [(commit_ts, key, is_put) for key, is_put in writes.items()]
            await self.pause(0.002)

    async def validate(self, name):
        """Read nothing, wait, and ask whether anything has changed."""
        for _ in range(ROUNDS):
            stream, txn_id = self.rng.choice(self.streams), self.txn_id()
            read_ts = (await stream.request(get=kv_pb2.Get(key=b"x"))).read_ts
            await self.pause(self.rng.choice([0.001, 0.02]))
            keys = self.rng.sample(KEYS, self.rng.choice([0, 1, 3]))
            low, high = sorted(self.rng.sample([*KEYS, b"l"], 2))
            if self.rng.random() < 0.6:
                high = min(high, low + b"\xff")  # one key
            spans = [kv_pb2.Span(start=low, end=high)]
            read = (keys, (low, high), read_ts)
            footprint = kv_pb2.Footprint(keys=keys, spans=spans)
            try:
                until_ts = await self.ask(stream, txn_id, name, read_ts, footprint)
            except WriteConflict as error:
                self.conflicts.append((*read, error))
            except SnapshotTooOld:
                pass
            else:
                self.valid.append((*read, until_ts))

    async def ask(self, stream, txn_id, name, read_ts, footprint):
        if self.rng.random() < 0.3:
            refresh = kv_pb2.Refresh(footprint=footprint)
            return (await stream.request(read_ts=read_ts, refresh=refresh)).read_ts
        writes = kv_pb2.Writes(put_keys=[name], put_values=[b"v"])
        commit = kv_pb2.Commit(footprint=footprint, writes=writes)
        answer = await stream.request(txn_id=txn_id, read_ts=read_ts, commit=commit)
        return answer.commit.commit_ts - 1

    async def upkeep(self):
        while not self.is_over:
            await asyncio.sleep(0.003)
            await self.node.maintenance.run_once()

    def check(self):
        present, changes = set(), []
        for ts, key, is_put in sorted(self.written):
            if is_put or key in present:  # else it was deleted already: no change
                changes.append((ts, key))
            present.add(key) if is_put else present.discard(key)
        for *read, until_ts in self.valid:
            missed = inside(changes, *read, until_ts)
            assert not missed, f"{read} was valid until {until_ts}, but {missed}"
        writes = [(ts, key) for ts, key, _ in self.written]
        for *read, error in self.conflicts:
            is_real = error.detail or inside(writes, *read, 1 << 63)
            assert is_real, f"{read}: a conflict that is none, at {error.key}"


def message(writes, keys):
    puts = [key for key in keys if writes[key]]
    deletes = [key for key in keys if not writes[key]]
    return kv_pb2.Writes(put_keys=puts, put_values=[b"v"] * len(puts), delete_keys=deletes)


def inside(changes, keys, span, since_ts, until_ts):
    """Return what was changed of what was read, after `since_ts` and up to `until_ts`."""
    return [
        (ts, key)
        for ts, key in changes
        if since_ts < ts <= until_ts and (key in keys or span[0] <= key < span[1])
    ]


async def simulate(loop, seed):
    rng = random.Random(seed)
    config = NodeConfig(
        recent_keys_max=rng.choice([1, 4, 30]),
        recent_s=rng.choice([0.002, 120]),
        validate_rows_max=rng.choice([1, 2, 7]),
        gc_ttl_s=rng.choice([0.01, 600]),
        gc_ttl_s_min=0.01,
    )
    engine = BusyEngine(loop, get_s=0.0002, row_s=rng.choice([0.0002, 0.0008]))  # of a millisecond
    node = SimNode(loop, seed, config, engine)
    run = Run(node, await node.create("t"), rng)
    works = [loop.create_task(work) for work in (run.write(), run.write(), run.upkeep())]
    try:
        async with asyncio.timeout(60):
            await asyncio.gather(*(run.validate(b"w%d" % n) for n in range(3)))
    finally:
        run.is_over = True
        await asyncio.gather(*works)
    run.walked = node.core.validations.begun_count
    tenant = node.core.load_tenant(1)
    assert not tenant.reads, "a validation was left behind"
    return run


@pytest.mark.parametrize("seed", SEEDS)
def test_no_conflict_is_missed_and_none_is_made_up(seed):
    """A walk among writers lets through what has changed, or refuses what has not."""
    run_virtual(simulate, seed).check()


def test_the_simulation_walks_and_decides_both_ways():
    """A simulation whose every verdict is the same proves nothing."""
    runs = [run_virtual(simulate, seed) for seed in range(5)]
    assert sum(run.walked for run in runs) > 50
    assert sum(len(run.valid) for run in runs) > 20
    assert sum(len(run.conflicts) for run in runs) > 20


@pytest.mark.parametrize("fault", ["skips the history", "forgets the layers", "looks only once"])
def test_broken_walks_are_found(fault, monkeypatch):
    """The simulation would pass whatever validation does."""
    break_validation(fault, monkeypatch)
    with pytest.raises(AssertionError, match="was valid until"):
        check_seeds(range(60))


def check_seeds(seeds):
    for seed in seeds:
        run_virtual(simulate, seed).check()


def break_validation(fault, monkeypatch):
    if fault == "skips the history":
        init = StoreWalk.__init__

        def live_only(walk, parts, *, since_ts):
            init(walk, parts, since_ts=since_ts)
            for _ in parts.spans:
                walk._stretches.rotate(-1)
                walk._stretches.popleft()

        monkeypatch.setattr(StoreWalk, "__init__", live_only)
    elif fault == "forgets the layers":
        monkeypatch.setattr("kvnode.txn.layer_look.LayerLook.step", lambda *_, **__: True)
    else:
        look = Validation._look_at_newer

        def once(validation, *arguments):
            return bool(validation._walk_count) or look(validation, *arguments)

        monkeypatch.setattr(Validation, "_look_at_newer", once)
