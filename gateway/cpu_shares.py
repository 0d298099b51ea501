"""How much a tenant's SQL processes stand back for others: by what it used lately. Pure.

**Model.** The use of a tenant is the cores that its processes kept busy, forgotten with a memory of
`memory_s`; its *load* is that use over its weight. A step of niceness is a factor of 1.25 in a
process's share of a contended core. How many a tenant stands back is the sum of

- what it uses: each doubling of load costs three steps, which halve that share. So its claim is
  inverse to its use, and one that is idle most of the time runs at once when it wakes:

      load     ≤ 0.1   0.2   0.4   0.8   ≥ 1.6
      steps      0      3     6     9     12

- what it is ahead of the others: nine steps for each doubling of load over the common one, and as
  many less for who is behind it. That is a control loop. By its claim alone a tenant would get what
  the kernel makes of it: a process runs on one CPU at a time, and a few processes do not fill all
  CPUs evenly. Both together leave a fifth of such an error, within a second. The common load is the
  mean of those who *compete*, which have a quarter to four times the median; both count by use. So
  neither who uses little counts, nor who is so light that it is ahead whatever it gets.

In a control group the weight itself gives heavier ones more. Where nice values are all there is
lighter ones stand back further: three steps for each doubling of weight that the heaviest who
competes has more, nine at most, for the loop needs the others.

Who uses next to nothing is *prompt*: its processes may run as soon as they wake, before everybody.
That takes a use of at most half the fair share, and of at most a quarter of a core at weight 1: all
the prompt ones together leave half of the CPU to the others. Nobody is who has just come, or was
busy between the last two samples. The prompt stand back for nobody.

**Invariants.** 0 ≤ steps ≤ `STEPS_MAX`. All processes of a tenant stand back alike, however many
they are. A step is left only when the use has moved most of the way to the next one.

Source: sched(7), nice values; the weights of Linux, `sched_prio_to_weight`.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

STEPS_MAX: Final = 12
_STEPS_PER_DOUBLING: Final = 3
_STEP: Final = 1.25
_STEPS_PER_DOUBLING_AHEAD: Final = 9
_FREE_CORES: Final = 0.1  # at weight 1; who uses no more claims all
_SLACK: Final = 0.75  # of a step
_LIGHTER_MAX: Final = 9
_ALIKE: Final = 4  # times the median load, or a part of it: who competes
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
            tenants[tenant_id] = tenant
        self._find_prompt(tenants, used_s, elapsed_s, weights)
        self._find_steps(tenants, weights)
        self._tenants = tenants
        self._former, self._former_s = dict(processes), now_s

    def _find_prompt(
        self,
        tenants: Mapping[int, _Tenant],
        used_s: Mapping[int, float],
        elapsed_s: float,
        weights: Mapping[int, float],
    ) -> None:
        active = [id_ for id_, tenant in tenants.items() if tenant.cores > _ACTIVE_CORES]
        part = self._cpus / (2 * max(sum(weights.get(id_, 1.0) for id_ in active), 1e-9))
        for tenant_id, tenant in tenants.items():
            limit = weights.get(tenant_id, 1.0) * min(part, _PROMPT_CORES)
            is_calm = used_s[tenant_id] <= elapsed_s * _BURST_CORES and tenant.looks > 1
            tenant.is_prompt = tenant.cores <= limit and is_calm

    def _find_steps(self, tenants: Mapping[int, _Tenant], weights: Mapping[int, float]) -> None:
        loads = {
            id_: tenant.cores / weights.get(id_, 1.0)
            for id_, tenant in tenants.items()
            if tenant.cores > _ACTIVE_CORES
        }
        middle = _median_load((load, tenants[id_].cores) for id_, load in loads.items())
        competing = [
            id_ for id_, load in loads.items() if middle <= _ALIKE * load <= _ALIKE**2 * middle
        ]
        common = _mean_load((loads[id_], tenants[id_].cores) for id_ in competing)
        heaviest = max((weights.get(id_, 1.0) for id_ in competing), default=1.0)
        for tenant_id, tenant in tenants.items():
            exact = lighter = 0.0
            if tenant_id in loads and not tenant.is_prompt:
                load = loads[tenant_id]
                exact = _STEPS_PER_DOUBLING * math.log2(max(load / _FREE_CORES, 1.0))
                exact += _STEPS_PER_DOUBLING_AHEAD * math.log2(load / common)
                ratio = heaviest / weights.get(tenant_id, 1.0)
                lighter = _STEPS_PER_DOUBLING * math.log2(max(ratio, 1.0))
            tenant.steps = _near(tenant.steps, exact)
            tenant.nice_steps = _near(tenant.nice_steps, exact + min(lighter, _LIGHTER_MAX))

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


def _median_load(loads: Iterable[tuple[float, float]]) -> float:
    """Return the load of those who have the middle of the cores used; `loads`: with their cores.

    >>> _median_load([(0.4, 0.4), (6.4, 0.1), (0.3, 0.3), (0.01, 0.02)]), _median_load([])
    (0.4, 0.0)
    """
    ordered = sorted(loads)
    left = sum(cores for _, cores in ordered) / 2
    for load, cores in ordered:
        left -= cores
        if left <= 0:
            return load
    return 0.0


def _mean_load(loads: Iterable[tuple[float, float]]) -> float:
    """Return the geometric mean of loads, each counted by the cores it takes.

    >>> round(_mean_load([(0.4, 0.4), (0.4, 0.4), (0.2, 0.2)]), 3), _mean_load([])
    (0.348, 1.0)
    """
    total = logs = 0.0
    for load, cores in loads:
        total += cores
        logs += cores * math.log(load)
    return math.exp(logs / total) if total else 1.0


def _near(steps: int, exact: float) -> int:
    """Return the steps that are to be `exact`, unless what they are is near enough.

    >>> _near(4, 4.7), _near(4, 4.8), _near(4, -3.0), _near(0, 0.6), _near(11, 15.0)
    (4, 5, 0, 0, 12)
    """
    return steps if abs(exact - steps) <= _SLACK else min(max(round(exact), 0), STEPS_MAX)
