"""What writes took is charged to who wrote, told to who asked, and nothing is lost on the way."""

import asyncio

import pytest

from kvapi.pb import kv_pb2
from kvnode.core import Core
from kvnode.storage.memory_engine import MemoryEngine
from kvnode.txn.write_batch import write_batch
from kvnode.txn.writer_thread import WriterThread
from runtime.thread_use import ThreadUse, thread_use
from tests.sim.sim_node import SimNode, SimWriter
from tests.sim.virtual_loop import run_virtual
from tests.unit.kvnode.test_group_commit import Put

ROW_S = 0.001  # of the writer thread's CPU, for each row
SYNC_S = 0.002
TXN = b"t" * 16


class CountingWriter(SimWriter):
    """Each row takes CPU, and none of the loop's time."""

    taken_s = 0.0

    def run(self, operations, report):
        self.begin(operations)
        rows = sum(len(getattr(one, "puts", ())) for one in operations)
        self.taken_s += rows * ROW_S
        used = ThreadUse(rows * ROW_S, 0)
        self.loop.call_later(SYNC_S, lambda: report(write_batch(self.engine, operations), used))


class CountingCore(Core):
    """Brings that writer."""

    writer_type = CountingWriter


def puts(name, count, size=1):
    keys = [b"%s%04d" % (name, n) for n in range(count)]
    return kv_pb2.Writes(put_keys=keys, put_values=[bytes(size)] * count)


def test_a_flood_of_writes_is_over_its_share():
    """Who writes without end takes the CPU of the writer for nothing, and goes first as well."""

    async def body(loop):
        node = SimNode(loop, core_type=CountingCore)
        quiet, flood = [node.stream(await node.create(name)) for name in ("quiet", "flood")]
        scheduler, taken_s = node.core.scheduler, node.writer.taken_s
        for _ in range(50):
            commits = [
                flood.request(commit=kv_pb2.Commit(writes=puts(b"a", 20))),
                quiet.request(commit=kv_pb2.Commit(writes=puts(b"b", 1))),
            ]
            await asyncio.gather(*commits)
        scheduler._settle(scheduler.now())
        now_s = scheduler.now()
        used = [
            scheduler.queue.use_per_s(one.session.tenant.id, now_s=now_s) * 5.0
            for one in (quiet, flood)
        ]
        taken_s = node.writer.taken_s - taken_s
        assert sum(used) == pytest.approx(taken_s, rel=0.1), "all of it is charged, to somebody"
        assert used[1] > 8 * used[0]

    run_virtual(body)


def test_answers_say_what_a_write_took():
    """A bulk load is billed for its bytes alone, however much CPU the node spends on it."""

    async def body(loop):
        node = SimNode(loop, core_type=CountingCore)
        stream = node.stream(await node.create("acme"))
        one = await stream.request(commit=kv_pb2.Commit(writes=puts(b"a", 10)))
        assert one.cpu_us == pytest.approx(10 * ROW_S * 1e6, rel=0.01)
        both = [
            stream.request(commit=kv_pb2.Commit(writes=puts(b"first", 1))),
            stream.request(commit=kv_pb2.Commit(writes=puts(b"b", 30))),
            stream.request(commit=kv_pb2.Commit(writes=puts(b"c", 10))),
        ]
        _, large, small = await asyncio.gather(*both)
        assert large.cpu_us + small.cpu_us == pytest.approx(40 * ROW_S * 1e6, rel=0.01)
        assert large.cpu_us == pytest.approx(30 * ROW_S * 1e6, rel=0.1), "one batch, split"
        stage = kv_pb2.Stage(writes=puts(b"s", 2000, size=10))
        staged = await stream.request(txn_id=TXN, stage=stage)
        assert staged.cpu_us == pytest.approx(2000 * ROW_S * 1e6, rel=0.01), "of all pieces"
        end = await stream.request(txn_id=TXN, commit=kv_pb2.Commit())
        assert end.cpu_us == 0, "small requests have fixed prices"

    run_virtual(body)


def test_the_writer_thread_tells_its_cpu():
    """In production nothing would be charged, and no test would see it."""

    async def body():
        loop, told = asyncio.get_running_loop(), asyncio.Queue()
        writer = WriterThread(MemoryEngine(), loop)

        class Busy(Put):
            def apply(self, txn):
                began = thread_use()
                while thread_use().since(began).cpu_s < 0.005:
                    pass

        try:
            writer.run([Busy({}, b"k")], lambda outcome, used: told.put_nowait(used))
            used = await asyncio.wait_for(told.get(), 10)
            assert 0.004 < used.cpu_s < 0.1
            writer.run([Put({}, b"k")], lambda outcome, used: told.put_nowait(used))
            assert (await asyncio.wait_for(told.get(), 10)).cpu_s < 0.004
        finally:
            writer.stop()

    asyncio.run(body())


def test_a_file_that_is_written_counts_as_pages(tmp_path):
    """What a commit put on the disk is guessed where the system knows it."""
    before = thread_use()
    with (tmp_path / "file").open("wb") as file:
        file.write(bytes(1 << 20))
    written = thread_use().since(before).written_bytes
    assert written == 0 or written >= 1 << 20, "0: a file system in memory"
