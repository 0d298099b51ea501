"""gateway.authentication over a socket pair, with scramp as the client."""

import asyncio
import contextlib
import socket
import struct

import pytest
from scramp import ScramClient, ScramException

from gateway.authentication import authenticate
from gateway.client_socket import ClientGone, ClientSocket
from gateway.login_directory import Login
from pgwire.errors import InvalidPassword, ProtocolViolation
from pgwire.scram import build_verifier

VERIFIER = str(build_verifier("secret", b"0123456789abcdef"))
LOGIN = Login(1, "acme", VERIFIER, b"credential", 60.0, False, 0.0)


@contextlib.asynccontextmanager
async def sockets():
    server, client = socket.socketpair()
    for sock in (server, client):
        sock.setblocking(False)
    with server, client:
        yield ClientSocket(server, "here:1", 10_000), client


async def receive_body(client):
    loop = asyncio.get_running_loop()
    data = await loop.sock_recv(client, 4096)
    return data[9:]


async def send(client, body):
    frame = b"p" + struct.pack("!I", len(body) + 4) + body
    await asyncio.get_running_loop().sock_sendall(client, frame)


async def log_in(client, password):
    """Play the client; returns whether the server proved that it knows the password."""
    await receive_body(client)
    scram = ScramClient(["SCRAM-SHA-256"], "app", password)
    first = scram.get_client_first().encode()
    await send(client, b"SCRAM-SHA-256\0" + struct.pack("!I", len(first)) + first)
    scram.set_server_first((await receive_body(client)).decode())
    await send(client, scram.get_client_final().encode())
    scram.set_server_final((await receive_body(client)).decode())


async def run(login, password):
    async with sockets() as (server, client):
        playing = asyncio.ensure_future(log_in(client, password))
        playing.add_done_callback(
            lambda task: task.cancelled() or (task.exception() and client.close())
        )
        try:
            await authenticate(
                server,
                login,
                identity=("acme", "app"),
                mock_secret=b"m" * 32,
                random_bytes=lambda count: b"r" * count,
            )
            await playing
        finally:
            playing.cancel()
            with contextlib.suppress(asyncio.CancelledError, ScramException, ValueError):
                await playing


async def test_the_right_password():
    """Nobody could log in."""
    await run(LOGIN, "secret")


@pytest.mark.parametrize("login", [LOGIN, None, Login(1, "acme", "", b"", 1.0, False, 0.0)])
async def test_all_failures_are_alike(login):
    """An attacker would learn which tenants and users exist."""
    with pytest.raises(InvalidPassword, match='password authentication failed for user "app"'):
        await run(login, "wrong")


@pytest.mark.parametrize(
    "data", [b"Q\0\0\0\x08abc\0", b"p\0\0\0\x03", b"p\x7f\0\0\0", b"p\0\0\0\x05\0"]
)
async def test_malformed_answers(data):
    """A malformed message would crash the task or fill the memory."""
    async with sockets() as (server, client):
        await asyncio.get_running_loop().sock_sendall(client, data)
        with pytest.raises(ProtocolViolation):
            await authenticate(
                server,
                LOGIN,
                identity=("acme", "app"),
                mock_secret=b"m" * 32,
                random_bytes=lambda count: b"r" * count,
            )


async def test_a_client_that_leaves():
    """A client that hangs up would be logged as a failure of ours."""
    async with sockets() as (server, client):
        client.close()
        with pytest.raises(ClientGone):
            await server.read_startup()
