"""Admission as clients see it: what is refused is repeated, what waits is not read."""

import asyncio

import pytest

from kvapi.client import operations as ops
from kvapi.client.config import ClientConfig
from kvapi.client.kv_client import KvClient
from kvapi.credential import sign
from kvapi.errors import ConnectionLost, Throttled
from kvapi.pb import kv_pb2
from kvnode.node_config import NodeConfig
from kvnode.server.unix_server import UnixConnection
from runtime.clock import SystemClock
from tests.fakes.kv_nodes import IDENTITY, Node
from tests.unit.kvnode.shared_node import GET, frame, on_shared_node

TXN = b"t" * 16


@pytest.fixture
async def node(tmp_path):
    config = NodeConfig(lane_requests_tenant_max=50, quantum_s=0.0002)
    node = Node(asyncio.get_running_loop(), tmp_path / "kv.sock", config)
    await node.start()
    yield node
    node.stop()


async def client_of(node, name, **config):
    tenant = await node.lifecycle.create(name, "owner", "x")
    config = ClientConfig(**config)
    client = KvClient(node.address, config=config, clock=SystemClock())
    expires = int(SystemClock().now_ns() / 1e9) + 60
    await client.authenticate(
        sign(
            IDENTITY.secret,
            cluster_id=IDENTITY.cluster_id,
            tenant_id=tenant.id,
            expires_unix_s=expires,
            nonce=b"n" * 8,
        )
    )
    return client


async def test_clients_repeat_what_was_refused(node):
    """An application sees an error because its neighbours, or it itself, were busy."""
    one, two = await client_of(node, "one"), await client_of(node, "two")
    refused = []
    repeat = one.stream.on_throttled
    one.stream.on_throttled = lambda *refusal: refused.append(refusal) or repeat(*refusal)
    async with asyncio.timeout(30):
        while not refused:
            gets = [client.get(b"k") for client in (one, two) for _ in range(800)]
            assert all(got.value is None for got in await asyncio.gather(*gets))
    await one.close()
    await two.close()


async def test_a_refusal_that_lasts_is_told(node):
    """A statement waits for ever."""
    client = await client_of(node, "one", throttled_wait_s=0.05)
    future = asyncio.get_running_loop().create_future()
    error = Throttled("no room", number=20, detail=Throttled.REPEAT)
    asked = []
    client.stream.submit = lambda _, future, request: asked.append(future)
    client.stream.on_throttled(ops.GET, future, kv_pb2.Request(), error)
    async with asyncio.timeout(5):
        while not asked:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    client.stream.on_throttled(ops.GET, future, kv_pb2.Request(), error)
    while not future.done():
        client.stream.on_throttled(ops.GET, future, kv_pb2.Request(), error)
    assert future.exception() is error
    await client.close()


class Pipe:
    """A transport that remembers whether it is read from."""

    def __init__(self):
        self.is_reading = True
        self.sent = []

    def set_write_buffer_limits(self, high):
        pass

    def pause_reading(self):
        assert self.is_reading
        self.is_reading = False

    def resume_reading(self):
        assert not self.is_reading
        self.is_reading = True

    def write(self, data):
        self.sent.append(data)

    def close(self):
        pass


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def watch_refusals(client):
    refused, repeat = [], client.stream.on_throttled
    client.stream.on_throttled = lambda *refusal: refused.append(refusal) or repeat(*refusal)
    return refused


async def test_a_commit_that_finds_no_room_waits(node):
    """Somebody loads data onto a slow disk, and transactions fail that only had to wait."""
    client = await client_of(node, "one")
    commits, tenant_id = node.core.memory.commits, node.core.tenants.find("one").id
    commits.add(tenant_id, commits.bytes_max)
    refused = watch_refusals(client)
    await client.lock(keys=[b"k"], txn_id=TXN)
    terms = {"read_ts": 0, "catalog_version": 0, "writes": {b"k": b"v"}}
    commit = client.commit(txn_id=TXN, **terms)
    await until(lambda: refused)
    commits.add(tenant_id, -commits.bytes_max)
    async with asyncio.timeout(10):
        assert await commit
    assert (await client.get(b"k")).value == b"v"
    await client.close()


async def test_a_commit_that_found_no_room_leaves_no_locks(node):
    """Rows would stay locked for as long as the connection lasts."""
    client = await client_of(node, "one", throttled_wait_s=0.05)
    commits, tenant_id = node.core.memory.commits, node.core.tenants.find("one").id
    commits.add(tenant_id, commits.bytes_max)
    await client.lock(keys=[b"k"], txn_id=TXN)
    with pytest.raises(Throttled):
        await client.commit(txn_id=TXN, read_ts=0, catalog_version=0, writes={b"k": b"v"})
    await until(lambda: not node.core.locks.table.held.by_stream)
    await client.close()


async def test_what_waits_to_be_sent_again_ends_with_its_stream(node):
    """A chunk on the next stream would lock rows for a transaction that is over, and a commit there
    would be of what is left of its writes.
    """
    client = await client_of(node, "one")
    memory, tenant_id = node.core.memory, node.core.tenants.find("one").id
    for pool in (memory.commits, memory.staging):
        pool.add(tenant_id, pool.bytes_max)
    refused = watch_refusals(client)
    chunk = client.stage(txn_id=TXN, writes={b"k": b"v"})
    commit = client.commit(txn_id=b"u" * 16, read_ts=0, catalog_version=0, writes={b"c": b"v"})
    await until(lambda: len({operation.name for operation, *_ in refused}) == 2)
    client.stream.lost()
    for pool in (memory.commits, memory.staging):
        pool.add(tenant_id, -pool.bytes_max)
    for future in (chunk, commit):
        async with asyncio.timeout(10):
            with pytest.raises(ConnectionLost):
                await future
    await client.close()


@on_shared_node
async def test_a_full_lane_stops_reading_from_the_socket(sim, one, two):
    """A client that sends on and on fills the node's memory before it is its turn."""
    pipe, connection = Pipe(), UnixConnection(sim.core)
    connection.connection_made(pipe)

    def feed(message):
        body = message.SerializeToString()
        connection.data_received(len(body).to_bytes(4, "big") + body)

    credential = sim.credential(one.session.tenant.id)
    feed(kv_pb2.ClientFrame(hello=kv_pb2.Hello(protocol_version=1, credential=credential)))
    fed = 0
    while pipe.is_reading:
        feed(frame([kv_pb2.Request(id=fed + n + 1, get=GET) for n in range(200)]))
        fed += 200
    assert 1000 <= fed <= 2000
    await asyncio.sleep(1)
    assert pipe.is_reading
    assert sim.core.lane_room.requests == 0
    connection.connection_lost(None)
