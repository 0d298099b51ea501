"""The KV client against a real node with a real store, over both transports."""

import asyncio
import os
import secrets
from pathlib import Path

import grpc.aio
import pytest

from kvapi.client.catalog_calls import SchemaChange
from kvapi.client.config import ClientConfig
from kvapi.client.kv_client import KvClient
from kvapi.client.results import FOUND, SKIPPED, TxnOutcome
from kvapi.errors import (
    CounterExhausted,
    CredentialRefused,
    Deadlock,
    KeyExists,
    KeyTooLong,
    KvError,
    LockNotAvailable,
    LockTimeout,
    SchemaChanged,
    WriteConflict,
)
from kvapi.footprint import Footprint
from kvapi.pb import admin_pb2, admin_pb2_grpc
from kvapi.spans import Span
from kvnode.main import Addresses, running_kvnode
from kvnode.node_config import NodeConfig
from runtime.clock import SystemClock
from sqlnode.txn import Transaction
from tests.sim.txn_history import History

pytestmark = pytest.mark.e2e

ROWS = Span(b"\x02", b"\x03")
TXN, OTHER = b"t" * 16, b"o" * 16


class Node:
    """A node that can be stopped and started again on the same store and addresses."""

    def __init__(self, directory, config=None):
        self._config = config or NodeConfig()
        self._data_dir = directory / "data"
        # Socket paths are short by law; pytest's directories are not.
        self._wanted = Addresses(
            unix=os.path.relpath(directory / "s"),
            kv="127.0.0.1:0",
            admin="127.0.0.1:0",
            http="127.0.0.1:0",
        )
        self._running = self.at = None

    async def start(self):
        self._running = running_kvnode(self._data_dir, self._wanted, self._config)
        self.at = self._wanted = await self._running.__aenter__()

    async def stop(self):
        await self._running.__aexit__(None, None, None)

    def address(self, transport):
        return f"unix:{self.at.unix}" if transport == "unix" else self.at.kv

    async def credential(self, tenant):
        token = (Path(self._data_dir) / "admin.token").read_text().strip()
        metadata = (("authorization", f"Bearer {token}"),)
        async with grpc.aio.insecure_channel(self.at.admin) as channel:
            admin = admin_pb2_grpc.TenantAdminStub(channel)
            create = admin_pb2.CreateTenantRequest(name=tenant, user="u", scram_verifier="x")
            await admin.CreateTenant(create, metadata=metadata)
            ask = admin_pb2.GetLoginRequest(tenant=tenant, user="u")
            return (await admin.GetLogin(ask, metadata=metadata)).credential


@pytest.fixture
async def node(tmp_path):
    node = Node(tmp_path)
    await node.start()
    yield node
    await node.stop()


@pytest.fixture(params=["unix", "grpc"])
async def client(request, node):
    config = ClientConfig(connect_wait_s=10.0)
    client = KvClient(node.address(request.param), config=config, clock=SystemClock())
    await client.connect()
    await client.authenticate(await node.credential("acme"))
    yield client
    await client.close()


def commit(client, writes, **options):
    options = {"txn_id": secrets.token_bytes(16), "read_ts": 0, "catalog_version": 0} | options
    return client.commit(writes=writes, **options)


async def test_reads_and_scans(client):
    """Point reads, snapshots, both directions, resuming: the whole of reading."""
    data = {b"\x02%03d" % n: b"v%d" % n for n in range(300)}
    first = await commit(client, data)
    second = await commit(client, {b"\x02000": b"new", b"\x02001": None})
    assert (await client.get(b"\x02000")).value == b"new"
    assert (await client.get(b"\x02000", read_ts=first)).value == b"v0"
    got = await client.multi_get([b"\x02001", b"\x02002", b"\x02000"])
    assert (got.values, got.read_ts) == ([None, b"v2", b"new"], second)
    for read_ts, expected in ((first, data), (0, None)):
        expected = expected or {k: v for k, v in data.items() if k != b"\x02001"} | {
            b"\x02000": b"new"
        }
        for reverse in (False, True):
            span, rows = ROWS, []
            while True:
                block = await client.scan(span, read_ts=read_ts, reverse=reverse, limit_rows=70)
                rows += block.rows()
                if not block.more:
                    break
                span = block.resume_span(span)
            assert rows == sorted(expected.items(), reverse=reverse)
    assert (await client.scan(ROWS, count_only=True)).row_count == 299
    keys = await client.scan(ROWS, keys_only=True, limit_rows=2)
    assert keys.keys_list() == [b"\x02000", b"\x02002"]
    assert len(keys.rows()) == 2


async def test_validation(client):
    """Footprints, absent keys, catalog versions."""
    ts = await commit(client, {b"a": b"1"})
    await commit(client, {b"a": b"2"})
    for footprint in (Footprint(keys=[b"a"]), Footprint(spans=[Span(b"a", b"b")])):
        with pytest.raises(WriteConflict):
            await commit(client, {b"b": b""}, read_ts=ts, footprint=footprint)
        with pytest.raises(WriteConflict):
            await client.refresh(txn_id=TXN, read_ts=ts, footprint=footprint)
    with pytest.raises(KeyExists) as exists:
        await commit(client, {b"a": b"3"}, absent_keys=[b"z", b"a"])
    assert exists.value.key == b"a"
    version = await commit(client, {b"d": b""}, schema_change=SchemaChange())
    assert client.catalog_version == version
    with pytest.raises(SchemaChanged):
        await client.get(b"a", catalog_version=version - 1)
    with pytest.raises(KeyTooLong):
        await commit(client, {bytes(3000): b""})


async def test_locks(client):
    """Waiting, skipping, giving up, deadlock."""
    await commit(client, {b"a": b"1", b"b": b"2"})
    await client.lock([b"a"], txn_id=TXN)
    with pytest.raises(LockNotAvailable):
        await client.lock([b"a"], txn_id=OTHER, wait="nowait")
    skipped = await client.lock([b"a", b"b"], txn_id=OTHER, wait="skip")
    assert (skipped.values, skipped.found) == ([None, b"2"], bytes((SKIPPED, FOUND)))
    with pytest.raises(LockTimeout):
        await client.lock([b"a"], txn_id=OTHER, timeout_ms=30)
    waiting = client.lock([b"a"], txn_id=OTHER)
    with pytest.raises(Deadlock):
        await client.lock([b"b"], txn_id=TXN)
    await commit(client, {b"a": b"9"}, txn_id=TXN)
    assert (await waiting).values == [b"9"]
    await client.rollback(txn_id=OTHER)
    await client.lock([b"a", b"b"], txn_id=b"3" * 16, wait="nowait")


async def test_large_commit_is_staged(client):
    """40 MB in one transaction, through 16 MB frames, all or nothing."""
    writes = {b"\x02%05d" % n: bytes(100_000) for n in range(400)}
    await commit(client, writes)
    assert (await client.scan(ROWS, count_only=True)).row_count == 400


async def test_many_large_rows_in_one_read(client):
    """A batch whose rows exceed one frame is read in parts, not refused."""
    keys = [b"\x02%05d" % n for n in range(200)]
    await commit(client, dict.fromkeys(keys, bytes(100_000)))
    txn = Transaction(client, txn_id=TXN, catalog_version=0)
    assert [len(v) for v in await txn.multi_get(keys)] == [100_000] * 200
    assert len((await txn.lock_rows(keys)).values) == 200
    total = 0
    async for block in txn.scan_blocks(ROWS):
        total += len(block.values)
    assert total == 200 * 100_000
    await txn.rollback()


async def test_counters(client):
    """Sequences."""
    assert (await client.counter_peek(b"s", start=5)) == (5, False)
    assert (await client.increment(b"s", start=5)).value == 5
    assert (await client.increment(b"s", by=10, count=3)).value == 35
    await client.counter_set(b"s", 7, is_called=False)
    assert (await client.increment(b"s")).value == 7
    with pytest.raises(CounterExhausted):
        await client.increment(b"s", bounds=(1, 7))


async def test_status(client):
    """The promise behind 40003."""
    ts = await commit(client, {b"a": b""}, txn_id=TXN)
    assert await client.txn_status(TXN) == (TxnOutcome.COMMITTED, ts)
    assert (await client.txn_status(OTHER)).state is TxnOutcome.UNKNOWN
    with pytest.raises(KvError):
        await commit(client, {b"a": b"late"}, txn_id=OTHER)
    assert (await client.get(b"a")).value == b""


async def test_restart_of_the_node_is_a_pause(node, client):
    """Clients that only read notice nothing; what was committed is there."""
    ts = await commit(client, {b"a": b"1"})
    await node.stop()
    waiting = [client.get(b"a"), commit(client, {b"b": b"2"})]
    await node.start()
    got, _ = await asyncio.gather(*waiting)
    assert (got.value, got.commit_ts) == (b"1", ts)
    assert (await client.get(b"b")).value == b"2"


async def test_refused_credential(node, client):
    """No way in without one."""
    for bad in (b"", b"x" * 69):
        other = KvClient(client.address, config=ClientConfig(), clock=SystemClock())
        with pytest.raises(CredentialRefused):
            await other.authenticate(bad)
        await other.close()


async def test_transactions_keep_the_sum(client):
    """Money moves between accounts under contention: none appears, none vanishes, none fails."""
    await commit(client, {b"\x02%d" % n: b"100" for n in range(4)})

    async def move(turn):
        for step in range(10):
            source, target = (turn + step) % 4, (turn * step + 1) % 4
            keys = sorted({b"\x02%d" % source, b"\x02%d" % target})
            if len(keys) < 2:
                continue
            txn = Transaction(client, txn_id=secrets.token_bytes(16), catalog_version=0)
            balances = [int(v) for v in (await txn.lock_rows(keys)).values]
            txn.put(keys[0], b"%d" % (balances[0] - 1))
            txn.put(keys[1], b"%d" % (balances[1] + 1))
            await txn.commit()

    await asyncio.gather(*[move(turn) for turn in range(16)])
    block = await client.scan(ROWS)
    assert sum(map(int, block.values_list())) == 400


async def test_some_serial_order_explains_everything(client):
    """Anything else is a lost update, a phantom or a torn read at a customer."""
    history = History(1)
    await history.run(client, worker_count=8, txn_count=60)
    history.check()
    assert len(history.committed) > 100
    assert history.failed_count
