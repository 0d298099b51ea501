"""The operating system's priority of another process: all its threads, and what we may do to it.

Source: setpriority(2), sched(7), capabilities(7). On Linux the nice value is a thread's; a new
thread inherits it from the one that starts it.
"""

import contextlib
import os
import resource
import time
from pathlib import Path
from typing import Final

_CAP_SYS_NICE: Final = 1 << 23
_NICE_OF_LIMIT: Final = 20  # RLIMIT_NICE is 20 minus the lowest nice value
_CPU_CLOCK_OF_PROCESS: Final = 2  # CPUCLOCK_SCHED, of all threads


def cpu_s(pid: int) -> float:
    """Return the CPU time of a process since it started. Raises: ProcessLookupError.

    Source: clock_getcpuclockid(3), as glibc makes the clock's number of a pid.
    """
    try:
        return time.clock_gettime(~pid << 3 | _CPU_CLOCK_OF_PROCESS)
    except OSError as error:
        raise ProcessLookupError(pid) from error


def may_raise_to(nice: int) -> bool:
    """Whether this process may bring one of its own user back to `nice`."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    if int(line.split()[1], 16) & _CAP_SYS_NICE:
        return True
    soft, _ = resource.getrlimit(resource.RLIMIT_NICE)
    return soft == resource.RLIM_INFINITY or _NICE_OF_LIMIT - soft <= nice


def set_nice(pid: int, nice: int) -> None:
    """Set the nice value of every thread of a process; one that ends meanwhile is left out."""
    for thread in _threads(pid):
        with contextlib.suppress(ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, thread, nice)


def set_batch(pid: int, is_batch: bool) -> None:
    """Let a process not preempt others when it wakes (SCHED_BATCH), or let it again."""
    policy = os.SCHED_BATCH if is_batch else os.SCHED_OTHER
    for thread in _threads(pid):
        with contextlib.suppress(ProcessLookupError):
            os.sched_setscheduler(thread, policy, os.sched_param(0))


def _threads(pid: int) -> list[int]:
    try:
        return [int(name) for name in os.listdir(f"/proc/{pid}/task")]
    except FileNotFoundError:
        return []
