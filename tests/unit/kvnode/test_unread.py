"""Clients that do not read their answers: who is cut off, when, and who is not."""

import asyncio

import pytest

from kvapi.errors import Throttled
from kvapi.pb import kv_pb2
from kvnode.admission.read_gate import Read
from kvnode.node_config import NodeConfig
from kvnode.server.unix_server import UnixConnection
from kvnode.server.unread import Unread
from tests.sim.sim_node import SimNode
from tests.sim.virtual_loop import on_virtual_loop, run_virtual

GRACE_S = NodeConfig().unread_s_max
CLOSE_S = NodeConfig().close_s_max
MIB = 1 << 20


class Client:
    """A stream whose client reads when it is told to; its transport has `left` bytes to send."""

    def __init__(self, node, tenant_id):
        self.stream = node.stream(tenant_id)
        self.left, self.node = 0, node
        self.unread = Unread(self.stream.session, lambda: self.left)
        self.stream.close = lambda: node.loop.call_later(CLOSE_S, self.lost)

    def leave(self, size_bytes):
        self.left = size_bytes
        self.unread.paused()
        return self

    def read_on(self):
        self.left = 0
        self.unread.resumed()

    def lost(self):
        self.unread.closed()
        self.stream.session.closed()

    @property
    def is_cut(self):
        return isinstance(self.stream.fatal, Throttled)


class Scene:
    """A node with room for 16 MiB of answers, and tenants."""

    def __init__(self, node, tenants):
        self.node, self.tenants = node, tenants
        self.answers = node.core.memory.answers

    def client(self, name):
        return Client(self.node, self.tenants[name])

    def scan(self, name):
        return self.node.stream(self.tenants[name]).request(scan=kv_pb2.Scan())

    def held(self, name):
        return self.answers.of(self.tenants[name])

    def pin(self):
        """Let four tenants hold all of the room, each within its share when it came."""
        sizes = {"one": (4, 4), "two": (4,), "three": (2,), "four": (2,)}
        clients = {}
        for name, parts in sizes.items():
            clients[name] = [self.client(name).leave(part * MIB) for part in parts]
        assert self.answers.total == self.answers.bytes_max
        return clients


@on_virtual_loop
async def with_scene(loop, test):
    """Run an async test body with a scene."""
    node = SimNode(loop)
    node.core.memory.answers.bytes_max = 16 * MIB
    names = ("one", "two", "three", "four", "five", "six")
    await test(Scene(node, {name: await node.create(name) for name in names}))


@with_scene
async def test_who_holds_most_is_cut_off_when_somebody_waits(scene):
    """Four clients that read nothing, and no other tenant of the node can scan any more."""
    clients = scene.pin()
    scan = scene.scan("five")
    await asyncio.sleep(GRACE_S - 0.1)
    assert not any(client.is_cut for of in clients.values() for client in of)
    await asyncio.sleep(0.2)
    assert [client.is_cut for client in clients["one"]] == [True, False], "no more than need be"
    assert not scan.done(), "what it left unread is still there"
    await asyncio.sleep(CLOSE_S)
    assert scan.done()
    await asyncio.sleep(10 * GRACE_S)
    cut = [client.is_cut for of in clients.values() for client in of]
    assert sum(cut) == scene.node.core.unread.cut_count == 1


@with_scene
async def test_nobody_is_cut_off_while_nobody_waits(scene):
    """A client that was stopped for an hour would lose its stream for nothing."""
    clients = scene.pin()
    await asyncio.sleep(3600)
    assert not any(client.is_cut for of in clients.values() for client in of)
    scan = scene.scan("five")
    await asyncio.sleep(0.01)
    assert clients["one"][0].is_cut, "it has had its time"
    await asyncio.sleep(CLOSE_S)
    assert scan.done()


@with_scene
async def test_what_is_over_its_share_itself_may_wait(scene):
    """A tenant that leaves answers unread would cost others their streams by asking for more."""
    clients = scene.pin()
    scan = scene.scan("one")
    await asyncio.sleep(10 * GRACE_S)
    assert not scan.done()
    assert not any(client.is_cut for of in clients.values() for client in of)
    clients["one"][0].read_on()
    clients["one"][1].read_on()
    await scan


@with_scene
async def test_a_client_that_reads_is_not_cut_off(scene):
    """A slow link would lose its stream again and again beside busy neighbours."""
    clients = scene.pin()
    slow = clients["one"]
    scan = scene.scan("five")
    for _ in range(5):
        await asyncio.sleep(GRACE_S - 0.1)
        for client in slow:
            client.left = int(0.7 * client.left)
    assert not any(client.is_cut for client in slow)
    assert scan.done(), "of the others the one that holds most was ended"
    assert clients["two"][0].is_cut
    assert not clients["three"][0].is_cut


@with_scene
async def test_a_drip_is_not_reading(scene):
    """One byte a second, and a client holds the room for ever."""
    clients = scene.pin()
    scan = scene.scan("five")
    for _ in range(int(GRACE_S) + 2):
        await asyncio.sleep(1)
        for client in (client for of in clients.values() for client in of):
            client.left -= 1
    assert clients["one"][0].is_cut
    assert scan.done()


@with_scene
async def test_reads_that_stopped_for_their_client_are_given_back_at_once(scene):
    """Half-built answers of a stopped client hold more than what it has left unread."""
    client = scene.client("one")
    client.leave(2 * MIB)
    session, read = client.stream.session, Read()
    read.gate, read.answer_bytes = session.read_gate, 12 * MIB
    session.read_gate.enter(read)
    session.outstanding.add(1, lambda error: read.gate.leave(read), 0)
    scene.client("two").leave(2 * MIB)
    scan = scene.scan("five")
    await asyncio.sleep(GRACE_S - 0.1)
    assert not scan.done()
    await asyncio.sleep(0.2)
    assert client.is_cut
    assert scan.done()


@with_scene
async def test_who_is_within_its_share_is_not_ended_for_what_others_hold(scene):
    """The node is full of what others left unread, and a client that pauses for once is ended."""
    scene.pin()
    client = scene.client("five").leave(MIB)
    await asyncio.sleep(3 * GRACE_S)
    assert not client.is_cut
    assert scene.held("five") == MIB


@with_scene
async def test_a_tenant_that_fills_its_share_may_pause(scene):
    """A tenant with many scans under way, and its first stream that pauses for a moment fails."""
    scene.answers.add(scene.tenants["one"], 8 * MIB)
    client = scene.client("one").leave(2 * MIB)
    await asyncio.sleep(GRACE_S / 2)
    client.read_on()
    await asyncio.sleep(2 * GRACE_S)
    assert not client.is_cut
    assert scene.held("one") == 8 * MIB


@with_scene
async def test_beyond_its_share_a_tenant_has_what_nobody_needs(scene):
    """A lone tenant would be cut off beside room that nobody wants, or keep it from others."""
    pool, one = scene.answers, scene.tenants["one"]
    pool.add(one, 8 * MIB)
    clients = []
    for _ in range(3):
        clients.append(scene.client("one").leave(4 * MIB))
        await asyncio.sleep(0.01)
    await asyncio.sleep(GRACE_S + 0.1)
    assert [client.is_cut for client in clients] == [False, False, True], "more than there is"
    assert pool.total == 8 * MIB
    await scene.scan("two")
    assert not clients[0].is_cut, "others find their room"
    pool.add(scene.tenants["three"], 8 * MIB)
    scan = scene.scan("two")
    await asyncio.sleep(0.01)
    assert clients[0].is_cut, "somebody waits, and it has had its time"
    pool.add(scene.tenants["three"], -8 * MIB)
    await scan
    await asyncio.sleep(CLOSE_S)
    assert not scene.node.core.unread.beyond_bytes


@with_scene
async def test_below_the_bound_of_a_stream_nothing_is_held(scene):
    """Not a weakness: who leaves so little unread that nothing pauses holds no room by it."""
    for _ in range(50):
        client = scene.client("one")
        await client.stream.request(scan=kv_pb2.Scan())
        client.left = NodeConfig().send_buffer_bytes_max - 1
    assert not scene.answers.total
    await scene.scan("two")


@with_scene
async def test_a_stream_that_is_ended_while_it_sends_sends_nothing_twice(scene):
    """A client gets an answer to a request that it has forgotten."""
    stream = scene.client("one").stream
    send, answers = stream.send, []

    def ending(body):
        frame = kv_pb2.ServerFrame.FromString(body)
        answers.extend(frame.responses)
        if len(frame.responses) == len(answers):
            stream.session.fail(Throttled("enough"))
        send(body)

    stream.send = ending
    await stream.request(scan=kv_pb2.Scan())
    assert len(answers) == 1


class Stuck:
    """A transport whose peer reads nothing."""

    def __init__(self, loop):
        self.loop, self.protocol, self.is_lost, self.size = loop, None, False, 0

    def set_write_buffer_limits(self, high):
        self.high = high

    def write(self, data):
        was = self.size
        self.size += len(data)
        if was <= self.high < self.size:
            self.protocol.pause_writing()

    def get_write_buffer_size(self):
        return self.size

    def pause_reading(self):
        pass

    def close(self):
        pass

    def abort(self):
        self.is_lost, self.size = True, 0
        self.loop.call_soon(self.protocol.connection_lost, None)


@pytest.mark.parametrize("is_paused", [False, True])
def test_what_an_ended_stream_cannot_send_is_dropped(is_paused):
    """A client that is cut off, and goes on reading nothing, keeps the memory all the same."""

    async def body(loop):
        node = SimNode(loop)
        tenant_id = await node.create("one")
        pipe, connection = Stuck(loop), UnixConnection(node.core)
        pipe.protocol = connection
        connection.connection_made(pipe)
        hello = kv_pb2.Hello(protocol_version=1, credential=node.credential(tenant_id))
        body = kv_pb2.ClientFrame(hello=hello).SerializeToString()
        connection.data_received(len(body).to_bytes(4, "big") + body)
        if is_paused:
            pipe.write(bytes(2 * MIB))
            assert node.core.memory.answers.total > 2 * MIB
        node.core.close_streams(Throttled("enough"))
        await asyncio.sleep(CLOSE_S / 2)
        assert not pipe.is_lost, "it may read what was sent"
        await asyncio.sleep(CLOSE_S)
        assert pipe.is_lost
        assert not node.core.memory.answers.total
        assert node.core.stats.stream_count == 0

    run_virtual(body)
