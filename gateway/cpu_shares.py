"""How much a tenant's SQL processes stand back for others: by what it used lately. Pure.

**Model.** The use of a tenant is the cores that its processes kept busy, forgotten with a memory of
`memory_s`. Whoever uses more stands back further: each doubling of use over weight costs three
steps of niceness, and three steps halve a process's share of a contended core (one step is a factor
of 1.25). So a tenant's claim is inverse to its use: busy tenants come out even, and one that
is idle most of the time runs at once when it wakes.

    cores used / weight   ≤ 0.1   0.2   0.4   0.8   ≥ 1.6
    steps                   0      3     6     9     12

That balance gives the CPU by the square root of the weights. What is missing is added to the *nice
steps*: three for each doubling of weight that the heaviest of the busy has more, with less of it
for who uses little. (In a control group the weight itself does that.)

Who uses next to nothing is *prompt*: its processes may run as soon as they wake, before everybody.
That takes a use of at most half the fair share, and of at most a quarter of a core at weight 1: all
the prompt ones together leave half of the CPU to the others. Nobody is who has just come, or was
busy between the last two samples.

**Invariants.** 0 ≤ steps ≤ `STEPS_MAX`. All processes of a tenant stand back alike, however many
they are. A step is left only when the use has moved most of the way to the next one.

Source: sched(7), nice values; the weights of Linux, `sched_prio_to_weight`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

STEPS_MAX: Final = 12
_STEPS_PER_DOUBLING: Final = 3
_STEP: Final = 1.25
_FREE_CORES: Final = 0.1  # at weight 1; who uses no more stands back for nobody
_SLACK: Final = 0.75  # of a step
_MORE_MAX: Final = 3  # times its own steps, for being lighter
_PROMPT_CORES: Final = 0.25  # at weight 1
_BURST_CORES: Final = 0.5  # between two samples; who used more was not waiting for its turn
_ACTIVE_CORES: Final = 0.001  # who uses less has no part in sharing


@dataclass(slots=True)
class _Tenant:
    cores: float = 0.0
    steps: int = 0
    nice_steps: int = 0
    is_prompt: bool = False
    looks: int = 0  # samples since it came


@dataclass(frozen=True, slots=True)
class ProcessUse:
    """What a process has used since it started, and whose it is."""

    tenant_id: int
    cpu_s: float


class CpuShares:
    """The recent use of every tenant that has processes."""

    def __init__(self, memory_s: float, cpus: int) -> None:
        self._memory_s = memory_s
        self._cpus = cpus
        self._tenants: dict[int, _Tenant] = {}
        self._former: dict[int, ProcessUse] = {}
        self._former_s = 0.0

    def sample(
        self, now_s: float, processes: Mapping[int, ProcessUse], weights: Mapping[int, float]
    ) -> None:
        """Take note of what each process (by pid) has used; a weight that is not given is 1.

        A process seen for the first time counts from now on.
        """
        elapsed_s = now_s - self._former_s
        if elapsed_s <= 0:
            return
        used_s = dict.fromkeys((process.tenant_id for process in processes.values()), 0.0)
        for pid, process in processes.items():
            former = self._former.get(pid)
            if former is not None and former.tenant_id == process.tenant_id:
                used_s[process.tenant_id] += max(process.cpu_s - former.cpu_s, 0.0)
        kept = math.exp(-elapsed_s / self._memory_s)
        tenants = {}
        for tenant_id, seconds in used_s.items():
            tenant = self._tenants.get(tenant_id) or _Tenant()
            tenant.cores = tenant.cores * kept + seconds / elapsed_s * (1 - kept)
            tenant.looks += 1
            tenant.steps = _steps(tenant, weights.get(tenant_id, 1.0))
            tenants[tenant_id] = tenant
        active = [id_ for id_, tenant in tenants.items() if tenant.cores > _ACTIVE_CORES]
        part = self._cpus / (2 * max(sum(weights.get(id_, 1.0) for id_ in active), 1e-9))
        for tenant_id, tenant in tenants.items():
            limit = weights.get(tenant_id, 1.0) * min(part, _PROMPT_CORES)
            is_calm = used_s[tenant_id] <= elapsed_s * _BURST_CORES and tenant.looks > 1
            tenant.is_prompt = tenant.cores <= limit and is_calm
        heaviest = max(
            [weights.get(id_, 1.0) for id_, one in tenants.items() if one.steps], default=1
        )
        for tenant_id, tenant in tenants.items():
            tenant.nice_steps = _nice_steps(tenant.steps, heaviest / weights.get(tenant_id, 1.0))
        self._tenants = tenants
        self._former, self._former_s = dict(processes), now_s

    def cores(self, tenant_id: int) -> float:
        """Return the cores that a tenant kept busy lately."""
        tenant = self._tenants.get(tenant_id)
        return 0.0 if tenant is None else tenant.cores

    def steps(self, tenant_id: int) -> int:
        """Return how many steps of niceness a tenant's processes stand back."""
        tenant = self._tenants.get(tenant_id)
        return 0 if tenant is None else tenant.steps

    def nice_steps(self, tenant_id: int) -> int:
        """Return how far they stand back where nice values are all there is."""
        tenant = self._tenants.get(tenant_id)
        return 0 if tenant is None else tenant.nice_steps

    def is_prompt(self, tenant_id: int) -> bool:
        """Whether a tenant's processes may run as soon as they wake."""
        tenant = self._tenants.get(tenant_id)
        return tenant is not None and tenant.is_prompt


def cpu_weight(weight: float, steps: int) -> int:
    """Return the `cpu.weight` of a tenant's cgroup: as much less as the nice values say.

    >>> cpu_weight(1.0, 0), cpu_weight(4.0, 3), cpu_weight(0.01, 12), cpu_weight(200.0, 0)
    (100, 205, 1, 10000)
    """
    return max(1, min(round(100 * weight / _STEP**steps), 10_000))


def _nice_steps(steps: int, lighter: float) -> int:
    """Return the steps of a tenant that is so many times lighter than the heaviest.

    >>> _nice_steps(4, 1.0), _nice_steps(4, 4.0), _nice_steps(0, 4.0), _nice_steps(9, 100.0)
    (4, 10, 0, 12)
    """
    more = min(_STEPS_PER_DOUBLING * math.log2(max(lighter, 1.0)), _MORE_MAX * steps)
    return min(round(steps + more), STEPS_MAX)


def _steps(tenant: _Tenant, weight: float) -> int:
    claim = tenant.cores / (weight * _FREE_CORES)
    if claim <= 1.0:
        return 0
    exact = min(_STEPS_PER_DOUBLING * math.log2(claim), STEPS_MAX)
    return tenant.steps if abs(exact - tenant.steps) <= _SLACK else round(exact)
