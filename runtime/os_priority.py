"""The operating system's priority of another process: all its threads, and what we may do to it.

Nice values say how much of a contended CPU a process gets, not how soon: one that wakes may wait
for the next tick of the kernel, milliseconds, even for a process of nice 19. Who must run as soon
as it wakes is *real-time* (SCHED_RR): few processes, that need little CPU.

What the kernel lets us do is tried, on a thread of its own: capabilities and limits do not say it
in a user namespace, nor in a control group without a share of real-time.

Source: setpriority(2), sched(7). On Linux nice value and policy are a thread's; a new thread
inherits them from the one that starts it.
"""

import contextlib
import os
import resource
import signal
import threading
import time
from collections.abc import Callable
from typing import Final

_CPU_CLOCK_OF_PROCESS: Final = 2  # CPUCLOCK_SCHED, of all threads
_NICE_MAX: Final = 19
_REALTIME_S_MAX: Final = 0.01  # at a stretch, of a SQL process
REALTIME_GUARD: Final = 5  # it ends real-time of those below
REALTIME_SERVICE: Final = 4  # of what all tenants wait for
REALTIME_WRITER: Final = 3
REALTIME_SQL: Final = 2  # of tenants that use next to nothing
REALTIME_BULK: Final = 1  # of the writer while it writes only what nobody waits for
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

    def come_back() -> None:
        os.setpriority(os.PRIO_PROCESS, 0, _NICE_MAX)
        os.setpriority(os.PRIO_PROCESS, 0, nice)

    return _refusal(come_back) is None


def may_run_realtime(priority: int) -> bool:
    """Whether this process, or one of its user, may be real-time."""
    return realtime_refusal(priority) is None


def realtime_refusal(priority: int) -> str | None:
    """Tell why this process, and others of its user, may not be real-time; None if they may."""
    if len(os.sched_getaffinity(0)) == 1:
        return "there is a single CPU"  # those that it waits for would have none
    return _refusal(lambda: set_realtime(0, priority, inherit=False))


def _refusal(change: Callable[[], None]) -> str | None:
    """Try what changes the calling thread, on one that ends then."""
    refused = list[str]()

    def attempt() -> None:
        try:
            change()
        except PermissionError as error:
            refused.append(str(error))

    thread = threading.Thread(target=attempt, name="try-priority")
    thread.start()
    thread.join()
    return refused[0] if refused else None


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


def limit_realtime() -> None:
    """Make the main thread normal when it has computed for 10 ms at once as real-time.

    The kernel counts in ticks of some milliseconds, and Python looks between two steps of its own:
    in a long call into C only `end_realtime` of another process helps. It only ever gives priority
    up, so a process needs no right for it. Source: getrlimit(2), RLIMIT_RTTIME.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_RTTIME)
    if hard != resource.RLIM_INFINITY and hard <= 2e6 * _REALTIME_S_MAX:
        return  # who set that limit lets nobody be real-time for long
    signal.signal(signal.SIGXCPU, lambda *_: end_realtime(os.getpid()))
    _renew_limit(os.getpid())


def end_realtime(pid: int) -> None:
    """Make a process's main thread normal, and the next stretch as long. Raises as `set_normal`."""
    set_normal(pid)
    _renew_limit(pid)


def _renew_limit(pid: int) -> None:
    """Set the limit again: the kernel raises it by a second when it is exceeded."""
    soft_us = int(_REALTIME_S_MAX * 1e6)
    _, hard = resource.prlimit(pid, resource.RLIMIT_RTTIME)
    if hard == resource.RLIM_INFINITY or hard > soft_us:
        resource.prlimit(pid, resource.RLIMIT_RTTIME, (soft_us, hard))


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
