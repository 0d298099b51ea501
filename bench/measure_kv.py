"""KV operations, from one client process, over both transports."""

import json
from typing import Any

from bench.plan import Bench
from bench.programs import run_generator
from bench.report import Row, sample_of


def measure_kv(bench: Bench) -> list[Row]:
    """Get and commit at 1, 16, 64 in flight, then open loop."""
    bench.say("KV get and commit over Unix socket and gRPC")
    running = bench.stack.running
    done = run_generator(
        "bench.kv_client",
        *("--json", "--seconds", str(bench.plan.kv_s)),
        *("--unix", str(bench.stack.kv_socket), "--kv", running.kv),
        *("--admin", running.admin, "--admin-token", str(bench.stack.admin_token_file)),
        limit_s=60 + 40 * bench.plan.kv_s,
    )
    return [_row(measurement) for measurement in json.loads(done.output)]


def _row(measurement: dict[str, Any]) -> Row:
    transport, operation = measurement["name"].split()
    if measurement["loop"] == "open":
        load, setting = "open", f"{transport}, open loop at half of that rate"
    else:
        load = str(measurement["in_flight"])
        setting = f"{transport}, {load} in flight"
    return Row(
        key=f"kv/{operation}/{transport}/{load}",
        what=f"KV {operation}",
        setting=setting,
        ratio_of="rate_per_s",
        insula=sample_of(measurement),
    )
