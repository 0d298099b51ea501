"""Connections break at every moment of a commit: what was acknowledged counts exactly once."""

import asyncio
import random

import pytest

from kvapi.client.config import ClientConfig
from kvapi.client.kv_client import KvClient
from kvapi.errors import ConnectionLost, WriteConflict
from runtime.clock import SystemClock
from sqlnode.txn import Transaction
from tests.fakes.kv_server import CREDENTIAL, FakeKvServer


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("transport", ["unix", "grpc"])
async def test_acknowledged_commits_count_exactly_once(tmp_path, seed, transport):
    """A payment that was confirmed is booked once; one that failed is not booked."""
    rng = random.Random(seed)
    server = FakeKvServer()
    await server.start(tmp_path / "kv.sock")
    server.store.put(b"sum", b"0")
    client = KvClient(server.address(transport), config=ClientConfig(), clock=SystemClock())
    await client.authenticate(CREDENTIAL)
    acknowledged = failed = 0

    async def add():
        nonlocal acknowledged, failed
        txn = Transaction(client, txn_id=rng.randbytes(16), catalog_version=0)
        try:
            (value,) = (await txn.lock_rows([b"sum"])).values
            txn.put(b"sum", b"%d" % (int(value) + 1))
            await txn.commit()
        except (ConnectionLost, WriteConflict):
            failed += 1
            await txn.rollback()
        else:
            acknowledged += 1

    async def breaker():
        while True:
            await asyncio.sleep(rng.random() * 0.01)
            match rng.randrange(3):
                case 0:
                    server.drop_connections()
                case 1:
                    server.break_after = rng.choice(["commit", "lock"])
                case _:
                    server.break_before = rng.choice(["commit", "lock", "rollback"])

    async def work():
        attempts = 0
        while attempts < 25 or acknowledged <= 20 or not failed:  # however slow the machine is
            attempts += 1
            await add()

    breaking = asyncio.ensure_future(breaker())
    await asyncio.gather(*[work() for _ in range(6)])
    breaking.cancel()
    server.break_after = server.break_before = None
    final = await client.get(b"sum")
    await client.close()
    await server.stop()
    assert int(final.value) == acknowledged
