"""What Linux lets a process say about itself: `prctl`, resource limits, the title in `ps`.

Source: prctl(2), proc(5).
"""

import ctypes
import os
import resource
import signal
from pathlib import Path
from typing import Final

import setproctitle

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
_PR_SET_NO_NEW_PRIVS: Final = 38
_CAPABILITY_VERSION_3: Final = 0x20080522
_libc = ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, argument: int) -> None:
    if _libc.prctl(option, argument, 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"prctl({option}): {os.strerror(code)}")


def die_with_parent(signal_number: int = signal.SIGTERM) -> None:
    """Ask for a signal when the thread that started this process ends. Survives exec, not fork."""
    _prctl(_PR_SET_PDEATHSIG, signal_number)


def become_subreaper() -> None:
    """Adopt orphaned descendants, so that none is left behind unreaped."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def forbid_new_privileges() -> None:
    """Make set-uid programs powerless for this process and all its descendants."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def drop_capabilities() -> None:
    """Give up every privilege of root but owning root's files. Requires: no further thread.

    Without them a process cannot trace, signal or inspect processes that keep theirs.
    Source: capset(2), version 3: a header (version, pid), then two triples of 32-bit sets.
    """
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    if _libc.capset(header, (ctypes.c_uint32 * 6)()) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"capset: {os.strerror(code)}")


def set_title(title: str) -> None:
    """Set what `ps` shows."""
    setproctitle.setproctitle(title)


def thread_count() -> int:
    """Count the threads of this process, native ones included."""
    return len(os.listdir("/proc/self/task"))


def limit_resources(*, memory_bytes_max: int, open_files_max: int) -> None:
    """Cap private memory and descriptors, and write no core files. 0 leaves memory unlimited."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, files_hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = (
        open_files_max if files_hard == resource.RLIM_INFINITY else min(open_files_max, files_hard)
    )
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    if memory_bytes_max:
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes_max, memory_bytes_max))


def allow_open_files(count: int) -> None:
    """Raise the limit of descriptors, for this process and those it starts, as far as it may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def prefer_as_oom_victim(score: int) -> None:
    """Tell the kernel to end this process before others when memory runs out (0 to 1000)."""
    Path("/proc/self/oom_score_adj").write_text(str(score))


def parent_pid(pid: int) -> int | None:
    """Return the parent of `pid`, or None if there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[1])


def is_running(pid: int) -> bool:
    """Whether `pid` is a process that has not ended (a zombie has)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")
