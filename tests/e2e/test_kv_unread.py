"""Clients of a real node that leave their answers unread, and one that waits for what they hold."""

import asyncio
import secrets

import pytest

from kvapi.client.config import ClientConfig
from kvapi.client.kv_client import KvClient
from kvapi.pb import kv_pb2
from kvapi.spans import Span
from kvapi.wire import PROTOCOL_VERSION
from kvnode.node_config import MEMORY_BYTES_MIN, NodeConfig
from runtime.clock import SystemClock
from tests.e2e.test_kv_contract import Node

pytestmark = pytest.mark.e2e

ROOM = MEMORY_BYTES_MIN // 128 * 9  # for answers
VALUE = b"v" * (ROOM // 4 // 1024)
CONFIG = NodeConfig(
    memory_bytes_max=MEMORY_BYTES_MIN,
    block_bytes_max=MEMORY_BYTES_MIN // 64,
    unread_s_max=0.5,
    close_s_max=0.3,
)


async def connected(node, tenant):
    """Return a client of a new tenant, and its credential."""
    client = KvClient(
        node.address("unix"), config=ClientConfig(connect_wait_s=10.0), clock=SystemClock()
    )
    await client.connect()
    await client.authenticate(credential := await node.credential(tenant))
    return client, credential


async def silent(node, tenant, *parts):
    """Return streams that have asked for so many parts of a quarter of the room, one each."""
    client, credential = await connected(node, tenant)
    writes = {b"\x02%04d" % n: VALUE for n in range(1024)}
    fields = {"txn_id": secrets.token_bytes(16), "read_ts": 0, "catalog_version": 0}
    await client.commit(writes=writes, **fields)
    await client.close()
    return [await Silent.open(node, credential, int(1024 * part)) for part in parts]


class Silent:
    """A stream that asks for rows, and reads nothing of the answer."""

    @classmethod
    async def open(cls, node, credential, row_count):
        self = cls()
        self.row_count = row_count
        self.reader, self.writer = await asyncio.open_unix_connection(node.at.unix)
        hello = kv_pb2.Hello(protocol_version=PROTOCOL_VERSION, credential=credential)
        self.send(kv_pb2.ClientFrame(hello=hello))
        await self.receive()
        self.writer.transport.pause_reading()
        keys = [b"\x02%04d" % n for n in range(row_count)]
        request = kv_pb2.Request(id=1, multi_get=kv_pb2.MultiGet(keys=keys))
        self.send(kv_pb2.ClientFrame(requests=[request]))
        return self

    def send(self, frame):
        body = frame.SerializeToString()
        self.writer.write(len(body).to_bytes(4, "big") + body)

    async def receive(self):
        size = int.from_bytes(await self.reader.readexactly(4), "big")
        return kv_pb2.ServerFrame.FromString(await self.reader.readexactly(size))

    async def is_answered(self):
        """Read on; tell whether the answer is whole."""
        self.writer.transport.resume_reading()
        try:
            while not (responses := (await self.receive()).responses):
                pass
            return len(responses[0].values.values) == self.row_count
        except (asyncio.IncompleteReadError, ConnectionError):
            return False
        finally:
            self.writer.close()


async def test_a_scan_gets_the_room_that_a_silent_client_holds(tmp_path):
    """Three tenants leave answers unread, each within its share when it came, and no other tenant
    of the node can scan any more.
    """
    node = Node(tmp_path, CONFIG)
    await node.start()
    try:
        async with asyncio.timeout(30):
            streams = await silent(node, "one", 1, 1)
            streams += await silent(node, "two", 1)
            streams += await silent(node, "three", 0.6)
            modest, _ = await connected(node, "modest")
            await asyncio.sleep(2 * CONFIG.unread_s_max)
            block = await modest.scan(Span(b"\x02", b"\x03"))
            assert block.row_count == 0
            answered = [await stream.is_answered() for stream in streams]
            assert answered == [False, True, True, True], "one is ended, of who holds most"
            await modest.close()
    finally:
        await node.stop()
