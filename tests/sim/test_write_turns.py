"""A flood of commits on a slow disk, in virtual time: the others' commits do not wait for it."""

import asyncio
import contextlib
import random
from statistics import mean

import pytest

from kvapi.errors import KvError
from kvapi.pb import kv_pb2
from kvnode.node_config import NodeConfig
from kvnode.storage.engine import Table
from kvnode.storage.memory_engine import MemoryEngine
from tests.sim.sim_node import SimNode
from tests.sim.slow_disk import SlowCore, SlowWriter
from tests.sim.virtual_loop import run_virtual

SYNC_S = SlowWriter.sync_s
FULL_S = SYNC_S + NodeConfig().commit_latency_max_s  # what bytes may add, on average
LARGE = 512 << 10
DEPTH = 64
_MEMORY = 8 << 30  # all of a flood fits: what is looked at is the disk


def put(size):
    return kv_pb2.Commit(writes=kv_pb2.Writes(put_keys=[b"k"], put_values=[bytes(size)]))


class Forgetful(MemoryEngine):
    """Keeps no former version, which nobody here reads: those of a flood are gigabytes."""

    def __init__(self):
        super().__init__()
        self._no_rows = self._tables[Table.HISTORY]

    @contextlib.contextmanager
    def write(self, **options):
        with super().write(**options) as view:
            yield view
            view.tables[Table.HISTORY] = self._no_rows


class Field:
    """Tenants that commit, one that reads."""

    def __init__(self, loop, **config):
        self.loop = loop
        config = NodeConfig(memory_bytes_max=_MEMORY, **config)
        self.node = SimNode(loop, 0, config, Forgetful(), core_type=SlowCore)
        self.rng = random.Random(4)
        self.is_over = False
        self.waits = {"quiet": [], "read": []}
        self.counts = {}

    async def stream(self, name):
        return self.node.stream(await self.node.create(name))

    async def now_and_then(self, kind, stream, pause_s, **fields):
        while not self.is_over:
            began_s = self.loop.time()
            await stream.request(**fields)
            self.waits[kind].append(self.loop.time() - began_s)
            await asyncio.sleep(pause_s * self.rng.uniform(0.5, 1.5))

    async def flood(self, name, stream, size=LARGE, depth=DEPTH):
        self.counts[name] = 0
        commit = put(size)

        async def one():
            while not self.is_over:
                try:
                    await stream.request(commit=commit)
                    self.counts[name] += 1
                except KvError:
                    await asyncio.sleep(1)

        await asyncio.gather(*(one() for _ in range(depth)))

    async def during(self, seconds):
        """Return the waits of that time, in order, and how much each flood got."""
        before = dict(self.counts)
        for waits in self.waits.values():
            waits.clear()
        await asyncio.sleep(seconds)
        counts = {name: count - before.get(name, 0) for name, count in self.counts.items()}
        return {kind: sorted(waits) for kind, waits in self.waits.items()}, counts


def beside_a_flood(admission, *, bytes_per_s=SlowWriter.bytes_per_s, depth=DEPTH):
    """Return the waits of a quiet tenant and of a reader, alone and beside a flood of commits."""
    found = {}

    async def body(loop):
        field = Field(loop, admission=admission)
        field.node.writer.bytes_per_s = bytes_per_s
        quiet, reader, wild = [await field.stream(name) for name in ("quiet", "reader", "wild")]
        work = [
            field.now_and_then("quiet", quiet, 0.35, commit=put(100)),
            field.now_and_then("read", reader, 0.02, get=kv_pb2.Get(key=b"k")),
        ]
        tasks = [asyncio.ensure_future(one) for one in work]
        found["alone"], _ = await field.during(15)
        tasks.append(asyncio.ensure_future(field.flood("wild", wild, depth=depth)))
        await asyncio.sleep(75)  # five intervals
        found["beside"], found["counts"] = await field.during(30)
        found["waited"] = field.node.core.writes.wait_count
        field.is_over = True
        await asyncio.gather(*tasks)
        assert not len(field.node.core.writes)

    run_virtual(body)
    return found


@pytest.fixture(scope="module")
def with_turns():
    return beside_a_flood(True)


def test_a_flood_of_commits_leaves_the_others_their_latency(with_turns):
    """One tenant's import makes everybody's commits wait for megabytes that are not theirs."""
    alone, beside = with_turns["alone"]["quiet"], with_turns["beside"]["quiet"]
    assert alone[-1] <= 1.02 * SYNC_S
    assert len(beside) > 25
    # A commit waits for the sync under way, for half of it on average, and for its own; both with
    # some of the flood.
    assert mean(beside) <= 1.5 * FULL_S, mean(beside)
    assert beside[len(beside) // 2] <= 2 * SYNC_S
    assert beside[-1] <= 2.4 * SYNC_S, beside[-1]
    without = beside_a_flood(False)
    assert without["waited"] == 0
    assert mean(without["beside"]["quiet"]) > 2 * mean(beside), "nothing was gained"


def test_the_flood_goes_on(with_turns):
    """Fair is not the same as stopped."""
    assert with_turns["counts"]["wild"] > 30 * 10


def test_a_disk_that_is_slow_whatever_is_written_is_shared_without_a_limit():
    """A flood of commits is cut to a fifth, and nobody else is any quicker for it."""
    held, free = [
        beside_a_flood(admission, bytes_per_s=1e12, depth=16) for admission in (True, False)
    ]
    assert held["counts"]["wild"] >= 0.95 * free["counts"]["wild"], (held["counts"], free["counts"])
    assert mean(held["beside"]["quiet"]) <= 1.05 * mean(free["beside"]["quiet"])


def test_reads_do_not_notice(with_turns):
    """Who only reads would wait for the writes of others."""
    alone, beside = with_turns["alone"]["read"], with_turns["beside"]["read"]
    assert beside[-1] <= alone[-1] + 0.001


def test_who_writes_alone_never_waits():
    """A tenant alone on a slow disk would be held to a limit that protects nobody."""

    async def body(loop):
        counts = {}
        for admission in (True, False):
            field = Field(loop, admission=admission)
            wild = await field.stream("wild")
            task = asyncio.ensure_future(field.flood("wild", wild, size=64 << 10))
            await asyncio.sleep(35)
            _, counts[admission] = await field.during(15)
            assert field.node.core.writes.wait_count == 0
            if admission:
                assert not field.node.core.writes.is_open, "the disk is slow"
            field.is_over = True
            await task
        assert counts[True]["wild"] >= 0.99 * counts[False]["wild"]

    run_virtual(body)


def test_floods_share_by_weight():
    """Of two imports the one with more connections gets the disk."""

    async def body(loop):
        field = Field(loop)
        one, two = await field.stream("one"), await field.stream("two")
        await field.node.lifecycle.change("two", suspended=None, gc_ttl_s=None, weight=2)
        floods = [field.flood("one", one, depth=96), field.flood("two", two, depth=48)]
        tasks = [asyncio.ensure_future(flood) for flood in floods]
        await asyncio.sleep(75)
        _, counts = await field.during(60)
        assert counts["two"] == pytest.approx(2 * counts["one"], rel=0.15), counts
        field.is_over = True
        await asyncio.gather(*tasks)

    run_virtual(body)
