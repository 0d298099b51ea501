"""SQL processes of a tenant that uses much CPU stand back for those of others."""

import os
import signal
import subprocess
import threading

import pytest

from runtime.os_priority import (
    REALTIME_GUARD,
    cpu_s,
    is_realtime,
    may_raise_to,
    may_run_realtime,
)
from tests.e2e.stack import Stack, wait_until

pytestmark = pytest.mark.e2e
BUSY = "select count(*) from generate_series(1, 3000000) g where g % 7 = 3"
# One call into C after the other, the first of which takes some 0.1 s, the last more.
IN_C = "select md5(repeat('x', 300000000))"


def policy(pid):
    return os.sched_getscheduler(pid) & ~os.SCHED_RESET_ON_FORK


def nice(pid):
    return os.getpriority(os.PRIO_PROCESS, pid)


@pytest.mark.skipif(not may_run_realtime(REALTIME_GUARD), reason="nobody may be real-time")
def test_one_switch_ends_all_that_keeps_tenants_apart():
    """Without admission control half of it would stay on: real-time, and nice values."""
    with Stack(environment={"INSULA_KVNODE__ADMISSION": "false"}) as stack:
        stack.create_tenant("wild")
        with stack.connect("wild") as connection:
            connection.execute(BUSY)
            connection.execute(BUSY)
            (pid,) = stack.sql_pids("wild")
            assert not is_realtime(stack.pid("kvnode"))
            assert (nice(pid), policy(pid)) == (5, os.SCHED_OTHER)


@pytest.mark.skipif(not may_raise_to(5), reason="nice values stay as they are without the right")
def test_a_busy_tenant_stands_back_and_returns(stack):
    """A tenant that computes all day would take the CPU from one that asks a row a second."""
    stack.create_tenant("wild")
    stack.create_tenant("mild")
    stop = threading.Event()

    def keep_busy():
        with stack.connect("wild") as connection:
            while not stop.is_set():
                connection.execute(BUSY)

    with stack.connect("mild") as mild, stack.connect("wild"):
        (wild_pid,), (mild_pid,) = stack.sql_pids("wild"), stack.sql_pids("mild")
        assert nice(wild_pid) == nice(mild_pid) == 5
        work = threading.Thread(target=keep_busy)
        work.start()
        try:
            wait_until(lambda: nice(wild_pid) >= 11, 30, "the busy process stands back")
            assert policy(wild_pid) == os.SCHED_BATCH
            mild.execute("select 1")
            assert nice(mild_pid) == 5
            if may_run_realtime(REALTIME_GUARD):
                wait_until(lambda: is_realtime(mild_pid), 30, "the quiet one runs when it wakes")
            assert "insula_pool_lowered_processes 1.0" in stack.http("/metrics")[1]
        finally:
            stop.set()
            work.join(60)
        wait_until(lambda: nice(wild_pid) == 5, 30, "it comes back")
        wait_until(lambda: policy(wild_pid) != os.SCHED_BATCH, 30, "fully")


@pytest.mark.skipif(not may_run_realtime(REALTIME_GUARD), reason="nobody may be real-time")
def test_a_prompt_process_that_is_stuck_in_c_is_prompt_no_more(stack):
    """Two tenants with one long function call each would stop all others meanwhile."""
    stack.create_tenant("calm")
    with stack.connect("calm") as calm:
        (pid,) = stack.sql_pids("calm")
        used_s = []
        for _ in range(3):
            calm.execute("select 1")
            wait_until(lambda: is_realtime(pid), 30, "it is prompt")
            before_s = cpu_s(pid)
            work = threading.Thread(target=calm.execute, args=(IN_C,))
            work.start()
            wait_until(lambda: not is_realtime(pid), 30, "it is prompt no more")
            used_s.append(cpu_s(pid) - before_s)
            assert work.is_alive()
            work.join(60)
        assert min(used_s) < 0.06, used_s


@pytest.mark.skipif(not may_run_realtime(REALTIME_GUARD), reason="nobody may be real-time")
def test_real_time_comes_back_after_the_guard_was_killed(stack):
    """Quiet tenants would wait behind wild ones until somebody starts the gateway again."""
    stack.expect_log("realtime_off")
    stack.create_tenant("still")

    def guards():
        children = subprocess.run(
            ["ps", "-o", "pid=,args=", "--ppid", str(stack.pid("gateway"))],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
        lines = children.stdout.splitlines()
        return [int(line.split()[0]) for line in lines if "realtime_guard" in line]

    with stack.connect("still") as still:
        (pid,) = stack.sql_pids("still")
        still.execute("select 1")
        wait_until(lambda: is_realtime(pid), 30, "it is prompt")
        (former,) = guards()
        os.kill(former, signal.SIGKILL)
        wait_until(lambda: not is_realtime(pid), 30, "nobody watches it")
        wait_until(lambda: is_realtime(pid), 30, "another guard does")
        assert guards() not in ([former], [])
        work = threading.Thread(target=still.execute, args=(IN_C,))
        work.start()
        wait_until(lambda: not is_realtime(pid), 30, "the new guard ends it")
        assert work.is_alive()
        work.join(60)
        assert "insula_pool_realtime_allowed 1.0" in stack.http("/metrics")[1]
