"""CPU weights of tenants, on a machine whose cgroup v2 has the cpu controller."""

import contextlib
import os
import sys
from pathlib import Path

import pytest

from runtime.cgroup import CgroupUnusable, own_group
from tests.e2e.stack import Stack, wait_until

pytestmark = pytest.mark.e2e


def top_group():
    """Return the root of cgroup v2, or None where this test cannot make groups with weights."""
    with contextlib.suppress(CgroupUnusable, OSError):
        top = own_group(Path("/proc/self/mountinfo").read_text(), "0::/")
        if "cpu" in (top / "cgroup.subtree_control").read_text() and os.access(top, os.W_OK):
            return top
    return None


TOP = top_group()


class DelegatedStack(Stack):
    """A stack whose supervisor starts in a group of its own, as `Delegate=cpu` has it."""

    def __init__(self, group):
        super().__init__(config="[pool]\nidle_s = 0.5\n")
        self.group = group

    def command(self):
        enter = 'echo $$ > "$0/cgroup.procs"; exec "$@"'
        return ["sh", "-c", enter, str(self.group), *super().command()]


class PretendingStack(Stack):
    """A stack that takes a folder for its group."""

    def __init__(self, group):
        super().__init__()
        self.group = group

    def command(self):
        words = super().command()
        start = words.index("start")
        return [sys.executable, "-m", "tests.fakes.cgroup_stack", str(self.group), *words[start:]]


@pytest.fixture
def group():
    group = TOP / f"insula-test-{os.getpid()}"
    group.mkdir()
    with contextlib.suppress(OSError):
        os.setxattr(group, "user.delegate", b"1")
    yield group
    group.rmdir()


def members(group):
    return [int(pid) for pid in (group / "cgroup.procs").read_text().split()]


@contextlib.contextmanager
def tenant_group(stack, group):
    """Yield a tenant's SQL process and the group that it is moved to."""
    stack.create_tenant("acme")
    with stack.connect("acme"):
        (pid,) = stack.sql_pids("acme")
        groups = (group / "tenants").glob
        (tenant,) = wait_until(
            lambda: [g for g in groups("tenant-*") if pid in members(g)], 10, "it is moved"
        )
        yield pid, tenant


@pytest.mark.skipif(TOP is None, reason="needs a writable cgroup v2 with the cpu controller")
def test_tenants_share_the_cpu_by_weight(group):
    """Ten processes of one tenant would get ten times the CPU of another's single one."""
    with DelegatedStack(group) as stack:
        with tenant_group(stack, group) as (pid, tenant):
            assert (tenant / "cpu.weight").read_text() == "100\n"
            services = members(group / "services")
            assert pid not in services
            assert stack.process.pid in services
            assert (group / "services/cpu.weight").read_text() == "300\n"
        wait_until(lambda: not tenant.exists(), 30, "the empty group is removed")
    assert [path for path in group.iterdir() if path.is_dir()] == []


def test_the_gateway_learns_where_the_groups_are(tmp_path):
    """Weights would be set up and never used."""
    with PretendingStack(tmp_path) as stack:
        with tenant_group(stack, tmp_path) as (_, tenant):
            assert (tenant / "cpu.weight").read_text() == "100"
        assert any(line["event"] == "cpu_groups_on" for line in stack.log_lines())
