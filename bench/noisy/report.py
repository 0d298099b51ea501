"""The report: what was promised and whether it holds; then what each scenario showed."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final

from bench.noisy import quiet, systems
from bench.noisy.beside import Beside
from bench.noisy.latency import Latency, medians
from bench.noisy.limits import Limited, tables
from bench.noisy.plan import LONE, LONE_SQL, MANY, NOISES, SHARES
from bench.noisy.promises import (
    Check,
    better,
    describe_stalls,
    latency_checks,
    limit_checks,
    lone_check,
    safety_checks,
    share_check,
    worse_check,
)
from bench.noisy.shares import Shared, median_index, median_parts
from bench.report import number, settings_list

LEGEND: Final = """\
*Alone* is the same client before and after the noise, in the same round; every figure is the median
of the rounds. The client's latency runs from when its request was due; the server's is what the
tenant's SQL process took to execute the statement, commit and waiting included, in steps of 9 %.
The noisy clients run at the lowest OS priority (nice 19) and the quiet one before all others where
it may (real-time, priority 4), on all systems: client and server share this machine, and how long
a client waits for a CPU once its answer is there is not the server's doing. The server's clock has
no such help, nor does it count what the client waits for beside its statement: both are promised.
*Admission off* is one start-up switch, `[kvnode] admission = false`: no fair queue, no CPU, IO or
write tokens, no shrinking credit, and no real-time, nice values by use or CPU groups either. The KV
node's figures: the most memory that it had to itself; a *stall* is more than 5 ms of CPU at a
stretch on its loop, as a timer sees it that ticks every 5 ms; *late* is how late that timer came at
worst, waiting for a CPU included. Either can have been longer than the timer saw by a tick, and
counts as that long."""
DRIFT_MAX: Final = 1.25
LONE_LEGEND: Final = """\
A lone tenant is compared with admission off in the KV node at the OS priorities of admission on, so
that the figure is what admission control costs; the two take turns of half a second, for the
machine is faster and slower by more than that."""
LIMITS_LEGEND: Final = """\
Limits were measured once, on stacks of their own. What a read costs on average is taken from
`pg_stat_statements`. A raised limit acts when the tenant has got 80 % of it for half a second."""


_TITLES: Final = {noise.letter: noise.what for noise in NOISES} | {
    MANY: "many quiet beside two noisy"
}
_LONE: Final = {LONE: "a lone tenant, KV", LONE_SQL: "a lone tenant, SQL"}


@dataclass(slots=True)
class NoisyReport:
    """Everything that was measured."""

    settings: dict[str, str]
    beside: list[Beside] = field(default_factory=list)
    shares: list[Shared] = field(default_factory=list)
    limits: Limited | None = None
    failures: dict[str, str] = field(default_factory=dict)

    def markdown(self) -> str:
        """Return the report as text."""
        parts = ["# Do neighbours notice?", settings_list(self.settings)]
        parts += [f"**{name} failed**: {reason}" for name, reason in self.failures.items()]
        parts += ["## Acceptance", _table(self.acceptance())]
        parts += ["## Also looked at", _table(self.others())]
        if self.beside:
            parts += ["## A quiet tenant beside a noisy one", *self._beside(), LEGEND]
        if self.shares:
            parts += ["## Who gets how much", *self._shares(), LONE_LEGEND]
        if self.limits is not None:
            parts += ["## At the limit", "\n".join(tables(self.limits)), LIMITS_LEGEND]
        return "\n\n".join(parts) + "\n"

    def as_dict(self) -> dict[str, Any]:
        """Return the report for JSON."""
        return {
            "settings": self.settings,
            "beside": [one.as_dict() for one in self.beside],
            "shares": [
                {"scenario": one.scenario, "system": one.system, "per_s": one.per_s}
                for one in self.shares
            ],
            "limits": None if self.limits is None else self.limits.as_dict(),
            "checks": [_as_dict(one) for one in self.acceptance()],
            "others": [_as_dict(one) for one in self.others()],
            "failures": self.failures,
        }

    def grouped(self) -> dict[str, dict[str, list[Beside]]]:
        """Return scenario → system → rounds."""
        found: dict[str, dict[str, list[Beside]]] = defaultdict(lambda: defaultdict(list))
        for one in self.beside:
            found[one.scenario][one.system].append(one)
        return found

    def _beside(self) -> Iterator[str]:
        for scenario, by_system in self.grouped().items():
            lines = [
                f"### ({scenario}) {_TITLES[scenario]}\n",
                "| system | request | alone p50 / p99 | beside p50 / p99 | p50, p99 ratio |"
                " server alone | server beside | ratios | noise | KV node |",
                "|" + "---|" * 10,
            ]
            for system, rounds in by_system.items():
                lines += [_beside_line(system, rounds, kind) for kind in quiet.KINDS]
            yield "\n".join(lines) + _remarks(by_system)

    def _shares(self) -> Iterator[str]:
        lines = [
            "| scenario | system | part of the mean | Jain's index | per second |",
            "|---|---|---|---|---|",
        ]
        for share in SHARES:
            for system, rounds in self._rounds(share.name).items():
                parts = ", ".join(f"{part:.2f}" for part in median_parts(rounds))
                index = median_index(rounds, share.wanted)
                rate = number(median(sum(one.per_s) for one in rounds))
                lines.append(f"| {share.what} | {system} | {parts} | {index:.3f} | {rate} |")
        for name, what in _LONE.items():
            for system, rounds in self._rounds(name).items():
                rate = number(median(one.per_s[0] for one in rounds))
                lines.append(f"| {what} | {system} | – | – | {rate} |")
        yield "\n".join(lines)

    def _rounds(self, scenario: str) -> dict[str, list[Shared]]:
        found: dict[str, list[Shared]] = defaultdict(list)
        for one in self.shares:
            if one.scenario == scenario:
                found[one.system].append(one)
        return found

    def acceptance(self) -> Iterator[Check]:
        """Yield each promise, what was measured, and whether it holds."""
        grouped = self.grouped()
        noises = {name: grouped[name] for name in _TITLES if name in grouped and name != MANY}
        for scenario, by_system in noises.items():
            if rounds := by_system.get(systems.ON):
                yield from latency_checks(scenario, rounds)
        for check in (worse_check, better):
            found = (check(scenario, by_system) for scenario, by_system in noises.items())
            yield from (one for one in found if one is not None)
        for share in SHARES:
            if shares := self._rounds(share.name).get(systems.ON):
                yield share_check(share, shares)
        for name, what in _LONE.items():
            if (one := lone_check(what, self._rounds(name))) is not None:
                yield one
        if self.limits is not None:
            yield from limit_checks(self.limits)
        if on := self._beside_on(noises):
            yield from safety_checks(on)

    def others(self) -> Iterator[Check]:
        """Yield what goes beyond the promises: many quiet tenants beside two noisy ones."""
        many = self.grouped().get(MANY, {})
        if rounds := many.get(systems.ON):
            yield from latency_checks(MANY, rounds)
            if (one := better(MANY, many)) is not None:
                yield one
            yield from safety_checks({MANY: rounds})

    def _beside_on(
        self, grouped: Mapping[str, Mapping[str, list[Beside]]]
    ) -> dict[str, list[Beside]]:
        found = {name: by_system.get(systems.ON, []) for name, by_system in grouped.items()}
        return {name: rounds for name, rounds in found.items() if rounds}


def _as_dict(check: Check) -> dict[str, Any]:
    return {"what": check.what, "measured": check.measured, "ok": check.ok, "said": check.said}


def _table(checks: Iterator[Check]) -> str:
    lines = ["| promise | measured | |", "|---|---|---|"]
    lines += [f"| {one.what} | {one.measured} | {one.said} |" for one in checks]
    return "\n".join(lines) if len(lines) > 2 else "Nothing of it was measured."


def _beside_line(system: str, rounds: Sequence[Beside], kind: str) -> str:
    noise = number(median(one.noise_per_s for one in rounds))
    errors = sum(sum(one.noise_errors.values()) for one in rounds)
    cells = [
        system,
        kind,
        *_latency_cells([one.latencies[kind] for one in rounds]),
        *_latency_cells([one.server[kind] for one in rounds if kind in one.server]),
        f"{noise}/s" + (f", {errors} errors" if errors else ""),
        _node(rounds),
    ]
    return "| " + " | ".join(cells) + " |"


def _latency_cells(latencies: Sequence[Latency]) -> list[str]:
    """Return alone, beside, ratios."""
    if not latencies:
        return ["–"] * 3
    got = medians(latencies)
    return [
        f"{number(got['alone_p50_ms'])} / {number(got['alone_p99_ms'])} ms",
        f"{number(got['p50_ms'])} / {number(got['p99_ms'])} ms",
        f"{got['p50_ratio']:.2f}×, {got['p99_ratio']:.2f}×",
    ]


def _remarks(by_system: Mapping[str, Sequence[Beside]]) -> str:
    """Return what the noisy clients were told, and where being alone was not the same twice."""
    lines = []
    for system, rounds in by_system.items():
        counts: Counter[str] = Counter()
        for one in rounds:
            counts.update(one.noise_errors)
        lines += [f"- {system}, noisy clients: {n} × {text}" for text, n in counts.most_common()]
        for kind in quiet.KINDS:
            drifts = [one.latencies[kind].drift for one in rounds]
            if not 1 / DRIFT_MAX <= median(drifts) <= DRIFT_MAX:
                lines.append(
                    f"- {system}, {kind}: alone after the noise p50 is {median(drifts):.2f}× that"
                    " before it"
                )
    return "\n\n" + "\n".join(lines) if lines else ""


def _node(rounds: Sequence[Beside]) -> str:
    nodes = [one.node for one in rounds if one.node is not None]
    if not nodes:
        return "–"
    peak = max(node.peak_bytes for node in nodes)
    late_s = max(node.late_s for node in nodes)
    stalls = f"stalls {describe_stalls(nodes)}"
    late = f"late ≤ {late_s * 1e3:.0f} ms" if late_s else "never late"
    return f"{peak / 2**20:.0f} MiB, {stalls}, {late}"
