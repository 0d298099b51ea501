"""runtime.os_priority, on a real process with two threads."""

import os
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


may_be_realtime = pytest.mark.skipif(
    not os_priority.may_run_realtime(os_priority.REALTIME_SQL),
    reason="real-time takes CAP_SYS_NICE or RLIMIT_RTPRIO, and a second CPU",
)
LIMITED = """
import os, resource
from runtime import os_priority
from runtime.os_process import drop_capabilities
try:
    resource.setrlimit(resource.RLIMIT_NICE, (15, 15))
    resource.setrlimit(resource.RLIMIT_RTPRIO, (2, 2))
    is_limited = True
except ValueError:  # not even root may raise them here, so there are none
    is_limited = False
drop_capabilities()
assert [os_priority.may_raise_to(nice) for nice in (4, 5)] == [False, is_limited]
assert [os_priority.may_run_realtime(priority) for priority in (3, 2)] == [False, is_limited]
os.sched_setaffinity(0, list(os.sched_getaffinity(0))[:1])
assert os_priority.realtime_refusal(2) == "there is a single CPU"
"""


@may_be_realtime
@pytest.mark.skipif(os.geteuid() != 0, reason="has no rights to give up")
def test_limits_allow_it_without_privileges():
    """`LimitNICE=` and `LimitRTPRIO=` in the service file would be without effect.

    On a single CPU whoever is real-time would leave nothing to those that it waits for.
    """
    subprocess.run([sys.executable, "-c", LIMITED], check=True)


def test_what_the_kernel_refuses_is_known_beforehand(monkeypatch):
    """In a user namespace root has the capability, and each start would fail or log for ever."""

    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    monkeypatch.setattr(os, "setpriority", refuse)
    assert "not permitted" in os_priority.realtime_refusal(os_priority.REALTIME_SQL)
    assert not os_priority.may_raise_to(0)


def test_batch_comes_and_goes(child):
    """A process that was busy once would wake late for ever."""
    os_priority.set_batch(child, True)
    assert os.sched_getscheduler(child) == os.SCHED_BATCH
    os_priority.set_batch(child, False)
    assert os.sched_getscheduler(child) == os.SCHED_OTHER


NICE = """
import os, threading
from runtime import os_priority
os.nice(5)
if os_priority.may_run_realtime(os_priority.REALTIME_SQL):
    os_priority.set_realtime(0, os_priority.REALTIME_SQL, inherit=False)
def work():
    os_priority.take_main_nice()
    print(os.getpriority(os.PRIO_PROCESS, 0) - os.getpriority(os.PRIO_PROCESS, os.getpid()))
threading.Thread(target=work).start()
"""


def test_threads_of_a_prompt_process_are_as_nice_as_it_was():
    """The kernel gives them nice 0: a quiet tenant's one report would come before all others."""
    done = subprocess.run([sys.executable, "-c", NICE], capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"


BURST = """
import sys, time
from runtime import os_priority
os_priority.limit_realtime()
os_priority.set_realtime(0, os_priority.REALTIME_SQL, inherit=False)
for _ in range(2):
    end = time.thread_time() + 5
    while os_priority.is_realtime(0):
        assert time.thread_time() < end, "real-time for five seconds"
    print(time.thread_time() - end + 5, flush=True)
    sys.stdin.readline()
"""


@may_be_realtime
def test_a_long_computation_ends_real_time_by_itself():
    """A query that suddenly computes would hold a CPU against everybody until somebody looks."""
    command = [sys.executable, "-c", BURST]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        for _ in range(2):  # given again, it ends again
            assert float(process.stdout.readline()) < 0.5
            assert not os_priority.is_realtime(process.pid)
            os_priority.set_realtime(process.pid, os_priority.REALTIME_SQL, inherit=False)
            process.stdin.write("go\n")
            process.stdin.flush()
    assert process.returncode == 0


@may_be_realtime
def test_real_time_is_not_inherited_unless_that_is_wanted(child):
    """Each thread of DuckDB would come before every other tenant."""
    os_priority.set_realtime(child, os_priority.REALTIME_SQL, inherit=False)
    assert os_priority.is_realtime(child)
    assert os.sched_getscheduler(child) & os.SCHED_RESET_ON_FORK
    os_priority.set_batch(child, True)
    assert not os_priority.is_realtime(child)


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
