"""A client of the in-memory node, over both transports."""

import pytest

from tests.fakes.kv_fixtures import server
from tests.fakes.kv_server import CREDENTIAL
from tests.unit.kvapi.client_scene import make_client

__all__ = ["client", "server", "transport"]


@pytest.fixture(params=["unix", "grpc"])
def transport(request):
    return request.param


@pytest.fixture
async def client(server, transport):
    client = make_client(server, transport)
    await client.connect()
    await client.authenticate(CREDENTIAL)
    yield client
    await client.close()
