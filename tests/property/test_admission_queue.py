"""The fair queue against a model that keeps plain lists and lets use fade as the text says."""

import math

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from admission.queue import FairQueue, QueueConfig, Work
from kvapi.errors import Throttled

MEMORY_S = 0.5
TENANT_MAX, ALL_MAX = 4, 10
TENANTS = st.integers(1, 4)
COSTS = st.sampled_from([0.0, 0.001, 0.01, 0.3])


class QueueModel(RuleBasedStateMachine):
    """Every operation on both; the queue's choice must be one that the model allows."""

    @initialize()
    def start(self):
        config = QueueConfig(memory_s=MEMORY_S, tenant_items_max=TENANT_MAX, items_max=ALL_MAX)
        self.queue = FairQueue(config)
        self.now_s = 1000.0
        self.use, self.spent = dict.fromkeys(range(1, 5), 0.0), dict.fromkeys(range(1, 5), 0.0)
        self.weight = dict.fromkeys(range(1, 5), 1.0)
        self.floor = 0.0
        self.waiting, self.taken, self.arrivals = [], [], 0

    @rule(seconds=st.sampled_from([0.0, 0.001, 0.1, 3.0, 1000.0]))
    def wait(self, seconds):
        fade = math.exp(-seconds / MEMORY_S)
        self.now_s += seconds
        self.floor *= fade
        self.use = {tenant: use * fade for tenant, use in self.use.items()}
        self.spent = {tenant: spent * fade for tenant, spent in self.spent.items()}

    @rule(
        tenant=TENANTS,
        start=st.integers(0, 3),
        priority=st.sampled_from([-30, 0, 10]),
        estimate=COSTS,
        life_s=st.sampled_from([math.inf, 0.05, 2.0]),
    )
    def add(self, tenant, start, priority, estimate, life_s):
        work = Work(
            tenant_id=tenant,
            txn_start=start,
            priority=priority,
            estimate=estimate,
            deadline_s=self.now_s + life_s,
        )
        mine = [w for w in self.waiting if w.tenant_id == tenant]
        if len(mine) >= TENANT_MAX or len(self.waiting) >= ALL_MAX:
            with pytest.raises(Throttled) as error:
                self.queue.add(work, now_s=self.now_s)
            assert 10 <= error.value.number <= 5000
            return
        self.queue.add(work, now_s=self.now_s)
        self.enter(work)

    def enter(self, work):
        tenant = work.tenant_id
        if not any(w.tenant_id == tenant for w in self.waiting):
            self.use[tenant] = max(self.use[tenant], self.floor * self.weight[tenant])
        self.arrivals += 1
        work.payload = self.arrivals
        self.waiting.append(work)

    @rule()
    def take(self):
        self.expire()
        work = self.queue.take(now_s=self.now_s)
        if not self.waiting:
            assert work is None
            return
        ratios = {w.tenant_id: self.ratio(w.tenant_id) for w in self.waiting}
        least = min(ratios.values())
        assert ratios[work.tenant_id] <= least + 1e-9 * (1 + least), "a tenant was passed over"
        mine = [w for w in self.waiting if w.tenant_id == work.tenant_id]
        assert work is min(mine, key=lambda w: (-w.priority, w.txn_start, w.payload))
        self.waiting.remove(work)
        self.taken.append(work)
        self.floor = max(self.floor, ratios[work.tenant_id])
        self.cost(work.tenant_id, work.estimate)

    def cost(self, tenant, cost):
        self.use[tenant] = max(0.0, self.use[tenant] + cost)
        self.spent[tenant] = max(0.0, self.spent[tenant] + cost)

    def ratio(self, tenant):
        return self.use[tenant] / self.weight[tenant]

    @rule()
    def expire(self):
        due = [w for w in self.waiting if w.deadline_s <= self.now_s]
        expired = self.queue.expire(now_s=self.now_s)
        assert sorted(map(id, expired)) == sorted(map(id, due))
        self.waiting = [w for w in self.waiting if w not in due]

    @precondition(lambda self: self.taken)
    @rule(data=st.data(), cost=COSTS)
    def settle_and_go_on(self, data, cost):
        work = self.taken.pop(data.draw(st.integers(0, len(self.taken) - 1)))
        self.queue.settle(work, cost, now_s=self.now_s)
        self.cost(work.tenant_id, cost - work.estimate)
        if cost and work.deadline_s > self.now_s:  # its quantum is over, there is more to do
            self.queue.put_back(work, now_s=self.now_s)
            self.enter(work)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def cancel(self, data):
        work = self.waiting.pop(data.draw(st.integers(0, len(self.waiting) - 1)))
        assert self.queue.cancel(work)
        assert not self.queue.cancel(work)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), priority=st.sampled_from([-30, 10, 100]))
    def raise_priority(self, data, priority):
        work = data.draw(st.sampled_from(self.waiting))
        before = work.priority
        self.queue.raise_priority(work, priority)
        assert work.priority == max(before, priority)

    @rule(tenant=TENANTS, cost=COSTS)
    def charge(self, tenant, cost):
        self.queue.charge(tenant, cost, now_s=self.now_s)
        self.cost(tenant, cost)

    @rule(tenant=TENANTS, weight=st.sampled_from([0.5, 1.0, 4.0]))
    def set_weight(self, tenant, weight):
        self.queue.set_weight(tenant, weight)
        self.use[tenant] *= weight / self.weight[tenant]
        self.weight[tenant] = weight

    @invariant()
    def agrees(self):
        assert len(self.queue) == len(self.waiting)
        for tenant in range(1, 5):
            count = sum(w.tenant_id == tenant for w in self.waiting)
            assert self.queue.waiting(tenant) == count
            per_s = self.queue.use_per_s(tenant, now_s=self.now_s)
            assert per_s * MEMORY_S == pytest.approx(self.spent[tenant], rel=1e-6, abs=1e-5)


TestFairQueue = QueueModel.TestCase
TestFairQueue.__doc__ = "Someone is passed over, forgotten, or served twice."
TestFairQueue.settings = settings(max_examples=40, stateful_step_count=50)
