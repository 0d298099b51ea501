"""CPU weights for the stack's processes, where the group that the supervisor runs in allows it."""

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from runtime.cgroup import CgroupUnusable, DelegatedGroup, own_group

_log = logging.getLogger(__name__)
_MOUNTS = Path("/proc/self/mountinfo")
_MEMBERSHIP = Path("/proc/self/cgroup")


@contextlib.contextmanager
def cpu_groups(setting: str) -> Iterator[Path | None]:
    """Make room for a group of each tenant; yield where, or None: there are no weights here."""
    try:
        if setting == "off":
            raise CgroupUnusable("switched off")
        group = DelegatedGroup(own_group(_MOUNTS.read_text(), _MEMBERSHIP.read_text()))
        group.settle(os.getpid())
    except (CgroupUnusable, OSError) as error:
        _log.info("cpu_groups_off", extra={"reason": str(error)})
        yield None
        return
    _log.info("cpu_groups_on", extra={"group": str(group.tenants)})
    try:
        yield group.tenants
    finally:
        group.leave(os.getpid())
