"""gateway.cpu_priority and control groups: who is put where, and what happens if that fails."""

import logging
import os
import subprocess
import sys

import pytest
from prometheus_client import CollectorRegistry

from gateway.cpu_priority import AssignedProcess, CpuPriority
from gateway.metrics import GatewayMetrics
from runtime.cgroup import TenantGroups
from runtime.clock import ManualClock
from tests.fakes.cgroup_path import CgroupPath


@pytest.fixture
def process():
    """Return a process that waits."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=-1) as process:
        yield AssignedProcess(process.pid, 7, os.getpriority(os.PRIO_PROCESS, process.pid))
        process.kill()


@pytest.fixture
def tenants(tmp_path):
    """Return the group of all tenants."""
    group = CgroupPath(tmp_path / "tenants")
    group.fill(["cpu"])
    group.put("cgroup.subtree_control", ["cpu"])
    return group


def priority(groups):
    return CpuPriority(ManualClock(), GatewayMetrics(CollectorRegistry()), groups)


def test_groups_follow_tenants(process, tenants):
    """A tenant of weight 4 would get as much of the CPU as one of weight 1."""
    keeper = priority(TenantGroups(tenants))
    keeper.tick([process], {7: 4.0})
    group = tenants / "tenant-7"
    assert (group.lines("cpu.weight"), group.lines("cgroup.procs")) == (["400"], [str(process.pid)])
    keeper.tick([process], {})
    assert group.lines("cpu.weight") == ["100"]
    group.put("cgroup.procs", [])
    keeper.tick([], {})
    assert not group.exists()


def test_groups_that_fail_are_given_up_quietly(process, tenants, caplog):
    """Four times a second the log would say what nobody can change, or the gateway end."""
    caplog.set_level(logging.DEBUG)
    tenants.put("cgroup.subtree_control", [])
    keeper = priority(TenantGroups(tenants))
    for _ in range(3):
        keeper.tick([process], {})
    (said,) = [record for record in caplog.records if record.message == "cpu_groups_off"]
    assert said.levelno == logging.INFO
