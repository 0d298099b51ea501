"""A node starts on a store in which large transactions were half-way to where versions live."""

from contextlib import closing

import pytest

from kvnode.mvcc.apply import apply_writes
from kvnode.mvcc.intents import Place, commit_layers, resolve, stage
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
from kvnode.verify import problems_of, verify_store
from tests.fakes.tidy_node import tidy_up

TXN = 7  # number of the large transaction, and of its first layer


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
        tidy_up(engine)
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
        tidy_up(engine)
        with closing(engine.snapshot()) as snapshot:
            assert problems_of(verify_store(snapshot)) == []
            assert snapshot.seek(Table.INTENTS, b"") is None
