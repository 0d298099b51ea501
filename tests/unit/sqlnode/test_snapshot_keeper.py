"""Long readers are protected, short ones cost nothing."""

import asyncio

from kvapi.errors import ConnectionLost, SnapshotTooOld
from sqlnode.snapshot_keeper import SnapshotKeeper
from tests.sim.virtual_loop import run_virtual


class FakeKv:
    """Takes note of what is protected."""

    def __init__(self, loop):
        self.loop = loop
        self.sent = []
        self.error = None
        self.connect_count = 1

    def protect(self, *, txn_id, read_ts):
        self.sent.append((txn_id, read_ts))
        future = self.loop.create_future()
        if self.error is None:
            future.set_result(None)
        else:
            future.set_exception(self.error)
        return future


class FakeReader:
    """A session with or without a transaction."""

    def __init__(self, snapshot=None):
        self.snapshot = snapshot

    def held_snapshot(self):
        return self.snapshot


def run(body):
    async def inside(loop):
        kv = FakeKv(loop)
        keeper = SnapshotKeeper(kv, after_s=4.0)
        reader = FakeReader()
        keeper.add(reader)
        await body(kv, keeper, reader)
        keeper.close()

    run_virtual(inside)


def test_what_is_read_for_long_is_protected_until_it_ends():
    """A cursor would lose its rows, or an ended one keep history for ever."""

    async def body(kv, keeper, reader):
        reader.snapshot = (b"a", 7)
        keeper.wake()
        await asyncio.sleep(2.1)
        assert kv.sent == []
        await asyncio.sleep(20)
        assert kv.sent == [(b"a", 7)]
        reader.snapshot = None
        await asyncio.sleep(2)
        assert kv.sent == [(b"a", 7), (b"a", 0)]
        assert not keeper.is_awake

    run(body)


def test_short_transactions_send_nothing_and_let_the_timer_sleep():
    """Each statement would pay for what only reports need."""

    async def body(kv, keeper, reader):
        keeper.wake()
        for n in range(1, 100):
            reader.snapshot = (b"%d" % n, n)
            await asyncio.sleep(0.3)
        reader.snapshot = None
        await asyncio.sleep(4)
        assert kv.sent == []
        assert not keeper.is_awake

    run(body)


def test_a_new_connection_protects_again():
    """After a restart of the KV node an open report would be unprotected."""

    async def body(kv, keeper, reader):
        reader.snapshot = (b"a", 7)
        keeper.wake()
        await asyncio.sleep(5)
        kv.connect_count += 1
        await asyncio.sleep(5)
        assert kv.sent == [(b"a", 7)] * 2
        reader.snapshot = (b"a", 9)  # READ COMMITTED: another statement
        await asyncio.sleep(5)
        assert kv.sent[2:] == [(b"a", 9)]

    run(body)


def test_what_failed_is_tried_again_unless_it_is_too_late():
    """A moment without connection would leave a report unprotected."""

    async def body(kv, keeper, reader):
        reader.snapshot = (b"a", 7)
        kv.error = ConnectionLost("gone")
        keeper.wake()
        await asyncio.sleep(9)
        assert len(kv.sent) > 1
        kv.error = SnapshotTooOld("gone")
        count = len(kv.sent)
        await asyncio.sleep(9)
        assert len(kv.sent) == count + 1

    run(body)


def test_a_block_in_the_past_is_protected_at_once():
    """BEGIN AS OF near the threshold would fail at its second statement."""

    async def body(kv, keeper, reader):
        reader.snapshot = (b"a", 7)
        keeper.wake()
        keeper.keep(b"a", 7)
        assert kv.sent == [(b"a", 7)]
        await asyncio.sleep(9)
        reader.snapshot = None
        await asyncio.sleep(3)
        assert kv.sent == [(b"a", 7), (b"a", 0)]

    run(body)


def test_switched_off_it_does_nothing():
    """An operator who switches it off would still have history kept."""

    async def body(loop):
        kv = FakeKv(loop)
        keeper = SnapshotKeeper(kv, after_s=0.0)
        assert keeper.is_awake  # nobody wakes it
        keeper.keep(b"a", 7)
        assert kv.sent == []
        await asyncio.sleep(1)

    run_virtual(body)
