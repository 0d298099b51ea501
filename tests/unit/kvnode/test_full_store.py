"""A store without room: what goes on, and how it comes back."""

import asyncio
import contextlib

import pytest

from kvapi.errors import DiskFull, KvError
from kvapi.pb import kv_pb2
from kvnode.storage.engine import StoreCorrupt, Table
from kvnode.storage.lmdb_engine import LmdbConfig, LmdbEngine
from kvnode.storage.memory_engine import MemoryEngine
from tests.sim.sim_node import SimNode
from tests.sim.virtual_loop import run_virtual

_MAP_BYTES = 2 << 20


def put(stream, key, value):
    writes = kv_pb2.Writes(put_keys=[key], put_values=[value])
    return stream.request(commit=kv_pb2.Commit(writes=writes))


async def fill(stream):
    """Write until the store refuses; return the keys that were acknowledged."""
    acknowledged = []
    while True:
        key = b"%06d" % len(acknowledged)
        try:
            await put(stream, key, b"v" * 20_000)
        except DiskFull:
            return acknowledged
        acknowledged.append(key)


def test_a_full_store_serves_reads_and_can_be_emptied(tmp_path):
    """A store that was full once would never take a write again, not even one that makes room."""

    async def body(loop):
        config = LmdbConfig(map_bytes=_MAP_BYTES, map_bytes_max=2 * _MAP_BYTES)
        node = SimNode(loop, engine=LmdbEngine(tmp_path, config))
        hog = node.stream(await node.create("hog"))
        other = node.stream(await node.create("other"))
        await put(other, b"k", b"1")
        keys = await fill(hog)
        assert len(keys) > 100  # nearly all of the map
        scan = await hog.request(scan=kv_pb2.Scan(count_only=True))
        assert scan.block.row_count == len(keys) + 1  # and the role
        assert (await other.request(get=kv_pb2.Get(key=b"k"))).value.value == b"1"
        await node.lifecycle.drop("hog")
        await put(other, b"k", b"2")
        assert (await other.request(get=kv_pb2.Get(key=b"k"))).value.value == b"2"
        again = node.stream(await node.create("hog"))
        assert len(await fill(again)) > len(keys) // 2
        node.core.timeline.release_snapshot()
        node.engine.close()

    run_virtual(body)


def test_upkeep_gets_through_while_clients_keep_the_store_full():
    """Clients that try again and again would keep the node from making room."""

    async def body(loop):
        node = SimNode(loop, engine=MemoryEngine(bytes_max=30_000))
        hog = node.stream(await node.create("hog"))
        await node.create("victim")
        await put(hog, b"k", bytes(20_000))

        async def insist(n):
            while not hog.session.is_closed:
                try:
                    await put(hog, b"%d" % n, bytes(20_000))
                except KvError:
                    await asyncio.sleep(0.0005)

        tasks = [loop.create_task(insist(n)) for n in range(5)]
        await asyncio.sleep(0.1)
        await node.lifecycle.change("victim", suspended=True, gc_ttl_s=None)
        await node.lifecycle.drop("victim")
        await node.lifecycle.drop("hog")
        for task in tasks:
            task.cancel()
        assert not node.engine._tables[Table.LIVE].rows

    run_virtual(body)


class CrampedEngine(MemoryEngine):
    """Has no room to move intents while `may_move` is False."""

    may_move = True

    @contextlib.contextmanager
    def write(self, **options):
        before = len(self._tables[Table.INTENTS].rows)
        with super().write(**options) as txn:
            yield txn
            if len(txn.tables[Table.INTENTS].rows) < before and not self.may_move:
                raise DiskFull("no room")


def test_a_load_that_does_not_fit_leaves_nothing_and_hurts_nobody(caplog):
    """The rows of a failed bulk load would show, or its moving fail everyone's commits for ever."""

    async def body(loop):
        engine = CrampedEngine()
        node = SimNode(loop, engine=engine)
        tenant_id = await node.create("t")
        stream, other = node.stream(tenant_id), node.stream(tenant_id)
        rows = {b"k%02d" % n: bytes(1000) for n in range(20)}

        def load(txn_id):
            writes = kv_pb2.Writes(put_keys=list(rows), put_values=list(rows.values()))
            return stream.request(txn_id=txn_id, stage=kv_pb2.Stage(writes=writes))

        async def count():
            scan = await other.request(scan=kv_pb2.Scan(start=b"k", end=b"l", count_only=True))
            return scan.block.row_count

        await load(b"a" * 16)
        engine._bytes_max = engine._growth_bytes_max = engine.used_bytes()
        with pytest.raises(DiskFull):
            await stream.request(txn_id=b"a" * 16, commit=kv_pb2.Commit())
        assert await count() == 0
        await asyncio.sleep(5)  # what is discarded makes room
        await put(other, b"small", b"")
        assert not engine._tables[Table.INTENTS].rows
        assert node.core.load_tenant(tenant_id).layers.size_bytes == 0

        engine._bytes_max = engine._growth_bytes_max = 1 << 40
        engine.may_move = False
        await load(b"b" * 16)
        await stream.request(txn_id=b"b" * 16, commit=kv_pb2.Commit())
        for n in range(5):
            await put(other, b"small", b"%d" % n)
            await asyncio.sleep(1)
        assert await count() == len(rows)
        assert engine._tables[Table.INTENTS].rows  # there was no room for them
        engine.may_move = True
        await asyncio.sleep(5)
        assert not engine._tables[Table.INTENTS].rows
        assert await count() == len(rows)

    run_virtual(body)
    assert [record.message for record in caplog.records].count("layer_not_moved") == 1


def test_a_damaged_file_is_refused_not_served(tmp_path):
    """A node on a damaged store would answer with garbage."""
    engine = LmdbEngine(tmp_path, LmdbConfig(map_bytes=_MAP_BYTES))
    with engine.write() as txn:
        for n in range(500):
            txn.put(Table.LIVE, b"%04d" % n, b"v" * 500)
    engine.close()
    data = tmp_path / "data.mdb"
    content = data.read_bytes()
    data.write_bytes(b"\xff" * 8192 + content[8192:])  # both meta pages
    with pytest.raises(StoreCorrupt):
        LmdbEngine(tmp_path, LmdbConfig(map_bytes=_MAP_BYTES))
    data.write_bytes(content[:100])
    with pytest.raises(StoreCorrupt):
        LmdbEngine(tmp_path, LmdbConfig(map_bytes=_MAP_BYTES))
