"""The noisy bench's figures, and what it says about the promises."""

from collections import Counter
from math import inf

import pytest

from bench.noisy.beside import Beside, Progress, noise_rate, rate_within
from bench.noisy.kept import Kept
from bench.noisy.latency import Latency, client_latency, percentile_ms, server_latency
from bench.noisy.limits import AtTheLimit, Limited
from bench.noisy.node import NodeSpan, Stalls, node_span, read_stalls
from bench.noisy.plan import FULL, SHARES
from bench.noisy.promises import better, limit_checks, lone_check, worse_check
from bench.noisy.report import NoisyReport
from bench.noisy.scenarios import NAMES, estimate_s, scenarios
from bench.noisy.shares import Shared
from bench.noisy.systems import ALIKE, OFF, ON, POSTGRES

MS = 1_000_000
METRICS = """\
# TYPE insula_kvnode_loop_held_seconds histogram
insula_kvnode_loop_held_seconds_bucket{le="0.005"} 0.0
insula_kvnode_loop_held_seconds_bucket{le="0.01"} 3.0
insula_kvnode_loop_held_seconds_bucket{le="+Inf"} 4.0
insula_kvnode_loop_held_seconds_count 4.0
insula_kvnode_loop_late_seconds_bucket{le="+Inf"} 7.0
insula_kvnode_loop_held_seconds_max 0.0123
"""


def latency(p99_ratio):
    return Latency(alone_p50_ms=1, alone_p99_ms=2, p50_ms=1, p99_ms=2 * p99_ratio, count=500)


def beside(system=ON, p99_ratio=1.0, **changes):
    fields = {
        "scenario": "a",
        "system": system,
        "latencies": dict.fromkeys(("read", "commit"), latency(p99_ratio)),
        "server": {},
        "noise_per_s": 1.0,
        "noise_errors": {},
        "node": NodeSpan(peak_bytes=5, bound_bytes=10, stalls=0, held_s=0, late_s=0),
        "kept": [Kept(what="quiet", acknowledged=7, unknown=0, found=7)],
        "progress": Progress(idle_s=0.1, stuck=0, quiet_idle_s=0.1, unanswered=0),
        "timeline": {},
    }
    return Beside(**(fields | changes))


def report_of(*rounds):
    report = NoisyReport({"machine": "x"})
    report.beside = list(rounds)
    return report


def broken(*rounds):
    """Return the promises that rounds break."""
    return [check.what for check in report_of(*rounds).acceptance() if check.ok is False]


def test_the_p99_of_five_hundred_leaves_five_above():
    """Ratios of 1.5 would be of the wrong request."""
    times = [n * MS for n in range(1, 501)]
    found = client_latency(times[::2], times, times[1::2])
    assert found.alone_p99_ms == pytest.approx(495, rel=0.002)
    assert found.p99_ms == pytest.approx(495, rel=0.002)
    assert (found.p99_ratio, found.drift) == pytest.approx((1, 1), rel=0.01)


def test_the_servers_figures_are_of_the_span():
    """What ran before the noise, or the time since the start, would hide what the noise did."""
    before, after = Counter({1.0: 60, 2.0: 40}), Counter({1.0: 58, 2.0: 40, 8.0: 2})
    found = server_latency(before, Counter({4.0: 100}), after)
    assert found.alone_p50_ms <= 1.0
    assert found.alone_p99_ms == 2.0
    assert 3.6 < found.p50_ms < found.p99_ms <= 4.0
    assert server_latency(Counter(), Counter(), Counter()) is None
    assert percentile_ms(Counter({inf: 1}), 0.5) == inf


def test_stalls_are_those_of_the_span():
    """One stall at the start would be held against every scenario, or none be seen."""
    before = read_stalls(METRICS)
    assert before == Stalls({0.005: 0, 0.01: 3, inf: 4}, {inf: 7}, 0.0123)

    def after(held, longest):
        return node_span(before, Stalls(held, {inf: 7}, longest), peak_bytes=1, bound_bytes=2)

    same = after({0.005: 0, 0.01: 3, inf: 4}, 0.0123)
    assert (same.stalls, same.held_s, same.late_s, same.is_responsive) == (0, 0, 0, True)
    short = after({0.005: 0, 0.01: 5, inf: 6}, 0.0123)
    assert (short.stalls, short.held_s, short.is_responsive) == (2, 0.01, True)
    longest = after({0.005: 0, 0.01: 3, inf: 5}, 0.017)
    assert (longest.stalls, longest.held_s) == (1, 0.017)
    assert not longest.is_responsive, "the timer may have missed 5 ms"


def test_what_is_not_kept_is_said():
    """A bench whose promises always hold proves nothing."""
    good = beside()
    assert broken(good) == []
    (said,) = broken(good, good, beside(node=NodeSpan(peak_bytes=11, bound_bytes=10, stalls=0,
                                                      held_s=0, late_s=0)))  # fmt: skip
    assert "memory" in said
    for held_s, late_s, count in ((0.03, 0, 1), (0, 0.02, 1), (0, 0.015, 0), (0.016, 0.016, 2)):
        stalled = NodeSpan(peak_bytes=1, bound_bytes=10, stalls=1, held_s=held_s, late_s=late_s)
        said = broken(good, beside(node=stalled))
        assert len(said) == count
        assert all("loop stalls > 20 ms" in each for each in said)
    (said,) = broken(beside(kept=[Kept(what="hot", acknowledged=7, unknown=0, found=6)]))
    assert "no acknowledged write is lost" in said
    assert broken(beside(noise_errors={"53300: too many": 9})) == []
    (said,) = broken(beside(noise_errors={"53300: too many": 9, "40001: conflict": 1}), good)
    assert "no other error" in said
    for progress in (
        Progress(idle_s=1.1, stuck=0, quiet_idle_s=0.1, unanswered=0),
        Progress(idle_s=0.1, stuck=1, quiet_idle_s=0.1, unanswered=0),
        Progress(idle_s=0.1, stuck=0, quiet_idle_s=1.1, unanswered=0),
        Progress(idle_s=0.1, stuck=0, quiet_idle_s=0.1, unanswered=1),
    ):
        (said,) = broken(good, beside(progress=progress))
        assert "deadlocks" in said
    (said,) = broken(beside(p99_ratio=1.6), beside(p99_ratio=1.7), good)
    assert "client: p50" in said
    assert broken(beside(p99_ratio=1.6), good, good) == [], "the median counts"
    (said,) = broken(beside(server=dict.fromkeys(("read", "commit"), latency(1.6))))
    assert "server's clock: p50" in said
    both = {"read": latency(1.0), "commit": latency(1.6)}
    assert len(broken(beside(latencies=both, server=both))) == 2, "commits count as reads do"


def test_it_is_said_who_is_better():
    """The comparison is what the bench is for."""
    found = better("a", {ON: [beside()], POSTGRES: [beside(POSTGRES, 4.0)]})
    assert found.said == "grows less: Insula; lower: Insula"
    assert found.ok is None


@pytest.mark.parametrize(
    ("read", "commit", "is_ok"),
    [(3.0, 3.0, True), (1.2, 0.9, True), (1.1, 1.1, False), (3.0, 0.5, False), (0.5, 0.5, False)],
)
def test_worse_without_is_of_reads_and_commits(read, commit, is_ok):
    """Reads that are better would hide that commits are worse with admission control."""
    without = beside(OFF, latencies={"read": latency(read), "commit": latency(commit)})
    check = worse_check("a", {ON: [beside()], OFF: [without]})
    assert check.ok is is_ok, check
    assert worse_check("c", {ON: [beside()], OFF: [without]}) is None, "nothing was promised"


def test_a_lone_tenant_is_compared_round_by_round():
    """A slow phase of the machine would be held against one of the two."""

    def rounds(system, *rates):
        return [Shared(scenario="lone", system=system, per_s=[rate]) for rate in rates]

    on, alike = rounds(ON, 96, 48, 30), rounds(ALIKE, 100, 50, 100)
    check = lone_check("a lone tenant", {ON: on, ALIKE: alike, OFF: rounds(OFF, 1, 1, 1)})
    assert (check.measured, check.ok) == ("96.0%", True)
    assert lone_check("a lone tenant", {ON: on}) is None


def limited(**changes):
    def at(*served):
        return AtTheLimit(rate_ru_per_s=100, served=list(served), curve=[(0.0, 1.0)])

    fields = {
        "evenly": at(99, 101, 102, 98),
        "at_once": at(200, 0, 200, 0),
        "shared_per_s": (290.0, 100.0),
        "raised_s": 1.5,
        "used_ru": 1000.0,
        "billed_ru": 700.0,
    }
    return Limited(**(fields | changes)), at


def test_limits_that_do_not_hold_are_said():
    """A bench whose promises always hold proves nothing."""
    good, at = limited()
    assert all(check.ok for check in limit_checks(good))
    for changes, words in (
        ({"evenly": at(111, 109, 110, 110)}, "within 5%"),
        ({"evenly": at(200, 0, 200, 0), "at_once": at(900, 0, 0)}, "deviation by the second"),
        ({"at_once": at(99, 101, 102, 98)}, "stops and goes"),
        ({"shared_per_s": (200.0, 100.0)}, "demand 3:1"),
        ({"shared_per_s": (200.0, 0.0)}, "demand 3:1"),
        ({"raised_s": inf}, "raised limit"),
        ({"billed_ru": 599.0}, "kill -9"),
    ):
        changed, _ = limited(**changes)
        said = [check.what for check in limit_checks(changed) if not check.ok]
        assert len(said) == 1, said
        assert words in said[0]


def test_all_fits_into_half_an_hour():
    """Nobody would run it."""
    chosen = list(scenarios(FULL, NAMES))
    assert {share.name for share in SHARES} <= {one.name for one in chosen}
    assert 20 * 60 < estimate_s(chosen, 4) < 32 * 60
    (alone,) = [one.on({ON}) for one in scenarios(FULL, ["a"])]
    assert alone.rounds == {ON: 3}


def test_the_report_shows_it_all():
    """Figures nobody sees."""
    server = dict.fromkeys(("read", "commit"), latency(1.6))
    report = report_of(
        beside(server=server, noise_errors={"40001: conflict": 3}),
        beside(POSTGRES, 2.0, node=None),
    )
    report.limits, _ = limited()
    text = report.markdown()
    assert text.index("## Acceptance") < text.index("## A quiet tenant")
    assert "| read 1.00×, 1.60×; commit 1.00×, 1.60× | **FAILS** |" in text
    assert "| Insula | read | 1 / 2 ms | 1 / 2 ms | 1.00×, 1.00× | 1 / 2 ms | 1 / 3.2 ms |" in (
        text.replace(".00 ", " ").replace("3.20", "3.2")
    )
    assert "| PostgreSQL | commit |" in text
    assert "- Insula, noisy clients: 3 × 40001: conflict" in text
    assert report.as_dict()["beside"][0]["server"]["read"]["p99_ratio"] == 1.6


def test_a_rate_is_of_whole_tenths():
    """What was done before or after the span would count."""
    done = [(bucket, 10) for bucket in range(100)]
    assert rate_within(done, (1_010 * MS, 3_090 * MS)) == 100


def test_a_transaction_that_outlasts_the_span_has_a_rate():
    """The report would say that the noise was none."""
    span = (1_010 * MS, 3_090 * MS)
    assert noise_rate({"done": [[40, 1]], "acknowledged": 1, "took_s": 4.0}, span) == 0.25
