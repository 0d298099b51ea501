"""What an operation of the fair queue costs, counted in comparisons: no clock is needed for it."""

import math
import random

import pytest

from admission.queue import FairQueue, Priority, QueueConfig, Work

TENANTS = 500
TURNS = 1_000


class Counter:
    compared = 0


class Start(int):
    """A transaction start that counts how often it is compared."""

    def __lt__(self, other):
        Counter.compared += 1
        return int.__lt__(self, other)


class Weight(float):
    """A weight, and what is divided by it: use that counts how often it is compared."""

    def __rtruediv__(self, other):
        return Weight(float.__rtruediv__(self, other))

    def __lt__(self, other):
        Counter.compared += 1
        return float.__lt__(self, other)


def per_operation(count):
    """Return comparisons for each operation on a queue of `count`."""
    rng = random.Random(1)
    queue = FairQueue(QueueConfig(tenant_items_max=count, items_max=2 * count))
    for tenant_id in range(TENANTS):
        queue.set_weight(tenant_id, Weight(1.5))
    works = [
        Work(tenant_id=rng.randrange(TENANTS), txn_start=Start(rng.randrange(1 << 40)), estimate=1)
        for _ in range(count)
    ]
    Counter.compared = 0
    for work in works:
        queue.add(work, now_s=0.0)
    added = Counter.compared / count
    Counter.compared = 0
    for turn in range(TURNS):
        work = queue.take(now_s=turn / 1e3)
        queue.settle(work, 1.2, now_s=turn / 1e3)
        queue.put_back(work, now_s=turn / 1e3)
    turned = Counter.compared / (3 * TURNS)
    Counter.compared = 0
    for work in works[: count // 2]:
        queue.raise_priority(work, Priority.LOCK_HOLDER)
        queue.cancel(work)
    return added, turned, Counter.compared / count


@pytest.mark.parametrize("count", [1_000, 100_000])
def test_operations_take_the_logarithm_of_what_waits(count):
    """A node under a flood would spend its time on finding out whose turn it is."""
    limit = math.log2(count)
    assert all(0 < compared < limit for compared in per_operation(count)), per_operation(count)
