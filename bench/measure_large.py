"""What a tenant's small commits through SQL pay for another tenant's large transactions."""

import json
import secrets
from typing import Any

from bench.large_client import PHASES, RATE_PER_S
from bench.plan import Bench
from bench.programs import run_generator
from bench.report import Row, Sample

_CLIENTS = {"steady": f"{RATE_PER_S:.0f}/s", "fast": "one after another"}


def measure_large(bench: Bench) -> list[Row]:
    """Commit single rows alone, and while INSERT, UPDATE, DELETE and COPY run, commit and move."""
    plan = bench.plan
    bench.say(f"single-row commits beside transactions of {plan.bulk_rows:,} rows")
    names = [f"large-{secrets.token_hex(4)}" for _ in range(2)]
    try:
        quiet, noisy = [bench.stack.create_tenant(name) for name in names]
        done = run_generator(
            "bench.large_client",
            *("--quiet", quiet, "--noisy", noisy, "--http", bench.stack.running.http),
            *("--seconds", str(plan.bulk_s / 2), "--rows", str(plan.bulk_rows)),
            limit_s=120 + plan.bulk_rows / 1000 + 4 * plan.bulk_s,
        )
    finally:
        for name in names:
            if bench.stack.has_tenant(name):
                bench.stack.drop_tenant(name)
    output = json.loads(done.output)
    for name, rate in output["steady"]["rows_per_s"].items():
        bench.say(f"{name}: {rate:,.0f} rows/s")
    return [row for name in _CLIENTS for row in _rows(bench, name, output[name])]


def _rows(bench: Bench, client: str, measured: dict[str, Any]) -> list[Row]:
    phases, what = measured["phases"], f"SQL commit, one row, {_CLIENTS[client]}"
    alone = phases["alone"]
    rows = [_row(f"large/{client}/alone", what, "alone", alone)]
    for name in sorted(phases, key=lambda name: (name.split()[-1], name not in PHASES, name)):
        if name == "alone":
            continue
        beside = phases[name]
        ratio = beside["p99_ms"] / alone["p99_ms"]
        setting = (
            f"beside: {name}; p99 {ratio:.1f}× alone,"
            f" max {beside['max_ms']:.1f} ms, {beside['count']:,} commits"
        )
        if name in PHASES:
            rows.append(_row(f"large/{client}/{name}", what, setting, beside))
            bench.say(f"{client}, {name}: p99 {ratio:.2f} times alone")
        else:
            rows.append(_row(f"large/{client}/{name.replace(' ', '/')}", what, setting, beside))
    return rows


def _row(key: str, what: str, setting: str, measured: dict[str, Any]) -> Row:
    sample = Sample(p50_ms=measured["p50_ms"], p99_ms=measured["p99_ms"])
    return Row(key=key, what=what, setting=setting, ratio_of="p99_ms", insula=sample)
