"""What befalls a HistorySim while its transactions run: links, nodes, processes, clocks, ranges."""

import asyncio

from kvapi.errors import KvError
from tests.sim import list_store


class Faults:
    """Chosen and timed by the simulation's own random numbers."""

    def __init__(self, sim):
        self.sim, self.rng, self.network, self.note = sim, sim.rng, sim.network, sim.note

    async def strike(self):
        """Let faults happen until everything is done."""
        if not self.sim.has_faults:
            return
        rng = self.rng
        faults = [self.break_link, self.crash, self.kill, self.jump, self.upkeep, self.ranges]
        weights = [rng.choice([0, 1, 3]) for _ in faults]
        if not any(weights):
            return
        while not self.sim.is_over.is_set():
            (fault,) = rng.choices(faults, weights)
            when = rng.random()
            if when < 0.4:
                await asyncio.sleep(rng.uniform(0, 0.03))
            elif when < 0.8 or fault != self.break_link:
                await self.frames(rng.randrange(1, 60))
            else:
                await asyncio.sleep(rng.uniform(0, 0.02))
                await self.break_commit()
                continue
            await fault()

    async def frames(self, count):
        """Return right after the node worked through `count` more frames, before it answers."""
        arrived = asyncio.Event()
        wanted = self.network.steps + count

        def step():
            if self.network.steps >= wanted:
                arrived.set()

        self.network.on_step = step
        try:
            async with asyncio.timeout(0.2):
                await arrived.wait()
        except TimeoutError:
            pass
        finally:
            self.network.on_step = None

    async def break_commit(self):
        """Break the link on which the next commit leaves, while it is under way."""
        left = self.sim.loop.create_future()
        self.network.on_commit = lambda link: left.done() or left.set_result(link)
        try:
            async with asyncio.timeout(0.2):
                link = await left
        except TimeoutError:
            return
        finally:
            self.network.on_commit = None
        self.note(f"a commit of process {link.process.number} is under way as its link breaks")
        link.break_off()

    async def break_link(self):
        if self.network.links:
            link = self.rng.choice(self.network.links)
            self.note(f"the link of process {link.process.number} breaks")
            link.break_off()

    async def crash(self):
        self.note("the node crashes")
        self.network.crash_node()
        await asyncio.sleep(self.rng.choice([0.0, 0.001, 0.02]))
        self.network.start_node()
        self.note("the node is back")

    async def kill(self):
        index = self.rng.randrange(len(self.sim.processes))
        self.note(f"process {self.sim.processes[index].number} is killed")
        await self.sim.replace(index)

    async def jump(self):
        seconds = self.rng.choice([-3600, -1, -0.01, 0.01, 1, 3600])
        self.note(f"the node's wall clock jumps by {seconds} s")
        self.sim.clock.offset_s += seconds

    async def ranges(self):
        """Split the tenant's ranges somewhere, or merge two."""
        tenant, keeper = self.sim.node.core.load_tenant(self.sim.tenant_id), self.sim.node.keeper
        try:
            async with asyncio.timeout(0.1):
                if self.rng.random() < 0.7:
                    key = self.rng.choice(
                        [list_store.prefix(self.rng.choice(list_store.KEYS)), b"\x041", b"\x042"]
                    )
                    self.note(f"the range of {key!r} splits there")
                    await keeper.split(tenant, key)
                else:
                    states = tenant.ranges.states
                    range_id = self.rng.choice(states).descriptor.range_id
                    self.note(f"range {range_id} merges")
                    await keeper.merge(tenant, range_id)
        except (KvError, TimeoutError) as error:
            self.note(f"ranges stay: {error}")

    async def upkeep(self):
        self.note("upkeep")
        try:
            async with asyncio.timeout(0.1):
                await self.sim.node.maintenance.run_once()
        except (KvError, TimeoutError):
            pass
