"""Estimates that are wrong, and who pays for that."""

import pytest

from admission.queue import FairQueue, Work


def test_estimates_that_are_too_high_cost_nobody_a_turn():
    """Who has few connections gets less than his share, for what his neighbour gets back."""
    queue, now_s, taken = FairQueue(), 0.0, {1: 0, 2: 0}
    under_way = []

    def add(tenant_id):
        now = round(now_s * 1000)
        queue.add(Work(tenant_id=tenant_id, txn_start=now, estimate=4.0), now_s=now_s)

    for _ in range(40):
        add(1)
    for _ in range(2):
        add(2)
    for _ in range(400):
        while len(under_way) < 4 and (work := queue.take(now_s=now_s)) is not None:
            taken[work.tenant_id] += 1
            under_way.append(work)
        now_s += 0.01
        for work in under_way:  # one batch: all is known at once, and asked for anew
            queue.settle(work, 1.0, now_s=now_s)
        for work in under_way:
            add(work.tenant_id)
        under_way.clear()
    assert taken[2] == pytest.approx(taken[1], rel=0.05), taken


def test_a_late_correction_takes_back_what_is_left():
    """Work that failed after a long wait would make room for more than it ever took."""
    queue = FairQueue()
    queue.reserve(1, 100.0, now_s=0.0)
    queue.reserve(1, 50.0, now_s=10.0)
    queue.correct(1, 100.0, 0.0, left=queue.part_left(10.0), now_s=10.0)
    assert queue.use_per_s(1, now_s=10.0) * 5 == pytest.approx(50.0)
