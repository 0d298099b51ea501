"""What was promised, what was measured, and whether it holds: one row for each promise.

Figures of time are medians of the rounds; what must never happen counts in every round.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from bench.noisy import quiet
from bench.noisy.beside import Beside
from bench.noisy.failures import tells_refusal
from bench.noisy.latency import Latency, medians
from bench.noisy.limits import PERIOD_S, Limited
from bench.noisy.node import STALL_S_MAX, NodeSpan
from bench.noisy.plan import MANY, NOISES, Noise, Share
from bench.noisy.shares import Shared, median_index, median_parts
from bench.noisy.systems import ALIKE, OFF, ON, POSTGRES
from kvnode.admission.watchdog import TICK_S

P99_RATIO_MAX: Final = 1.5
P50_RATIO_MAX: Final = 1.2
INDEX_MIN: Final = 0.97
LONE_MIN: Final = 0.95
WORSE_MIN: Final = 1.2  # p99 ratio without admission over that with it: to be seen
NOISE: Final = 1 / WORSE_MIN  # and for the other kind of request: not better than this
RATE_TOLERANCE: Final = 0.05
DEVIATION_MAX: Final = 0.20
STOP_GO_MIN: Final = 3.0  # standard deviation without the trickle over that with it
SPLIT: Final = 3.0
SPLIT_TOLERANCE: Final = 0.15
RAISED_S_MAX: Final = 2.0
_QUIET_ANSWER_S: Final = 1.0
_MANY: Final = Noise(MANY, "reads", 64, "many quiet beside two noisy", 1.0)
_BY_NAME: Final = {noise.letter: noise for noise in (*NOISES, _MANY)}

Rounds = Mapping[str, Sequence[Beside]]  # by system, or by scenario


@dataclass(frozen=True, slots=True)
class Check:
    """One promise. `ok`: None where nothing was promised, and `verdict` says it."""

    what: str
    measured: str
    ok: bool | None
    verdict: str = ""

    @property
    def said(self) -> str:
        """The verdict in a word."""
        return self.verdict or ("ok" if self.ok else "**FAILS**")


# a quiet tenant beside a noisy one


def latency_checks(scenario: str, rounds: Sequence[Beside]) -> Iterator[Check]:
    """Yield whether the quiet tenant keeps its latency: as its client sees it, and the server."""
    what = f"({scenario}) {_BY_NAME[scenario].what}"
    bounds = f"p50 ≤ {P50_RATIO_MAX}×, p99 ≤ {P99_RATIO_MAX}× alone"
    clients = {kind: [one.latencies[kind] for one in rounds] for kind in quiet.KINDS}
    yield _latency_check(f"{what}; client: {bounds}", clients)
    if all(kind in one.server for one in rounds for kind in quiet.KINDS):
        servers = {kind: [one.server[kind] for one in rounds] for kind in quiet.KINDS}
        yield _latency_check(f"{what}; server's clock: {bounds}", servers)


def _latency_check(what: str, latencies: Mapping[str, Sequence[Latency]]) -> Check:
    found = {kind: medians(each) for kind, each in latencies.items()}
    measured = "; ".join(
        f"{kind} {one['p50_ratio']:.2f}×, {one['p99_ratio']:.2f}×" for kind, one in found.items()
    )
    is_ok = all(
        one["p50_ratio"] <= P50_RATIO_MAX and one["p99_ratio"] <= P99_RATIO_MAX
        for one in found.values()
    )
    return Check(what, measured, is_ok)


def worse_check(scenario: str, by_system: Rounds) -> Check | None:
    """Return whether admission control visibly helps: one kind of request, at no other's cost."""
    rounds, without = by_system.get(ON), by_system.get(OFF)
    if not rounds or not without or not _BY_NAME[scenario].is_worse_without:
        return None
    ratios = {kind: (_p99_ratio(without, kind), _p99_ratio(rounds, kind)) for kind in quiet.KINDS}
    measured = "; ".join(f"{kind} {off:.2f}×, on {on:.2f}×" for kind, (off, on) in ratios.items())
    gains = [off / on for off, on in ratios.values()]
    what = (
        f"({scenario}) with admission off p99 over alone is visibly worse: ≥ {WORSE_MIN}× that with"
        f" it on for reads or commits, and for neither < {NOISE:.2f}×"
    )
    return Check(what, f"off {measured}", max(gains) >= WORSE_MIN and min(gains) >= NOISE)


def better(scenario: str, by_system: Rounds) -> Check | None:
    """Say who is better: whose p99 grows less, and whose is lower in the end."""
    rounds, others = by_system.get(ON), by_system.get(POSTGRES)
    if not rounds or not others:
        return None
    parts, ratios, latencies = [], [], []
    for kind in quiet.KINDS:
        ours, theirs = (medians([one.latencies[kind] for one in each]) for each in (rounds, others))
        parts.append(
            f"{kind} {ours['p99_ratio']:.2f}× and {theirs['p99_ratio']:.2f}×,"
            f" {ours['p99_ms']:.3g} and {theirs['p99_ms']:.3g} ms"
        )
        ratios.append(ours["p99_ratio"] < theirs["p99_ratio"])
        latencies.append(ours["p99_ms"] < theirs["p99_ms"])
    verdict = f"grows less: {_who(ratios)}; lower: {_who(latencies)}"
    what = f"({scenario}) who is better, Insula and PostgreSQL: p99 over alone, p99"
    return Check(what, "; ".join(parts), None, verdict)


def _who(is_ours: Sequence[bool]) -> str:
    """Return who is better.

    >>> _who([True, True]), _who([True, False]), _who([False, False])
    ('Insula', 'Insula for read, PostgreSQL for commit', 'PostgreSQL')
    """
    names = [ON if ours else POSTGRES for ours in is_ours]
    if len(set(names)) == 1:
        return names[0]
    return ", ".join(f"{name} for {kind}" for name, kind in zip(names, quiet.KINDS, strict=True))


def _p99_ratio(rounds: Sequence[Beside], kind: str) -> float:
    return medians([one.latencies[kind] for one in rounds])["p99_ratio"]


# what must never happen, in any scenario


def safety_checks(rounds: Rounds) -> Iterator[Check]:
    """Yield what must hold in every round of every scenario, by which the rounds are given."""
    nodes = {name: [one.node for one in each if one.node] for name, each in rounds.items()}
    if any(nodes.values()):
        yield _memory_check(nodes)
    yield _kept_check(rounds)
    yield _progress_check(rounds)
    if any(nodes.values()):
        yield _stall_check(
            nodes,
            f"loop stalls > {STALL_S_MAX * 1e3:.0f} ms, waiting for a CPU included: none",
            lambda node: node.late_s,
        )
        yield _stall_check(
            nodes,
            f"loop stalls > {STALL_S_MAX * 1e3:.0f} ms of its own CPU time: none",
            lambda node: node.held_s,
        )
    yield _error_check(rounds)


def _memory_check(nodes: Mapping[str, Sequence[NodeSpan]]) -> Check:
    most = max((node.peak_bytes, name) for name, each in nodes.items() for node in each)
    bound = min(node.bound_bytes for each in nodes.values() for node in each)
    is_ok = all(node.peak_bytes <= node.bound_bytes for each in nodes.values() for node in each)
    what = f"the KV node's memory stays under its bound of {bound / 2**20:,.0f} MiB"
    return Check(what, f"{most[0] / 2**20:,.0f} MiB in ({most[1]})", is_ok)


def _kept_check(rounds: Rounds) -> Check:
    totals: dict[str, list[float]] = {}
    # One count of the quiet tenant's commits is of the whole chain of scenarios.
    kept = {id(one): one for each in rounds.values() for beside in each for one in beside.kept}
    for one in kept.values():
        total = totals.setdefault(one.what, [0, 0, 0.0])
        total[0] += one.acknowledged
        total[1] += one.unknown
        total[2] += one.found
    measured = "; ".join(
        f"{what}: {acknowledged:,} acknowledged"
        + (f", {unknown:,} unknown" if unknown else "")
        + f", {found:,.7g} found"
        for what, (acknowledged, unknown, found) in totals.items()
    )
    what = "no acknowledged write is lost: each is there, once and whole"
    return Check(what, measured, all(one.is_ok for one in kept.values()))


def _progress_check(rounds: Rounds) -> Check:
    never, late, quiet_s = 0, [], 0.0
    for name, each in rounds.items():
        found = [one.progress for one in each]
        quiet_s = max(quiet_s, *(one.quiet_idle_s for one in found))
        # Rounds of one chain tell the same number of unanswered requests of the quiet client.
        never += sum(one.stuck + one.unanswered for one in found)
        if max(one.idle_s for one in found) > _BY_NAME[name].answer_s:
            late.append(f"({name}) {max(one.idle_s for one in found):.2f} s")
    bounds = ", ".join(f"{noise.letter} {noise.answer_s:g}" for noise in _BY_NAME.values())
    what = (
        f"nothing deadlocks: the last answer to the quiet ≤ {_QUIET_ANSWER_S:g} s ago, to every"
        f" noisy client ≤ so many seconds ({bounds}), and to all in the end"
    )
    measured = f"quiet {quiet_s:.2f} s; noisy {', '.join(late) or 'in time'}; {never} never"
    return Check(what, measured, quiet_s <= _QUIET_ANSWER_S and not late and not never)


def _stall_check(
    nodes: Mapping[str, Sequence[NodeSpan]], what: str, seen_s: Callable[[NodeSpan], float]
) -> Check:
    """Return whether none can have been longer: the timer may have missed a tick of each."""
    longest = {name: max(map(seen_s, each), default=0.0) for name, each in nodes.items()}
    told = [f"({name}) ≤ {(s + TICK_S) * 1e3:.0f} ms" for name, s in longest.items() if s]
    is_ok = all(not s or s + TICK_S <= STALL_S_MAX for s in longest.values())
    return Check(what, ", ".join(told) or "none over 5 ms", is_ok)


def describe_stalls(nodes: Sequence[NodeSpan]) -> str:
    """Return how many stalls there were, and the longest."""
    count = sum(node.stalls for node in nodes)
    longest_s = max(node.held_s for node in nodes)
    return f"{count} over 5 ms, longest {longest_s * 1e3:.1f} ms" if count else "none over 5 ms"


def _error_check(rounds: Rounds) -> Check:
    errors = [pair for each in rounds.values() for one in each for pair in one.noise_errors.items()]
    refused = sum(count for text, count in errors if tells_refusal(text))
    others = sum(count for text, count in errors if not tells_refusal(text))
    what = "noisy clients are refused at most, and meet no other error"
    return Check(what, f"{refused:,} refused, {others:,} other errors", not others)


# who gets how much


def share_check(share: Share, rounds: Sequence[Shared]) -> Check:
    """Return whether each tenant gets its part."""
    parts, index = median_parts(rounds), median_index(rounds, share.wanted)
    off = max(abs(got / want - 1) for got, want in zip(parts, share.wanted, strict=True))
    what = f"{share.what}: within {share.tolerance:.0%}, Jain's index ≥ {INDEX_MIN}"
    is_ok = off <= share.tolerance and index >= INDEX_MIN
    return Check(what, f"{off:.1%} off, {index:.3f}", is_ok)


def lone_check(name: str, by_system: Mapping[str, Sequence[Shared]]) -> Check | None:
    """Return whether admission control leaves a lone tenant what it had, round by round."""
    pairs = list(zip(by_system.get(ON, ()), by_system.get(ALIKE, ()), strict=False))
    if not pairs:
        return None
    part = median(on.per_s[0] / off.per_s[0] for on, off in pairs)
    what = f"{name}: ≥ {LONE_MIN:.0%} of admission off at the same OS priorities"
    return Check(what, f"{part:.1%}", part >= LONE_MIN)


# at the limit


def limit_checks(found: Limited) -> Iterator[Check]:
    """Yield what is promised of limited tenants."""
    evenly, at_once = found.evenly, found.at_once
    seconds, rate = len(evenly.served), evenly.rate_ru_per_s
    yield Check(
        f"{seconds} s at a limit of {rate:.0f} RU/s: within {RATE_TOLERANCE:.0%} of it",
        f"{evenly.mean_part * rate:.1f} RU/s",
        abs(evenly.mean_part - 1) <= RATE_TOLERANCE,
    )
    yield Check(
        f"its standard deviation by the second: < {DEVIATION_MAX:.0%} of the limit",
        f"{evenly.deviation_part:.1%}",
        evenly.deviation_part < DEVIATION_MAX,
    )
    grows = at_once.deviation_part / max(evenly.deviation_part, 1e-9)
    yield Check(
        f"with `[kvnode] trickle = false` it stops and goes: ≥ {STOP_GO_MIN:g}× that deviation",
        f"{at_once.deviation_part:.1%} over {len(at_once.served)} s, {grows:.1f}×",
        grows >= STOP_GO_MIN,
    )
    many, few = found.shared_per_s
    split = many / few if few else float("inf")
    yield Check(
        f"two SQL processes of one tenant, demand {SPLIT:g}:1: within {SPLIT_TOLERANCE:.0%}",
        f"{many:.0f} and {few:.0f} RU/s, {split:.2f}:1",
        abs(split / SPLIT - 1) <= SPLIT_TOLERANCE,
    )
    yield Check(
        f"a raised limit acts within {RAISED_S_MAX:g} s",
        f"{found.raised_s:.1f} s",
        found.raised_s <= RAISED_S_MAX,
    )
    lost_ru, period_ru = found.used_ru - found.billed_ru, PERIOD_S * found.crash_rate_ru_per_s
    yield Check(
        f"kill -9 of the KV node loses ≤ one period of accounting, {period_ru:.0f} RU",
        f"{found.used_ru:,.0f} RU used, {found.billed_ru:,.0f} billed",
        lost_ru <= period_ru,
    )
