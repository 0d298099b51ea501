"""kvapi.client against the in-memory node, over both transports."""

import asyncio

import pytest
import uvloop

from kvapi.client.catalog_calls import SchemaChange
from kvapi.client.results import FOUND, SKIPPED, TxnOutcome
from kvapi.errors import (
    ConnectionLost,
    KeyExists,
    LockNotAvailable,
    LockTimeout,
    RequestTooLarge,
    SchemaChanged,
    Throttled,
    Unavailable,
    WriteConflict,
)
from kvapi.footprint import Footprint
from kvapi.spans import Span
from tests.fakes.kv_server import CREDENTIAL, FakeKvServer
from tests.unit.kvapi.client_scene import OTHER, TXN, make_client, until, write


async def test_what_was_committed_is_read(client):
    """The basic promise of a store; also that absent is not empty."""
    commit_ts = await write(client, a=b"1", empty=b"")
    got = await client.get(b"a")
    assert (got.value, got.commit_ts, got.read_ts) == (b"1", commit_ts, commit_ts)
    assert (await client.get(b"empty")).value == b""
    assert (await client.get(b"none")).value is None
    assert (await client.multi_get([b"a", b"none", b"empty"])).values == [b"1", None, b""]
    assert (await client.get(b"a", read_ts=commit_ts - 1)).value is None


async def test_scan_goes_on_where_a_block_ended(client, server):
    """A wrong resume span would lose or repeat rows at every block border of a large scan."""
    keys = [bytes((n,)) for n in range(1, 8)]
    for key in keys:
        server.store.put(key, b"v" + key)
    for reverse in (False, True):
        span, seen = Span(b"", b""), []
        while True:
            block = await client.scan(span, limit_rows=3, reverse=reverse)
            seen += block.rows()
            if not block.more:
                break
            span = block.resume_span(span)
        assert [k for k, _ in seen] == (keys[::-1] if reverse else keys)
        assert all(v == b"v" + k for k, v in seen)
    assert (await client.scan(Span(b"", b""), count_only=True)).row_count == 7
    assert (await client.scan(Span(b"", b""), keys_only=True)).keys_list() == keys


async def test_one_turn_is_one_frame(client, server):
    """Batching is where the throughput comes from."""
    await asyncio.gather(*[client.get(b"k%d" % n) for n in range(50)])
    assert ["get"] * 50 in server.frames


async def test_credit_holds_back_and_lets_go(server, transport):
    """A client that ignores credit floods the node's memory."""
    server.credit = 3
    client = make_client(server, transport)
    await client.authenticate(CREDENTIAL)
    server.is_silent = True
    futures = [client.get(b"k") for _ in range(10)]
    await until(lambda: sum(map(len, server.frames)) == 3)
    assert (client.outstanding_count, client.queue_count) == (3, 7)
    server.is_silent = False
    for session in list(server.sessions):
        session.answer_held()
    await asyncio.gather(*futures)
    assert max(len(frame) for frame in server.frames) <= 3
    await client.close()


async def test_full_queue_is_throttled(server, transport):
    """An unbounded queue would turn a slow node into an out-of-memory SQL process."""
    server.credit = 1
    client = make_client(server, transport, queue_requests_max=2)
    await client.authenticate(CREDENTIAL)
    server.is_silent = True
    futures = [client.get(b"k") for _ in range(4)]
    with pytest.raises(Throttled):
        await futures[3]
    await client.close()
    for future in futures[:3]:
        with pytest.raises(Unavailable):
            await future if not isinstance(future.exception(), ConnectionLost) else None


async def test_typed_errors_arrive(client, server):
    """SQLSTATEs are made from these classes."""
    ts = await write(client, a=b"1")
    server.store.put(b"a", b"2")
    with pytest.raises(WriteConflict) as caught:
        await client.commit(
            txn_id=OTHER,
            read_ts=ts,
            catalog_version=0,
            footprint=Footprint(keys=[b"a"]),
            writes={b"b": b""},
        )
    assert caught.value.key == b"a"
    with pytest.raises(KeyExists):
        await client.commit(
            txn_id=OTHER, read_ts=0, catalog_version=0, writes={}, absent_keys=[b"a"]
        )
    with pytest.raises(SchemaChanged) as changed:
        await client.get(b"a", catalog_version=7)
    assert changed.value.number == 1
    with pytest.raises(WriteConflict):
        await client.refresh(
            txn_id=OTHER, read_ts=ts, footprint=Footprint(spans=[Span(b"a", b"b")])
        )
    assert await client.refresh(txn_id=OTHER, read_ts=ts, footprint=Footprint()) > ts


async def test_locks_wait_skip_and_time_out(client):
    """UPDATE, SELECT … FOR UPDATE NOWAIT and SKIP LOCKED."""
    await write(client, a=b"1", b=b"2")
    assert (await client.lock([b"a"], txn_id=TXN)).values == [b"1"]
    with pytest.raises(LockNotAvailable):
        await client.lock([b"a"], txn_id=OTHER, wait="nowait")
    skipped = await client.lock([b"a", b"b"], txn_id=OTHER, wait="skip")
    assert (skipped.values, skipped.found) == ([None, b"2"], bytes((SKIPPED, FOUND)))
    with pytest.raises(LockTimeout):
        await client.lock([b"a"], txn_id=OTHER, timeout_ms=20)
    waiting = client.lock([b"a"], txn_id=OTHER)
    await client.commit(txn_id=TXN, read_ts=0, catalog_version=0, writes={b"a": b"9"})
    assert (await waiting).values == [b"9"]
    await client.rollback(txn_id=OTHER)
    await client.lock([b"a"], txn_id=TXN, wait="nowait")


async def test_cancelled_wait_is_told_to_the_node(client, server):
    """statement_timeout must not leave a waiter that takes the lock later and keeps it."""
    await client.lock([b"a"], txn_id=TXN)
    waiting = asyncio.ensure_future(client.lock([b"a"], txn_id=OTHER))
    await until(lambda: server.store.waiters)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await client.get(b"a")
    assert not server.store.waiters


async def test_large_commit_is_staged(client, server):
    """A bulk load must not be refused for the size of a frame, nor be seen by halves."""
    writes = {b"k%05d" % n: b"x" * 10_000 for n in range(300)}
    await client.commit(txn_id=TXN, read_ts=0, catalog_version=0, writes=writes)
    assert server.store.request_counts["stage"] >= 3
    assert len(server.store.rows(Span(b"", b""), server.store.newest_ts)) == 300
    with pytest.raises(RequestTooLarge):
        await client.stage(txn_id=TXN, writes={b"k": bytes(2 << 20)})


async def test_layers_and_own_reads(client):
    """ROLLBACK TO SAVEPOINT in a bulk load, and its own reads of what it has staged."""
    await client.stage(txn_id=TXN, writes={b"a": b"1", b"b": b"1"}, absent_keys=[b"a"])
    await client.stage(txn_id=TXN, writes={b"a": b"2", b"b": None}, layer=2)
    with pytest.raises(KeyExists):
        await client.stage(txn_id=TXN, writes={b"a": b"3"}, absent_keys=[b"a"], layer=2)
    assert (await client.get(b"a", txn_id=TXN)).value == b"2"
    assert (await client.get(b"a", txn_id=TXN, layer_max=1)).value == b"1"
    assert (await client.multi_get([b"a", b"b"], txn_id=TXN)).values == [b"2", None]
    await client.unstage(txn_id=TXN, layer=2)
    rows = (await client.scan(Span(b"a", b"c"), txn_id=TXN)).rows()
    assert rows == [(b"a", b"1"), (b"b", b"1")]
    assert (await client.get(b"a")).value is None
    await client.commit(txn_id=TXN, read_ts=0, catalog_version=0, writes={})
    assert (await client.get(b"b")).value == b"1"


async def test_heartbeats_while_something_is_staged(server, transport):
    """A load that thinks for ten seconds would be rolled back; an idle client must not beat."""
    client = make_client(server, transport, heartbeat_s=0.005)
    await client.authenticate(CREDENTIAL)
    counts = server.store.request_counts
    await client.stage(txn_id=TXN, writes={b"a": b"1"})
    await until(lambda: counts["heartbeat"] >= 3)
    await client.rollback(txn_id=TXN)
    before = counts["heartbeat"]
    await asyncio.sleep(0.05)
    assert counts["heartbeat"] <= before + 1
    await client.close()


async def test_counters(client):
    """nextval, setval and currval after a restart."""
    assert (await client.counter_peek(b"s", start=5)) == (5, False)
    assert (await client.increment(b"s", start=5)).value == 5
    assert (await client.increment(b"s", by=10, count=3)).value == 35
    await client.counter_set(b"s", 7, is_called=False)
    assert (await client.increment(b"s")).value == 7


async def test_catalog_version_is_noticed(client):
    """Other SQL processes learn of DDL from any answer."""
    seen = []
    client.on_catalog_version = seen.append
    commit_ts = await client.commit(
        txn_id=TXN,
        read_ts=0,
        catalog_version=0,
        writes={b"d": b""},
        schema_change=SchemaChange(),
    )
    assert (client.catalog_version, seen) == (commit_ts, [commit_ts])


async def test_status(client):
    """UNKNOWN is a promise: see the resolution of commits."""
    ts = await write(client, a=b"")
    assert (await client.txn_status(TXN)) == (TxnOutcome.COMMITTED, ts)
    assert (await client.txn_status(OTHER)).state is TxnOutcome.UNKNOWN


def test_runs_on_uvloop(tmp_path):
    """Every process runs on it, and its transports are no subclasses of asyncio's."""

    async def run():
        server = FakeKvServer()
        await server.start(tmp_path / "kv.sock")
        for transport in ("unix", "grpc"):
            client = make_client(server, transport)
            await client.authenticate(CREDENTIAL)
            assert (await client.get(b"a")).value is None
            await client.close()
        await server.stop()

    uvloop.run(run())
