"""Tenants of all kinds compete for one CPU, and for tokens, in virtual time."""

import math
import os
import random
from dataclasses import dataclass, field
from statistics import mean, pstdev

import pytest

from admission.cpu_tokens import CpuConfig, CpuTier, CpuTokens
from admission.fairness import fairness_index
from admission.queue import FairQueue, QueueConfig, Work
from kvapi.errors import Throttled
from tests.sim.token_world import World

SEEDS = range(max(200, int(os.environ.get("INSULA_SIM_SEEDS", "0"))))
QUANTUM_S = 0.001
RUN_S = 1.0
ITEMS_MAX = 50


@dataclass
class Job:
    """A request: how much CPU it needs, and since when it waits for its next quantum."""

    needs_s: float
    came_s: float
    since_s: float


@dataclass
class SimTenant:
    """A tenant: quiet (a short request now and then), or greedy (always `depth` under way)."""

    id: int
    weight: float
    depth: int  # 0: quiet
    period_s: float = 0.0
    size_s: float = 0.0
    next_s: float = 0.0
    spent_s: float = 0.0
    asked_s: float = 0.0
    served_at: float = 0.0
    waits: list = field(default_factory=list)
    gaps: list = field(default_factory=list)  # between quanta, while it had work


class Node:
    """One CPU, the queue before it, and tenants at random."""

    def __init__(self, seed):
        self.rng = rng = random.Random(seed)
        self.queue = FairQueue(
            QueueConfig(memory_s=rng.choice((0.3, 5.0)), tenant_items_max=ITEMS_MAX)
        )
        count = rng.randint(2, 9)
        greedy = rng.randint(1, count)
        self.tenants = []
        for number in range(count):
            weight = rng.choice((1, 1, 2, 4))
            depth = rng.choice((1, 3, 20)) if number < greedy else 0
            self.tenants.append(SimTenant(number + 1, weight, depth))
            self.queue.set_weight(number + 1, weight)
        weights = sum(tenant.weight for tenant in self.tenants)
        for tenant in self.tenants[greedy:]:  # each asks for at most half of its share
            tenant.size_s = rng.uniform(0.1, 1) * QUANTUM_S
            part = rng.uniform(0.05, 0.5) * tenant.weight / weights
            tenant.period_s = tenant.size_s / part
            tenant.next_s = rng.uniform(0, tenant.period_s)
        self.now_s = 0.0
        self.busy_s = 0.0

    def run(self):
        for tenant in self.tenants:
            for _ in range(tenant.depth):
                self.submit(tenant, self.rng.choice((0.0005, 0.003, 0.05)))
        while self.now_s < RUN_S:
            for tenant in self.tenants:
                while not tenant.depth and tenant.next_s <= self.now_s:
                    self.submit(tenant, tenant.size_s, at_s=tenant.next_s)
                    tenant.next_s += tenant.period_s
            work = self.queue.take(now_s=self.now_s)
            if work is None:
                self.now_s = min(t.next_s for t in self.tenants if not t.depth)
            else:
                self.serve(work)

    def submit(self, tenant, needs_s, at_s=None):
        came_s = self.now_s if at_s is None else at_s
        if not self.queue.waiting(tenant.id):
            tenant.served_at = self.now_s
        work = Work(
            tenant_id=tenant.id,
            txn_start=int(came_s * 1e9),
            estimate=QUANTUM_S / 2,
            payload=Job(needs_s, came_s, came_s),
        )
        tenant.asked_s += needs_s
        self.queue.add(work, now_s=self.now_s)

    def serve(self, work):
        tenant, job = self.tenants[work.tenant_id - 1], work.payload
        if not tenant.depth:
            tenant.waits.append(self.now_s - job.since_s)
        tenant.gaps.append(self.now_s - tenant.served_at)
        cost = min(job.needs_s, QUANTUM_S)
        self.now_s += cost
        self.busy_s += cost
        tenant.spent_s += cost
        tenant.served_at = self.now_s
        job.needs_s -= cost
        self.queue.settle(work, cost, now_s=self.now_s)
        if job.needs_s > 1e-12:
            self.queue.put_back(work, now_s=self.now_s)
        elif tenant.depth:
            self.submit(tenant, self.rng.choice((0.0005, 0.003, 0.05)))


@pytest.mark.parametrize("seed", SEEDS)
def test_everybody_gets_what_is_due(seed):
    """A tenant within its share waits for others, a greedy one starves, or work is lost."""
    node = Node(seed)
    node.run()
    count, weights = len(node.tenants), sum(tenant.weight for tenant in node.tenants)
    waiting = sum(node.queue.waiting(tenant.id) for tenant in node.tenants)
    assert waiting == len(node.queue) <= ITEMS_MAX * count
    assert sum(t.spent_s for t in node.tenants) == pytest.approx(node.busy_s)
    assert any(t.depth for t in node.tenants)
    assert node.busy_s >= RUN_S * 0.999, "the CPU was idle while work waited"
    for tenant in node.tenants:
        if not tenant.depth:
            worst = max(tenant.waits, default=0.0)
            assert worst <= (count + 1) * QUANTUM_S, f"{seed=}: tenant {tenant.id} waits {worst}"
            assert tenant.spent_s >= tenant.asked_s - 2 * QUANTUM_S
        # Everyone else may run until it has caught up with one quantum of this tenant.
        gap_max = (weights / tenant.weight + 2 * count) * QUANTUM_S
        assert max(tenant.gaps) <= gap_max, f"{seed=}: tenant {tenant.id} starved"
    greedy = [t for t in node.tenants if t.depth]
    shares, owed = [t.spent_s for t in greedy], [t.weight for t in greedy]
    assert fairness_index(shares, owed) >= 0.99, f"{seed=}"


def test_a_flood_is_bounded():
    """A tenant that asks without end fills the node's memory, or shuts the others out."""
    queue, refused = FairQueue(QueueConfig(tenant_items_max=ITEMS_MAX)), 0
    for number in range(10 * ITEMS_MAX):
        try:
            queue.add(Work(tenant_id=1, txn_start=number), now_s=number / 1e5)
        except Throttled:
            refused += 1
    assert (len(queue), refused) == (ITEMS_MAX, 9 * ITEMS_MAX)
    queue.add(Work(tenant_id=2, txn_start=0), now_s=1.0)


def test_records_of_idle_tenants_go():
    """Ten thousand tenants that came once would be remembered for ever."""
    queue = FairQueue(QueueConfig(memory_s=0.1))
    for number in range(10_000):
        now_s = number * 0.01
        queue.add(Work(tenant_id=number, txn_start=0, estimate=0.001), now_s=now_s)
        assert queue.take(now_s=now_s).tenant_id == number
    assert len(queue._tenants) <= 1000


@pytest.mark.parametrize("seed", range(8))
def test_cpu_tokens_hold_the_target(seed):
    """The node is driven past the utilisation at which latency explodes, or is left half idle."""
    rng = random.Random(seed)
    cores, overhead, fixed = rng.choice((1, 2, 4)), rng.uniform(1.0, 3.0), rng.uniform(0, 0.1)
    tokens, now_s, process_s, used = CpuTokens(CpuConfig(cores=cores)), 0.0, 0.0, []
    tokens.tick(now_s=now_s, waiting=1, process_cpu_s=process_s)
    for _ in range(12):
        before_s = process_s
        for _ in range(1000):
            now_s += 0.001
            tokens.tick(now_s=now_s, waiting=1)
            while tokens.try_take(CpuTier.REGULAR, 0.002):  # as much as there is
                cost = rng.uniform(0.0005, 0.004)
                tokens.take(cost - 0.002)
                process_s += cost * overhead
        process_s += fixed
        tokens.tick(now_s=now_s, waiting=1, process_cpu_s=process_s)
        used.append((process_s - before_s) / cores)
    assert mean(used[-5:]) == pytest.approx(0.80, abs=0.03)
    assert tokens.multiplier == pytest.approx(overhead + fixed / (cores * 0.8 / overhead), rel=0.15)


@pytest.mark.parametrize("seed", SEEDS)
def test_tokens_are_conserved(seed):
    """Lost, late and doubled messages and crashes of the owner make tokens, or destroy the bill."""
    rng = random.Random(seed)
    rate, burst = rng.choice((50, 1000)), rng.choice((0, 500))
    world = World(
        rate=rate,
        burst=burst,
        seed=seed,
        loss=rng.choice((0, 0.3)),
        delay_s=rng.choice((0.002, 0.3)),
    )
    for _ in range(rng.randint(1, 3)):
        world.start(rng.choice((1, 8)), pause_s=rng.choice((0.0, 0.05)))
    for _ in range(6):
        world.run(rng.uniform(0.5, 3))
        if rng.random() < 0.3:
            world.crash()
        world.is_away = rng.random() < 0.2
    world.is_away, world.loss = False, 0.0
    for process in world.processes:
        process.free_s = [math.inf]  # nobody works any more; what is unreported is reported
    world.run(30)
    record = world.bucket.record
    assert record.consumed_ru == pytest.approx(world.charged_ru(), abs=1e-6)
    # Each process may run up one statement of debt for each connection, and hold a trickle.
    slack = sum(8 * 3.0 + world.config.initial_ru for _ in world.processes) + 2 * rate * 2
    assert world.charged_ru() <= burst + rate * world.now_s + slack
    sent = [len(process.requests) for process in world.processes]
    world.run(60)
    assert [len(process.requests) for process in world.processes] == sent, "an idle process asks"


def per_second(process, start_s, end_s):
    """Return the RU of each second."""
    result = [0.0] * (end_s - start_s)
    for when_s, ru in process.served:
        if start_s <= when_s < end_s:
            result[int(when_s) - start_s] += ru
    return result


def test_at_the_limit_work_goes_on_evenly():
    """A tenant at its limit stops and goes, or gets more or less than it pays for."""
    world = World(rate=100, burst=500)
    process = world.start(8)
    world.run(80)
    served = per_second(process, 20, 80)
    assert mean(served) == pytest.approx(100, rel=0.05)
    assert pstdev(served) < 20


def test_processes_share_by_demand():
    """Of two processes of one tenant, the busier one gets no more than the other."""
    world = World(rate=100, burst=500)
    many, few = world.start(9), world.start(3)
    world.run(80)
    ratio = sum(per_second(many, 20, 80)) / sum(per_second(few, 20, 80))
    assert ratio == pytest.approx(3, rel=0.15)


def test_a_raised_limit_acts_soon():
    """A customer who pays for more waits for it."""
    world = World(rate=10, burst=0)
    process = world.start(8, pause_s=0.1)
    world.run(30)
    world.bucket.set_limits(rate_ru_per_s=1000, burst_ru_max=0, now_s=world.now_s)
    world.run(8)
    assert min(per_second(process, 32, 37)) > 80
