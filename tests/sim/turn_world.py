"""A loop whose time its work takes, a scheduler, and tenants that want turns: in virtual time."""

import asyncio
import random

from kvnode.admission.scheduler import Scheduler
from kvnode.admission.task import Task

SLICE_S = 0.00025  # of a node that is shared
TURN_S = 0.00005  # what a turn of the loop takes by itself
RUN_S = 0.15
WARM_S = 0.03


class BurnClock:
    """CPU time of what has burned on the loop."""

    def __init__(self, loop):
        self.loop, self.used_s = loop, 0.0

    def burn(self, seconds):
        self.loop.burn(seconds)
        self.used_s += seconds

    def thread_s(self):
        return self.used_s

    process_s = thread_s


class Piece(Task):
    """Work that takes turns until it has had what it needs, then starts again."""

    def __init__(self, world, tenant_id, needs_s, *, is_elastic=False, is_once=False):
        self.world, self.tenant_id, self.needs_s = world, tenant_id, needs_s
        self.is_elastic, self.is_once = is_elastic, is_once
        self.left_s = self.asked_s = 0.0
        self.over = asyncio.Event()

    def ask(self):
        self.left_s, self.asked_s = self.needs_s, self.world.loop.time()
        self.world.asked_s += self.needs_s
        self.world.scheduler.start(self)

    def run(self, ends_s):
        world = self.world
        take_s = min(self.left_s, max(ends_s - world.loop.time(), 1e-5))
        self.left_s -= take_s
        world.burn(self, take_s)
        if self.left_s > 1e-9:
            return False
        world.done_s += self.needs_s
        self.over.set()
        if not self.is_once and not world.is_over:
            world.loop.call_soon(self.ask)
        return True


class Flood(Piece):
    """A stream whose client always has some requests under way: at once as far as they may."""

    def ask(self):
        world, scheduler = self.world, self.world.scheduler
        self.left_s, self.asked_s = self.needs_s, world.loop.time()
        world.asked_s += self.needs_s
        scheduler.begin()
        while scheduler.is_open and self.left_s > 1e-9 and not scheduler.is_over():
            take_s = min(self.left_s, 2e-5)
            self.left_s -= take_s
            world.burn(self, take_s)
        scheduler.end(self.tenant_id)
        if self.left_s > 1e-9:
            scheduler.submit(self)
        else:
            world.done_s += self.needs_s
            if not world.is_over:
                world.loop.call_soon(self.ask)


class World:
    """A loop, a scheduler, tenants at random."""

    def __init__(self, loop, seed=0, *, cores=2.0, is_enabled=True):
        self.loop, self.rng = loop, random.Random(seed)
        self.cpu = BurnClock(loop)
        self.scheduler = Scheduler(
            loop, loop, self.cpu, cores=cores, quantum_s=0.001, is_enabled=is_enabled
        )
        elastic = self.scheduler.elastic.tokens
        self.saved_s = elastic.level
        elastic.take(self.saved_s)
        self.spent = {}  # by tenant
        self.elastic_s, self.elastic_ends = 0.0, []
        self.asked_s = self.done_s = 0.0
        self.is_over = False
        self.greedy, self.elastic, self.quiet = [], [], []
        self.weights = {}

    def fill(self):
        rng, number = self.rng, 0
        for kind, count in (("greedy", rng.randint(1, 4)), ("elastic", rng.randint(1, 3)),
                            ("quiet", rng.randint(1, 3))):  # fmt: skip
            for _ in range(count):
                number += 1
                weight = self.weights[number] = rng.choice((1, 1, 2, 4))
                self.scheduler.set_weight(number, weight)
                getattr(self, kind).append(number)
        pieces = []
        for tenant_id in self.greedy:
            for _ in range(rng.choice((1, 2, 6))):
                make, needs_s = rng.choice(((Flood, 0.0003), (Flood, 0.002), (Piece, 0.003)))
                pieces.append(make(self, tenant_id, needs_s))
        self.bulk = [
            Piece(self, tenant_id, rng.choice((0.0001, 0.005)), is_elastic=True)
            for tenant_id in self.elastic
            for _ in range(rng.randint(1, 3))
        ]
        return [*pieces, *self.bulk]

    def burn(self, piece, seconds):
        self.cpu.burn(seconds)
        self.spent[piece.tenant_id] = self.spent.get(piece.tenant_id, 0.0) + seconds
        if piece.is_elastic:
            self.elastic_s += seconds
            self.elastic_ends.append(self.loop.time())

    def turn(self):
        """Let each turn of the loop take a little: else time would stand still."""
        if not self.is_over:
            self.loop.burn(TURN_S)
            self.loop.call_soon(self.turn)

    def paid_s(self):
        """Return what elastic work took beside others."""
        return self.scheduler.elastic.tokens._taken - self.saved_s

    async def live_quietly(self, tenant_id, waits):
        """Ask for little now and then, far below the share."""
        needs_s = self.rng.uniform(2e-5, 2e-4)
        while not self.is_over:
            await asyncio.sleep(self.rng.uniform(0.005, 0.02))
            piece = Piece(self, tenant_id, needs_s, is_once=True)
            piece.ask()
            await piece.over.wait()
            waits.append(self.loop.time() - piece.asked_s)

    async def play(self):
        """Return the waits of the quiet tenants."""
        waits, pieces = [], self.fill()
        for piece in pieces:
            self.loop.call_soon(piece.ask)
        self.loop.call_soon(self.turn)
        quiet = [asyncio.ensure_future(self.live_quietly(t, waits)) for t in self.quiet]
        await asyncio.sleep(WARM_S)
        before, elastic_before = dict(self.spent), self.elastic_s
        self.elastic_ends.clear()
        ends_s = self.loop.time() + RUN_S
        while self.loop.time() < ends_s:
            assert len(self.scheduler) <= len(pieces) + len(self.quiet), "a task waits twice"
            await asyncio.sleep(0.01)
        self.spent = {t: spent - before.get(t, 0.0) for t, spent in self.spent.items()}
        self.elastic_s -= elastic_before
        self.elastic_gaps = [
            b - a for a, b in zip(self.elastic_ends, self.elastic_ends[1:], strict=False)
        ]
        self.is_over = True
        await asyncio.gather(*quiet)
        await asyncio.sleep(1)
        return waits
