"""gateway.control_server: whose signal tap is handed on, and what becomes of one that is lost."""

import asyncio
import contextlib
import os
import resource
import socket

import pytest

from gateway.binding_proof import make_binding
from gateway.control_server import ControlServer
from runtime.control_wire import SqlHello, encode, send_packet

SECRET = b"s" * 32


class Listener:
    """Counts what it is told."""

    def __init__(self):
        self.connected = 0

    def sql_connected(self, channel, hello):
        self.connected += 1

    def sql_closed(self, pid, channel):
        pass


class Watcher:
    """Keeps taps; notes who is forgotten with which."""

    def __init__(self):
        self.taps = []
        self.forgotten = []

    def watch(self, pid, tap):
        self.taps.append(tap)

    def forget(self, pid, tap):
        self.forgotten.append((pid, tap))


@contextlib.contextmanager
def no_descriptor_left():
    """Let this process open nothing more for the length of the block."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - of what the loop calls
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("is_genuine", [True, False])
async def test_a_tap_is_taken_of_who_is_believed(tmp_path, is_genuine):
    """Whoever reaches the socket could fill the guard, or have processes watched by his taps."""
    watcher, listener = Watcher(), Listener()
    path = tmp_path / "control.sock"
    server = ControlServer(path, listener, secret=SECRET, watcher=watcher)
    secret = SECRET if is_genuine else b"guessed"
    binding = make_binding(secret, pid=os.getpid(), tenant_id=1, tenant_name="acme", user="app")
    tap, other_end = socket.socketpair()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client, tap, other_end:
        client.connect(str(path))
        send_packet(client, encode(SqlHello(pid=os.getpid(), binding=binding)), (tap.fileno(),))
        tap.close()
        client.setblocking(False)
        if is_genuine:
            await until(lambda: watcher.taps)
            client.close()
        else:
            async with asyncio.timeout(5):
                assert await asyncio.get_running_loop().sock_recv(client, 1) == b""
        await until(lambda: watcher.forgotten)
        assert watcher.forgotten == [(os.getpid(), watcher.taps[0] if is_genuine else None)]
        assert len(watcher.taps) == listener.connected == is_genuine
        for handed_on in watcher.taps:
            handed_on.close()
        assert other_end.recv(1) == b"", "nobody keeps a tap that is not handed on"
    server.close()


async def test_a_process_whose_tap_is_lost_is_forgotten(tmp_path, caplog):
    """A former gateway may have left it real-time: it would stay so, and nobody watch it."""
    watcher, path = Watcher(), tmp_path / "control.sock"
    server = ControlServer(path, Listener(), secret=SECRET, watcher=watcher)
    tap, other_end = socket.socketpair()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client, tap, other_end:
        client.connect(str(path))
        await until(lambda: server._peers)
        with no_descriptor_left():
            send_packet(client, encode(SqlHello(pid=os.getpid())), (tap.fileno(),))
            await until(lambda: watcher.forgotten)
    assert watcher.forgotten == [(os.getpid(), None)]
    assert not watcher.taps
    assert [record.message for record in caplog.records] == ["control_connection_failed"]
    server.close()
