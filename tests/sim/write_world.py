"""Tenants of all kinds before one slow disk: the real gate, account and group commit, no node."""

import asyncio
import math
import random
from dataclasses import dataclass, field

from admission.io_tokens import IoSample, IoTokens
from kvapi.errors import Cancelled, Throttled
from kvnode.admission.bulk_queue import BulkQueue
from kvnode.admission.io_gate import IoGate
from kvnode.admission.scheduler import Scheduler
from kvnode.admission.write_account import WriteAccount
from kvnode.admission.write_gate import WriteBounds, WriteGate, WriteTicket
from kvnode.storage.memory_engine import MemoryEngine
from kvnode.txn.group_commit import GroupCommit
from runtime.clock import WallCpuClock
from tests.sim.slow_disk import SlowWriter

WAITING_MAX = 40
BYTES_MAX = 16 << 20
WAIT_S_MAX = 8.0


@dataclass
class SimTenant:
    """A tenant: greedy (`depth` writes under way), or quiet (one now and then)."""

    id: int
    weight: float
    depth: int
    size: int
    pause_s: float = 0.0
    answered: int = 0
    written: int = 0
    waits: list = field(default_factory=list)  # at the gate
    looks: int = 0  # of `watch`, and those at which it had writes that wait
    backlogs: int = 0
    last_s: float = 0.0
    gap_s: float = 0.0  # longest time without a write that went on


class SimWrite:
    """One write, from its ticket to its outcome."""

    cpu_s = 0.0

    def __init__(self, world, tenant, priority=0):
        self.world, self.tenant = world, tenant
        self.tenant_id, self.size_bytes = tenant.id, tenant.size
        self.taken = None
        self.done = world.loop.create_future()
        self.answers = 0
        world.started += 1
        self.ticket = WriteTicket(
            tenant_id=tenant.id,
            size_bytes=tenant.size,
            txn_start=world.started,
            priority=priority,
            go=self.go,
            fail=self.finish,
        )

    def start(self):
        self.began_s = self.world.loop.time()
        gate = self.world.gate
        try:
            if gate.is_open or gate.try_pass(self.ticket):
                self.go()
        except Throttled as error:
            self.world.throttled += 1
            self.world.hints.append(error.number)
            self.finish(error)
        return self

    def go(self):
        now_s, tenant = self.world.loop.time(), self.tenant
        tenant.waits.append(now_s - self.began_s)
        tenant.gap_s, tenant.last_s = max(tenant.gap_s, now_s - tenant.last_s), now_s
        if self.world.rng.random() < self.world.conflicts:
            self.finish(Cancelled("a conflict"))  # found after it was let through
            return
        self.taken = self.ticket.hand_over()
        self.world.group.submit(self)

    def cancel(self):
        if self.world.gate.cancel(self.ticket):
            self.finish(Cancelled("by the client"))

    def apply(self, txn):
        pass

    def finish(self, error):
        self.answers += 1
        assert self.answers == 1, "answered once"
        self.world.gate.give_back(self.ticket)
        self.tenant.answered += 1
        if error is None:
            self.tenant.written += self.size_bytes
        self.done.set_result(error)


class WriteWorld:
    """A disk that is known to be slow, and who writes to it."""

    def __init__(self, loop, seed):
        self.loop, self.rng = loop, random.Random(seed)
        clock, rng = loop, self.rng
        self.started = self.throttled = 0
        self.hints = []  # of those that were refused: when to come again
        self.conflicts = rng.choice((0, 0.1))
        self.scheduler = Scheduler(
            loop, clock, WallCpuClock(clock), cores=2, quantum_s=0.001, is_enabled=True
        )
        self.io = IoGate(loop.time, loop.call_later, latency_max_s=0.05)
        bounds = WriteBounds(WAITING_MAX, BYTES_MAX, WAIT_S_MAX)
        self.gate = WriteGate(self.io, self.scheduler, loop.call_later, bounds)
        engine = MemoryEngine()
        self.writer = SlowWriter(engine, loop, rng)
        self.writer.sync_s = rng.choice((0.06, 0.15))
        self.bulk = BulkQueue(loop.time)
        self.group = GroupCommit(
            engine,
            self.writer,
            on_durable=lambda _: None,
            on_answered=lambda: None,
            release_snapshots=lambda: None,
            take_snapshot=lambda: None,
            gate=WriteAccount(self.io, self.gate, self.scheduler, self.bulk),
            bulk=self.bulk,
        )
        self.is_over = False
        self.make_slow()

    def make_syncs_slow(self):
        """Let the disk's past be one of syncs that are slow whatever is written."""
        self.io.tokens = IoTokens(self.io.tokens._config, now_s=self.loop.time())
        for number in range(1, 5):
            sample = IoSample()
            for pages in (1, 100) * 10:
                sample.add(latency_s=0.2, size_bytes=pages << 12, pages=pages)
            self.io.tokens.refit(sample, now_s=self.loop.time() + number)
        assert self.io.tokens.limit < self.io.tokens.regular_limit == math.inf
        self.io.on_refit()

    def make_slow(self):
        """Let the disk's past be one of slow syncs, so that there is a limit from the start."""
        # Past commits of one small row each say little of large ones, but they are all there is.
        size, pages, count = self.rng.choice(
            ((20 << 10, 20, 100), (64 << 10, 64, 100), (60, 5, 1000))
        )
        for number in range(1, 5):
            sample = IoSample()
            for _ in range(count):
                sample.add(latency_s=0.2, size_bytes=size, pages=pages)
            self.io.tokens.refit(sample, now_s=self.loop.time() + number)
        self.limit = self.io.tokens.limit
        assert self.limit < math.inf
        self.io.on_refit()

    async def live(self, tenant):
        """Write until the end; now and then somebody is impatient, or holds locks."""
        rng = self.rng
        while not self.is_over:
            write = SimWrite(self, tenant, rng.choice((0, 0, 10))).start()
            if rng.random() < 0.05:
                self.loop.call_later(rng.uniform(0, 1), write.cancel)
            if await write.done is not None:
                await asyncio.sleep(0.25)
            if tenant.pause_s:
                await asyncio.sleep(tenant.pause_s * rng.uniform(0.8, 1.2))
