"""What was promised, what was measured, and whether it holds.

Figures of time are medians of the rounds; what must never happen counts in every round.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from bench.noisy import quiet
from bench.noisy.beside import Beside
from bench.noisy.failures import tells_refusal
from bench.noisy.latency import medians
from bench.noisy.node import STALL_S_MAX, NodeSpan
from bench.noisy.plan import MANY, NOISES, Noise, Share
from bench.noisy.shares import Shared, median_index, median_parts
from bench.noisy.systems import OFF, ON, POSTGRES

P99_RATIO_MAX: Final = 1.5
P50_RATIO_MAX: Final = 1.2
INDEX_MIN: Final = 0.97
LONE_MIN: Final = 0.95
WORSE_MIN: Final = 1.2  # p99 ratio without admission over that with it: to be seen
_QUIET_ANSWER_S: Final = 1.0
_MANY: Final = Noise(MANY, "reads", 64, "many quiet beside two noisy", 1.0)

Rounds = Mapping[str, Sequence[Beside]]  # by system


@dataclass(frozen=True, slots=True)
class Check:
    """One promise. `ok`: None where nothing was promised, and `verdict` says it."""

    what: str
    measured: str
    ok: bool | None
    verdict: str = ""


def beside_checks(scenario: str, by_system: Rounds) -> Iterator[Check]:
    """Yield what is promised of a quiet tenant in one scenario."""
    noise = next((noise for noise in NOISES if noise.letter == scenario), _MANY)
    if not (rounds := by_system.get(ON)):
        return
    for kind in quiet.KINDS:
        yield _latency_check(scenario, kind, rounds)
    yield from _node_checks(scenario, rounds)
    yield _kept_check(scenario, rounds)
    yield _progress_check(noise, rounds)
    yield _error_check(scenario, rounds)
    if (without := by_system.get(OFF)) and noise.is_worse_without:
        yield _worse_check(scenario, rounds, without)
    if others := by_system.get(POSTGRES):
        yield _better(scenario, rounds, others)


def _latency_check(scenario: str, kind: str, rounds: Sequence[Beside]) -> Check:
    got = medians([one.latencies[kind] for one in rounds])
    p50, p99 = got["p50_ratio"], got["p99_ratio"]
    measured = f"{p50:.2f}×, {p99:.2f}×"
    if all(kind in one.server for one in rounds):
        server = medians([one.server[kind] for one in rounds])
        measured += f" (server: {server['p50_ratio']:.2f}×, {server['p99_ratio']:.2f}×)"
    what = f"({scenario}) {kind}: p50 ≤ {P50_RATIO_MAX}×, p99 ≤ {P99_RATIO_MAX}× alone"
    return Check(what, measured, p50 <= P50_RATIO_MAX and p99 <= P99_RATIO_MAX)


def _node_checks(scenario: str, rounds: Sequence[Beside]) -> Iterator[Check]:
    nodes = [one.node for one in rounds if one.node is not None]
    if nodes:
        most = max(nodes, key=lambda node: node.peak_bytes)
        bound = f"{most.bound_bytes / 2**20:,.0f} MiB"
        yield Check(
            f"({scenario}) the KV node's memory stays under its bounds, together {bound}",
            f"{most.peak_bytes / 2**20:,.0f} MiB",
            all(node.peak_bytes <= node.bound_bytes for node in nodes),
        )
        yield Check(
            f"({scenario}) nothing holds the KV node's loop for more than {STALL_S_MAX * 1e3:.0f}"
            " ms of CPU",
            describe_stalls(nodes),
            all(node.is_responsive for node in nodes),
        )


def describe_stalls(nodes: Sequence[NodeSpan]) -> str:
    """Return how many stalls there were, and the longest."""
    count = sum(node.stalls for node in nodes)
    longest_s = max(node.held_s for node in nodes)
    return f"{count} over 5 ms, longest {longest_s * 1e3:.1f} ms" if count else "none over 5 ms"


def _kept_check(scenario: str, rounds: Sequence[Beside]) -> Check:
    kept = [one for beside in rounds for one in beside.kept]
    totals = {one.what: [0, 0, 0.0] for one in kept}
    for one in kept:
        total = totals[one.what]
        total[0] += one.acknowledged
        total[1] += one.unknown
        total[2] += one.found
    measured = "; ".join(
        f"{what}: {acknowledged:,} acknowledged"
        + (f", {unknown:,} unknown" if unknown else "")
        + f", {found:,.7g} found"
        for what, (acknowledged, unknown, found) in totals.items()
    )
    what = f"({scenario}) every acknowledged write is there, once and whole"
    return Check(what, measured, all(one.is_ok for one in kept))


def _progress_check(noise: Noise, rounds: Sequence[Beside]) -> Check:
    found = [one.progress for one in rounds]
    idle_s = max(one.idle_s for one in found)
    quiet_s = max(one.quiet_idle_s for one in found)
    stuck = sum(one.stuck for one in found)
    unanswered = sum(one.unanswered for one in found)
    what = (
        f"({noise.letter}) nothing deadlocks: an answer in the last {_QUIET_ANSWER_S:g} s to the"
        f" quiet, {noise.answer_s:g} s to every noisy client, and to all in the end"
    )
    measured = f"{quiet_s:.2f} s and {idle_s:.2f} s ago; {stuck + unanswered} never"
    is_ok = quiet_s <= _QUIET_ANSWER_S and idle_s <= noise.answer_s
    return Check(what, measured, is_ok and not stuck and not unanswered)


def _error_check(scenario: str, rounds: Sequence[Beside]) -> Check:
    errors = [pair for one in rounds for pair in one.noise_errors.items()]
    refused = sum(count for text, count in errors if tells_refusal(text))
    others = sum(count for text, count in errors if not tells_refusal(text))
    what = f"({scenario}) noisy clients are refused at most, and meet no other error"
    return Check(what, f"{refused:,} refused, {others:,} other errors", not others)


def _worse_check(scenario: str, rounds: Sequence[Beside], without: Sequence[Beside]) -> Check:
    """Compare that kind of request which admission control helps most."""
    by_kind = {kind: (_p99_ratio(rounds, kind), _p99_ratio(without, kind)) for kind in quiet.KINDS}
    measured = ", ".join(
        f"{kind}: {off:.2f}× instead of {on:.2f}×" for kind, (on, off) in by_kind.items()
    )
    what = f"({scenario}) without admission control p99 is visibly worse"
    return Check(what, measured, any(off >= WORSE_MIN * on for on, off in by_kind.values()))


def _better(scenario: str, rounds: Sequence[Beside], others: Sequence[Beside]) -> Check:
    """Say who is better: whose p99 grows less, and whose is lower in the end."""
    parts, ratios, latencies = [], [], []
    for kind in quiet.KINDS:
        ours, theirs = (medians([one.latencies[kind] for one in each]) for each in (rounds, others))
        parts.append(
            f"{kind}: {ours['p99_ratio']:.2f}× and {theirs['p99_ratio']:.2f}×,"
            f" {ours['p99_ms']:.3g} and {theirs['p99_ms']:.3g} ms"
        )
        ratios.append(ours["p99_ratio"] < theirs["p99_ratio"])
        latencies.append(ours["p99_ms"] < theirs["p99_ms"])
    verdict = f"grows less: {_who(ratios)}; lower: {_who(latencies)}"
    return Check(
        f"({scenario}) who is better, Insula and PostgreSQL: p99 over alone, p99",
        "; ".join(parts),
        None,
        verdict,
    )


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


def share_check(share: Share, rounds: Sequence[Shared]) -> Check:
    """Return whether each tenant gets its part."""
    parts, index = median_parts(rounds), median_index(rounds, share.wanted)
    off = max(abs(got / want - 1) for got, want in zip(parts, share.wanted, strict=True))
    what = f"{share.what}: within {share.tolerance:.0%}, Jain's index ≥ {INDEX_MIN}"
    is_ok = off <= share.tolerance and index >= INDEX_MIN
    return Check(what, f"{off:.1%} off, {index:.3f}", is_ok)


def lone_check(name: str, by_system: Mapping[str, Sequence[Shared]]) -> Check | None:
    """Return whether admission control leaves a lone tenant what it had."""
    if ON not in by_system or OFF not in by_system:
        return None
    on, off = (median(one.per_s[0] for one in by_system[which]) for which in (ON, OFF))
    what = f"{name}: ≥ {LONE_MIN:.0%} of admission off"
    return Check(what, f"{on / off:.1%}", on >= LONE_MIN * off)
