"""What a write is thought to cost, and that nothing is given back that was not taken."""

import random

import pytest

from admission.io_tokens import IoConfig, IoSample, IoTier, IoTokens
from admission.tiers import TieredTokens


def fitted(*, size_bytes, pages):
    """Return the tokens of a slow disk whose past commits were like this."""
    tokens = IoTokens(IoConfig(), now_s=0.0)
    for number in range(1, 9):
        sample = IoSample()
        for _ in range(1000):
            sample.add(latency_s=0.1, size_bytes=size_bytes, pages=pages)
        tokens.refit(sample, now_s=float(number))
    return tokens


def test_small_commits_do_not_make_large_ones_dear():
    """An import after a quiet hour waits for a hundred times what it writes."""
    tokens = fitted(size_bytes=60, pages=5)
    assert tokens.estimate(60) == pytest.approx(5 * 4096, rel=0.05)
    assert tokens.estimate(1 << 20) < 1.5 * (1 << 20)


def test_many_rows_in_one_commit_of_the_store_share_their_pages():
    """Thousands of small commits that went to the disk together wait as if each went alone."""
    tokens, sample = IoTokens(IoConfig(), now_s=0.0), IoSample()
    sample.add(latency_s=0.1, size_bytes=60_000, pages=400, operation_count=1000)
    for number in range(1, 9):
        tokens.refit(sample, now_s=float(number))
    assert tokens.estimate(60) == pytest.approx(400 * 4096 / 1000, rel=0.05)


@pytest.mark.parametrize("seed", range(20))
def test_wrong_estimates_make_no_tokens(seed):
    """Estimates that are ten times too high let ten times the limit through."""
    rng, now_s, written, under_way = random.Random(seed), 0.0, 0.0, []
    tokens = TieredTokens([100.0, 50.0], burst_s=0.25, debt_s=0.5)
    tokens.fill(now_s)
    factor = rng.choice((0.1, 1, 3, 30))
    while now_s < 100:
        now_s += rng.uniform(0, 0.05)
        tokens.fill(now_s)
        while tokens.may_take(0) and rng.random() < 0.9:
            size = rng.uniform(1, 20)
            under_way.append((tokens.reserve(size * factor), size))
        if rng.random() < 0.3:
            for given, size in under_way:
                tokens.settle(given, size)
                written += size
            under_way.clear()
    most = 100.0 * (100 + 0.25 + 0.5)
    if factor >= 1:  # too low an estimate is known too late
        assert written <= most + 20
    assert tokens.taken == pytest.approx(written + sum(given[0] for given, _ in under_way))


def test_who_owes_all_that_may_be_owed_gets_nothing_back():
    """What is forgiven to a tenant that passes in debt would be paid to it."""
    tokens = fitted(size_bytes=1 << 20, pages=256)
    limit = tokens.regular_limit
    tokens.settle((0.0, 0.0), 10 * limit, now_s=8.0)
    wait_s = tokens.wait_s(IoTier.REGULAR)
    given = tokens.reserve(limit, now_s=8.0)
    tokens.settle(given, 0.0, now_s=8.0)
    assert tokens.wait_s(IoTier.REGULAR) == pytest.approx(wait_s)
