"""runtime.cgroup, on a folder that follows the kernel's rules (tests/fakes/cgroup_path.py)."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.cgroup import CgroupUnusable, DelegatedGroup, TenantGroups, own_group
from tests.fakes.cgroup_path import CgroupPath

OWN = os.getpid()
MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw
30 22 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate
"""


@pytest.fixture
def group(tmp_path):
    """Return a delegated group that holds this process."""
    top = CgroupPath(tmp_path / "top")
    top.fill(["cpu", "memory"])
    top.put("cgroup.subtree_control", ["cpu"])
    group = top / "insula.service"
    group.mkdir()
    group.put("cgroup.procs", [str(OWN)])
    return group


@pytest.fixture
def others():
    """Return three processes that wait."""
    command = [sys.executable, "-c", "input()"]
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(subprocess.Popen(command, stdin=-1)) for _ in range(3)]
        yield [process.pid for process in processes]
        for process in processes:
            process.kill()


def tree(group):
    """Return all groups below with their weights and processes."""
    return {
        str(one.relative_to(group)): (
            *one.lines("cpu.weight"),
            *map(int, one.lines("cgroup.procs")),
        )
        for one in sorted(group.everywhere())
        if one.is_relative_to(group)
    }


@pytest.mark.parametrize(
    ("mounts", "membership", "path"),
    [
        (MOUNTS, "0::/system.slice/insula.service\n", "/sys/fs/cgroup/system.slice/insula.service"),
        (MOUNTS, "4:cpu:/\n0::/\n", "/sys/fs/cgroup"),
        (MOUNTS.replace("0:26 / ", "0:26 /pods/a "), "0::/pods/a/b\n", "/sys/fs/cgroup/b"),
        (MOUNTS.replace("/sys/fs/cgroup", r"/my\\040groups"), "0::/b\n", "/my groups/b"),
    ],
)
def test_where_this_process_is(mounts, membership, path):
    """Weights would be written to somebody else's group."""
    assert own_group(mounts.replace("\\\\", "\\"), membership) == Path(path)


@pytest.mark.parametrize(
    ("mounts", "membership"),
    [(MOUNTS, "4:cpu:/\n"), (MOUNTS.replace("cgroup2", "cgroup"), "0::/\n"), ("", "0::/a\n")],
)
def test_without_cgroup_v2_there_is_no_group(mounts, membership):
    """A machine with cgroup v1 would not start."""
    with pytest.raises(CgroupUnusable, match="no cgroup v2"):
        own_group(mounts, membership)


def test_the_supervisor_makes_room_and_leaves_nothing_behind(group):
    """The kernel refuses weights below a group with processes; a second start finds leavings."""
    delegated = DelegatedGroup(group)
    for _ in range(2):
        delegated.settle(OWN)
        assert tree(group) == {".": ("100",), "services": ("300", OWN), "tenants": ("100",)}
        delegated.leave(OWN)
        assert tree(group) == {".": ("100", OWN)}


def test_a_group_with_other_processes_is_left_as_it_was(group, others):
    """A shell that starts a stack would be moved, or the stack not start."""
    group.put("cgroup.procs", [OWN, others[0]])
    with pytest.raises(CgroupUnusable, match="busy"):
        DelegatedGroup(group).settle(OWN)
    assert tree(group) == {".": ("100", others[0], OWN)}
    assert not group.lines("cgroup.subtree_control")


@pytest.mark.parametrize(
    ("name", "words", "reason"),
    [
        ("cgroup.controllers", ["memory"], "no cpu controller"),
        ("cgroup.type", ["threaded"], "no children"),
        ("cgroup.type", None, "no children"),  # the root of the machine
    ],
)
def test_what_cannot_be_used_is_not_touched(group, name, words, reason):
    """The groups of the machine would be changed for nothing."""
    (group / name).unlink() if words is None else group.put(name, words)
    with pytest.raises(CgroupUnusable, match=reason):
        DelegatedGroup(group).settle(OWN)
    assert [path.name for path in group.children()] == []


def test_two_stacks_do_not_share_a_group(group, others):
    """Tenant 1 of the one would pay for tenant 1 of the other."""
    DelegatedGroup(group).settle(OWN)
    with pytest.raises(CgroupUnusable, match="another stack"):
        DelegatedGroup(group).settle(others[0])


def test_tenants_have_groups_while_they_have_processes(group, others):
    """A tenant with ten processes would get ten times the CPU of one with one."""
    delegated = DelegatedGroup(group)
    delegated.settle(OWN)
    groups = TenantGroups(delegated.tenants)
    one, two, late = others
    groups.keep({one: 7, two: 9}, {7: 100, 9: 400})
    assert tree(delegated.tenants) == {
        ".": ("100",),
        "tenant-7": ("100", one),
        "tenant-9": ("400", two),
    }
    groups.keep({one: 7, late: 7, two: 9}, {7: 51, 9: 400})
    assert tree(group)["tenants/tenant-7"] == ("51", one, late)
    groups.keep({two: 9}, {9: 400})
    assert "tenants/tenant-7" in tree(group), "its processes have not ended"
    (delegated.tenants / "tenant-7").put("cgroup.procs", [])
    groups.keep({two: 9}, {9: 400})
    assert list(tree(delegated.tenants)) == [".", "tenant-9"]


def test_a_gateway_that_starts_again_knows_the_groups(group, others):
    """Groups of tenants that never come back would stay for ever."""
    delegated = DelegatedGroup(group)
    delegated.settle(OWN)
    TenantGroups(delegated.tenants).keep({others[0]: 7, others[1]: 9}, {7: 100, 9: 100})
    (delegated.tenants / "tenant-7").put("cgroup.procs", [])
    again = TenantGroups(delegated.tenants)
    again.keep({others[1]: 9}, {9: 200})
    assert tree(delegated.tenants) == {".": ("100",), "tenant-9": ("200", others[1])}


def test_a_process_that_has_just_ended_does_no_harm(group):
    """The gateway would give groups up because a client disconnected."""
    delegated = DelegatedGroup(group)
    delegated.settle(OWN)
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    groups = TenantGroups(delegated.tenants)
    groups.keep({process.pid: 7}, {7: 100})
    groups.keep({}, {})
    assert list(tree(delegated.tenants)) == ["."]


def test_weights_that_cannot_be_written_are_an_error(group):
    """The gateway would go on believing that groups act."""
    with pytest.raises(OSError, match="denied"):
        TenantGroups(group).keep({OWN: 7}, {7: 100})  # no controller below
