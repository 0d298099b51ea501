"""The proof proves itself: a node that is broken on purpose is found out within seconds."""

from tests.fakes import broken_node as broken
from tests.history.list_append import check
from tests.history.model import Level
from tests.sim.history_sim import simulate

SEEDS_MAX = 60


def found(level, *, wanted, seeds=SEEDS_MAX, **seam):
    """Run seeds until each wanted kind of anomaly was found; return all kinds."""
    kinds = set()
    for seed in range(seeds):
        try:
            _, anomalies = simulate(seed, level, **seam)
        except AssertionError as error:  # a row that was seen twice, or never
            kinds.add(str(error).split(",")[0])
            continue
        kinds |= {anomaly.kind for anomaly in anomalies}
        if wanted <= kinds:
            break
    assert wanted <= kinds, kinds
    return kinds


def test_without_validation_transactions_are_not_serializable():
    """The checker would accept anything."""
    found(Level.SERIALIZABLE, core_type=broken.Unvalidated, wanted={"G2-item", "G-single"})


def test_without_validation_predicates_miss_phantoms():
    """The checker would see rows only where they are, not where they are missing."""
    found(Level.SERIALIZABLE, core_type=broken.Unvalidated, wanted={"G2"})


def test_repeatable_read_shows_write_skew():
    """The checker would take snapshot isolation for serializable."""
    kinds = set()
    for seed in range(SEEDS_MAX):
        sim, anomalies = simulate(seed, Level.REPEATABLE_READ)
        assert not anomalies
        kinds |= {anomaly.kind for anomaly in check(sim.txns, Level.SERIALIZABLE)}
        if kinds:
            break
    kinds = {kind.removesuffix(" (read-only anomaly)").removesuffix("-realtime") for kind in kinds}
    assert kinds <= {"G2-item", "G2"}
    assert kinds


def test_stale_snapshots_are_found():
    """A client does not see what it was told is done."""
    found(Level.SERIALIZABLE, core_type=broken.StaleReads, wanted={"G-single-realtime"})


def test_commits_acknowledged_before_they_are_durable_are_found():
    """An acknowledged payment is gone after a crash."""
    found(Level.READ_COMMITTED, core_type=broken.EarlyAnswers, wanted={"lost append"})


def test_rows_that_are_not_locked_are_found():
    """Two sessions that add to one row lose one of the two."""
    found(Level.REPEATABLE_READ, core_type=broken.NoLocks, wanted={"lost append"})


def test_a_status_that_promises_nothing_is_found():
    """A commit that was reported as failed, and run again, counts twice."""
    found(Level.SERIALIZABLE, core_type=broken.ForgetfulStatus, wanted={"G1a"}, seeds=200)


def test_torn_writes_are_found():
    """Half a transaction survives a crash."""
    found(Level.SERIALIZABLE, core_type=broken.TornWrites, wanted={"lost append"}, seeds=200)
