"""A simulated node whose loop its requests keep busy, and what tenants do to it."""

import asyncio
import random

from kvapi.pb import kv_pb2
from kvnode.node_config import NodeConfig
from tests.sim.busy_engine import BusyEngine
from tests.sim.sim_node import SimNode

ROWS = 1_500


class Field:
    """A node, and tenants with rows."""

    def __init__(self, loop, *, seed=0, **config):
        self.loop = loop
        self.rng = random.Random(seed)
        self.node = SimNode(loop, seed, NodeConfig(**config), BusyEngine(loop))
        self.ends_s = 0.0

    async def tenant(self, name, *, rows=ROWS, weight=None):
        """Create a tenant with rows; return a stream of it."""
        stream = self.node.stream(await self.node.create(name))
        if weight is not None:
            await self.node.lifecycle.change(name, suspended=None, gc_ttl_s=None, weight=weight)
        writes = kv_pb2.Writes(
            put_keys=[b"k%05d" % n for n in range(rows)], put_values=[b"v" * 50] * rows
        )
        await stream.request(commit=kv_pb2.Commit(writes=writes))
        return stream

    async def closed_loop(self, stream, make, *, depth):
        """Keep `depth` requests under way until the end; return how many were answered."""
        answered = 0

        async def one():
            nonlocal answered
            while self.loop.time() < self.ends_s:
                await stream.request(**make())
                await asyncio.sleep(0)  # over a socket the next one comes with another turn
                answered += 1

        await asyncio.gather(*(one() for _ in range(depth)))
        return answered

    async def quiet(self, stream, make, *, gap_s=0.01):
        """Ask now and then until the end; return the waits, in order of size."""
        waits = []
        while self.loop.time() < self.ends_s:
            pause_s = gap_s * self.rng.uniform(0.5, 1.5)
            began_s = self.loop.time() + pause_s  # not when the busy loop noticed
            await asyncio.sleep(pause_s)
            await stream.request(**make())
            waits.append(self.loop.time() - began_s)
        return sorted(waits)

    def get(self):
        return {"get": kv_pb2.Get(key=b"k%05d" % self.rng.randrange(ROWS))}

    def scan(self):
        return {"scan": kv_pb2.Scan()}

    def put(self):
        key = b"k%05d" % self.rng.randrange(ROWS)
        return {"commit": kv_pb2.Commit(writes=kv_pb2.Writes(put_keys=[key], put_values=[b"n"]))}

    def lock_many(self):
        keys = [b"k%05d" % self.rng.randrange(ROWS) for _ in range(30)]
        return {"multi_get": kv_pb2.MultiGet(keys=keys)}
