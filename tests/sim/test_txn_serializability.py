"""Serializable means serializable: random transactions over the in-memory node."""

import pytest

from kvapi.client.config import ClientConfig
from kvapi.client.kv_client import KvClient
from runtime.clock import SystemClock
from tests.fakes.kv_server import CREDENTIAL, FakeKvServer
from tests.sim.txn_history import History


@pytest.mark.parametrize("seed", range(15))
async def test_some_serial_order_explains_everything(tmp_path, seed):
    """Anything else is a lost update, a phantom or a torn read at a customer."""
    server = FakeKvServer()
    await server.start(tmp_path / "kv.sock")
    client = KvClient(server.address("unix"), config=ClientConfig(), clock=SystemClock())
    await client.authenticate(CREDENTIAL)
    history = History(seed)
    await history.run(client, worker_count=8, txn_count=12)
    await client.close()
    await server.stop()
    history.check()
    assert len(history.committed) > 20, "a simulation that commits nothing proves nothing"
    assert history.failed_count, "without conflicts nothing was put to the test"
