"""`make bench-noisy`: the scenarios of `plan` on every system, in one run.

    python -m bench.noisy.main [--quick] [--only NAME[,NAME]…]… [--system SYSTEM]… [--rounds N]

In full it takes about half an hour, with --quick about eight minutes, whose figures are rough: a
p99 is one of the two slowest then. NAME is a letter from a to f, `many`, the name of a share,
`lone` or `limits`. Writes `report.md`, `report.json` and a picture for each scenario; the report
also goes to standard output.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from bench.machine import describe_machine
from bench.noisy.plan import FULL, QUICK, NoisyPlan
from bench.noisy.plots import plot, plot_limits
from bench.noisy.report import NoisyReport
from bench.noisy.scenarios import NAMES, Scenario, estimate_s, scenarios
from bench.noisy.systems import NAMES as SYSTEMS
from bench.noisy.systems import System, running_systems
from bench.programs import ROOT, BenchFailed, end_as_interrupted

Say = Callable[[str], None]
OUT_DIR: Final = ROOT / "bench" / "out" / "noisy"


def run(
    plan: NoisyPlan,
    names: Sequence[str],
    say: Say,
    system_names: Sequence[str] = SYSTEMS,
) -> NoisyReport:
    """Run the named scenarios, round by round. One that fails is reported; the others still run."""
    start_s = time.monotonic()
    chosen = [one.on(frozenset(system_names)) for one in scenarios(plan, names)]
    with running_systems({name for one in chosen for name in one.rounds}) as systems:
        running = frozenset(system.name for system in systems)
        chosen = [one.on(running) for one in chosen]
        report = NoisyReport({**describe_machine(), "systems": ", ".join(s.name for s in systems)})
        say(f"{plan.describe()}; about {estimate_s(chosen, len(systems)) / 60:.0f} minutes")
        for turn in range(plan.rounds):
            # The machine has its phases, so none is always first.
            ordered = systems[::-1] if turn % 2 else systems
            for scenario in chosen:
                taking = [one for one in ordered if turn < scenario.rounds.get(one.name, 0)]
                for group in [taking] if scenario.is_together else [[one] for one in taking]:
                    if group:
                        _measure(scenario, group, plan, turn, report, say)
    report.settings["plan"] = plan.describe()
    report.settings["duration"] = f"{time.monotonic() - start_s:.0f} s"
    return report


def _measure(
    scenario: Scenario,
    systems: Sequence[System],
    plan: NoisyPlan,
    turn: int,
    report: NoisyReport,
    say: Say,
) -> None:
    names = " and ".join(system.name for system in systems)
    say(f"round {turn + 1}: {scenario.name}, {names}")
    try:
        scenario.measure(systems, plan, turn, report)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        report.failures[f"{scenario.name}, {names}, round {turn + 1}"] = reason
        say(f"failed: {reason}")


def write(report: NoisyReport, plan: NoisyPlan, folder: Path) -> None:
    """Write text, JSON and pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.md").write_text(report.markdown())
    fields: dict[str, Any] = {"plan": {name: getattr(plan, name) for name in plan.__slots__}}
    (folder / "report.json").write_text(json.dumps(fields | report.as_dict(), indent=1) + "\n")
    for scenario, by_system in report.grouped().items():
        plot(scenario, by_system, plan.beside_s, folder / f"latency-{scenario}.png")
    if report.limits is not None:
        plot_limits(report.limits, folder / "limits.png")


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
