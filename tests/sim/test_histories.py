"""Seeded faults against real transactions: no history has an anomaly that its level forbids."""

import os

import pytest

from tests.history.model import Level, Outcome
from tests.sim.history_sim import simulate, trace

SEEDS = range(int(os.environ.get("INSULA_SIM_SEEDS", "500")))
FEWER = range(max(len(SEEDS) // 10, 1))


def run(seed, level):
    sim, anomalies = simulate(seed, level)
    assert not anomalies, trace(sim, anomalies)
    done = sum(txn.outcome is Outcome.OK for txn in sim.txns)
    assert done > 5, f"{seed=}: a simulation that commits nothing proves nothing"


@pytest.mark.parametrize("seed", SEEDS)
def test_serializable(seed):
    """Strict serializability is the product's first promise."""
    run(seed, Level.SERIALIZABLE)


@pytest.mark.parametrize("seed", FEWER)
def test_repeatable_read(seed):
    """Write skew may show, and nothing worse."""
    run(seed, Level.REPEATABLE_READ)


@pytest.mark.parametrize("seed", FEWER)
def test_read_committed(seed):
    """What was rolled back is never seen, nor half a transaction's write to a row."""
    run(seed, Level.READ_COMMITTED)
