"""How tests of the client make one, write and wait."""

import asyncio

from kvapi.client.config import ClientConfig
from kvapi.client.kv_client import KvClient
from runtime.clock import SystemClock

TXN = b"t" * 16


OTHER = b"o" * 16


def make_client(server, transport, **config):
    config = {"connect_wait_s": 2.0, "resolve_wait_s": 2.0} | config
    return KvClient(server.address(transport), config=ClientConfig(**config), clock=SystemClock())


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  the conditions are plain fields
            await asyncio.sleep(0.001)


async def write(client, txn_id=TXN, **writes):
    return await client.commit(
        txn_id=txn_id,
        read_ts=0,
        catalog_version=0,
        writes={k.encode(): v for k, v in writes.items()},
    )
