"""Whole KV nodes in this process: the real core and sockets, with the store in memory.

`Nodes` runs several that know the same tenant, and says which keys each of them holds.
"""

import random
from contextlib import AsyncExitStack

from kvapi.client.config import ClientConfig
from kvapi.client.kv_client import KvClient
from kvapi.credential import sign
from kvnode.core import Core, Identity
from kvnode.node_config import NodeConfig
from kvnode.ranges.descriptor import RangeDescriptor, RangeTable
from kvnode.ranges.keeper import RangeKeeper
from kvnode.server.unix_server import serve_unix
from kvnode.storage.memory_engine import MemoryEngine
from kvnode.tenants.lifecycle import TenantLifecycle
from kvnode.txn.writer_thread import WriterThread
from runtime.address import listen_unix
from runtime.clock import SystemClock

IDENTITY = Identity(b"c" * 16, b"s" * 32)


class Node:
    """One node: `core`, `keeper` and its address."""

    def __init__(self, loop, path, config=None):
        self.path = path
        self.address = f"unix:{path}"
        self.engine = MemoryEngine()
        self.writer = WriterThread(self.engine, loop)
        self.core = Core(
            self.engine,
            self.writer,
            config=config or NodeConfig(),
            identity=IDENTITY,
            clock=SystemClock(),
            loop=loop,
        )
        self.core.set_address(self.address)
        self.lifecycle = TenantLifecycle(self.core)
        self.keeper = RangeKeeper(self.core, random.Random(1))
        self.server = None

    async def start(self):
        self.server = await serve_unix(self.core, listen_unix(str(self.path)))

    def requests(self):
        return self.core.stats.requests

    def stop(self):
        self.server.close()
        self.writer.stop()
        self.core.timeline.release_snapshot()


class Nodes:
    """Several nodes with one tenant, on the same credential."""

    def __init__(self, loop, folder, count=2, config=None):
        self.loop = loop
        self.all = [Node(loop, folder / f"kv{index}", config) for index in range(count)]
        self.generation = 1

    async def __aenter__(self):
        self.stack = AsyncExitStack()
        for node in self.all:
            await node.start()
            self.stack.callback(node.stop)
            self.tenant_id = (await node.lifecycle.create("acme", "owner", "x")).id
        return self

    async def __aexit__(self, *error):
        await self.stack.aclose()

    def tenant(self, node):
        return node.core.load_tenant(self.tenant_id)

    async def assign(self, *cuts, generation=None):
        """Say who holds what: `(start, node index)`, beginning at b""; all nodes learn it."""
        self.generation = generation or self.generation + 1
        bounds = [start for start, _ in cuts] + [b""]
        ranges = tuple(
            RangeDescriptor(
                range_id=index + 1,
                start=start,
                end=bounds[index + 1],
                generation=self.generation,
                leaseholder=self.all[holder].address,
            )
            for index, (start, holder) in enumerate(cuts)
        )
        for node in self.all:
            table = RangeTable(ranges, len(ranges) + 1)
            await node.keeper.assign(self.tenant(node), table)

    def copy_rows(self, source, target):
        """Give `target` all that `source` stores of the tenant: what a move would do."""
        for table, rows in self.all[source].engine._tables.items():
            if table != "system":
                with self.all[target].engine.write() as txn:
                    txn.put_many(table, sorted(rows.rows.items()))
        core = self.all[target].core
        core.timeline.release_snapshot()
        core.timeline.advance(self.all[source].core.timeline.durable_ts)
        core.timeline.hlc.update(core.timeline.durable_ts)

    async def client(self, index=0, **config):
        """Return a client whose home is a node; the block closes it."""
        config = {"connect_wait_s": 5.0, "resolve_wait_s": 5.0} | config
        client = KvClient(
            self.all[index].address, config=ClientConfig(**config), clock=SystemClock()
        )
        self.stack.push_async_callback(client.close)
        await client.connect()
        await client.authenticate(self.credential())
        return client

    def credential(self):
        return sign(
            IDENTITY.secret,
            cluster_id=IDENTITY.cluster_id,
            tenant_id=self.tenant_id,
            expires_unix_s=int(SystemClock().now_ns() / 1e9) + 600,
            nonce=b"n" * 8,
        )
