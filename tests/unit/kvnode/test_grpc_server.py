"""A gRPC stream whose client is gone."""

import asyncio

import grpc.aio

from kvapi.pb import kv_pb2
from kvapi.wire import PROTOCOL_VERSION
from kvnode.server.grpc_server import KvService
from tests.sim.sim_node import SimNode
from tests.sim.virtual_loop import run_virtual


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
