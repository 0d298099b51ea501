"""Transactions that outgrow their buffer: round trips, errors of staging, what undo sends."""

import asyncio
import itertools

import pytest

from kvapi.errors import KeyExists, RequestTooLarge
from kvapi.spans import Span
from pgwire.errors import ConfigurationLimitExceeded
from sqlnode.txn import Transaction

ALL = Span(b"", b"")
KEYS = [b"\x02\x00\x00\x00\x01\x00\x01%02d" % n for n in range(10)]


@pytest.fixture
def begin(client):
    ids = itertools.count(1)

    def begin(stage_bytes=1, **options):
        txn_id = next(ids).to_bytes(16, "big")
        txn = Transaction(
            client, txn_id=txn_id, catalog_version=0, stage_bytes=stage_bytes, **options
        )
        txn.begin_statement()
        return txn

    return begin


async def put(txn, key, value=b"v"):
    txn.require_absent(key)
    txn.put(key, value)
    await txn.make_room()


def trips(server):
    return dict(server.store.request_counts)


async def test_small_transactions_make_the_same_round_trips(server, begin):
    """Staging is for bulk: a TPC-B transaction must not pay for it."""
    txn = begin(stage_bytes=1 << 20)
    await put(txn, KEYS[0])
    await txn.settle()
    txn.begin_statement()
    await put(txn, KEYS[1])
    await txn.settle()
    await txn.commit()
    assert trips(server) == {"commit": 1}


async def test_one_statement_is_one_layer(server, begin):
    """A million rows in thousands of layers would make every read of them slow."""
    txn = begin()
    for key in KEYS:
        await put(txn, key)
    await txn.settle()
    assert txn._own.layers.newest == 1
    assert trips(server) == {"stage": len(KEYS)}
    await txn.commit()
    assert len(server.store.rows(ALL, server.store.newest_ts)) == len(KEYS)


async def test_a_staged_key_is_no_new_key(server, begin):
    """A duplicate within one COPY must be refused although its first row has left memory."""
    server.store.put(KEYS[5], b"there")
    txn = begin()
    await put(txn, KEYS[0])
    await txn.settle()
    txn.begin_statement()
    await put(txn, KEYS[0])
    with pytest.raises(KeyExists) as caught:
        await txn.settle()
    assert caught.value.key == KEYS[0]
    with pytest.raises(KeyExists):  # the layer is not whole: nothing may go on above it
        await txn.commit()
    other = begin()
    other.begin_statement()
    await put(other, KEYS[1])
    await other.settle()
    mark = other.begin_statement()
    await put(other, KEYS[5])
    with pytest.raises(KeyExists):
        await other.settle()
    other.undo_to(mark)
    await put(other, KEYS[2])
    await other.settle()
    await other.commit()
    found = dict(server.store.rows(ALL, server.store.newest_ts))
    assert found == {KEYS[1]: b"v", KEYS[2]: b"v", KEYS[5]: b"there"}


async def test_deleted_by_ourselves_and_inserted_again(server, begin):
    """DELETE, then INSERT of the same rows in one transaction, each too large for memory."""
    server.store.put(KEYS[0], b"old")
    txn = begin()
    await txn.lock_rows([KEYS[0]])
    txn.delete(KEYS[0])
    await txn.make_room()
    await txn.settle()
    assert await txn.get(KEYS[0]) is None
    txn.begin_statement()
    await put(txn, KEYS[0], b"new")
    await txn.settle()
    assert (await txn.lock_rows([KEYS[0]])).values == [b"new"]
    await txn.commit()
    assert server.store.rows(ALL, server.store.newest_ts) == [(KEYS[0], b"new")]


async def test_inserted_and_deleted_before_it_was_staged(server, begin):
    """The delete of a row of ours would take another's row of the same key away."""
    txn = begin(stage_bytes=1 << 10)
    txn.require_absent(KEYS[0])
    txn.put(KEYS[0], b"mine")
    txn.delete(KEYS[0])
    txn.put(KEYS[1], bytes(2 << 10))
    await txn.make_room()
    await txn.settle()
    server.store.put(KEYS[0], b"another's")
    await txn.commit()
    found = server.store.rows(ALL, server.store.newest_ts)
    assert found == [(KEYS[0], b"another's"), (KEYS[1], bytes(2 << 10))]


async def test_many_small_statements_share_a_layer(server, begin):
    """A block of a million INSERTs of one row each would have thousands of layers."""
    txn = begin(stage_bytes=250)
    for n in range(40):
        txn.begin_statement()
        await put(txn, b"\x02%06d" % n)
        await txn.settle()
    assert trips(server)["stage"] > 10
    assert txn._own.layers.newest <= 15
    await txn.commit()
    assert len(server.store.rows(ALL, server.store.newest_ts)) == 40


async def test_a_retried_statement_begins_where_it_began(server, begin):
    """A conflict after half of a bulk UPDATE was staged: the second attempt must not see it."""
    for key in KEYS[:4]:
        server.store.put(key, b"1")
    txn = begin()
    await txn.lock_rows([KEYS[0]])
    txn.put(KEYS[0], b"2")
    await txn.make_room()
    await txn.settle()
    mark = txn.begin_statement()
    for key in KEYS[1:3]:
        await txn.lock_rows([key])
        txn.put(key, b"half")
        await txn.make_room()
    await txn.retry_statement(mark)
    assert await txn.multi_get(KEYS[:4]) == [b"2", b"1", b"1", b"1"]
    await txn.commit()


async def test_the_quota_is_named(begin, monkeypatch):
    """53400 tells the client what to do; 54000 would speak of a request it never made."""
    txn = begin()

    def refuse(**_):
        future = asyncio.get_running_loop().create_future()
        future.set_exception(RequestTooLarge("more than intents_bytes_tenant_max"))
        return future

    monkeypatch.setattr(txn._own.layers._client, "stage", refuse)
    await put(txn, KEYS[0])
    with pytest.raises(ConfigurationLimitExceeded) as caught:
        await txn.settle()
    assert caught.value.sqlstate == "53400"
    assert "intents_bytes_tenant_max" in caught.value.detail


async def test_rollback_gives_up_what_is_on_its_way(server, begin):
    """A cancelled load must not go on writing."""
    txn = begin()
    await put(txn, KEYS[0])
    await txn.rollback()
    other = begin()
    await put(other, KEYS[0])
    await other.settle()
    await other.commit()
    assert server.store.rows(ALL, server.store.newest_ts) == [(KEYS[0], b"v")]


@pytest.mark.parametrize("stage_bytes", [1, 1 << 20])
@pytest.mark.parametrize("isolation", ["read committed", "serializable"])
async def test_a_view_knows_what_was_written_since(begin, stage_bytes, isolation):
    """A cursor FOR UPDATE would bring rows as its transaction has left them behind."""
    txn = begin(stage_bytes, isolation=isolation)
    for key in KEYS[:4]:
        await put(txn, key)
    await txn.settle()
    txn.begin_statement()
    with txn.as_now() as view:
        assert await view.written_since(KEYS) == set()
        txn.put(KEYS[1], b"w")
        txn.delete(KEYS[2])
        await put(txn, KEYS[7])
        await txn.settle()
        txn.begin_statement()
        txn.put(KEYS[3], b"x")
        assert await view.written_since(KEYS) == {KEYS[1], KEYS[2], KEYS[3], KEYS[7]}
