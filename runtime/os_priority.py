"""The operating system's priority of another process: all its threads, and what we may do to it.

Nice values say how much of a contended CPU a process gets, not how soon: one that wakes may wait
for the next tick of the kernel, milliseconds, even for a process of nice 19. Who must run as soon
as it wakes is *real-time* (SCHED_RR): few processes, that need little CPU.

Source: setpriority(2), sched(7), capabilities(7). On Linux the nice value is a thread's; a new
thread inherits it from the one that starts it.
"""

import contextlib
import os
import resource
import signal
import time
from pathlib import Path
from typing import Final

_CAP_SYS_NICE: Final = 1 << 23
_NICE_OF_LIMIT: Final = 20  # RLIMIT_NICE is 20 minus the lowest nice value
_CPU_CLOCK_OF_PROCESS: Final = 2  # CPUCLOCK_SCHED, of all threads
REALTIME_SQL: Final = 3  # of tenants that use next to nothing
REALTIME_SERVICE: Final = 2  # of what all tenants wait for
REALTIME_WRITER: Final = 1
_RESET_ON_FORK: Final = os.SCHED_RESET_ON_FORK


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
    soft, _ = resource.getrlimit(resource.RLIMIT_NICE)
    return _has_capability() or soft == resource.RLIM_INFINITY or _NICE_OF_LIMIT - soft <= nice


def may_run_realtime(priority: int) -> bool:
    """Whether this process, or one of its user, may be real-time: not on a single CPU."""
    soft, _ = resource.getrlimit(resource.RLIMIT_RTPRIO)
    is_allowed = _has_capability() or soft == resource.RLIM_INFINITY or soft >= priority
    return is_allowed and len(os.sched_getaffinity(0)) > 1


def set_realtime(thread: int, priority: int, *, inherit: bool) -> None:
    """Let a thread run as soon as it wakes; those that it starts too, with `inherit`.

    Raises: PermissionError; ProcessLookupError.
    """
    policy = os.SCHED_RR if inherit else os.SCHED_RR | _RESET_ON_FORK
    os.sched_setscheduler(thread, policy, os.sched_param(priority))


def set_normal(thread: int) -> None:
    """End `set_realtime`. Raises: ProcessLookupError."""
    _set_policy(thread, os.SCHED_OTHER)


def take_main_nice() -> None:
    """Give the calling thread the nice value of its process's main thread."""
    os.setpriority(os.PRIO_PROCESS, 0, os.getpriority(os.PRIO_PROCESS, os.getpid()))


def is_realtime(thread: int) -> bool:
    """Whether a thread is real-time. Raises: ProcessLookupError."""
    return os.sched_getscheduler(thread) & ~_RESET_ON_FORK == os.SCHED_RR


def limit_realtime(seconds: float) -> None:
    """Make the main thread normal when it has computed for so long at once as real-time.

    The kernel counts in ticks of some milliseconds, and Python looks between two steps of its own:
    a long call into C runs to its end. It only ever gives priority up, so a process needs no right
    for it. Source: getrlimit(2), RLIMIT_RTTIME.
    """
    soft_us = int(seconds * 1e6)
    _, hard = resource.getrlimit(resource.RLIMIT_RTTIME)

    def renew() -> None:
        resource.setrlimit(resource.RLIMIT_RTTIME, (soft_us, hard))

    if hard != resource.RLIM_INFINITY and hard <= 2 * soft_us:
        return  # who set that limit lets nobody be real-time for long

    def exceeded(_: int, __: object) -> None:
        set_normal(0)
        renew()  # the kernel has raised it by a second

    signal.signal(signal.SIGXCPU, exceeded)
    renew()


def _has_capability() -> bool:
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(line.split()[1], 16) & _CAP_SYS_NICE)


def set_nice(pid: int, nice: int) -> None:
    """Set the nice value of every thread of a process; one that ends meanwhile is left out."""
    for thread in _threads(pid):
        with contextlib.suppress(ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, thread, nice)


def set_batch(pid: int, is_batch: bool) -> None:
    """Let a process not preempt others when it wakes (SCHED_BATCH), or let it again.

    Ends `set_realtime`.
    """
    for thread in _threads(pid):
        with contextlib.suppress(ProcessLookupError):
            _set_policy(thread, os.SCHED_BATCH if is_batch else os.SCHED_OTHER)


def _set_policy(thread: int, policy: int) -> None:
    kept = os.sched_getscheduler(thread) & _RESET_ON_FORK  # to clear it takes a right
    os.sched_setscheduler(thread, policy | kept, os.sched_param(0))


def _threads(pid: int) -> list[int]:
    try:
        return [int(name) for name in os.listdir(f"/proc/{pid}/task")]
    except FileNotFoundError:
        return []
