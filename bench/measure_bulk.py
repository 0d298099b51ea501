"""What a tenant's small commits pay for another tenant's large transaction."""

import json

from bench.plan import Bench
from bench.programs import run_generator
from bench.report import Row, sample_of


def measure_bulk(bench: Bench) -> list[Row]:
    """Commit single rows alone, then beside a large transaction that stages, commits and moves."""
    bench.say("single-row commits beside a large transaction")
    plan, running = bench.plan, bench.stack.running
    done = run_generator(
        "bench.bulk_client",
        *("--unix", str(bench.stack.kv_socket), "--admin", running.admin),
        *("--admin-token", str(bench.stack.admin_token_file)),
        *("--seconds", str(plan.bulk_s), "--rows", str(plan.bulk_rows)),
        limit_s=240 + 4 * plan.bulk_s,
    )
    output = json.loads(done.output)
    load = output["load"]
    ratio = output["beside"]["p99_ms"] / output["alone"]["p99_ms"]
    beside = (
        f"p99 {ratio:.1f} times that, beside {load['row_count']:,} rows, "
        f"staged at {load['rows_per_s']:,.0f}/s, "
        f"committed in {load['commit_ms']:.1f} ms"
    )
    return [
        Row(
            key=f"bulk/commit/{name}",
            what="KV commit, one row",
            setting=setting,
            ratio_of="p99_ms",
            insula=sample_of(output[name]),
        )
        for name, setting in (("alone", "alone"), ("beside", beside))
    ]
