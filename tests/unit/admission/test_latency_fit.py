"""Whether bytes are the reason for a latency, seen through noise."""

import doctest
import random

import pytest

from admission import latency_fit
from admission.latency_fit import LatencyFit


def measured(*, base_s, per_unit_s, sizes, seed=0, noise_s=0.0, count=300):
    """Return what fits commits of these sizes, and the mean size."""
    rng, fit = random.Random(seed), LatencyFit()
    chosen = [rng.choice(sizes) for _ in range(count)]
    for size in chosen:
        noise = rng.expovariate(1 / noise_s) if noise_s else 0.0
        fit.add(size, base_s + per_unit_s * size + noise)
    return fit, sum(chosen) / count


def test_the_doctest():
    """The examples in the docstring would lie."""
    assert doctest.testmod(latency_fit).failed == 0


@pytest.mark.parametrize("seed", range(10))
def test_slow_syncs_are_not_laid_at_the_door_of_bytes(seed):
    """Commits are held back on a disk whose every sync is slow, and nobody is any quicker."""
    sizes = [1, 10, 100, 1000]
    fit, mean = measured(base_s=0.05, per_unit_s=0, sizes=sizes, seed=seed, noise_s=0.05)
    assert fit.of_size_s(mean) < 0.25 * 0.1, "of 100 ms"


@pytest.mark.parametrize("seed", range(10))
def test_bytes_are_found_under_noise(seed):
    """On a full disk with quick and slow syncs everybody waits for one tenant's bytes."""
    sizes = [1, 10, 100, 1000]
    fit, mean = measured(base_s=0.05, per_unit_s=0.0004, sizes=sizes, seed=seed, noise_s=0.05)
    assert fit.of_size_s(mean) == pytest.approx(0.0004 * mean, rel=0.25)


def test_one_size_is_the_reason_until_others_are_seen():
    """A flood of commits that are all alike is never limited."""
    fit, mean = measured(base_s=0.2, per_unit_s=0, sizes=[100])
    assert fit.of_size_s(mean) == pytest.approx(0.2)
    smaller, mean = measured(base_s=0.2, per_unit_s=0, sizes=[20])
    fit.merge(smaller, kept=0.5)
    assert fit.of_size_s(mean) < 0.02


def test_nothing_measured_is_nothing_to_blame():
    """A node without writes divides by zero every 15 seconds."""
    assert LatencyFit().of_size_s(100) == 0
    fit, _ = measured(base_s=0.2, per_unit_s=0, sizes=[0])
    assert fit.of_size_s(100) == 0
