"""A client of the in-memory node, over both transports."""

import pytest

from tests.fakes.kv_server import CREDENTIAL, FakeKvServer
from tests.unit.kvapi.client_scene import make_client


@pytest.fixture(params=["unix", "grpc"])
def transport(request):
    return request.param


@pytest.fixture
async def server(tmp_path):
    server = FakeKvServer()
    await server.start(tmp_path / "kv.sock")
    yield server
    await server.stop()


@pytest.fixture
async def client(server, transport):
    client = make_client(server, transport)
    await client.connect()
    await client.authenticate(CREDENTIAL)
    yield client
    await client.close()
