"""gateway.control_server: whose signal tap is handed on."""

import asyncio
import os
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


@pytest.mark.parametrize("is_genuine", [True, False])
async def test_a_tap_is_taken_of_who_is_believed(tmp_path, is_genuine):
    """Whoever reaches the socket could fill the guard, or have processes watched by his taps."""
    taps, listener = [], Listener()
    path = tmp_path / "control.sock"
    server = ControlServer(path, listener, secret=SECRET, on_tap=taps.append)
    secret = SECRET if is_genuine else b"guessed"
    binding = make_binding(secret, pid=os.getpid(), tenant_id=1, tenant_name="acme", user="app")
    tap, other_end = socket.socketpair()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client, tap, other_end:
        client.connect(str(path))
        send_packet(client, encode(SqlHello(pid=os.getpid(), binding=binding)), (tap.fileno(),))
        tap.close()
        client.setblocking(False)
        async with asyncio.timeout(5):
            if is_genuine:
                while not taps:  # noqa: ASYNC110 - on_tap is called by the loop
                    await asyncio.sleep(0.001)
            else:
                assert await asyncio.get_running_loop().sock_recv(client, 1) == b""
        assert len(taps) == listener.connected == is_genuine
        for handed_on in taps:
            handed_on.close()
        assert other_end.recv(1) == b"", "nobody keeps a tap that is not handed on"
    server.close()
