"""Kinds of statements, what they cost, and whose CPU time it is."""

from kvapi.latency import fine_bound_s
from sqlnode.statement_cpu import StatementCpu
from sqlnode.statement_stats import ENTRIES_MAX, StatementStats, shown_text
from sqlnode.statements import read_statements


def shown(sql):
    return shown_text(read_statements(sql)[0])


def test_literals_are_numbered():
    """Without it every key of a table would be a kind of statement of its own."""
    assert shown("select a from t where b = 5 and c = 'x'") == (
        "select a from t where b = $1 and c = $2"
    )
    assert shown("select a from t where b = 99999999999") == "select a from t where b = $1"
    assert shown(" BEGIN ") == "BEGIN"


def test_passwords_are_not_kept():
    """Statistics are read by more people than may know a password."""
    quoted = ["'hidden'", "$$hidden$$", "$x$hidden$x$", r"E'a\'hidden'", "'a''hidden'"]
    for secret in quoted:
        text = shown(f"set my.password = {secret}")
        assert text.startswith("set my.password = "), text
        assert "hidden" not in text, text


def test_memory_is_bounded_and_the_bill_is_not_touched():
    """An application that writes literals into its texts would fill the process."""
    stats = StatementStats()
    often = stats.entry("often")
    stats.called(often, exec_s=0.1, row_count=1)
    for number in range(2 * ENTRIES_MAX):
        entry = stats.entry(f"select {number} + x")
        stats.charge(entry, 3)
    assert len(stats) <= ENTRIES_MAX
    assert stats.entry("often") is often
    reported = []
    while batch := stats.unreported(100):
        reported += batch
    assert sum(entry.new_micro_ru for entry in reported) == 6 * ENTRIES_MAX


def test_every_call_is_in_one_bucket_of_its_entry():
    """A tenant's p99 would be of some of its statements."""
    stats = StatementStats()
    entry = stats.entry("select")
    times_s = [0.0, 0.00009, 0.0001, 0.0031, 0.0031, 0.5, 1e6]
    for exec_s in times_s:
        stats.called(entry, exec_s=exec_s, row_count=1)
    assert sum(entry.exec_counts.values()) == entry.calls == sum(stats.take_latencies())
    in_ms = {bucket: fine_bound_s(bucket) * 1e3 for bucket in entry.exec_counts}
    assert [entry.exec_counts[bucket] for bucket in sorted(in_ms)] == [2, 1, 2, 1, 1]
    assert 3.1 < sorted(in_ms.values())[2] < 3.1 * 1.1


def test_a_reset_shows_nothing_and_still_bills():
    """Otherwise a tenant could wipe out its bill."""
    stats = StatementStats()
    entry = stats.entry("select")
    stats.charge(entry, 7)
    stats.reset()
    assert not list(stats)
    assert not entry.is_kept
    assert stats.unreported(10) == [entry]


class FakeClock:
    """CPU time that a test moves."""

    now_s = 0.0

    def __call__(self):
        return self.now_s


def test_cpu_time_is_shared_among_those_that_run():
    """Time that nobody or everybody is charged makes the bill wrong."""
    clock = FakeClock()
    cpu = StatementCpu(clock)
    clock.now_s = 1.0
    first = cpu.begin()
    clock.now_s = 3.0
    second = cpu.begin()
    clock.now_s = 7.0
    used_second = cpu.end() - second
    clock.now_s = 8.0
    used_first = cpu.end() - first
    clock.now_s = 8.5
    cpu.begin()
    assert (used_first, used_second, cpu.own_s) == (5.0, 2.0, 1.5)
