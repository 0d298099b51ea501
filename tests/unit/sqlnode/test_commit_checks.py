"""sqlnode.commit_checks: what DDL below SERIALIZABLE relies on, over the in-memory KV node."""

import pytest

from kvapi.errors import WriteConflict
from kvapi.footprint import Footprint
from kvapi.spans import Span
from sqlnode.commit_checks import CommitChecks
from sqlnode.txn import Transaction

TABLE = Span(b"t", b"u")


@pytest.fixture
async def txn(client, server):
    """A READ COMMITTED transaction that has made an index of a table of one row."""
    server.store.put(b"t1", b"1")
    txn = Transaction(client, txn_id=bytes(16), catalog_version=0, isolation="read committed")
    txn.begin_statement()
    view = txn.watched()
    async for block in view.scan_blocks(TABLE):
        for _, value in block.rows():
            view.put(b"index" + value, b"")
    txn.rely_on(view)
    return txn


async def test_rows_that_came_later_are_a_conflict_at_the_commit(txn, server):
    """The index would lack their entries for ever."""
    server.store.put(b"t2", b"2")
    with pytest.raises(WriteConflict):
        await txn.commit()


async def test_later_statements_read_at_a_time_when_the_index_was_right(txn, server):
    """They would find rows by what those no longer are; what else has come they do see."""
    server.store.put(b"other", b"new")
    txn.begin_statement()
    assert await txn.get(b"other") == b"new"
    assert server.store.request_counts["refresh"] == 1
    assert await txn.get(b"t1") == b"1"
    assert server.store.request_counts["refresh"] == 1, "one snapshot for each statement"
    mark = txn.begin_statement()
    server.store.put(b"t1", b"changed")
    with pytest.raises(WriteConflict):
        await txn.get(b"other")
    with pytest.raises(WriteConflict):
        await txn.retry_statement(mark)


async def test_nothing_between_is_no_conflict(txn, server):
    """Every migration would fail."""
    server.store.put(b"other", b"1")
    await txn.commit()
    assert server.store.read(b"index1", server.store.newest_ts)[0] == b""


async def test_what_is_added_during_a_refresh_counts_from_its_own_time():
    """It would be validated from a later time than it was read at, or meanwhile nothing at all."""

    class Client:
        async def refresh(self, *, txn_id, read_ts, footprint):
            assert (read_ts, footprint.keys) == (10, [b"a"])
            assert checks.read_ts == 10
            checks.rely_on(Footprint([b"b"], []), read_ts=15)
            return 20

    checks = CommitChecks()
    checks.rely_on(Footprint([b"a"], []), read_ts=10)
    assert await checks.refresh(Client(), b"") == 20
    assert checks.read_ts == 10
    assert checks.footprint().keys == [b"a", b"b"]


async def test_a_refresh_that_fails_changes_nothing():
    """The commit would pass where the look before it did not."""

    class Client:
        async def refresh(self, **_):
            raise WriteConflict

    checks = CommitChecks()
    checks.rely_on(Footprint([b"a"], []), read_ts=10)
    with pytest.raises(WriteConflict):
        await checks.refresh(Client(), b"")
    assert checks.read_ts == 10


async def test_a_refresh_looks_at_nothing_but_what_ddl_relies_on():
    """Statements after DDL would fail for rows that only the commit has to look at."""

    class Client:
        async def refresh(self, *, txn_id, read_ts, footprint):
            assert (read_ts, footprint.keys) == (10, [b"ddl"])
            return 20

    checks = CommitChecks()
    checks.rely_on(Footprint([b"ddl"], []), read_ts=10)
    checks.add(Footprint([b"unique"], []), read_ts=5)
    await checks.refresh(Client(), b"")
    assert checks.read_ts == 5
    assert sorted(checks.footprint().keys) == [b"ddl", b"unique"]


async def test_ddl_that_was_taken_back_relies_on_nothing(client, server):
    """Whoever tried an index and went back to a savepoint could commit beside no writer."""
    server.store.put(b"t1", b"1")
    txn = Transaction(client, txn_id=bytes(16), catalog_version=0, isolation="read committed")
    txn.begin_statement()
    txn.savepoints.set("s")
    view = txn.watched()
    async for _ in view.scan_blocks(TABLE):
        pass
    txn.rely_on(view)
    txn.savepoints.rollback_to("s")
    server.store.put(b"t2", b"2")
    txn.begin_statement()
    assert await txn.get(b"t2") == b"2"
    txn.put(b"mine", b"1")
    await txn.commit()
    assert "refresh" not in server.store.request_counts


async def test_what_the_commit_looks_back_to_is_kept(txn):
    """After ten minutes of INSERTs a migration could not commit: what it saw would be forgotten."""
    since = txn.read_ts
    txn.begin_statement()
    assert (txn.read_ts, txn.oldest_ts) == (0, since)


def test_what_was_read_at_no_time_is_not_checked():
    """Keys that only this transaction has written would be validated from 0: a bad request."""
    checks = CommitChecks()
    checks.add(Footprint([b"own"], []), read_ts=0)
    checks.rely_on(Footprint([b"own"], []), read_ts=0)
    assert checks.read_ts == 0
    assert not checks.footprint().keys
    assert checks.relied == ()
