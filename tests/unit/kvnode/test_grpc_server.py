"""A gRPC stream whose client is gone."""

import asyncio

import grpc.aio

from kvapi.errors import Throttled
from kvapi.pb import kv_pb2
from kvapi.wire import PROTOCOL_VERSION
from kvnode.server.grpc_server import KvService
from tests.sim.sim_node import SimNode
from tests.sim.virtual_loop import run_virtual


class Deaf:
    """A call that took the hello and a scan, whose client reads nothing but the welcome."""

    def __init__(self, *bodies):
        self.incoming, self.written = list(bodies), 0

    async def read(self):
        if self.incoming:
            return self.incoming.pop(0)
        await asyncio.Event().wait()

    async def write(self, body):
        self.written += 1
        if self.written > 1:
            await asyncio.Event().wait()


class Vanished:
    """A call that took the hello, then lost its client."""

    def __init__(self, hello):
        self.incoming = [hello]

    async def read(self):
        if self.incoming:
            return self.incoming.pop()
        await asyncio.Event().wait()

    async def write(self, body):
        raise grpc.aio.InternalError("Failed execute_batch")


def test_a_client_that_vanishes_ends_its_stream_in_silence():
    """Each lost client would log a stack trace as if the node were at fault."""

    async def body(loop):
        node = SimNode(loop)
        credential = node.credential(await node.create("acme"))
        hello = kv_pb2.Hello(protocol_version=PROTOCOL_VERSION, credential=credential)
        frame = kv_pb2.ClientFrame(hello=hello).SerializeToString()
        await KvService(node.core).stream(None, Vanished(frame))
        assert node.core.stats.stream_count == 0

    run_virtual(body)


def test_what_a_deaf_client_is_owed_is_dropped_when_its_stream_ends():
    """A stream that is ended lives on, with all it holds, until its client goes away."""

    async def body(loop):
        node = SimNode(loop)
        tenant_id = await node.create("acme")
        writes = kv_pb2.Writes(put_keys=[b"k"], put_values=[b"v" * 2_000_000])
        await node.stream(tenant_id).request(commit=kv_pb2.Commit(writes=writes))
        hello = kv_pb2.Hello(
            protocol_version=PROTOCOL_VERSION, credential=node.credential(tenant_id)
        )
        ask = [kv_pb2.Request(id=1, get=kv_pb2.Get(key=b"k"))]
        frames = kv_pb2.ClientFrame(hello=hello), kv_pb2.ClientFrame(requests=ask)
        call = Deaf(*(frame.SerializeToString() for frame in frames))
        serving = loop.create_task(KvService(node.core).stream(None, call))
        await asyncio.sleep(1)
        assert node.core.memory.answers.total > 1_000_000
        node.core.close_streams(Throttled("enough"))
        await asyncio.sleep(node.config.close_s_max / 2)
        assert not serving.done(), "it may read what was sent"
        await asyncio.sleep(node.config.close_s_max)
        await serving
        assert not node.core.memory.answers.total

    run_virtual(body)
