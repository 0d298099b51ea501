"""The process that is cut off: a real node's core on LMDB, fed by one seed. See `test_store.py`.

It tells what it does through the file `acks`, a line each, whose place in the log of writes says
what was acknowledged when:

    submit tenant, n, txn, puts {key: size}, deletes     about to commit
    commit tenant, n, ts                                 acknowledged
    counter tenant, value                                acknowledged
    tenant id, name  ·  dropping name  ·  dropped name   the tenants
"""

import asyncio
import json
import os
import random
import sys
from pathlib import Path

import lmdb

from kvapi.footprint import EMPTY_FOOTPRINT
from kvnode.core import Core, Identity
from kvnode.node_config import NodeConfig
from kvnode.storage.lmdb_engine import LmdbConfig, LmdbEngine
from kvnode.tenants.lifecycle import TenantLifecycle
from kvnode.tenants.maintenance import Maintenance
from kvnode.txn.counters import Step
from kvnode.txn.sequencer import CommitRequest
from kvnode.txn.writer_thread import WriterThread
from runtime.clock import ManualClock

MAP_BYTES = 256 << 10  # it grows on the way
KEYS = 40


def value_of(n, key, size):
    """Return the value that commit `n` gives `key`."""
    return (f"{n}.{key}." * (size // 4 + 1)).encode()[:size]


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

    def say(self, *words):
        os.write(self.acks, json.dumps(words).encode() + b"\n")

    async def create(self, name):
        tenant = await self.lifecycle.create(name, "owner", "x")
        self.say("tenant", tenant.id, name)
        self.count[tenant.id], self.live[tenant.id] = 0, set()
        return tenant

    async def run(self, steps):
        tenants = [await self.create("acme"), await self.create("globex")]
        passing = await self.create("passing")
        for step in range(steps):
            self.core.clock.advance(self.rng.uniform(0.001, 0.5))
            several = self.rng.choice((1, 1, 1, 2, 5))
            answers = [self.commit(self.rng.choice(tenants)) for _ in range(several)]
            answers += [self.commit(passing)] if passing else []
            if self.rng.random() < 0.1:
                answers.append(self.increment(tenants[0]))
            await asyncio.gather(*answers)
            if self.rng.random() < 0.15:
                await self.maintenance.run_once()
            if step == steps * 2 // 3 and passing:
                self.say("dropping", "passing")
                await self.lifecycle.drop("passing")
                self.say("dropped", "passing")
                passing = None

    def commit(self, tenant):
        n = self.count[tenant.id] = self.count[tenant.id] + 1
        rng, live = self.rng, self.live[tenant.id]
        names = [f"k{rng.randrange(KEYS)}" for _ in range(rng.choice((1, 1, 3, 12)))]
        puts = {name: rng.choice((5, 60, 60, 900)) for name in names} | {"n": 8}
        if rng.random() < 0.05:
            puts["big"] = rng.randrange(5_000, 30_000)
        deletes = rng.sample(sorted(live), min(len(live), rng.choice((0, 0, 1, 5))))
        deletes = [name for name in deletes if name not in puts]
        live.update(name for name in puts if name != "n")
        live.difference_update(deletes)
        txn_id = rng.randbytes(16)
        self.say("submit", tenant.id, n, txn_id.hex(), puts, deletes)
        done = self.core.loop.create_future()

        def answer(commit_ts, error):
            if error is None:
                self.say("commit", tenant.id, n, commit_ts)
            done.set_exception(error) if error else done.set_result(commit_ts)

        def key(name):
            return tenant.prefix + b"data." + name.encode()

        request = CommitRequest(
            tenant=tenant,
            owner=object(),
            txn_id=txn_id,
            read_ts=0,
            catalog_version=0,
            puts={key(name): value_of(n, name, size) for name, size in puts.items()},
            deletes=[key(name) for name in deletes],
            answer=answer,
            footprint=EMPTY_FOOTPRINT,
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


async def main(folder, seed, steps):
    """Run the workload on a new store."""
    loop = asyncio.get_running_loop()
    engine = LmdbEngine(folder / "store", LmdbConfig(map_bytes=MAP_BYTES))
    writer = WriterThread(engine, loop)
    core = Core(
        engine,
        writer,
        config=NodeConfig(gc_ttl_s=3.0, txn_record_life_s=6.0),
        identity=Identity(b"c" * 16, b"s" * 32),
        clock=ManualClock(),
        loop=loop,
    )
    await Workload(folder, seed, core).run(steps)
    writer.stop()


if __name__ == "__main__":
    if "--no-sync" in sys.argv:
        lmdb.open = open_without_sync
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
