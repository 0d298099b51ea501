"""Keeps the OS priority of SQL processes in step with what their tenants used lately.

**Model.** A few times a second the CPU clocks of all assigned processes are read (a system call
each, no file); `cpu_shares` says how far each tenant stands back, and only processes whose step
changed are touched. From `_BATCH_STEPS` on a process also gives up preempting others when it wakes.

A process of a tenant that uses next to nothing is real-time, so that it runs as soon as it wakes:
against a nice value alone the kernel lets it wait for a tick, which is milliseconds. What it starts
is not; and one that computes for longer at once loses it before the next look here: it gives it up
by itself (`sqlnode.main`), or within a long call into C the guard ends it (`realtime_guard`).
Who is not under the guard's watch is never real-time.

Raising a priority again takes CAP_SYS_NICE or a limit (`LimitNICE=` of systemd, `ulimit -e`).
Without it nice values stay as they are, for a process could never come back, and only SCHED_BATCH
is used, which is free; the log says so once. Real-time takes CAP_SYS_NICE or `LimitRTPRIO=`.

Where the supervisor was delegated a cgroup, the processes of a tenant share one group, whose weight
follows the tenant's weight and steps: nice values count only within a group.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.cpu_shares import CpuShares, ProcessUse, cpu_weight
from gateway.guard_process import GuardProcess
from gateway.metrics import GatewayMetrics
from runtime import os_priority
from runtime.cgroup import TenantGroups
from runtime.clock import Clock

_log = logging.getLogger(__name__)
_MEMORY_S: Final = 2.0
_BATCH_STEPS: Final = 6
_NICE_MAX: Final = 19
_TICK_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class AssignedProcess:
    """A SQL process, whose it is, and the nice value that it started with."""

    pid: int
    tenant_id: int
    nice: int


class CpuPriority:
    """The steps that each process stands at. Owner: the event loop."""

    def __init__(
        self,
        clock: Clock,
        metrics: GatewayMetrics,
        groups: TenantGroups | None = None,
        guard: GuardProcess | None = None,
    ) -> None:
        self._clock = clock
        self._groups = groups
        self._metrics = metrics
        self._shares = CpuShares(_MEMORY_S, len(os.sched_getaffinity(0)))
        self._guard = guard  # without one nobody is real-time
        self._hurried: set[int] = set()  # processes that were real-time when last looked at
        self._steps: dict[int, int] = {}  # of processes that have been looked at
        self._may_raise: bool | None = None  # not known before the first process

    async def run(
        self, assigned: Callable[[], Iterable[AssignedProcess]], weights: Mapping[int, float]
    ) -> None:
        """Keep priorities in step until cancelled."""
        while True:
            self.tick(assigned(), weights)
            await asyncio.sleep(_TICK_S)

    async def release(self, assigned: Callable[[], Iterable[AssignedProcess]]) -> None:
        """Put each process once where it began, until cancelled: a former gateway moved it."""
        while True:
            processes = list(assigned())
            for process in processes:
                if process.pid not in self._steps:
                    self._move(process, 0)
            self._steps = dict.fromkeys((process.pid for process in processes), 0)
            await asyncio.sleep(_TICK_S)

    def tick(self, processes: Iterable[AssignedProcess], weights: Mapping[int, float]) -> None:
        """Sample the processes, and move those that should stand elsewhere."""
        alive = [(process, use) for process in processes if (use := _use(process)) is not None]
        used = {process.pid: use for process, use in alive}
        self._shares.sample(self._clock.monotonic_s(), used, weights)
        former, self._steps = self._steps, {}
        for process, _ in alive:
            steps = self._steps[process.pid] = self._shares.nice_steps(process.tenant_id)
            if steps != former.get(process.pid):  # the first time too: who knows how it was left
                self._move(process, steps)
        if self._guard is not None:
            self._keep_prompt([process for process, _ in alive], self._guard)
        if self._groups is not None:
            self._regroup(self._groups, used, weights)
        self._metrics.lowered.set(sum(1 for steps in self._steps.values() if steps))

    def _regroup(
        self, groups: TenantGroups, used: Mapping[int, ProcessUse], weights: Mapping[int, float]
    ) -> None:
        owners = {pid: use.tenant_id for pid, use in used.items()}
        group_weights = {
            tenant_id: cpu_weight(weights.get(tenant_id, 1.0), self._shares.steps(tenant_id))
            for tenant_id in owners.values()
        }
        try:
            groups.keep(owners, group_weights)
        except OSError as error:
            self._groups = None
            _log.info("cpu_groups_off", extra={"reason": str(error)})

    def _move(self, process: AssignedProcess, steps: int) -> None:
        try:
            if self._may_lower(process):
                os_priority.set_nice(process.pid, min(process.nice + steps, _NICE_MAX))
            os_priority.set_batch(process.pid, steps >= _BATCH_STEPS)
        except PermissionError as error:
            _log.warning("priority_refused", extra={"sql_pid": process.pid, "error": str(error)})

    def _keep_prompt(self, processes: Sequence[AssignedProcess], guard: GuardProcess) -> None:
        try:
            self._hurried = {
                process.pid
                for process in processes
                if self._hurry(process, is_watched=guard.watches(process.pid))
            }
        except PermissionError as error:
            self._give_up_realtime(processes, str(error))
        self._metrics.realtime.set(len(self._hurried))
        self._metrics.realtime_allowed.set(self._guard is not None and guard.is_at_work)

    def _hurry(self, process: AssignedProcess, *, is_watched: bool) -> bool:
        """Keep a process real-time, or not; tell which. Raises: PermissionError.

        One that has lost it since the last look computed at a stretch, and may still do so.
        """
        is_prompt = is_watched and self._shares.is_prompt(process.tenant_id)
        try:
            is_realtime = os_priority.is_realtime(process.pid)
            if is_prompt and not is_realtime:
                is_prompt = process.pid not in self._hurried
                if is_prompt:
                    os_priority.set_realtime(process.pid, os_priority.REALTIME_SQL, inherit=False)
            elif is_realtime and not is_prompt:
                os_priority.set_normal(process.pid)
        except ProcessLookupError:
            return False
        return is_prompt

    def _give_up_realtime(self, processes: Iterable[AssignedProcess], reason: str) -> None:
        self._guard = None
        self._hurried = set()
        _log.warning("realtime_off", extra={"reason": reason})
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os_priority.set_normal(process.pid)

    def _may_lower(self, process: AssignedProcess) -> bool:
        if self._may_raise is None:
            self._may_raise = os_priority.may_raise_to(process.nice)
            if not self._may_raise:
                _log.info("nice_values_fixed", extra={"needs": "CAP_SYS_NICE or LimitNICE"})
        return self._may_raise


def _use(process: AssignedProcess) -> ProcessUse | None:
    try:
        return ProcessUse(process.tenant_id, os_priority.cpu_s(process.pid))
    except ProcessLookupError:  # it has just ended
        return None
