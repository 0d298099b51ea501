"""The process that is cut off: a real node's core on LMDB, fed by one seed. See `test_store.py`.

It tells what it does through the file `acks`, a line each, whose place in the log of writes says
what was acknowledged when:

    submit tenant, n, txn, puts {key: [tag, size]}, deletes    about to commit
    commit tenant, n, ts                                       acknowledged
    counter tenant, value                                      acknowledged
    tenant id, name  ·  dropping name  ·  dropped name         the tenants
"""

import asyncio
import json
import os
import random
import sys
from pathlib import Path

import lmdb

from kvnode.core import Core, Identity
from kvnode.node_config import NodeConfig
from kvnode.storage.lmdb_engine import LmdbConfig, LmdbEngine
from kvnode.tenants.lifecycle import TenantLifecycle
from kvnode.tenants.maintenance import Maintenance
from kvnode.txn.counters import Step
from kvnode.txn.layers import StageRequest
from kvnode.txn.sequencer import CommitRequest
from kvnode.txn.writer_thread import WriterThread
from runtime.clock import ManualClock

MAP_BYTES = 256 << 10  # it grows on the way
KEYS = 40
LARGE_KEYS = 320  # of large transactions alone; more than the mover takes at once
CHUNK_ROWS = 150


def value_of(tag, key, size):
    """Return the value that a commit gives `key`; `tag` is its number, or its chunk's."""
    return (f"{tag}.{key}." * (size // 4 + 1)).encode()[:size]


def rows_of(prefix, puts):
    """Return name → (tag, size) as rows."""
    return {row_key(prefix, name): value_of(tag, name, size) for name, (tag, size) in puts.items()}


def row_key(prefix, name):
    """Return where the row `name` is stored."""
    return prefix + b"data." + name.encode()


class Workload:
    """Commits, deletes, counters, upkeep, tenants that come and go."""

    def __init__(self, folder, seed, core):
        self.core = core
        self.rng = random.Random(seed)
        self.acks = os.open(folder / "acks", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.lifecycle = TenantLifecycle(core)
        self.maintenance = Maintenance(core)
        self.count = {}
        self.live = {}
        self.large_live = {}
        self.is_large = set()  # tenants with a large transaction under way
        self.large_count = 0
        self.has_big = set()  # tenants whose big row is in this step's commits

    def say(self, *words):
        os.write(self.acks, json.dumps(words).encode() + b"\n")

    async def create(self, name):
        tenant = await self.lifecycle.create(name, "owner", "x")
        self.say("tenant", tenant.id, name)
        self.count[tenant.id], self.live[tenant.id], self.large_live[tenant.id] = 0, set(), set()
        return tenant

    async def run(self, steps):
        tenants = [await self.create("acme"), await self.create("globex")]
        passing, larges = await self.create("passing"), []
        for step in range(steps):
            self.core.clock.advance(self.rng.uniform(0.001, 0.5))
            self.has_big.clear()
            several = self.rng.choice((1, 1, 1, 2, 5))
            answers = [self.commit(self.rng.choice(tenants)) for _ in range(several)]
            answers += [self.commit(passing)] if passing else []
            if self.rng.random() < 0.1:
                answers.append(self.increment(tenants[0]))
            await asyncio.gather(*answers)
            if self.rng.random() < 0.1:
                larges.append(asyncio.ensure_future(self.large(self.rng.choice(tenants))))
            if self.rng.random() < 0.15:
                await self.maintenance.run_once()
            if step == steps * 2 // 3 and passing:
                self.say("dropping", "passing")
                await self.lifecycle.drop("passing")
                self.say("dropped", "passing")
                passing = None
        await asyncio.gather(*larges)

    def commit(self, tenant):
        rng, live, n = self.rng, self.live[tenant.id], self.count[tenant.id] + 1
        names = [f"k{rng.randrange(KEYS)}" for _ in range(rng.choice((1, 1, 3, 12)))]
        puts = {name: (n, rng.choice((5, 60, 60, 900))) for name in names}
        # Once in a batch: a value made smaller in the same write keeps its pages, and lmdb.verify
        # takes that for damage.
        if rng.random() < 0.05 and tenant.id not in self.has_big:
            self.has_big.add(tenant.id)
            puts["big"] = n, rng.randrange(5_000, 30_000)
        deletes = rng.sample(sorted(live), min(len(live), rng.choice((0, 0, 1, 5))))
        deletes = [name for name in deletes if name not in puts]
        live.update(puts)
        live.difference_update(deletes)
        return self.submit(tenant, rng.randbytes(16), puts, deletes)

    async def large(self, tenant):
        """Stage layers, drop one perhaps, then commit or roll back."""
        if tenant.id in self.is_large:
            return
        self.is_large.add(tenant.id)
        self.large_count += 1
        rng, txn_id = self.rng, self.rng.randbytes(16)
        owner, layers = (1, self.large_count), {}
        for layer in range(1, rng.choice((1, 2, 3)) + 1):
            puts, deletes = layers[layer] = {}, set()
            for chunk in range(rng.choice((1, 3))):
                await self.stage(tenant, owner, txn_id, layer, chunk, puts, deletes)
        staged = self.core.intents.find(tenant, owner)
        if rng.random() < 0.3:
            self.core.intents.unstage(staged, layer)
            del layers[layer]
        if rng.random() < 0.2:
            self.core.intents.rollback(tenant, owner)
            self.core.locks.release(owner)
        else:
            await self.submit_layers(tenant, owner, txn_id, layers, staged)
        self.is_large.remove(tenant.id)

    async def stage(self, tenant, owner, txn_id, layer, chunk, puts, deletes):
        rng, tag = self.rng, f"{self.large_count}-{layer}-{chunk}"
        names = [f"L{number}" for number in rng.sample(range(LARGE_KEYS), CHUNK_ROWS)]
        chunk_puts = {name: (tag, rng.choice((5, 60))) for name in names}
        known = sorted((self.large_live[tenant.id] | set(puts)) - set(names))
        chunk_deletes = rng.sample(known, min(len(known), rng.choice((0, 20))))
        puts.update(chunk_puts)
        for name in chunk_deletes:
            puts.pop(name, None)
        deletes.difference_update(chunk_puts)
        deletes.update(chunk_deletes)
        done = self.core.loop.create_future()
        self.core.intents.stage(
            StageRequest(
                tenant=tenant,
                owner=owner,
                txn_id=txn_id,
                number=layer,
                puts=rows_of(tenant.prefix, chunk_puts),
                deletes=[row_key(tenant.prefix, name) for name in chunk_deletes],
                absent_keys=(),
                statement="",
                size_bytes=10_000,
                answer=lambda _, error: (
                    done.set_exception(error) if error else done.set_result(None)
                ),
            )
        )
        await done

    def submit_layers(self, tenant, owner, txn_id, layers, staged):
        puts, deletes = {}, set()
        for layer_puts, layer_deletes in layers.values():
            puts.update(layer_puts)
            deletes.difference_update(layer_puts)
            deletes.update(layer_deletes)
            for name in layer_deletes:
                puts.pop(name, None)
        self.large_live[tenant.id].update(puts)
        self.large_live[tenant.id].difference_update(deletes)
        return self.submit(tenant, txn_id, puts, sorted(deletes), owner=owner, staged=staged)

    def submit(self, tenant, txn_id, puts, deletes, *, owner=None, staged=None):
        """Commit, of a large transaction only what is not staged; say so before and after."""
        n = self.count[tenant.id] = self.count[tenant.id] + 1
        number = {"n": (n, 8)}
        self.say("submit", tenant.id, n, txn_id.hex(), puts | number, deletes)
        done = self.core.loop.create_future()

        def answer(commit_ts, error):
            if error is None:
                self.say("commit", tenant.id, n, commit_ts)
            done.set_exception(error) if error else done.set_result(commit_ts)

        request = CommitRequest(
            tenant=tenant,
            owner=owner or object(),
            txn_id=txn_id,
            read_ts=0,
            catalog_version=0,
            puts=rows_of(tenant.prefix, number if staged else puts | number),
            deletes=[] if staged else [row_key(tenant.prefix, name) for name in deletes],
            answer=answer,
            staged=staged,
        )
        self.core.sequencer.commit(request)
        return done

    def increment(self, tenant):
        done = self.core.loop.create_future()

        def answer(state, error):
            assert error is None, error
            self.say("counter", tenant.id, state[0])
            done.set_result(None)

        self.core.counters.step(tenant, tenant.prefix + b"counter", Step(by=1, start=1), answer)
        return done


def open_without_sync(path, open_it=lmdb.open, **options):
    """Open the store as it must not be, once it is made: the tests have to notice."""
    return open_it(path, **options, sync=not options["subdir"])


def sync_as_bulk(engine, write=LmdbEngine.write, **options):
    """Write everything as only bulk may be written: the tests have to notice."""
    del options
    return write(engine, is_synced=False)


async def main(folder, seed, steps):
    """Run the workload on a new store."""
    loop = asyncio.get_running_loop()
    engine = LmdbEngine(folder / "store", LmdbConfig(map_bytes=MAP_BYTES))
    writer = WriterThread(engine, loop)
    core = Core(
        engine,
        writer,
        # The clock stands still between steps: a disk that seemed slow would seem so for ever.
        config=NodeConfig(gc_ttl_s=3.0, txn_record_life_s=6.0, commit_latency_max_s=1e6),
        identity=Identity(b"c" * 16, b"s" * 32),
        clock=ManualClock(),
        loop=loop,
    )
    await Workload(folder, seed, core).run(steps)
    writer.stop()


if __name__ == "__main__":
    if "--no-sync" in sys.argv:
        lmdb.open = open_without_sync
    if "--no-meta-sync" in sys.argv:
        LmdbEngine.write = sync_as_bulk
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
