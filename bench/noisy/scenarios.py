"""What is measured, on which systems, in how many rounds, and about how long that takes."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Final

from bench.noisy.beside import Chain, measure_beside, measure_many
from bench.noisy.limits import limits_s, measure_limits
from bench.noisy.plan import LIMITS, LONE, MANY, NOISES, SHARES, Noise, NoisyPlan, Share
from bench.noisy.report import NoisyReport
from bench.noisy.shares import measure_lone, measure_share
from bench.noisy.systems import ALIKE, OFF, ON, POSTGRES, System

NAMES: Final = (*(n.letter for n in NOISES), MANY, *(s.name for s in SHARES), LONE, LIMITS)
# Seconds beside the spans, as this machine takes them: tables, clients, last answers.
_PREPARE_S: Final = 8.0
_NOISE_S: Final = 3.0
_TENANT_S: Final = 0.25
_CLIENT_S: Final = 1.2
_LONE_S: Final = 2.0
_TURN_S: Final = 0.6
_STACK_S: Final = 3.0

Measure = Callable[[Sequence[System], NoisyPlan, int, NoisyReport], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Measured in so many rounds on each system, by name; `seconds`: one round of one, roughly.

    `is_together`: on all systems by turns, and not on one after the other.
    """

    name: str
    rounds: Mapping[str, int]
    seconds: float
    measure: Measure
    is_together: bool = False

    def on(self, names: Set[str]) -> "Scenario":
        """Return it on these systems only."""
        rounds = {name: count for name, count in self.rounds.items() if name in names}
        return replace(self, rounds=rounds)


def scenarios(plan: NoisyPlan, names: Iterable[str]) -> Iterator[Scenario]:
    """Yield the named ones: the noises (a) to (f) in one chain, the others one by one."""
    wanted = frozenset(names)
    noises = [noise for noise in NOISES if noise.letter in wanted]
    if noises:
        yield _beside(plan, noises)
    if MANY in wanted:
        yield _many(plan)
    for share in SHARES:
        if share.name in wanted:
            yield _share(plan, share)
    if LONE in wanted:
        yield _lone(plan)
    if LIMITS in wanted:
        yield _limits(plan)


def estimate_s(chosen: Iterable[Scenario], system_count: int) -> float:
    """Return how long it will take, roughly."""
    measured_s = sum(one.seconds * sum(one.rounds.values()) for one in chosen)
    return measured_s + _STACK_S * system_count


def _beside(plan: NoisyPlan, noises: Sequence[Noise]) -> Scenario:
    def measure(systems: Sequence[System], plan: NoisyPlan, turn: int, report: NoisyReport) -> None:
        (system,) = systems
        _add(report, system, turn, measure_beside(system, noises, plan, turn))

    alone_s = plan.alone_s * (len(noises) + 1)
    return Scenario(
        name="".join(noise.letter for noise in noises),
        rounds={
            ON: plan.rounds,
            OFF: plan.rounds,
            POSTGRES: min(plan.rounds, plan.rounds_postgres),
        },
        seconds=_PREPARE_S + alone_s + (plan.beside_s + _NOISE_S) * len(noises),
        measure=measure,
    )


def _many(plan: NoisyPlan) -> Scenario:
    def measure(systems: Sequence[System], plan: NoisyPlan, turn: int, report: NoisyReport) -> None:
        (system,) = systems
        _add(report, system, turn, measure_many(system, plan, turn))

    spans_s = 2 * plan.alone_s + plan.beside_s + _NOISE_S
    return Scenario(
        name=MANY,
        rounds=_rounds(plan, OFF, POSTGRES),
        seconds=_PREPARE_S + spans_s + _TENANT_S * plan.quiet_tenants,
        measure=measure,
    )


def _share(plan: NoisyPlan, share: Share) -> Scenario:
    def measure(systems: Sequence[System], plan: NoisyPlan, turn: int, report: NoisyReport) -> None:
        (system,) = systems
        measured = measure_share(system, share, plan, turn)
        if measured is not None:
            report.shares.append(measured)

    has_postgres = not share.is_raw and len(set(share.weights)) == 1
    return Scenario(
        name=share.name,
        rounds=_rounds(plan, OFF, POSTGRES) if has_postgres else _rounds(plan, OFF),
        seconds=plan.share_s + (2 if share.is_raw else 6) + _CLIENT_S * len(share.clients),
        measure=measure,
    )


def _lone(plan: NoisyPlan) -> Scenario:
    def measure(systems: Sequence[System], plan: NoisyPlan, turn: int, report: NoisyReport) -> None:
        report.shares += measure_lone(systems, plan, turn)

    return Scenario(
        name=LONE,
        rounds={ON: plan.rounds, ALIKE: plan.rounds},
        seconds=2 * (_TURN_S * (plan.lone_turns + 1) + _LONE_S),
        measure=measure,
        is_together=True,
    )


def _limits(plan: NoisyPlan) -> Scenario:
    def measure(systems: Sequence[System], plan: NoisyPlan, turn: int, report: NoisyReport) -> None:
        report.limits = measure_limits(plan)

    return Scenario(name=LIMITS, rounds={ON: 1}, seconds=limits_s(plan), measure=measure)


def _rounds(plan: NoisyPlan, *others: str) -> dict[str, int]:
    return {ON: plan.rounds} | dict.fromkeys(others, min(plan.rounds, plan.rounds_beside))


def _add(report: NoisyReport, system: System, turn: int, chain: Chain) -> None:
    report.beside += chain.measured
    for scenario, reason in chain.failures.items():
        report.failures[f"{scenario}, {system.name}, round {turn + 1}"] = reason
