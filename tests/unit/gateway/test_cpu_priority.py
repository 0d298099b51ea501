"""gateway.cpu_priority and control groups: who is put where, and what happens if that fails."""

import asyncio
import logging
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry

from gateway.cpu_priority import AssignedProcess, CpuPriority
from gateway.metrics import GatewayMetrics
from runtime import os_priority
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


def priority(groups=None, *, guard=None, clock=None):
    metrics = GatewayMetrics(CollectorRegistry())
    return CpuPriority(clock or ManualClock(), metrics, groups, guard)


def guard(*, is_at_work=True):
    watcher = SimpleNamespace(is_at_work=is_at_work)
    watcher.watches = lambda pid: watcher.is_at_work
    return watcher


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


may_be_realtime = pytest.mark.skipif(
    not os_priority.may_run_realtime(os_priority.REALTIME_SQL),
    reason="real-time takes CAP_SYS_NICE or RLIMIT_RTPRIO, and a second CPU",
)


@may_be_realtime
def test_an_idle_tenant_is_real_time_and_others_are_not(process):
    """A quiet tenant would wait for the kernel's tick behind a wild one."""
    clock = ManualClock()
    keeper = priority(guard=guard(), clock=clock)
    keeper.tick([process], {})
    assert not os_priority.is_realtime(process.pid), "nothing is known of it yet"
    clock.advance(0.25)
    keeper.tick([process], {})
    assert os_priority.is_realtime(process.pid)
    os_priority.set_normal(process.pid)  # as it does itself, or the guard, after a long computation
    keeper.tick([process], {})
    assert not os_priority.is_realtime(process.pid), "it may compute still"
    keeper.tick([process], {})
    assert os_priority.is_realtime(process.pid)
    priority().tick([process], {})
    assert not os_priority.is_realtime(process.pid), "a gateway without real-time found it so"


@may_be_realtime
def test_who_is_not_watched_is_not_real_time(process):
    """One long call into C on each CPU would stop everything for a second."""
    clock, watcher = ManualClock(), guard(is_at_work=False)
    keeper = priority(guard=watcher, clock=clock)

    def look():
        clock.advance(0.25)
        keeper.tick([process], {})
        return os_priority.is_realtime(process.pid)

    os_priority.set_realtime(process.pid, os_priority.REALTIME_SQL, inherit=False)
    assert not any(look() for _ in range(3)), "a former gateway left it so"
    watcher.is_at_work = True
    assert look()
    watcher.is_at_work = False
    assert not any(look() for _ in range(3))
    watcher.is_at_work = True
    assert look(), "there is another guard"


@may_be_realtime
async def test_a_gateway_that_keeps_no_priorities_puts_them_back(process):
    """After a restart with cpu_priority = "off" a process would be real-time, or nice, for ever."""
    os_priority.set_nice(process.pid, process.nice + 7)
    os_priority.set_realtime(process.pid, os_priority.REALTIME_SQL, inherit=False)
    task = asyncio.ensure_future(priority().release(lambda: [process]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not os_priority.is_realtime(process.pid)
    if os_priority.may_raise_to(process.nice):
        assert os.getpriority(os.PRIO_PROCESS, process.pid) == process.nice
    task.cancel()


def test_real_time_that_is_refused_is_given_up(process, caplog, monkeypatch):
    """A container that takes the right away would log a refusal four times a second."""
    monkeypatch.setattr(os_priority, "is_realtime", lambda _: False)

    def refuse(*_, **__):
        raise PermissionError("no")

    monkeypatch.setattr(os_priority, "set_realtime", refuse)
    clock = ManualClock()
    keeper = priority(guard=guard(), clock=clock)
    for _ in range(3):
        clock.advance(0.25)
        keeper.tick([process], {})
    assert [record.message for record in caplog.records] == ["realtime_off"]
