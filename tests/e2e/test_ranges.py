"""Ranges come and go under a running tenant: what it computes does not change."""

import json
import subprocess
import threading
from itertools import pairwise

import pytest

from tests.e2e.stack import wait_until

pytestmark = pytest.mark.e2e

STACK_CONFIG = """
[kvnode]
range_bytes_max = 196608
range_merge_bytes_max = 49152
range_quiet_s = 1.5
range_interval_s = 0.2
gc_interval_s = 1.0
"""
RUN_S_MAX = 60


def _ranges(stack, tenant="acme"):
    return json.loads(stack.insula("range", "list", tenant, "-o", "json").stdout)


def test_ranges_follow_the_data(stack, pgbench):
    """Statements would fail, or count rows twice, whenever a range splits or merges."""
    url = stack.url("acme")

    def run(*words):
        done = subprocess.run(
            [pgbench, *words, url], capture_output=True, text=True, timeout=RUN_S_MAX, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    (whole,) = _ranges(stack)
    assert (whole["range"], whole["generation"], whole["leaseholder"]) == (1, 1, "(this node)")
    run("-i", "-s", "1", "-q")
    report = []
    load = threading.Thread(target=lambda: report.append(run("-n", "-c", "4", "-T", "5")))
    load.start()
    wait_until(lambda: len(_ranges(stack)) > 20, 20, "splits by size")
    with stack.connect("acme") as connection:
        for _ in range(10):
            row = connection.execute("select count(*), count(distinct aid) from pgbench_accounts")
            assert row.fetchone() == (100_000, 100_000)
    load.join()
    assert "number of failed transactions: 0 " in report[0]
    found = _ranges(stack)
    assert (found[0]["start"], found[-1]["end"]) == ("(first)", "(end)")
    assert all(left["end_hex"] == right["start_hex"] for left, right in pairwise(found))
    assert any("/ index 1 /" in row["start"] for row in found)
    with stack.connect("acme") as connection:
        sums = connection.execute(
            "select (select sum(abalance) from pgbench_accounts),"
            " (select sum(bbalance) from pgbench_branches),"
            " (select sum(tbalance) from pgbench_tellers),"
            " (select coalesce(sum(delta), 0) from pgbench_history)"
        ).fetchone()
        assert len(set(sums)) == 1, sums
        backwards = connection.execute(
            "select aid from pgbench_accounts order by aid desc limit 5"
        ).fetchall()
        assert [row[0] for row in backwards] == [100_000, 99_999, 99_998, 99_997, 99_996]


def test_deleted_data_leaves_one_range(stack):
    """A tenant that was large once would have a hundred empty ranges for ever."""
    with stack.connect("acme", autocommit=True) as connection:
        for low in range(0, 100_000, 10_000):
            connection.execute(
                "delete from pgbench_accounts where aid > %s and aid <= %s", (low, low + 10_000)
            )
        connection.execute("truncate pgbench_history")
    wait_until(lambda: len(_ranges(stack)) < 10, 60, "merges")
    with stack.connect("acme") as connection:
        assert connection.execute("select count(*) from pgbench_accounts").fetchone() == (0,)


def test_operators_cut_and_join(stack):
    """An operator could not cut a table before its load comes."""
    with stack.connect("globex", autocommit=True) as connection:
        connection.execute("create table t (id int primary key, body text)")
        connection.execute(
            "insert into t select i, repeat('x', 50) from generate_series(1, 1000) i"
        )
        (one,) = _ranges(stack, "globex")
        assert one["keys"] > 1000
        assert one["size_bytes"] > 1000 * 50
        cut = json.loads(stack.insula("range", "split", "globex", "-o", "json").stdout)
        assert len(cut) == 2
        assert sum(row["keys"] for row in cut) == one["keys"]
        assert connection.execute("select sum(id), count(*) from t").fetchone() == (500_500, 1000)
        done = stack.insula("range", "split", "globex", "--at", cut[1]["start_hex"], check=False)
        assert done.returncode == 1
        assert "begins" in done.stderr
        assert stack.insula("range", "split", "globex", "--at", "xyz", check=False).returncode == 2
        joined = json.loads(stack.insula("range", "merge", "globex", "1", "-o", "json").stdout)
        assert (joined["start"], joined["end"]) == ("(first)", "(end)")
        assert joined["generation"] == 3
        assert connection.execute("select sum(id), count(*) from t").fetchone() == (500_500, 1000)
    everybody = json.loads(stack.insula("range", "list", "-o", "json").stdout)
    assert {row["tenant"] for row in everybody} == {"acme", "globex"}
