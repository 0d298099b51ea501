"""A million rows in one transaction, through the client against a real store."""

import pytest

from kvapi.client.config import ClientConfig
from kvapi.client.kv_client import KvClient
from kvapi.spans import Span
from runtime.clock import SystemClock
from tests.e2e.test_kv_contract import Node

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(600)]

TXN = b"t" * 16
ROWS, PER_CALL = 1_000_000, 8192
SPAN = Span(b"\x02", b"\x03")


async def connected(node, credential):
    client = KvClient(node.address("unix"), config=ClientConfig(), clock=SystemClock())
    await client.authenticate(credential)
    return client


async def count(client):
    return (await client.scan(SPAN, count_only=True)).row_count


async def test_a_million_rows(tmp_path):
    """A bulk load would be seen in part, or be half gone after a restart in the midst of moving."""
    node = Node(tmp_path)
    await node.start()
    credential = await node.credential("acme")
    client = await connected(node, credential)
    for first in range(0, ROWS, PER_CALL):
        keys = [b"\x02%08d" % n for n in range(first, min(first + PER_CALL, ROWS))]
        await client.stage(txn_id=TXN, writes=dict.fromkeys(keys, bytes(100)), absent_keys=keys)
    assert await count(client) == 0
    await client.commit(txn_id=TXN, read_ts=0, catalog_version=0, writes={})
    assert await count(client) == ROWS
    await client.close()
    await node.stop()
    await node.start()
    client = await connected(node, credential)
    for turn in range(20):  # the moving goes on meanwhile
        assert await count(client) == ROWS
        key = b"\x02%08d" % (ROWS - 1 - turn)
        assert (await client.get(key)).value == bytes(100)
        txn_id = b"n%015d" % turn
        await client.commit(txn_id=txn_id, read_ts=0, catalog_version=0, writes={key: b"new"})
        assert (await client.get(key)).value == b"new"
    await client.close()
    await node.stop()
