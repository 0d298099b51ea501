"""The report: what each scenario showed, the median of its rounds, and what was promised."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final

from bench.noisy import quiet, systems
from bench.noisy.beside import Beside, median_latency
from bench.noisy.plan import MANY, NOISES, SHARES, Share
from bench.noisy.shares import Shared, median_index, median_parts
from bench.report import number, settings_list

P99_RATIO_MAX: Final = 1.5
P50_RATIO_MAX: Final = 1.2
INDEX_MIN: Final = 0.97
LONE_MIN: Final = 0.95
LEGEND: Final = """\
*Alone* is the same client before and after the noise, in the same round; every figure is the median
of the rounds. A latency runs from when its request was due. The noisy clients run at the lowest OS
priority. A stall is more than 5 ms of CPU on the KV node's loop; the longest is since its start."""


@dataclass(slots=True)
class NoisyReport:
    """Everything that was measured."""

    settings: dict[str, str]
    beside: list[Beside] = field(default_factory=list)
    shares: list[Shared] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)

    def markdown(self) -> str:
        """Return the report as text."""
        parts = ["# Do neighbours notice?", settings_list(self.settings)]
        parts += ["## A quiet tenant beside a noisy one", *self._beside(), LEGEND]
        parts += ["## Who gets how much", *self._shares(), "## As promised", self._checks()]
        parts += [f"**{name} failed**: {reason}" for name, reason in self.failures.items()]
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
            "checks": [
                {"what": what, "measured": measured, "ok": ok}
                for what, measured, ok in self.checks()
            ],
            "failures": self.failures,
        }

    def grouped(self) -> dict[str, dict[str, list[Beside]]]:
        """Return scenario → system → rounds."""
        found: dict[str, dict[str, list[Beside]]] = defaultdict(lambda: defaultdict(list))
        for one in self.beside:
            found[one.scenario][one.system].append(one)
        return found

    def _beside(self) -> Iterator[str]:
        titles = {noise.letter: noise.what for noise in NOISES} | {
            MANY: "many quiet beside two noisy"
        }
        for scenario, by_system in self.grouped().items():
            lines = [
                f"### ({scenario}) {titles[scenario]}\n",
                "| system | request | alone p50 / p99 | beside p50 / p99 | p50 ratio | p99 ratio |"
                " noise | KV node: peak, stalls, longest |",
                "|" + "---|" * 8,
            ]
            for system, rounds in by_system.items():
                lines += [_beside_line(system, rounds, kind) for kind in quiet.KINDS]
            yield "\n".join(lines) + _errors(by_system)

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
        for name, what in (("lone", "a lone tenant, KV"), ("lone-sql", "a lone tenant, SQL")):
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

    def _checks(self) -> str:
        lines = ["| promise | measured | |", "|---|---|---|"]
        lines += [
            f"| {what} | {measured} | {'ok' if ok else '**no**'} |"
            for what, measured, ok in self.checks()
        ]
        return "\n".join(lines)

    def checks(self) -> Iterator[tuple[str, str, bool]]:
        """Yield each promise, what was measured, and whether it holds."""
        for scenario, by_system in self.grouped().items():
            if rounds := by_system.get(systems.ON):
                for kind in quiet.KINDS:
                    got = median_latency(rounds, kind)
                    p50, p99 = got["p50_ratio"], got["p99_ratio"]
                    what = (
                        f"({scenario}) {kind}: p50 ≤ {P50_RATIO_MAX}×, p99 ≤ {P99_RATIO_MAX}× alone"
                    )
                    yield (
                        what,
                        f"{p50:.2f}×, {p99:.2f}×",
                        p50 <= P50_RATIO_MAX and p99 <= P99_RATIO_MAX,
                    )
        for share in SHARES:
            if rounds_shared := self._rounds(share.name).get(systems.ON):
                yield _share_check(share, rounds_shared)
        for name in ("lone", "lone-sql"):
            by_name = self._rounds(name)
            if systems.ON in by_name and systems.OFF in by_name:
                on, off = (
                    median(one.per_s[0] for one in by_name[which])
                    for which in (systems.ON, systems.OFF)
                )
                what = f"{name}: ≥ {LONE_MIN:.0%} of admission off"
                yield what, f"{on / off:.1%}", on >= LONE_MIN * off


def _beside_line(system: str, rounds: Sequence[Beside], kind: str) -> str:
    got = median_latency(rounds, kind)
    noise = number(median(one.noise_per_s for one in rounds))
    errors = sum(sum(one.noise_errors.values()) for one in rounds)
    cells = [
        system,
        kind,
        f"{number(got['alone_p50_ms'])} / {number(got['alone_p99_ms'])} ms",
        f"{number(got['p50_ms'])} / {number(got['p99_ms'])} ms",
        f"{got['p50_ratio']:.2f}×",
        f"{got['p99_ratio']:.2f}×",
        f"{noise}/s" + (f", {errors} errors" if errors else ""),
        _node(rounds),
    ]
    return "| " + " | ".join(cells) + " |"


def _errors(by_system: Mapping[str, Sequence[Beside]]) -> str:
    """Return what the noisy clients were told."""
    lines = []
    for system, rounds in by_system.items():
        counts: Counter[str] = Counter()
        for one in rounds:
            counts.update(one.noise_errors)
        lines += [f"- {system}: {count} × {text}" for text, count in counts.most_common()]
    return "\n\nErrors of the noisy clients:\n\n" + "\n".join(lines) if lines else ""


def _node(rounds: Sequence[Beside]) -> str:
    parts = []
    peaks = [one.peak_bytes for one in rounds if one.peak_bytes is not None]
    if peaks:
        parts.append(f"{max(peaks) / 2**20:.0f} MiB")
    stalls = [one.stalls for one in rounds if one.stalls is not None]
    if stalls:
        parts.append(f"{sum(stalls):.0f}")
    longest = [one.longest_stall_s for one in rounds if one.longest_stall_s is not None]
    if longest:
        parts.append(f"{max(longest) * 1e3:.1f} ms")
    return ", ".join(parts) or "–"


def _share_check(share: Share, rounds: Sequence[Shared]) -> tuple[str, str, bool]:
    parts, index = median_parts(rounds), median_index(rounds, share.wanted)
    off = max(abs(got / want - 1) for got, want in zip(parts, share.wanted, strict=True))
    what = f"{share.what}: within {share.tolerance:.0%}, Jain's index ≥ {INDEX_MIN}"
    return what, f"{off:.1%} off, {index:.3f}", off <= share.tolerance and index >= INDEX_MIN
