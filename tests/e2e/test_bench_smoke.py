"""The bench runs from start to end, with tiny durations."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bench import main as bench_main
from bench.noisy import main as noisy_main
from bench.noisy.plan import NoisyPlan
from bench.noisy.systems import ON
from bench.plan import QUICK
from bench.process_cpu import child_pids
from runtime.os_process import is_running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

ROOT = Path(__file__).parents[2]
TINY = replace(
    QUICK,
    kv_s=0.05,
    select_s=0.1,
    clients=(1, 2),
    modes=("simple",),
    connect_count=3,
    create_count=3,
    bulk_s=1.0,
    bulk_rows=20_000,
    idle_s=0.5,
)


def test_every_part_measures(pgbench, capsys):
    """`make bench` would break unnoticed: nothing else runs it."""
    report = bench_main.run(TINY, list(bench_main.PARTS), lambda text: None)
    assert report.failures == {}
    keys = {row.key for row in report.rows}
    assert {"kv/get/unix/64", "kv/commit/grpc/1", "select/simple/1", "select/asyncpg/open"} <= keys
    assert {"tpcb/simple/2", "connect/row", "tenant/create", "flights/all"} <= keys
    for row in report.rows:
        assert row.insula.value(row.ratio_of) > 0 or row.key == "tenant/disk", row
        assert not row.insula.failed_count or row.key.endswith("open"), row
    assert "| KV get | unix, 1 in flight |" in report.markdown()
    assert json.loads(json.dumps(report.as_dict()))["failures"] == {}


def test_neighbours_are_measured(tmp_path):
    """`make bench-noisy` would break unnoticed: nothing else runs it."""
    plan = NoisyPlan(rounds=1, alone_s=0.3, beside_s=0.5, share_s=0.3, table_rows=1_000)
    report = noisy_main.run(plan, ["a", "equal-sql"], lambda text: None, [ON])
    assert report.failures == {}
    noisy_main.write(report, plan, tmp_path)
    assert (tmp_path / "latency-a.png").stat().st_size > 10_000
    assert "| 4 equal tenants, through SQL | Insula |" in (tmp_path / "report.md").read_text()
    written = json.loads((tmp_path / "report.json").read_text())
    assert [one["scenario"] for one in written["beside"]] == ["a"]
    assert all(rate > 0 for one in written["shares"] for rate in one["per_s"])
    assert len(written["checks"]) == 9
    assert [one["what"] for one in written["checks"] if "acknowledged" in one["what"] and one["ok"]]
    assert [one["what"] for one in written["checks"] if "server's clock" in one["what"]]


def test_an_interrupted_bench_leaves_no_process(tmp_path):
    """Each aborted run would leave a stack and a PostgreSQL behind."""
    bench = subprocess.Popen(
        [sys.executable, "-m", "bench.main", "--only", "kv", "--out", str(tmp_path)],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
    )
    with bench:
        assert "KV" in bench.stderr.readline()
        time.sleep(0.5)
        left = child_pids(bench.pid)
        assert len(left) >= 3
        bench.send_signal(signal.SIGTERM)
        assert bench.wait(60) == 130
    assert [pid for pid in left if is_running(pid)] == []
