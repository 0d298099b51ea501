"""sqlnode.control: a SQL process's end of the control connection, against a fake gateway."""

import asyncio
import contextlib
import os
import socket

import pytest

from kvapi.errors import Unavailable
from runtime.address import listen_unix
from runtime.control_channel import ControlChannel
from runtime.control_wire import (
    Assign,
    Assigned,
    AssignRefused,
    CancelSession,
    Drain,
    Exit,
    Renew,
    SessionClosed,
    SessionHello,
    SessionTaken,
    SqlHello,
    TenantBinding,
)
from sqlnode.control import ControlClient

BINDING = TenantBinding(tenant_id=7, tenant_name="acme", user="app", proof=b"p")
ASSIGN = Assign(binding=BINDING, credential=b"c")


def hello(session_id):
    return SessionHello(
        session_id=session_id,
        user="app",
        database="defaultdb",
        tenant_name="acme",
        backend_pid=session_id + 100,
        secret_key=session_id + 200,
        parameters={},
    )


class FakeServing:
    """Sessions echo lines until their client leaves, they are cancelled, or drained."""

    def __init__(self):
        self.loaded = asyncio.Event()
        self.failure = None
        self.credential = None
        self.refused = []
        self.cancelled = []
        self.drained = []

    async def connect(self):
        pass

    async def bind(self, assign):
        await self.loaded.wait()
        if self.failure is not None:
            raise self.failure
        self.credential = assign.credential

    def renew(self, credential):
        self.credential = credential

    async def serve(self, sock, hello, registry):
        done = asyncio.Event()
        serving = self

        class Handle:
            def cancel_statement(self):
                serving.cancelled.append(hello.session_id)

            def request_drain(self):
                serving.drained.append(hello.session_id)
                done.set()

        registry.add(hello.session_id, Handle())
        loop = asyncio.get_running_loop()
        reading = asyncio.ensure_future(loop.sock_recv(sock, 100))
        ending = asyncio.ensure_future(done.wait())
        try:
            await asyncio.wait((reading, ending), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (reading, ending):
                task.cancel()
            await asyncio.gather(reading, ending, return_exceptions=True)

    def refuse(self, sock, error):
        self.refused.append(str(error))
        sock.close()

    async def close(self):
        pass


class FakeGateway:
    """Listens on the control socket and records what it is told."""

    def __init__(self, path):
        path.unlink(missing_ok=True)
        self.sock = listen_unix(str(path), kind=socket.SOCK_SEQPACKET)
        self.got = []
        self.taps = []
        self.channel = None

    async def accept(self):
        sock, _ = await asyncio.get_running_loop().sock_accept(self.sock)
        self.channel = ControlChannel(sock, on_message=self.receive, on_closed=lambda: None)
        await self.until(lambda: self.got)
        return self.got.pop(0)

    def receive(self, message, sockets):
        self.got.append(message)
        self.taps += sockets

    def hand_over(self, session_id):
        client, server = socket.socketpair()
        self.channel.send(hello(session_id), (server,))
        return client

    async def until(self, condition):
        async with asyncio.timeout(5):
            while not condition():  # noqa: ASYNC110 - conditions of many kinds
                await asyncio.sleep(0.001)

    def close(self):
        if self.channel is not None:
            self.channel.close()
        for sock in (self.sock, *self.taps):
            sock.close()


@pytest.fixture
async def life(tmp_path, monkeypatch):
    """A gateway, a client that runs, and its serving."""
    monkeypatch.setattr("sqlnode.control.set_title", lambda title: None)
    path = tmp_path / "c"
    gateway = FakeGateway(path)
    serving = FakeServing()
    tap, other_end = socket.socketpair()
    client = ControlClient(str(path), serving, tap)
    task = asyncio.ensure_future(client.run())
    assert await gateway.accept() == SqlHello(pid=os.getpid())
    other_end.send(b"signal")
    assert [tap.recv(9, socket.MSG_PEEK) for tap in gateway.taps] == [b"signal"]
    yield path, gateway, serving, client, task
    client.stop()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)
    gateway.close()
    for sock in (tap, other_end):
        sock.close()


async def test_sessions_wait_until_the_tenant_is_loaded(life):
    """The first session of a waking tenant would be lost."""
    _, gateway, serving, _, _ = life
    gateway.channel.send(ASSIGN)
    client = gateway.hand_over(1)
    await asyncio.sleep(0.01)
    serving.loaded.set()
    await gateway.until(lambda: gateway.got)
    assert isinstance(gateway.got.pop(0), Assigned)
    client.close()
    said = [SessionTaken(session_id=1), SessionClosed(session_id=1)]
    await gateway.until(lambda: gateway.got == said)


async def test_a_tenant_that_cannot_be_loaded_tells_its_clients(life):
    """Clients would hang."""
    _, gateway, serving, _, task = life
    serving.failure = Unavailable("no KV node")
    serving.loaded.set()
    gateway.channel.send(ASSIGN)
    client = gateway.hand_over(1)
    await gateway.until(lambda: any(isinstance(m, AssignRefused) for m in gateway.got))
    await asyncio.wait_for(task, 5)
    assert serving.refused == ["no KV node"]
    client.close()


async def test_cancel_and_renew_reach_their_target(life):
    """Ctrl-C would do nothing; credentials would expire."""
    _, gateway, serving, _, _ = life
    serving.loaded.set()
    gateway.channel.send(ASSIGN)
    client = gateway.hand_over(1)
    await gateway.until(lambda: gateway.got)
    gateway.channel.send(CancelSession(session_id=1))
    gateway.channel.send(CancelSession(session_id=99))
    gateway.channel.send(Renew(credential=b"new"))
    await gateway.until(lambda: serving.credential == b"new")
    assert serving.cancelled == [1]
    client.close()


async def test_a_new_gateway_is_told_everything(life):
    """Sessions would be cut off, or could not be cancelled, after a gateway's restart."""
    path, gateway, serving, _, _ = life
    serving.loaded.set()
    gateway.channel.send(ASSIGN)
    client = gateway.hand_over(1)
    await gateway.until(lambda: gateway.got)
    gateway.close()
    again = FakeGateway(path)
    said = await again.accept()
    assert said.binding == BINDING
    assert [(k.session_id, k.backend_pid, k.secret_key) for k in said.sessions] == [(1, 101, 201)]
    client.close()
    await again.until(lambda: again.got == [SessionClosed(session_id=1)])
    again.close()


async def test_drain_ends_sessions_and_the_process(life):
    """A draining process would stay for ever."""
    _, gateway, serving, _, task = life
    serving.loaded.set()
    gateway.channel.send(ASSIGN)
    client = gateway.hand_over(1)
    await gateway.until(lambda: gateway.got)
    await asyncio.sleep(0.01)
    gateway.channel.send(Drain(deadline_s=5.0))
    await asyncio.wait_for(task, 5)
    assert serving.drained == [1]
    assert client.recv(1) == b""
    client.close()


async def test_exit_ends_a_warm_process(life):
    """Surplus warm processes would stay for ever."""
    _, gateway, _, _, task = life
    gateway.channel.send(Exit())
    await asyncio.wait_for(task, 5)


async def test_a_second_tenant_is_refused(life):
    """A process that served one tenant would be given to another."""
    _, gateway, serving, _, _ = life
    serving.loaded.set()
    gateway.channel.send(ASSIGN)
    await gateway.until(lambda: gateway.got)
    other = TenantBinding(tenant_id=8, tenant_name="globex", user="app", proof=b"p")
    gateway.channel.send(Assign(binding=other, credential=b"other"))
    await asyncio.sleep(0.02)
    assert serving.credential == b"c"
