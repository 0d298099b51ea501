"""The noisy bench's figures, and what it says about the promises."""

from collections import Counter
from math import inf

import pytest

from bench.noisy.beside import Beside, Progress, noise_rate, rate_within
from bench.noisy.kept import Kept
from bench.noisy.latency import Latency, client_latency, percentile_ms, server_latency
from bench.noisy.node import NodeSpan, Stalls, memory_bound, node_span, read_stalls
from bench.noisy.promises import beside_checks
from bench.noisy.report import NoisyReport
from bench.noisy.systems import OFF, ON, POSTGRES
from kvnode.node_config import NodeConfig

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


def broken(*rounds):
    """Return the promises that rounds of scenario (a) break."""
    by_system = {}
    for one in rounds:
        by_system.setdefault(one.system, []).append(one)
    return [check.what for check in beside_checks("a", by_system) if check.ok is False]


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


def test_memory_has_a_bound():
    """Nothing would be promised."""
    few, many = (
        memory_bound(NodeConfig(), idle_bytes=30 << 20, tenants=tenants) for tenants in (2, 52)
    )
    assert 1 << 30 < few < many < 6 << 30


def test_what_is_not_kept_is_said():
    """A bench whose promises always hold proves nothing."""
    good = beside()
    assert broken(good) == []
    (said,) = broken(good, good, beside(node=NodeSpan(peak_bytes=11, bound_bytes=10, stalls=0,
                                                      held_s=0, late_s=0)))  # fmt: skip
    assert "memory" in said
    stalled = NodeSpan(peak_bytes=1, bound_bytes=10, stalls=1, held_s=0.03, late_s=0)
    (said,) = broken(good, beside(node=stalled))
    assert "loop" in said
    (said,) = broken(beside(kept=[Kept(what="hot", acknowledged=7, unknown=0, found=6)]))
    assert "acknowledged write" in said
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
    assert len(broken(beside(p99_ratio=1.6), beside(p99_ratio=1.7), good)) == 2
    assert broken(beside(p99_ratio=1.6), good, good) == [], "the median counts"


def test_it_is_said_who_is_better():
    """The comparison is what the bench is for."""
    others = [beside(OFF, 3.0), beside(POSTGRES, 4.0)]
    assert broken(beside(), *others) == []
    (said,) = broken(beside(), beside(OFF, 1.1))
    assert "visibly worse" in said
    (better,) = [c for c in beside_checks("a", {ON: [beside()], POSTGRES: others[1:]}) if c.verdict]
    assert better.verdict == "grows less: Insula; lower: Insula"


def test_the_report_shows_it_all():
    """Figures nobody sees."""
    report = NoisyReport({"machine": "x"})
    server = dict.fromkeys(("read", "commit"), latency(1.3))
    report.beside = [
        beside(server=server, noise_errors={"40001: conflict": 3}),
        beside(POSTGRES, 2.0, node=None),
    ]
    text = report.markdown()
    assert "| Insula | read | 1 / 2 ms | 1 / 2 ms | 1.00×, 1.00× | 1 / 2 ms | 1 / 2.6 ms |" in (
        text.replace(".00 ", " ").replace("2.60", "2.6")
    )
    assert "| PostgreSQL | commit |" in text
    assert "- Insula, noisy clients: 3 × 40001: conflict" in text
    assert "(server: 1.00×, 1.30×)" in text
    assert report.as_dict()["beside"][0]["server"]["read"]["p99_ratio"] == 1.3


def test_a_rate_is_of_whole_tenths():
    """What was done before or after the span would count."""
    done = [(bucket, 10) for bucket in range(100)]
    assert rate_within(done, (1_010 * MS, 3_090 * MS)) == 100


def test_a_transaction_that_outlasts_the_span_has_a_rate():
    """The report would say that the noise was none."""
    span = (1_010 * MS, 3_090 * MS)
    assert noise_rate({"done": [[40, 1]], "acknowledged": 1, "took_s": 4.0}, span) == 0.25
