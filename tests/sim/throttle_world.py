"""SQL processes of one limited tenant on the real wire, and their simulated node."""

import asyncio
import random

from kvapi.client.config import ClientConfig
from kvapi.client.kv_client import KvClient
from kvapi.client.token_calls import TokenCalls
from kvnode.tenants.bucket_row import Limits, read_row
from runtime.tasks import spawn
from sqlnode.throttle import Throttle
from tests.sim.network import Network
from tests.sim.sim_node import SimNode
from tests.sim.virtual_loop import on_virtual_loop


class Meter:
    """Counts what the simulated statements cost."""

    def __init__(self):
        self.total = 0.0

    def ru(self):
        return self.total


class Process:
    """A SQL process: the real KV client and throttle, statements that only cost something."""

    is_dead = False
    has_trickle = True

    def __init__(self, network, tenant_id, seed):
        self.network, self.loop = network, network.loop
        self.rng = random.Random(seed)
        self.meter = Meter()
        self.client = KvClient(
            "unix:sim",
            config=ClientConfig(),
            clock=network.loop,
            make_transport=network.maker(self),
        )
        self.tenant_id, self.seed = tenant_id, seed
        self.served = []  # (when, RU)
        self.sent = 0  # token requests
        self.tasks = []

    async def start(self):
        await self.client.authenticate(self.network.node.credential(self.tenant_id, life_s=10**6))
        stream = self.client.stream
        calls = TokenCalls(stream)

        def ask(request):
            self.sent += 1
            answer = calls.tokens(request)
            return answer if self.has_trickle else spawn(self.at_once(answer), name="at-once")

        self.throttle = Throttle(self.meter, ask, client_id=self.seed * 1000 + 1, loop=self.loop)
        stream.on_limits = self.throttle.set_limits
        self.throttle.set_limits(stream.limits)
        return self

    async def at_once(self, answer):
        """Give what should come evenly at the beginning of its time."""
        got = await answer
        at_once_ru = got.at_once_ru + got.trickle_ru
        return got._replace(at_once_ru=at_once_ru, trickle_ru=0.0)

    def work(self, connections, *, cost_ru=(0.5, 3.0), pause_s=0.0):
        """Run statements on so many connections, without end."""
        for _ in range(connections):
            self.tasks.append(spawn(self.run(cost_ru, pause_s), name="connection"))

    async def run(self, cost_ru, pause_s):
        while True:
            if self.throttle.is_on:
                if must_wait := self.throttle.must_wait():
                    await self.throttle.wait(is_holder=False)
                self.throttle.begin(has_waited=must_wait)
            await asyncio.sleep(self.rng.uniform(0.0005, 0.004))
            cost = self.rng.uniform(*cost_ru)
            self.meter.total += cost
            self.served.append((self.loop.time(), cost))
            if pause_s:
                await asyncio.sleep(self.rng.uniform(0.5, 1.5) * pause_s)

    def rest(self):
        """End all statements."""
        for task in self.tasks:
            task.cancel()
        self.tasks.clear()

    async def close(self):
        self.rest()
        self.throttle.close()
        await self.client.close()

    def per_second(self, start_s, end_s):
        """Return the RU of each second."""
        sums = [0.0] * round(end_s - start_s)
        for when_s, ru in self.served:
            if start_s <= when_s < end_s:
                sums[min(int(when_s - start_s), len(sums) - 1)] += ru
        return sums


class World:
    """A node with one limited tenant and a network before it."""

    def __init__(self, loop, seed=0):
        self.loop, self.rng = loop, random.Random(seed)
        self.node = SimNode(loop, seed)
        self.network = Network(self.node, self.rng)
        self.processes = []

    async def begin(self, **limits):
        self.tenant_id = await self.node.create("acme")
        if limits:
            await self.limit(**limits)
        return self

    async def limit(self, **limits):
        await self.node.core.buckets.change_limits(self.tenant, lambda _: Limits(**limits))

    @property
    def tenant(self):
        return self.node.core.load_tenant(self.tenant_id)

    def row(self):
        """Return what is durable of the bucket."""
        snapshot = self.node.engine.snapshot()
        try:
            return read_row(snapshot, self.tenant.prefix)
        finally:
            snapshot.close()

    async def process(self):
        process = Process(self.network, self.tenant_id, len(self.processes) + 1)
        self.processes.append(process)
        return await process.start()

    async def close(self):
        for process in self.processes:
            await process.close()


@on_virtual_loop
async def simulated(loop, test):
    """Run an async test body on a virtual loop."""
    world = World(loop)
    await test(world)
    await world.close()
