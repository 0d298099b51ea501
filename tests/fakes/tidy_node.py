"""A node's core that starts on a store, does what is left to do, and ends."""

import asyncio

from kvnode.core import Core, Identity
from kvnode.node_config import NodeConfig
from kvnode.txn.write_batch import write_batch
from runtime.clock import ManualClock


class LoopWriter:
    """Writes as soon as the loop comes to it."""

    def __init__(self, engine, loop):
        self.engine, self.loop = engine, loop

    def run(self, operations, report):
        self.loop.call_soon(lambda: report(write_batch(self.engine, operations)))

    def hurry(self, *, may_give_up):
        """Write as soon as ever."""


def tidy_up(engine):
    """Start a node's core, and let it do what is left to do."""

    async def run():
        loop = asyncio.get_running_loop()
        core = Core(
            engine,
            LoopWriter(engine, loop),
            config=NodeConfig(),
            identity=Identity(b"c" * 16, b"s" * 32),
            clock=ManualClock(),
            loop=loop,
        )
        # Each step of the upkeep queues the next one: there is no event to wait for.
        while not core.group.is_idle or len(core.scheduler):  # noqa: ASYNC110
            await asyncio.sleep(0)
        core.timeline.release_snapshot()

    asyncio.run(run())
