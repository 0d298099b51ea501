"""`make bench`: Insula and PostgreSQL, measured side by side in one run.

    python -m bench.main [--quick] [--only NAME]...

Starts both in temporary directories, measures part by part, ends both. The report goes to standard
output as Markdown and to `bench/out/` as JSON; what is going on goes to standard error.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from bench.checks import Check, check, checks_table
from bench.machine import describe, load_average
from bench.measure_bulk import measure_bulk
from bench.measure_connect import measure_connect
from bench.measure_flights import measure_flights
from bench.measure_kv import measure_kv
from bench.measure_large import measure_large
from bench.measure_pgbench import measure_select, measure_tpcb
from bench.measure_tenants import measure_tenants
from bench.plan import FULL, QUICK, Bench, Plan
from bench.programs import ROOT, BenchFailed, end_as_interrupted
from bench.report import LEGEND, Row, settings_list, table
from bench.servers import insula_stack, postgres_server

PARTS: Final[dict[str, Callable[[Bench], list[Row]]]] = {
    "tenants": measure_tenants,
    "kv": measure_kv,
    "bulk": measure_bulk,
    "large": measure_large,
    "select": measure_select,
    "tpcb": measure_tpcb,
    "connect": measure_connect,
    "flights": measure_flights,
}
OUT_DIR: Final = ROOT / "bench" / "out"


class Report:
    """All rows of a run, what they were measured with, and what went wrong."""

    def __init__(self, settings: dict[str, str]) -> None:
        self.settings = settings
        self.rows: list[Row] = []
        self.failures: dict[str, str] = {}

    @property
    def checks(self) -> list[Check]:
        """The targets, and whether the rows meet them."""
        return check(self.rows)

    def markdown(self) -> str:
        """Return the report as text."""
        parts = [settings_list(self.settings), table(self.rows), LEGEND]
        parts.append(checks_table(self.checks))
        parts += [f"**{name} failed**: {reason}" for name, reason in self.failures.items()]
        return "\n\n".join(parts) + "\n"

    def as_dict(self) -> dict[str, Any]:
        """Return the report for JSON."""
        return {
            "settings": self.settings,
            "rows": [row.as_dict() for row in self.rows],
            "checks": [one.as_dict() for one in self.checks],
            "failures": self.failures,
        }


def run(plan: Plan, names: Sequence[str], say: Callable[[str], None]) -> Report:
    """Run the named parts. A part that fails is reported; the others still run."""
    start_s = time.monotonic()
    with postgres_server() as postgres, insula_stack(idle_s=plan.idle_s) as stack:
        report = Report(describe(plan, postgres))
        bench = Bench(stack=stack, postgres=postgres, plan=plan, say=say)
        for name in names:
            try:
                report.rows += PARTS[name](bench)
            except Exception as error:
                report.failures[name] = f"{type(error).__name__}: {error}"
                say(f"{name} failed: {error}")
    report.settings["load average at end"] = load_average()
    report.settings["duration"] = f"{time.monotonic() - start_s:.0f} s"
    return report


def _write(report: Report, plan: Plan, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / time.strftime("%Y%m%dT%H%M%SZ.json", time.gmtime())
    path.write_text(json.dumps({"plan": asdict(plan), **report.as_dict()}, indent=1) + "\n")
    return path


def main() -> int:
    """Measure and print; exit 1 if a part could not run. A missed target is no failure."""
    parser = argparse.ArgumentParser(prog="python -m bench.main", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one minute, rough numbers")
    parser.add_argument(
        "--only", action="append", choices=PARTS, metavar="NAME", help=f"of: {', '.join(PARTS)}"
    )
    parser.add_argument("--out", type=Path, default=OUT_DIR, help="folder of the JSON file")
    arguments = parser.parse_args()
    end_as_interrupted()
    plan = QUICK if arguments.quick else FULL
    try:
        report = run(plan, arguments.only or list(PARTS), _say)
    except BenchFailed as error:
        _say(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    sys.stdout.write(report.markdown())
    _say(f"JSON: {_write(report, plan, arguments.out)}")
    return 1 if report.failures else 0


def _say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
