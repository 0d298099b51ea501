"""How many CPUs this process can keep busy: those it may run on, or fewer by quota.

A process that uses up the quota of its control group stands still until the next period, for up to
a tenth of a second. Whoever shares out CPU has to know of it.

Source: Linux, Documentation/admin-guide/cgroup-v2.rst, cpu.max.
"""

import os
from pathlib import Path
from typing import Final

from runtime.cgroup import CgroupUnusable, own_group

_MOUNTS: Final = Path("/proc/self/mountinfo")
_MEMBERSHIP: Final = Path("/proc/self/cgroup")


def usable_cores() -> float:
    """Return how many CPUs this process may use."""
    allowed = float(len(os.sched_getaffinity(0)))
    try:
        group = own_group(_MOUNTS.read_text(), _MEMBERSHIP.read_text())
    except (OSError, CgroupUnusable):
        return allowed
    return min(allowed, quota_of(group))


def quota_of(group: Path) -> float:
    """Return how many CPUs a group may use: by its own quota, and by those above it."""
    quota = float("inf")
    for folder in (group, *group.parents):
        try:
            limit, period = (folder / "cpu.max").read_text().split()
        except (OSError, ValueError):
            continue  # the root has none, and what stands above the mount is no group
        if limit != "max":
            quota = min(quota, int(limit) / int(period))
    return quota
