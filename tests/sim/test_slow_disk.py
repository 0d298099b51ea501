"""A disk whose syncs become slow, in virtual time: bulk waits, commits go before, reads notice
nothing."""

import asyncio
import math

import pytest

from kvapi.pb import kv_pb2
from kvnode.core import Core
from kvnode.node_config import NodeConfig
from tests.sim.sim_node import SimNode, SimWriter
from tests.sim.virtual_loop import run_virtual

SLOW_S = 0.2
CHUNK = 512 << 10
SYNC_S = 0.005


class SlowWriter(SimWriter):
    """Each sync takes `delay_s` longer."""

    delay_s = 0.0

    def run(self, operations, report):
        self.begin(operations)
        self.loop.call_later(SYNC_S + self.delay_s, self.write, operations, report)


class SlowCore(Core):
    """Brings that writer."""

    writer_type = SlowWriter


class Workload:
    """One stream stages a large transaction, one commits, one reads."""

    def __init__(self, loop, **config):
        self.loop = loop
        self.node = SimNode(loop, 0, NodeConfig(**config), core_type=SlowCore)
        self.waits = {"get": [], "commit": [], "stage": []}
        self.is_over = False

    async def start(self):
        for name in ("bulk", "commits", "reads"):
            tenant_id = await self.node.create(name)
            setattr(self, name, self.node.stream(tenant_id))
        work = (self._stage(), self._commit(), self._read())
        return [asyncio.ensure_future(one) for one in work]

    async def _ask(self, stream, kind, pause_s, **fields):
        began_s = self.loop.time()
        await stream.request(**fields)
        self.waits[kind].append(self.loop.time() - began_s)
        await asyncio.sleep(pause_s)

    async def _stage(self):
        txn_id = b"large-transaction"[:16]
        while not self.is_over:
            writes = kv_pb2.Writes(put_keys=[b"b"], put_values=[bytes(CHUNK)])
            stage = kv_pb2.Stage(writes=writes)
            await self._ask(self.bulk, "stage", 0.1, txn_id=txn_id, stage=stage)

    async def _commit(self):
        while not self.is_over:
            writes = kv_pb2.Writes(put_keys=[b"k"], put_values=[b"v"])
            await self._ask(self.commits, "commit", 0.02, commit=kv_pb2.Commit(writes=writes))

    async def _read(self):
        while not self.is_over:
            await self._ask(self.reads, "get", 0.02, get=kv_pb2.Get(key=b"k"))

    async def during(self, seconds):
        """Let it go on; return the waits of that time, the longest last."""
        for waits in self.waits.values():
            waits.clear()
        await asyncio.sleep(seconds)
        return {kind: sorted(waits) for kind, waits in self.waits.items()}


def with_slow_disk(admission):
    """Return what was waited for before and after the disk became slow, and the limits."""
    found = {}

    async def body(loop):
        field = Workload(loop, admission=admission)
        tasks = await field.start()
        io = field.node.core.io
        await field.during(10)
        found["quick"], found["quick limit"] = await field.during(6), io.tokens.limit
        field.node.writer.delay_s = SLOW_S
        await asyncio.sleep(30)
        found["slow limit"] = io.tokens.limit
        found["commits"] = io.tokens.regular_limit
        found["slow"] = await field.during(10)
        field.node.writer.delay_s = 0.0
        await asyncio.sleep(60)
        found["later limit"] = io.tokens.limit
        field.is_over = True
        await asyncio.gather(*tasks)

    run_virtual(body)
    return found


@pytest.fixture(scope="module")
def slow_disk():
    return with_slow_disk(True)


def test_a_slow_disk_lowers_the_tokens_and_a_quick_one_raises_them(slow_disk):
    """Bulk writes would go on filling a disk that cannot take them, or never recover.

    Commits are not limited there: their bytes are not why its syncs are slow.
    """
    assert slow_disk["quick limit"] == math.inf
    assert slow_disk["slow limit"] < 4 << 20
    assert slow_disk["commits"] == math.inf
    assert slow_disk["later limit"] == math.inf


def test_reads_do_not_notice_a_slow_disk(slow_disk):
    """Who only reads would wait for the writes of others."""
    assert slow_disk["slow"]["get"][-1] <= slow_disk["quick"]["get"][-1] + 0.001


def test_commits_go_before_bulk_writes(slow_disk):
    """A large transaction would double what each commit of its neighbours waits for the disk."""
    off = with_slow_disk(False)
    commits, stages = slow_disk["slow"]["commit"], slow_disk["slow"]["stage"]
    assert stages, "elastic, not starved"
    assert sum(commits) / len(commits) < 0.9 * sum(off["slow"]["commit"]) / len(
        off["slow"]["commit"]
    )
    assert sum(stages) / len(stages) > 2 * SLOW_S
