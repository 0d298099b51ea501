"""A simulated node that two tenants share, and a stream of each."""

import asyncio

from kvapi.pb import kv_pb2
from kvnode.node_config import NodeConfig
from tests.sim.busy_engine import BusyEngine
from tests.sim.sim_node import SimNode
from tests.sim.virtual_loop import on_virtual_loop

GET = kv_pb2.Get(key=b"k")


def frame(requests):
    return kv_pb2.ClientFrame(requests=requests)


def ask(stream, many):
    """Send one frame of many requests (dicts of fields); return their futures."""
    futures, requests = [], []
    for fields in many:
        stream.next_id += 1
        future = stream.node.loop.create_future()
        future.add_done_callback(lambda f: f.cancelled() or f.exception())
        stream.waiting[stream.next_id] = future
        futures.append(future)
        requests.append(kv_pb2.Request(id=stream.next_id, **fields))
    stream.receive(frame(requests))
    return futures


async def shared(loop, **config):
    """Return a node that two tenants share, and a stream of each."""
    node = SimNode(loop, config=NodeConfig(**config), engine=BusyEngine(loop))
    streams = [node.stream(await node.create(name)) for name in ("one", "two")]
    while not node.core.scheduler.is_shared and node.config.admission:
        for stream in streams:
            await asyncio.gather(*ask(stream, [{"get": GET}] * 50))
        await asyncio.sleep(0)
    return node, *streams


@on_virtual_loop
async def on_shared_node(loop, test):
    """Run an async test body with a shared node and a stream of each of its two tenants."""
    await test(*await shared(loop))
