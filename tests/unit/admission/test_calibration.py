"""Fitting prices to measured CPU time."""

import random

import pytest

from admission.calibration import Workload, fit, relative_error

TRUE = {"read_batches": 0.02, "read_requests": 0.002, "read_bytes": 1e-6}


def workloads(noise, seed=1):
    rng = random.Random(seed)
    made = []
    for keys, size in ((1, 100), (16, 100), (64, 100), (1, 4000), (16, 4000)):
        counts = {"read_batches": 1e4, "read_requests": keys * 1e4, "read_bytes": keys * size * 1e4}
        cpu_ms = sum(TRUE[name] * count for name, count in counts.items())
        cpu_ms *= 1 + rng.uniform(-noise, noise)
        made.append(Workload(name=f"{keys} of {size}", counts=counts, cpu_ms=cpu_ms))
    return made


def test_what_made_the_times_is_found():
    """A fit that cannot find prices that exist says nothing about a machine."""
    assert fit(workloads(0), list(TRUE)) == pytest.approx(TRUE, rel=1e-3)


@pytest.mark.parametrize("seed", range(20))
def test_noise_does_not_make_a_price_negative(seed):
    """A negative price would pay tenants for reading."""
    made = workloads(0.3, seed)
    found = fit(made, [*TRUE, "write_batches"])
    assert min(found.values()) >= 0
    assert found["write_batches"] == 0
    assert all(abs(relative_error(workload, found)) < 0.5 for workload in made)


def test_what_was_measured_is_not_priced_again():
    """A scan's CPU is charged as measured; its batches would pay for it a second time."""
    scan = Workload(name="scan", counts={"read_batches": 10.0}, cpu_ms=100.0, measured_ms=99.0)
    found = fit([scan], ["read_batches"])
    assert found["read_batches"] == pytest.approx(0.1)
    assert relative_error(scan, found) == pytest.approx(0)
