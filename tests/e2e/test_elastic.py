"""Work that takes what others leave, and what the node itself takes when there is none."""

import time
from pathlib import Path

import pytest

from tests.e2e.stack import wait_until

pytestmark = pytest.mark.e2e
IDLE_S = 3.0
COUNT = 'insula_kvnode_admission_wait_seconds_count{work_kind="elastic"}'


def elastic_count(stack):
    lines = stack.http("/metrics")[1].splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith(COUNT))


def export(db, clause=""):
    with db.cursor().copy(f"copy (select * from t {clause}) to stdout") as copy:
        return sum(1 for _ in copy)


def test_an_export_takes_what_others_leave(stack):
    """A nightly dump of one tenant would have the share of a tenant that serves its users."""
    stack.create_tenant("exporter")
    with stack.connect("exporter") as db:
        db.execute("create table t (id int primary key)")
        db.execute("insert into t select * from generate_series(1, 1000)")
        before = elastic_count(stack)
        assert export(db) == 1000
        wait_until(lambda: elastic_count(stack) > before, 5, "the scan is elastic")
        db.execute("begin")
        db.execute("select * from t where id = 1 for update")
        before = elastic_count(stack)
        assert export(db) == 1000
        db.execute("rollback")
        assert elastic_count(stack) == before, "others may wait for the row that it has locked"
        assert export(db, "for update") == 1000
        assert elastic_count(stack) == before, "the same of rows that it locks as it goes"


def cpu_s(pid):
    """Return the CPU seconds that a process has used, to the nanosecond."""
    files = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(file.read_text().split()[0]) for file in files) / 1e9


def test_an_idle_node_costs_nothing(stack):
    """Tickers, samplers and watchers of admission control would cost what they are to save."""
    pid, used = stack.pid("kvnode"), []
    for _ in range(4):  # what came before may still be in the making
        began_s, before_s = time.perf_counter(), cpu_s(pid)
        time.sleep(IDLE_S)  # what is measured is that nothing happens
        used.append((cpu_s(pid) - before_s) / (time.perf_counter() - began_s))
        if used[-1] < 0.01:
            return
    pytest.fail(f"parts of a core, each {IDLE_S} s: {used}")
