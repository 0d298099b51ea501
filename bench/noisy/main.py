"""`make bench-noisy`: the scenarios of `plan` on every system, in one run.

    python -m bench.noisy.main [--quick] [--only NAME[,NAME]…]… [--system SYSTEM]… [--rounds N]

In full it takes up to half an hour, with --quick about five minutes, whose figures are rough: a
p99 is one of the two slowest then. NAME is a letter from a to f, `many`, `lone` or the name of a
share. Writes `report.md`, `report.json` and a picture for each scenario; the report also goes to
standard output.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from bench.machine import describe_machine
from bench.noisy import plan as plans
from bench.noisy.beside import Chain, measure_beside, measure_many
from bench.noisy.plan import FULL, LONE, MANY, NOISES, QUICK, SHARES, NoisyPlan
from bench.noisy.plots import plot
from bench.noisy.report import NoisyReport
from bench.noisy.shares import measure_lone, measure_share
from bench.noisy.systems import NAMES as SYSTEMS
from bench.noisy.systems import POSTGRES, System, running_systems
from bench.programs import ROOT, BenchFailed, end_as_interrupted

OUT_DIR: Final = ROOT / "bench" / "out" / "noisy"
NAMES: Final = (*(n.letter for n in NOISES), MANY, *(s.name for s in SHARES), LONE)
Measure = Callable[[System, NoisyPlan, int, NoisyReport], None]


def run(
    plan: NoisyPlan,
    scenarios: Sequence[str],
    say: Callable[[str], None],
    system_names: Sequence[str] = SYSTEMS,
) -> NoisyReport:
    """Run the named scenarios, round by round. One that fails is reported; the others still run."""
    start_s = time.monotonic()
    with running_systems(frozenset(system_names)) as systems:
        report = NoisyReport({**describe_machine(), "systems": ", ".join(s.name for s in systems)})
        for turn in range(plan.rounds):
            for name, measure in _measures(scenarios):
                for system in systems:
                    if system.name == POSTGRES and turn >= plan.rounds_postgres:
                        continue
                    say(f"round {turn + 1}: {name}, {system.name}")
                    try:
                        measure(system, plan, turn, report)
                    except Exception as error:
                        reason = f"{type(error).__name__}: {error}"
                        report.failures[f"{name}, {system.name}, round {turn + 1}"] = reason
                        say(f"failed: {reason}")
    report.settings["plan"] = plan.describe()
    report.settings["duration"] = f"{time.monotonic() - start_s:.0f} s"
    return report


def _measures(scenarios: Sequence[str]) -> Iterator[tuple[str, Measure]]:
    """Yield what to measure: the noises (a) to (f) in one chain, the others one by one."""
    noises = [noise for noise in NOISES if noise.letter in scenarios]
    if noises:
        yield "".join(noise.letter for noise in noises), _beside(noises)
    if MANY in scenarios:
        yield MANY, _many
    for share in SHARES:
        if share.name in scenarios:
            yield share.name, _share(share)
    if LONE in scenarios:
        yield LONE, _lone


def _beside(noises: Sequence[plans.Noise]) -> Measure:
    def measure(system: System, plan: NoisyPlan, turn: int, report: NoisyReport) -> None:
        _add(report, system, turn, measure_beside(system, noises, plan, turn))

    return measure


def _share(share: plans.Share) -> Measure:
    def measure(system: System, plan: NoisyPlan, turn: int, report: NoisyReport) -> None:
        measured = measure_share(system, share, plan, turn)
        if measured is not None:
            report.shares.append(measured)

    return measure


def _many(system: System, plan: NoisyPlan, turn: int, report: NoisyReport) -> None:
    _add(report, system, turn, measure_many(system, plan, turn))


def _lone(system: System, plan: NoisyPlan, turn: int, report: NoisyReport) -> None:
    report.shares += measure_lone(system, plan, turn)


def _add(report: NoisyReport, system: System, turn: int, chain: Chain) -> None:
    report.beside += chain.measured
    for scenario, reason in chain.failures.items():
        report.failures[f"{scenario}, {system.name}, round {turn + 1}"] = reason


def write(report: NoisyReport, plan: NoisyPlan, folder: Path) -> None:
    """Write text, JSON and pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.md").write_text(report.markdown())
    fields: dict[str, Any] = {"plan": {name: getattr(plan, name) for name in plan.__slots__}}
    (folder / "report.json").write_text(json.dumps(fields | report.as_dict(), indent=1) + "\n")
    for scenario, by_system in report.grouped().items():
        plot(scenario, by_system, plan.beside_s, folder / f"latency-{scenario}.png")


def names(text: str) -> list[str]:
    """Return the scenarios that a list names. Raises: ArgumentTypeError.

    >>> names("a,b")
    ['a', 'b']
    """
    found = [word.strip() for word in text.split(",")]
    for word in found:
        if word not in NAMES:
            known = ", ".join(NAMES)
            raise argparse.ArgumentTypeError(f"there is no scenario {word!r}; there are {known}")
    return found


def main() -> int:
    """Measure, print and write; exit 1 if a scenario could not run. Promises may be broken."""
    parser = argparse.ArgumentParser(prog="python -m bench.noisy.main", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round, rough numbers")
    parser.add_argument("--only", action="extend", type=names, metavar="NAME[,NAME]...")
    parser.add_argument("--system", action="append", choices=SYSTEMS, metavar="SYSTEM")
    parser.add_argument("--rounds", type=int, help="of which the median counts")
    parser.add_argument("--out", type=Path, default=OUT_DIR, help="folder of the report")
    arguments = parser.parse_args()
    end_as_interrupted()
    plan = QUICK if arguments.quick else FULL
    if arguments.rounds:
        plan = replace(plan, rounds=arguments.rounds)
    try:
        report = run(plan, arguments.only or NAMES, _say, arguments.system or SYSTEMS)
    except BenchFailed as error:
        _say(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    write(report, plan, arguments.out)
    sys.stdout.write(report.markdown())
    _say(f"written to {arguments.out}")
    return 1 if report.failures else 0


def _say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
