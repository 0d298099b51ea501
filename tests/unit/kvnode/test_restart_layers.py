"""A node starts on a store in which large transactions were half-way to where versions live."""

import asyncio
from contextlib import closing

import pytest

from kvnode.core import Core, Identity
from kvnode.mvcc.apply import apply_writes
from kvnode.mvcc.intents import Place, commit_layers, resolve, stage
from kvnode.node_config import NodeConfig
from kvnode.storage.engine import Table
from kvnode.storage.lmdb_engine import LmdbConfig, LmdbEngine
from kvnode.tenants.records import (
    NEWEST_TS,
    NEXT_TENANT_ID,
    TenantRecord,
    change_sizes,
    encode_record,
    name_key,
    record_key,
    write_u64,
)
from kvnode.txn.write_batch import write_batch
from kvnode.verify import problems_of, verify_store
from runtime.clock import ManualClock

TXN = 7  # number of the large transaction, and of its first layer


class LoopWriter:
    """Writes as soon as the loop comes to it."""

    def __init__(self, engine, loop):
        self.engine, self.loop = engine, loop

    def run(self, operations, report):
        self.loop.call_soon(lambda: report(write_batch(self.engine, operations)))

    def hurry(self, *, may_give_up):
        """Write as soon as ever."""


def start(engine):
    """Start a node's core, and let it do what is left to do."""

    async def run():
        loop = asyncio.get_running_loop()
        core = Core(
            engine,
            LoopWriter(engine, loop),
            config=NodeConfig(),
            identity=Identity(b"c" * 16, b"s" * 32),
            clock=ManualClock(),
            loop=loop,
        )
        # Each step of the upkeep queues the next one: there is no event to wait for.
        while not core.group.is_idle or len(core.scheduler):  # noqa: ASYNC110
            await asyncio.sleep(0)
        core.timeline.release_snapshot()

    asyncio.run(run())


def make_tenant(txn, number):
    """Write a tenant with one row; return its prefix."""
    prefix, name = number.to_bytes(4, "big"), f"tenant{number}"
    record = TenantRecord(id=number, name=name, created_unix_ms=0, gc_ttl_s=1.0)
    txn.put(Table.SYSTEM, record_key(prefix), encode_record(record))
    txn.put(Table.SYSTEM, name_key(name), prefix)
    write_u64(txn, NEXT_TENANT_ID, number + 1)
    puts = {prefix + b"k": b"old"}
    change_sizes(txn, prefix, apply_writes(txn, tenant=prefix, commit_ts=1, puts=puts, deletes=()))
    write_u64(txn, NEWEST_TS, 2)
    return prefix


def stage_layer(txn, prefix, layer, puts, deletes=()):
    place = Place(prefix, TXN + layer, TXN, is_last=False)
    stage(txn, place, puts=puts, deletes=list(deletes), layer_bytes=100)
    return place


@pytest.mark.parametrize("moved_count", [0, 1, 2, 3])
def test_layers_go_on_where_they_were(tmp_path, moved_count):
    """A row that one layer deleted and the next wrote keeps a tombstone as new as itself."""
    with closing(LmdbEngine(tmp_path)) as engine:
        with engine.write() as txn:
            prefix = make_tenant(txn, 1)
            key = prefix + b"k"
            places = [
                stage_layer(txn, prefix, 0, {key: b"first"}),
                stage_layer(txn, prefix, 1, {}, [key]),
                stage_layer(txn, prefix, 2, {key: b"last"}),
            ]
            commit_layers(txn, tenant=prefix, txn_no=TXN, commit_ts=2, dropped={})
            for place in places[:moved_count]:
                moved = resolve(txn, place, commit_ts=2, is_stacked=True)
                change_sizes(txn, prefix, moved.change)
        start(engine)
        with closing(engine.snapshot()) as snapshot:
            assert problems_of(verify_store(snapshot)) == []
            assert snapshot.get(Table.LIVE, key)[8:] == b"last"
            assert snapshot.seek(Table.LAYERS, b"") is None


def test_a_store_that_has_to_grow_at_once(tmp_path):
    """A node whose store is nearly full, with layers of two tenants, never starts again."""
    with closing(LmdbEngine(tmp_path, LmdbConfig(map_bytes=512 << 10))) as engine:
        with engine.write() as txn:
            for number in (1, 2):
                prefix = make_tenant(txn, number)
                stage_layer(txn, prefix, 0, {prefix + b"k": bytes(190_000)})
        assert engine.needs_growth()
        start(engine)
        with closing(engine.snapshot()) as snapshot:
            assert problems_of(verify_store(snapshot)) == []
            assert snapshot.seek(Table.INTENTS, b"") is None
