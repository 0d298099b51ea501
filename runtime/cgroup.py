"""Shares of the CPU by control group (cgroup v2): the files, and what is written to them.

**Model.** A group is a folder, and what is written to its files acts at once. Below the group that
was delegated to this stack:

    insula.service        cgroup.subtree_control: +cpu
    ├── services          supervisor, KV node, gateway, zygote, processes that have no tenant yet
    └── tenants           cgroup.subtree_control: +cpu
        ├── tenant-7      the SQL processes of tenant 7
        └── tenant-9

Groups side by side that want the CPU at the same time get it by their `cpu.weight`, however many
processes they have. One whose children have weights must not hold processes of its own ("no
internal processes"): hence `services`, where the supervisor goes before it starts anything. What it
has over all tenants together is what nice 0 has over nice 5, so that no number of tenants and no
weight of theirs starves the KV node.

**Invariants.** Nothing is written where the group is not ours alone: it has to be writable, a
domain, not the root, hold no process but the supervisor, and carry systemd's mark of delegation
where systemd runs and everything is writable for us.

Source: Linux, Documentation/admin-guide/cgroup-v2.rst; cgroups(7); systemd, CGROUP_DELEGATION.
"""

import contextlib
import os
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Final

_SERVICES: Final = "services"
_SERVICES_WEIGHT: Final = 300
_TENANTS: Final = "tenants"
_TENANTS_WEIGHT: Final = 100
_TENANT: Final = "tenant-"
_CONTROL: Final = "cgroup.subtree_control"
_PROCESSES: Final = "cgroup.procs"
_MARKS: Final = ("user.delegate", "trusted.delegate")
_ESCAPED: Final = re.compile(r"\\(\d{3})")


class CgroupUnusable(Exception):
    """There are no weights here; the message says why."""


def own_group(mounts: str, membership: str) -> Path:
    """Return this process's folder: from /proc/self/mountinfo and /proc/self/cgroup.

    Raises: CgroupUnusable.
    """
    own = next((line[3:] for line in membership.splitlines() if line.startswith("0::")), None)
    for line in mounts.splitlines() if own is not None else ():
        fields, _, kind = line.partition(" - ")
        root, point = (_unescaped(field) for field in fields.split()[3:5])
        if kind.startswith("cgroup2 ") and PurePosixPath(str(own)).is_relative_to(root):
            return Path(point, PurePosixPath(str(own)).relative_to(root))
    raise CgroupUnusable("no cgroup v2 is mounted")


def is_delegated(group: Path) -> bool:
    """Tell whether systemd, where it runs, has left this group to us."""
    if os.geteuid() != 0 or not Path("/run/systemd/system").is_dir():
        return True  # then writing to it is refused, or nobody else's business
    for mark in _MARKS:
        with contextlib.suppress(OSError):
            if os.getxattr(group, mark) == b"1":
                return True
    return False


class DelegatedGroup:
    """The supervisor's side: makes room for groups with weights below its own group."""

    def __init__(self, group: Path) -> None:
        self._group = group
        self._services = group / _SERVICES
        self.tenants = group / _TENANTS

    def settle(self, pid: int) -> None:
        """Move `pid`, the only process of the group, into `services`; let children have weights.

        Raises: CgroupUnusable, and then everything is as it was.
        """
        try:
            self._check()
            self._services.mkdir(exist_ok=True)
            self.tenants.mkdir(exist_ok=True)
            if (self._services / _PROCESSES).read_text():
                raise CgroupUnusable("another stack uses the group")
        except OSError as error:
            raise CgroupUnusable(str(error)) from error
        try:
            _write(self._services / _PROCESSES, str(pid))
            for parent in (self._group, self.tenants):
                _write(parent / _CONTROL, "+cpu")
            _write(self._services / "cpu.weight", str(_SERVICES_WEIGHT))
            _write(self.tenants / "cpu.weight", str(_TENANTS_WEIGHT))
        except OSError as error:
            self.leave(pid)
            raise CgroupUnusable(str(error)) from error

    def leave(self, pid: int) -> None:
        """Move `pid` back and remove what is empty."""
        for group in (*self.tenants.glob(f"{_TENANT}*"), self.tenants):
            with contextlib.suppress(OSError):
                group.rmdir()
        with contextlib.suppress(OSError):
            _write(self._group / _CONTROL, "-cpu")
        with contextlib.suppress(OSError):
            _write(self._group / _PROCESSES, str(pid))
            self._services.rmdir()

    def _check(self) -> None:
        group = self._group
        kind = group / "cgroup.type"  # the root has none
        if not kind.exists() or kind.read_text().strip() != "domain":
            raise CgroupUnusable("the group can have no children with weights")
        if "cpu" not in (group / "cgroup.controllers").read_text().split():
            raise CgroupUnusable("the group has no cpu controller")
        if not is_delegated(group):
            raise CgroupUnusable("the group is not delegated (Delegate=cpu)")


class TenantGroups:
    """The gateway's side: below `tenants`, a group for each tenant that has processes."""

    def __init__(self, tenants: Path) -> None:
        self._tenants = tenants
        found = (path.name.removeprefix(_TENANT) for path in tenants.glob(f"{_TENANT}*"))
        self._weights = {int(number): 0 for number in found if number.isdecimal()}
        self._placed: dict[int, int] = {}  # process → tenant

    def keep(self, processes: Mapping[int, int], weights: Mapping[int, int]) -> None:
        """Put each process (pid → tenant) into its tenant's group; remove groups without any.

        `weights`: of every tenant that has processes, from 1 to 10,000. Raises: OSError.
        """
        for tenant_id, weight in weights.items():
            if self._weights.get(tenant_id) != weight:
                self._path(tenant_id).mkdir(exist_ok=True)
                _write(self._path(tenant_id) / "cpu.weight", str(weight))
                self._weights[tenant_id] = weight
        for pid, tenant_id in processes.items():
            if self._placed.get(pid) != tenant_id:
                with contextlib.suppress(ProcessLookupError):  # it has just ended
                    _write(self._path(tenant_id) / _PROCESSES, str(pid))
        self._placed = dict(processes)
        for tenant_id in self._weights.keys() - weights.keys():
            with contextlib.suppress(OSError):  # a process is just ending: the next time
                self._path(tenant_id).rmdir()
                del self._weights[tenant_id]

    def _path(self, tenant_id: int) -> Path:
        return self._tenants / f"{_TENANT}{tenant_id}"


def _write(path: Path, text: str) -> None:
    with path.open("w") as file:
        file.write(text)


def _unescaped(field: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), field)
