"""sqlnode.txn over the in-memory KV node: isolation, overlay, locks, round trips."""

import asyncio
import gc
import itertools
import weakref

import pytest

from kvapi.errors import ConnectionLost, KeyExists, LockNotAvailable, WriteConflict
from kvapi.spans import Span
from sqlnode.savepoints import SavepointMissing
from sqlnode.txn import Transaction

ALL = Span(b"", b"")


@pytest.fixture
def begin(client):
    ids = itertools.count(1)

    def begin(**options):
        txn_id = next(ids).to_bytes(16, "big")
        return Transaction(client, txn_id=txn_id, catalog_version=0, **options)

    return begin


async def rows(txn, span=ALL, **options):
    found = []
    async for block in txn.scan_blocks(span, **options):
        found += block.rows()
    return found


def trips(server):
    return dict(server.store.request_counts)


async def test_point_read_is_one_round_trip(server, begin):
    """The latency of every point SELECT."""
    server.store.put(b"a", b"1")
    txn = begin()
    assert await txn.get(b"a") == b"1"
    await txn.commit()
    assert trips(server) == {"get": 1}


async def test_a_transaction_is_gone_with_its_end(server, begin):
    """Each statement would leave a cycle; the collector stops a quiet tenant for 4 ms then."""
    gc.disable()
    try:
        txn = begin()
        txn.savepoints.set("s")
        await txn.get(b"a")
        txn.put(b"a", b"1")
        txn.savepoints.rollback_to("s")
        txn.put(b"a", b"2")
        await txn.commit()
        left = weakref.ref(txn)
        del txn
        assert left() is None
    finally:
        gc.enable()


async def test_insert_is_one_round_trip(server, begin):
    """The latency of every INSERT."""
    txn = begin()
    txn.require_absent(b"a")
    txn.put(b"a", b"1")
    await txn.commit()
    assert trips(server) == {"commit": 1}
    again = begin()
    again.require_absent(b"a")
    again.put(b"a", b"2")
    with pytest.raises(KeyExists):
        await again.commit()


async def test_contended_updates_queue_and_never_fail(server, begin):
    """TPC-B: many clients add to the same branch row; no 40001, no addition lost."""
    server.store.put(b"branch", b"0")

    async def add():
        txn = begin()
        (account,) = (await txn.lock_rows([b"account%d" % txn.txn_id[-1]])).values
        assert account is None
        assert await txn.get(b"teller") is None
        (value,) = (await txn.lock_rows([b"branch"])).values
        txn.put(b"branch", b"%d" % (int(value) + 1))
        await txn.commit()

    await asyncio.gather(*[add() for _ in range(20)])
    assert server.store.read(b"branch", server.store.newest_ts)[0] == b"20"


async def test_lock_only_update_is_two_round_trips(server, begin):
    """TPC-B's UPDATE by key: one lock, then the commit; no read, no refresh."""
    server.store.put(b"a", b"1")
    txn = begin()
    await txn.lock_rows([b"a"])
    txn.put(b"a", b"2")
    await txn.commit()
    assert trips(server) == {"lock": 1, "commit": 1}


async def test_snapshot_moves_when_only_unread_rows_changed(server, begin):
    """A long transaction goes on as if it had begun later, instead of failing."""
    server.store.put(b"a", b"1")
    server.store.put(b"b", b"1")
    txn = begin()
    await txn.get(b"a")
    before = txn.read_ts
    server.store.put(b"b", b"2")
    assert (await txn.lock_rows([b"b"])).values == [b"2"]
    assert txn.read_ts > before
    assert await txn.get(b"a") == b"1"
    assert trips(server)["refresh"] == 1


async def test_overtaken_read_is_a_conflict(server, begin):
    """Otherwise UPDATE t SET x = x + 1 computed from an old read would lose an update."""
    server.store.put(b"a", b"1")
    server.store.put(b"b", b"1")
    txn = begin()
    await txn.get(b"a")
    server.store.put(b"a", b"2")
    with pytest.raises(WriteConflict):
        await txn.lock_rows([b"a"])
    other = begin()
    await rows(other, Span(b"a", b"b"))
    server.store.put(b"aa", b"phantom")
    server.store.put(b"b", b"2")
    with pytest.raises(WriteConflict):
        await other.lock_rows([b"b"])


async def test_write_skew_is_refused(begin):
    """Two doctors go off call, each having seen the other on call: serializable forbids it."""
    one, two = begin(), begin()
    for txn, own in ((one, b"x"), (two, b"y")):
        assert await rows(txn, Span(b"x", b"z")) == []
        txn.put(own, b"off")
    await one.commit()
    with pytest.raises(WriteConflict):
        await two.commit()


@pytest.mark.parametrize("isolation", ["repeatable read", "read committed"])
async def test_weaker_levels_do_not_validate_reads(server, begin, isolation):
    """As in PostgreSQL: write skew passes below SERIALIZABLE."""
    txn = begin(isolation=isolation)
    await txn.get(b"a")
    server.store.put(b"a", b"1")
    txn.put(b"b", b"1")
    await txn.commit()


async def test_read_committed_renews_its_snapshot(server, begin):
    """Each statement sees what was committed before it began; the others do not."""
    for isolation, expected in (("read committed", b"2"), ("repeatable read", b"1")):
        server.store.put(b"a", b"1")
        txn = begin(isolation=isolation)
        txn.begin_statement()
        await txn.get(b"a")
        server.store.put(b"a", b"2")
        txn.begin_statement()
        assert await txn.get(b"a") == expected


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
async def test_a_view_keeps_its_snapshot_and_its_writes(server, begin, isolation):
    """A cursor would show half of a later commit, or of its own transaction's later statements."""
    for n in range(2500):
        server.store.put(b"k%04d" % n, b"old")
    txn = begin(isolation=isolation)
    txn.begin_statement()
    with txn.as_now() as view:
        scan = view.scan_blocks(ALL)
        values = (await anext(scan)).values_list()
        for n in range(2500):
            server.store.put(b"k%04d" % n, b"new")
        txn.begin_statement()
        txn.put(b"k2400", b"own")
        txn.catalog_version = server.store.catalog_version  # it follows others' schema changes
        is_renewed = isolation == "read committed"
        assert await txn.get(b"k2401") == (b"new" if is_renewed else b"old")
        assert await view.multi_get([b"k2400", b"k2401"]) == [b"old", b"old"]
        async for block in scan:
            values += block.values_list()
    assert (len(values), set(values)) == (2500, {b"old"})
    assert view.catalog_version == txn.catalog_version


async def test_a_view_of_repeatable_read_outlives_its_statement_without_moving(server, begin):
    """FETCH of a cursor FOR UPDATE would bring rows that this transaction must not see."""
    server.store.put(b"a", b"1")
    server.store.put(b"b", b"1")
    txn = begin(isolation="repeatable read")
    txn.begin_statement()
    with txn.as_now() as view:
        await view.get(b"a")
        server.store.put(b"b", b"2")
        txn.begin_statement()
        with pytest.raises(WriteConflict):
            await view.lock_rows([b"b"])


async def test_a_snapshot_can_be_taken_before_anything_is_read(server, begin):
    """A cursor whose first rows come from no table would be of the time of a later FETCH."""
    server.store.put(b"a", b"old")
    txn = begin(isolation="read committed")
    txn.begin_statement()
    with txn.as_now() as view:
        await view.fix_snapshot()
        server.store.put(b"a", b"new")
        await view.fix_snapshot()  # it stays
        txn.begin_statement()
        assert [await view.get(b"a"), await txn.get(b"a")] == [b"old", b"new"]


async def test_scan_read_ahead_follows_a_refresh(server, begin):
    """A block read ahead at the old snapshot would escape validation."""
    for n in range(2500):
        server.store.put(b"k%04d" % n, b"old")
    server.store.put(b"x", b"1")
    txn = begin()
    scan = txn.scan_blocks(Span(b"k", b"l"))
    await anext(scan)
    await asyncio.sleep(0.02)  # the next block is here already
    server.store.put(b"k2000", b"new")
    server.store.put(b"x", b"2")
    await txn.lock_rows([b"x"])  # what was read so far is unchanged: the snapshot moves
    rest = [row async for block in scan for row in block.rows()]
    assert dict(rest)[b"k2000"] == b"new"
    txn.put(b"x", b"3")
    await txn.commit()


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("limit_rows", [0, 1, 3, 1500])
async def test_own_writes_lie_over_the_store(server, begin, reverse, limit_rows):
    """A transaction reads what it wrote, also between, before and after the rows of the store."""
    model = {b"k%04d" % n: b"s" for n in range(0, 2400, 2)}
    for key, value in model.items():
        server.store.put(key, value)
    txn = begin()
    for n in (0, 1, 2, 3, 1000, 1001, 1998, 2000, 2398, 2399, 9000):
        key = b"k%04d" % n
        if n % 3:
            txn.put(key, b"own")
            model[key] = b"own"
        else:
            txn.delete(key)
            model.pop(key, None)
    expected = sorted(model.items(), reverse=reverse)[: limit_rows or None]
    assert await rows(txn, reverse=reverse, limit_rows=limit_rows) == expected
    assert await txn.get(b"k0001") == b"own"
    assert await txn.multi_get([b"k0000", b"k0004", b"k0001"]) == [None, b"s", b"own"]


async def test_untouched_blocks_pass_as_they_are(server, begin):
    """Vectorised decoding needs the node's buffers, not a copy made row by row."""
    server.store.put(b"a", b"1")
    txn = begin()
    txn.put(b"z", b"own")
    (block,) = [b async for b in txn.scan_blocks(Span(b"a", b"b"))]
    assert (block.keys, block.values) == (b"a", b"1")
    keys = [b async for b in txn.scan_blocks(ALL, keys_only=True)]
    assert keys[0].keys_list() == [b"a", b"z"]


async def test_failed_statement_and_savepoints_undo_writes(server, begin):
    """ROLLBACK TO must restore values, deletions and the keys required absent."""
    server.store.put(b"a", b"0")
    txn = begin()
    txn.put(b"a", b"1")
    txn.savepoints.set("s")
    txn.put(b"a", b"2")
    txn.delete(b"b")
    txn.require_absent(b"a2")
    mark = txn.begin_statement()
    txn.put(b"c", b"3")
    txn.undo_to(mark)
    assert await txn.get(b"c") is None
    txn.savepoints.rollback_to("s")
    assert await rows(txn) == [(b"a", b"1")]
    server.store.put(b"a2", b"")
    txn.savepoints.release("s")
    with pytest.raises(SavepointMissing):
        txn.savepoints.rollback_to("s")
    # b"c" and the scan were read, and a2 is a phantom in the latter:
    with pytest.raises(WriteConflict):
        await txn.commit()


async def test_statement_retry_forgets_its_own_reads(server, begin):
    """An autocommit statement that was overtaken is run again inside; the client sees nothing."""
    server.store.put(b"a", b"1")
    txn = begin()
    await txn.get(b"other")
    mark = txn.begin_statement()
    await txn.get(b"a")
    server.store.put(b"a", b"2")
    with pytest.raises(WriteConflict):
        await txn.lock_rows([b"a"])
    await txn.retry_statement(mark)
    assert (await txn.lock_rows([b"a"])).values == [b"2"]
    txn.put(b"a", b"3")
    await txn.commit()


async def test_delete_then_insert_of_one_key(server, begin):
    """DELETE, then INSERT of one primary key in one transaction is legal; two INSERTs are not."""
    server.store.put(b"a", b"1")
    txn = begin()
    await txn.lock_rows([b"a"])
    txn.delete(b"a")
    txn.require_absent(b"a")
    txn.put(b"a", b"2")
    with pytest.raises(KeyExists):
        txn.require_absent(b"a")
    assert (await txn.lock_rows([b"a"])).values == [b"2"]
    await txn.commit()


async def test_locks_are_freed_by_rollback_and_empty_commit(server, begin):
    """SELECT … FOR UPDATE followed by COMMIT must not block the row for ever."""
    for end in ("rollback", "commit"):
        txn = begin()
        await txn.lock_rows([b"a"], keep_absent=True)
        with pytest.raises(LockNotAvailable):
            await begin().lock_rows([b"a"], wait="nowait")
        await getattr(txn, end)()
        free = begin()
        await free.lock_rows([b"a"], wait="nowait")
        await free.rollback()


async def test_lost_locks_fail_the_commit(server, begin):
    """The node restarted between UPDATE and COMMIT: others may have written the row."""
    server.store.put(b"a", b"1")
    txn = begin()
    await txn.lock_rows([b"a"])
    txn.put(b"a", b"2")
    server.drop_connections()
    await asyncio.sleep(0.05)
    with pytest.raises(ConnectionLost):
        await txn.commit()
    assert server.store.read(b"a", server.store.newest_ts)[0] == b"1"


async def test_footprint_is_bounded(server, begin):
    """A transaction that reads a million keys must still fit its commit into a frame."""
    txn = begin()
    await txn.multi_get([b"\x02tabidx%06d" % n for n in range(10_000)])
    footprint = txn._reads.footprint()
    assert len(footprint.keys) + len(footprint.spans) < 6000
    server.store.put(b"\x02tabidx009999", b"")
    txn.put(b"a", b"")
    with pytest.raises(WriteConflict):
        await txn.commit()


async def test_parallel_first_reads_share_one_snapshot(server, begin):
    """Two halves of one query at different times would tear it."""
    server.store.put(b"a", b"1")
    txn = begin()
    got = await asyncio.gather(txn.get(b"a"), txn.multi_get([b"a"]), rows(txn))
    assert got == [b"1", [b"1"], [(b"a", b"1")]]
    assert server.frames[0] == ["get"]


async def test_a_cursors_next_block_does_not_set_the_snapshot_of_a_later_statement(server, begin):
    """READ COMMITTED would answer a statement from the time of a cursor that is open beside it."""
    server.store.put(b"a", b"old")
    txn = begin(isolation="read committed")
    txn.begin_statement()
    with txn.as_now() as view:
        assert await view.get(b"a") == b"old"
        server.store.put(b"a", b"new")
        txn.begin_statement()
        assert await rows(view) == [(b"a", b"old")]
        assert await txn.get(b"a") == b"new"
