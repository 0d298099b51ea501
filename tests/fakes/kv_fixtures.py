"""A KV node in memory and its client, for what talks to the store."""

import pytest

from kvapi.client.config import ClientConfig
from kvapi.client.kv_client import KvClient
from runtime.clock import SystemClock
from tests.fakes.kv_server import CREDENTIAL, FakeKvServer


@pytest.fixture
async def server(tmp_path):
    """The node."""
    server = FakeKvServer()
    await server.start(tmp_path / "kv.sock")
    yield server
    await server.stop()


@pytest.fixture
async def client(server):
    """A client of the node, let in."""
    client = KvClient(server.address("unix"), config=ClientConfig(), clock=SystemClock())
    await client.authenticate(CREDENTIAL)
    yield client
    await client.close()
