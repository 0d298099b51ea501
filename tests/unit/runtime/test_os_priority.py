"""runtime.os_priority, on a real process with two threads."""

import os
import resource
import subprocess
import sys

import pytest

from runtime import os_priority

THREADS = """
import sys, threading
threading.Thread(target=sys.stdin.read, daemon=True).start()
print("ready", flush=True)
threading.Event().wait()
"""


@pytest.fixture
def child():
    command = [sys.executable, "-c", THREADS]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"ready\n"
        yield process.pid
        process.kill()


def priorities(pid):
    return {os.getpriority(os.PRIO_PROCESS, int(t)) for t in os.listdir(f"/proc/{pid}/task")}


def test_every_thread_is_moved(child):
    """On Linux the nice value is a thread's: DuckDB's threads would go on as before."""
    assert len(os.listdir(f"/proc/{child}/task")) == 2
    os_priority.set_nice(child, 15)
    assert priorities(child) == {15}


def test_the_way_back_is_known_beforehand(child):
    """A process lowered by a stack without the right would never come back."""
    own = os.getpriority(os.PRIO_PROCESS, 0)
    os_priority.set_nice(child, own + 3)
    if os_priority.may_raise_to(own):
        os_priority.set_nice(child, own)
        assert priorities(child) == {own}
    else:
        with pytest.raises(PermissionError):
            os_priority.set_nice(child, own)


def test_a_limit_allows_it_without_privileges(monkeypatch):
    """`LimitNICE=+5` in the service file would be without effect."""
    status = "Name:\tx\nCapEff:\t0000000000000000\n"
    monkeypatch.setattr("runtime.os_priority.Path.read_text", lambda path: status)
    for soft, may in ((0, False), (14, False), (15, True), (resource.RLIM_INFINITY, True)):
        monkeypatch.setattr(resource, "getrlimit", lambda which, soft=soft: (soft, soft))
        assert os_priority.may_raise_to(5) is may


def test_batch_comes_and_goes(child):
    """A process that was busy once would wake late for ever."""
    os_priority.set_batch(child, True)
    assert os.sched_getscheduler(child) == os.SCHED_BATCH
    os_priority.set_batch(child, False)
    assert os.sched_getscheduler(child) == os.SCHED_OTHER


def test_cpu_time_of_another_process(child):
    """Tenants would be charged for nothing, or for each other."""
    assert 0.0 < os_priority.cpu_s(child) < 10.0
    assert os_priority.cpu_s(os.getpid()) > 0.0


def test_a_process_that_ended_is_no_error():
    """The gateway would stumble over every process that ends between two looks."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    with pytest.raises(ProcessLookupError):
        os_priority.cpu_s(process.pid)
    os_priority.set_nice(process.pid, 15)
    os_priority.set_batch(process.pid, True)
