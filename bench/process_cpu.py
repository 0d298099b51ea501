"""CPU time of a server: its main process and everything below it.

On a machine that others use too, rates and latencies swing; CPU time per operation hardly does.

Source: proc(5), /proc/PID/stat.
"""

import contextlib
import os
from collections import defaultdict
from pathlib import Path
from typing import Final

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
# Positions after the command's closing parenthesis: parent pid; utime, stime, cutime, cstime.
_PARENT: Final = 1
_TIMES: Final = slice(11, 15)


def tree_cpu_s(root_pid: int) -> float:
    """Return the CPU time of a process and its descendants, ended and waited-for ones included."""
    children: dict[int, list[int]] = defaultdict(list)
    ticks: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):  # it has ended meanwhile
                parent, used = parse_stat((folder / "stat").read_text())
                children[parent].append(int(folder.name))
                ticks[int(folder.name)] = used
    total, todo = 0, [root_pid]
    while todo:
        pid = todo.pop()
        total += ticks.get(pid, 0)
        todo += children[pid]
    return total / _TICKS_PER_S


def child_pids(pid: int) -> list[int]:
    """Return the children of a process's main thread."""
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def parse_stat(text: str) -> tuple[int, int]:
    """Return parent pid and clock ticks used.

    >>> parse_stat("7 (a) b) S 1 7 7 0 -1 4194304 1 0 0 0 10 20 3 4 20 0 1 0")
    (1, 37)
    """
    fields = text.rpartition(")")[2].split()
    return int(fields[_PARENT]), sum(map(int, fields[_TIMES]))
