"""Validations of many turns: what they let pass meanwhile, and how they are given up."""

import asyncio

import pytest

from kvapi.errors import InternalError, WriteConflict
from kvapi.pb import kv_pb2
from kvnode.core import Core
from kvnode.node_config import NodeConfig
from kvnode.txn.write_batch import write_batch
from tests.sim.busy_engine import BusyEngine
from tests.sim.sim_node import SimNode, SimWriter
from tests.sim.virtual_loop import run_virtual

ROWS = [b"r%03d" % n for n in range(300)]
ALL = kv_pb2.Footprint(spans=[kv_pb2.Span(start=b"r", end=b"s")])


def puts(*keys):
    return kv_pb2.Writes(put_keys=keys, put_values=[b"v"] * len(keys))


class World:
    """A node that forgets at once and looks at three rows in a turn; one transaction has read."""

    def __init__(self, loop):
        self.loop = loop
        engine = BusyEngine(loop, row_s=0.0004)  # three rows are a turn of the loop
        self.node = SimNode(loop, 1, NodeConfig(recent_keys_max=1, validate_rows_max=3), engine)

    async def open(self):
        tenant_id = await self.node.create("t")
        self.stream, self.other = self.node.stream(tenant_id), self.node.stream(tenant_id)
        self.tenant = self.node.core.load_tenant(tenant_id)
        written = await self.commit(self.other, puts(*ROWS))
        self.read_ts = written.commit.commit_ts
        for name in (b"x", b"y"):
            await self.commit(self.other, puts(name))  # so that the rows are forgotten
        assert self.tenant.recent.low_water > self.read_ts
        return self

    def commit(self, stream, writes, **fields):
        return stream.request(commit=kv_pb2.Commit(writes=writes), **fields)

    def long_commit(self, *keys):
        commit = kv_pb2.Commit(writes=puts(*keys), footprint=ALL)
        return self.stream.request(txn_id=b"T" * 16, read_ts=self.read_ts, commit=commit)

    @property
    def is_walking(self):
        return len(self.node.core.validations) > 0


def run(scene):
    async def play(loop):
        async with asyncio.timeout(60):
            await scene(await World(loop).open())

    run_virtual(play)


def test_others_commit_while_one_is_validated():
    """A report over a large table stops everyone's commits, or can never write its result."""

    async def scene(world):
        long = world.long_commit(b"a")
        assert world.is_walking
        turns = 0
        while not long.done() and world.is_walking:
            await asyncio.sleep(0)
            turns += 1
        assert turns >= len(ROWS) // 3
        small = world.commit(world.other, puts(b"z"))
        await asyncio.gather(long, small)

    run(scene)


def test_a_write_behind_the_walk_is_a_conflict():
    """What changes where one has looked already is not seen any more."""

    async def scene(world):
        long = world.long_commit(b"a")
        for _ in range(20):
            await asyncio.sleep(0)
        await world.commit(world.other, puts(ROWS[0]))
        with pytest.raises(WriteConflict) as caught:
            await long
        assert caught.value.key == ROWS[0]

    run(scene)


def test_who_goes_away_is_not_validated_any_further():
    """Transactions of closed sessions use up the node, and hold their locks."""

    async def scene(world):
        world.long_commit(b"a")
        assert world.is_walking
        assert world.tenant.reads
        world.stream.break_off()
        assert not world.is_walking
        assert not world.tenant.reads
        assert not world.node.core.locks.table
        refresh = kv_pb2.Refresh(footprint=ALL)
        answer = world.other.request(read_ts=world.read_ts, refresh=refresh)
        for _ in range(2):  # the request, and its turn
            await asyncio.sleep(0)
        assert world.is_walking
        world.other.break_off()
        assert not world.is_walking
        assert not answer.cancelled()

    run(scene)


def test_a_row_that_is_locked_during_the_walk_is_waited_for():
    """Two transactions write one row at once."""

    async def scene(world):
        long = world.long_commit(b"new")
        lock = kv_pb2.Lock(keys=[b"new"])
        locked = world.other.request(txn_id=b"L" * 16, lock=lock)
        assert world.is_walking
        await locked
        await asyncio.sleep(1)
        assert not world.is_walking
        assert not long.done()
        await world.other.request(txn_id=b"L" * 16, rollback=kv_pb2.Rollback())
        await long

    run(scene)


def test_a_long_refresh_answers_with_the_time_until_which_reads_are_valid():
    """A snapshot that is moved on without looking shows two points in time at once."""

    async def scene(world):
        refresh = kv_pb2.Refresh(footprint=ALL)
        answer = world.stream.request(read_ts=world.read_ts, refresh=refresh)
        assert world.is_walking
        newest = await world.commit(world.other, puts(b"z"))
        assert (await answer).read_ts <= newest.commit.commit_ts
        read_ts = (await answer).read_ts
        assert read_ts > world.read_ts
        await world.commit(world.other, puts(ROWS[-1]))
        with pytest.raises(WriteConflict):
            await world.stream.request(read_ts=read_ts, refresh=refresh)

    run(scene)


def test_garbage_collection_leaves_alone_what_is_validated():
    """The history that would show a conflict is collected under the walk."""

    async def scene(world):
        gone = kv_pb2.Writes(delete_keys=[ROWS[-1]])
        await world.commit(world.other, gone)
        await world.commit(world.other, puts(b"x"))
        long = world.long_commit(b"a")
        assert world.tenant.oldest_read(1 << 63) == world.read_ts
        with pytest.raises(WriteConflict):
            await long
        assert world.tenant.oldest_read(1 << 63) == 1 << 63

    run(scene)


def test_a_validation_that_fails_is_answered():
    """A damaged row stops garbage collection, and its readers wait for ever with their locks."""

    async def scene(world):
        errors, view = [], world.node.engine.snapshot
        world.loop.set_exception_handler(lambda _, context: errors.append(context["exception"]))
        long = world.long_commit(b"a")
        refresh = kv_pb2.Refresh(footprint=ALL)
        answer = world.other.request(read_ts=world.read_ts, refresh=refresh)
        while len(world.node.core.validations) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0)
        world.node.core.timeline.release_snapshot()
        world.node.engine.snapshot = lambda: None  # nothing can be read from that
        for waiting in (long, answer):
            with pytest.raises(InternalError, match="validation failed"):
                await waiting
        world.node.engine.snapshot = view
        assert [type(error) for error in errors] == [AttributeError] * 2
        assert not world.tenant.reads
        assert not world.node.core.locks.table

    run(scene)


def test_requests_without_end_do_not_keep_a_validation_from_its_turn():
    """A commit that read much holds its locks for ever, beside clients that read single rows."""

    async def scene(world):
        streams = [world.node.stream(world.tenant.id) for _ in range(4)]

        async def flood(stream):
            while True:
                gets = [stream.request(get=kv_pb2.Get(key=b"x")) for _ in range(60)]
                await asyncio.wait(gets)

        floods = [world.loop.create_task(flood(stream)) for stream in streams for _ in range(3)]
        await asyncio.sleep(0.1)
        await asyncio.wait_for(world.long_commit(b"a"), 5)
        for task in floods:
            task.cancel()

    run(scene)


def test_who_holds_locks_is_validated_first():
    """Those who wait for a row wait for the validation of every report that began before."""

    async def scene(world):
        lock = kv_pb2.Lock(keys=[b"held"])
        await world.other.request(txn_id=b"L" * 16, lock=lock)
        report = world.long_commit(b"a")  # begins earlier, and holds nothing
        commit = kv_pb2.Commit(writes=puts(b"held"), footprint=ALL)
        holder = world.other.request(txn_id=b"L" * 16, read_ts=world.read_ts, commit=commit)
        refresh = world.other.request(read_ts=world.read_ts, refresh=kv_pb2.Refresh(footprint=ALL))
        await holder
        assert not report.done()
        assert not refresh.done()
        assert world.is_walking
        await asyncio.gather(report, refresh)

    run(scene)


class LateReports(Core):
    """What is written is on disk at once, and reported later."""

    class writer_type(SimWriter):
        def run(self, operations, report):
            outcome = write_batch(self.engine, operations)
            self.loop.call_later(0.001, report, outcome)


def test_rows_that_have_just_been_moved_are_seen():
    """A row that a bulk load changed is neither an intent nor known as moved: the update is lost"""

    async def play(loop):
        node = SimNode(loop, core_type=LateReports)
        tenant_id = await node.create("t")
        bulk, other = node.stream(tenant_id), node.stream(tenant_id)
        layers = node.core.load_tenant(tenant_id).layers
        writes, txn_id = puts(*ROWS), b"B" * 16
        read_ts = (await bulk.request(commit=kv_pb2.Commit(writes=puts(*ROWS)))).commit.commit_ts
        await bulk.request(txn_id=txn_id, stage=kv_pb2.Stage(writes=writes))
        await bulk.request(txn_id=txn_id, commit=kv_pb2.Commit())
        async with asyncio.timeout(1):
            while not (layers.is_moving and node.core.group.queued_count):  # noqa: ASYNC110
                await asyncio.sleep(0)
        footprint = kv_pb2.Footprint(keys=ROWS[:1])
        commit = kv_pb2.Commit(writes=puts(b"sum"), footprint=footprint)
        with pytest.raises(WriteConflict):
            await other.request(read_ts=read_ts, commit=commit)

    run_virtual(play)
