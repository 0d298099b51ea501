"""runtime.control_wire and runtime.control_channel: messages and sockets."""

import asyncio
import os
import socket

import pytest

from runtime.address import peer_credentials
from runtime.control_channel import ControlChannel
from runtime.control_wire import (
    ControlViolation,
    Fork,
    SessionHello,
    SqlHello,
    TenantBinding,
    decode,
    encode,
    receive_packet,
    send_packet,
)

HELLO = SessionHello(
    session_id=1,
    user="app",
    database="defaultdb",
    tenant_name="acme",
    backend_pid=5,
    secret_key=6,
    parameters={"application_name": "psql"},
    buffered=b"\0x",
)
HELLO_TOO_LARGE = SqlHello(
    pid=1, binding=TenantBinding(tenant_id=1, tenant_name="x" * 200_000, user="", proof=b"")
)


class End:
    """One end of a channel, recording what it is told."""

    def __init__(self, sock):
        self.got = []
        self.closed = 0
        self.channel = ControlChannel(
            sock, on_message=lambda m, s: self.got.append((m, s)), on_closed=self.on_closed
        )

    def on_closed(self):
        self.closed += 1


@pytest.fixture
async def ends():
    """Two connected ends."""
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pair = End(left), End(right)
    yield pair
    for end in pair:
        end.channel.close()


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - conditions of many kinds
            await asyncio.sleep(0)


def test_messages_survive_the_wire():
    """Gateway and SQL process would disagree."""
    binding = TenantBinding(tenant_id=1, tenant_name="acme", user="app", proof=b"p")
    for message in (HELLO, Fork(count=2), SqlHello(pid=3, binding=binding)):
        assert decode(encode(message)) == message


@pytest.mark.parametrize("packet", [b"", b"\xff", b"\x81\xa1t\xa4Nope", b"\x81\xa1t\xa4Fork"])
def test_malformed_packets_are_refused(packet):
    """A broken peer would crash the gateway."""
    with pytest.raises(ControlViolation):
        decode(packet)


def test_a_message_has_a_size_limit():
    """A huge start-up packet would block the control connection."""
    with pytest.raises(ControlViolation, match="exceeds"):
        encode(HELLO_TOO_LARGE)


async def test_a_socket_travels_with_its_message(ends):
    """Sessions could not be handed over."""
    left, right = ends
    client, server = socket.socketpair()
    assert left.channel.send(HELLO, (server,))
    await until(lambda: right.got)
    message, (received,) = right.got[0]
    assert message == HELLO
    assert server.fileno() == -1  # the sender's copy is closed: the end of the session is seen
    received.send(b"hi")
    assert client.recv(2) == b"hi"
    received.close()
    assert client.recv(1) == b""
    client.close()


async def test_what_the_kernel_does_not_take_is_sent_later(ends):
    """A burst of sessions would be lost."""
    left, right = ends
    right.channel._loop.remove_reader(right.channel._sock.fileno())
    for number in range(1500):
        assert left.channel.send(Fork(count=number))
    right.channel._loop.add_reader(right.channel._sock.fileno(), right.channel._readable)
    await until(lambda: len(right.got) == 1500)
    assert [m.count for m, _ in right.got] == list(range(1500))


async def test_a_peer_that_does_not_read_is_cut_off(ends):
    """One stuck process would eat the gateway's memory."""
    left, right = ends
    right.channel._loop.remove_reader(right.channel._sock.fileno())
    for _ in range(10_000):
        if not left.channel.send(Fork(count=1)):
            break
    assert left.closed == 0  # not within send: the sender is in the middle of something
    await until(lambda: left.closed == 1)


async def test_the_other_end_is_missed(ends):
    """A dead SQL process would get sessions."""
    left, right = ends
    right.channel.close()
    await until(lambda: left.closed)
    client, server = socket.socketpair()
    assert not left.channel.send(HELLO, (server,))
    assert client.recv(1) == b""  # nobody holds the socket any more
    client.close()


def test_blocking_ends_and_credentials():
    """The zygote, which has no loop, could not speak."""
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with left, right:
        assert peer_credentials(left) == (os.getpid(), os.getuid())
        reader, writer = os.pipe()
        send_packet(left, b"x", (writer,))
        packet, (fd,) = receive_packet(right)
        assert packet == b"x"
        assert not os.get_inheritable(fd)
        for each in (reader, writer, fd):
            os.close(each)
