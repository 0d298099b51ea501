"""Concurrent transactions step by step, on PostgreSQL and here: results, waits, SQLSTATEs.

The specs are in tests/isolation_specs; tests/isolation_tester.py says how to read them.
"""

from pathlib import Path

import psycopg
import pytest

from tests.isolation_tester import Run, parse
from tests.oracle import postgres

SPECS = [parse(path) for path in sorted(Path(__file__).parents[1].glob("isolation_specs/*.spec"))]
CASES = [(spec, level) for spec in SPECS for level in spec.levels]


@pytest.fixture(scope="module")
def postgres_url():
    """A PostgreSQL to compare with."""
    with postgres(deadlock_timeout="20ms") as url:
        yield url


def test_there_are_specs_enough():
    """A folder that was moved would make a green test of nothing."""
    assert sum(len(spec.permutations) for spec, _ in CASES) >= 60


@pytest.mark.e2e
@pytest.mark.parametrize(("spec", "level"), CASES, ids=[f"{s.name}-{v}" for s, v in CASES])
def test_same_as_postgres(spec, level, stack, postgres_url):
    """A program that relies on PostgreSQL's locks and snapshots would lose updates, or hang."""
    differences = []
    with psycopg.connect(postgres_url, autocommit=True) as control:

        def blocked(pid):
            found = control.execute("select cardinality(pg_blocking_pids(%s)) > 0", (pid,))
            return bool(found.fetchone()[0])

        def connect_postgres():
            return psycopg.connect(postgres_url, autocommit=True)

        for order in spec.permutations:
            expected = Run(connect_postgres, blocked=blocked).run(spec, order, level)
            found = Run(lambda: stack.connect("acme"), expected=expected).run(spec, order, level)
            if found != expected:
                pairs = zip(order, expected, found, strict=False)
                lines = [f"  {e!r}\n  != {f!r}" if e != f else f"  {e}" for _, e, f in pairs]
                differences.append("\n".join([" ".join(order), *lines]))
    assert not differences, "\n".join(differences)
