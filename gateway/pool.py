"""The pool: which SQL process serves which session, and how many stand ready. Pure decisions.

**Model.** Processes are made ahead of demand and wait *warm*, bound to no tenant. A session of a
tenant that has a process with room goes there; otherwise it takes a warm process, which from then
on is that tenant's until it ends. A tenant's process without sessions for `idle_s` is retired: the
tenant is back at zero.

```
fork ──► warm ──(first session of a tenant)──► assigned
                                                    │ idle_s without a session, or drain
                                  gone ◄── draining ◄┘
```

Every method takes the time and returns the actions that follow; `pool_manager` carries them out.

**Invariants.** A process that was assigned never becomes warm again. A session is handed over,
refused, or waiting, and it waits at most `wait_s_max`. Processes and forks under way never exceed
`process_count_max`.
"""

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from gateway.config import PoolConfig


@dataclass(frozen=True, slots=True)
class Fork:
    """Ask the zygote for processes."""

    count: int


@dataclass(frozen=True, slots=True)
class Assign:
    """Bind a warm process to a tenant."""

    pid: int
    tenant_id: int


@dataclass(frozen=True, slots=True)
class HandOver:
    """Pass a session to a process."""

    ticket: int
    pid: int


@dataclass(frozen=True, slots=True)
class Refuse:
    """Tell a session that it cannot be served."""

    ticket: int
    reason: str


@dataclass(frozen=True, slots=True)
class Retire:
    """End a process that has no sessions."""

    pid: int


Action = Fork | Assign | HandOver | Refuse | Retire

REASON_STOPPING: Final = "stopping"
REASON_TENANT_FULL: Final = "tenant_full"
REASON_NO_PROCESS: Final = "no_process"
_FORK_S_MAX: Final = 10.0
_PAUSE_FIRST_S: Final = 0.01
_PAUSE_S_MAX: Final = 2.0


@dataclass(slots=True)
class SqlProcess:
    """What the pool knows of one process."""

    pid: int
    tenant_id: int | None
    session_count: int = 0
    idle_since_s: float = 0.0
    is_draining: bool = False

    @property
    def state(self) -> str:
        """One of warm, assigned, draining."""
        if self.is_draining:
            return "draining"
        return "warm" if self.tenant_id is None else "assigned"


@dataclass(frozen=True, slots=True)
class _Waiting:
    tenant_id: int
    deadline_s: float


@dataclass(slots=True)
class _Rate:
    """How often a warm process is taken, with a memory of `memory_s`."""

    memory_s: float
    weight: float = 0.0
    at_s: float = field(default=0.0)

    def add(self, now_s: float) -> None:
        self.weight = self.per_s(now_s) * self.memory_s + 1.0
        self.at_s = now_s

    def per_s(self, now_s: float) -> float:
        return self.weight * math.exp(-(now_s - self.at_s) / self.memory_s) / self.memory_s


class Pool:
    """All SQL processes and all sessions that wait for one."""

    def __init__(self, config: PoolConfig) -> None:
        self._config = config
        self.processes: dict[int, SqlProcess] = {}
        self._warm: deque[int] = deque()
        self._of_tenant: dict[int, list[SqlProcess]] = {}
        self._waiting: dict[int, _Waiting] = {}
        self._takes = _Rate(config.rate_memory_s)
        self._has_zygote = False
        self._forking = 0
        self._forked_s = 0.0
        self._unreaped: set[int] = set()  # said hello; the zygote has not reported their end
        self._stillborn = 0  # children in a row that ended without a hello
        self._paused_until_s = 0.0
        self._is_stopping = False

    @property
    def warm_count(self) -> int:
        """Processes ready to be assigned."""
        return len(self._warm)

    @property
    def waiting_count(self) -> int:
        """Sessions waiting for a process."""
        return len(self._waiting)

    @property
    def forking_count(self) -> int:
        """Processes asked for that have not said hello."""
        return self._forking

    def session_count(self, tenant_id: int) -> int:
        """Sessions of a tenant, over all its processes."""
        return sum(p.session_count for p in self._of_tenant.get(tenant_id, ()))

    def target(self, now_s: float) -> int:
        """Return how many warm processes should stand ready: `warm_horizon_s` of arrivals."""
        wanted = math.ceil(self._takes.per_s(now_s) * self._config.warm_horizon_s)
        return max(self._config.warm_min, min(wanted, self._config.warm_max))

    # -- sessions

    def request(self, ticket: int, tenant_id: int, now_s: float) -> list[Action]:
        """Find a process for a new session of a tenant."""
        if self._is_stopping:
            return [Refuse(ticket, REASON_STOPPING)]
        waiting = sum(1 for w in self._waiting.values() if w.tenant_id == tenant_id)
        if self.session_count(tenant_id) + waiting >= self._config.sessions_per_tenant_max:
            return [Refuse(ticket, REASON_TENANT_FULL)]
        own = self._of_tenant.get(tenant_id, [])
        best = min(own, key=lambda p: p.session_count, default=None)
        if best is not None and (
            best.session_count < self._config.sessions_per_process
            or len(own) >= self._config.processes_per_tenant_max
            or not self._warm
        ):
            return [self._hand_over(ticket, best)]
        if self._warm:
            return self._take_warm(ticket, tenant_id, now_s)
        self._waiting[ticket] = _Waiting(tenant_id, now_s + self._config.wait_s_max)
        return self.refill(now_s)

    def give_up(self, ticket: int) -> None:
        """Forget a waiting session whose client has gone."""
        self._waiting.pop(ticket, None)

    def session_closed(self, pid: int, now_s: float) -> None:
        """Note that a process has one session fewer."""
        process = self.processes.get(pid)
        if process is None:
            return
        process.session_count = max(process.session_count - 1, 0)
        if process.session_count == 0:
            process.idle_since_s = now_s

    # -- processes

    def zygote_connected(self, now_s: float) -> list[Action]:
        """Note that a zygote is ready to fork."""
        self._has_zygote = True
        return self.refill(now_s)

    def zygote_lost(self) -> None:
        """Note that the zygote is gone; what it was forking may or may not appear."""
        self._has_zygote = False
        self._forking = 0
        self._unreaped.clear()

    def fork_refused(self, count: int) -> None:
        """Note that the zygote did not make `count` processes."""
        self._forking = max(self._forking - count, 0)

    def process_reaped(self, pid: int, now_s: float) -> None:
        """Note a child's end; one that never said hello is no longer on its way.

        Where processes cannot even start, forking pauses longer and longer.
        """
        if pid in self._unreaped:
            self._unreaped.discard(pid)
            return
        self._forking = max(self._forking - 1, 0)
        self._stillborn += 1
        wait_s = min(_PAUSE_FIRST_S * 2.0 ** min(self._stillborn, 16), _PAUSE_S_MAX)
        self._paused_until_s = now_s + wait_s

    def process_warm(self, pid: int, now_s: float) -> list[Action]:
        """Give a process that became ready to who waits longest, or keep it."""
        self._forking = max(self._forking - 1, 0)
        self._stillborn = 0
        self._unreaped.add(pid)
        self.processes[pid] = SqlProcess(pid, None)
        self._warm.append(pid)
        if not self._waiting:
            return []
        ticket, first = next(iter(self._waiting.items()))
        del self._waiting[ticket]
        actions = self._take_warm(ticket, first.tenant_id, now_s)
        same = [t for t, w in self._waiting.items() if w.tenant_id == first.tenant_id]
        for other in same[: self._config.sessions_per_process - 1]:
            del self._waiting[other]
            actions.append(self._hand_over(other, self.processes[pid]))
        return actions + self.refill(now_s)

    def process_adopted(self, pid: int, tenant_id: int, session_count: int, now_s: float) -> None:
        """Take back a process from before the gateway's restart, with its tenant and sessions."""
        self._unreaped.add(pid)
        process = SqlProcess(pid, tenant_id, session_count, idle_since_s=now_s)
        self.processes[pid] = process
        self._of_tenant.setdefault(tenant_id, []).append(process)

    def process_gone(self, pid: int) -> SqlProcess | None:
        """Forget a process whose connection ended; return what was known of it."""
        process = self.processes.pop(pid, None)
        if process is None:
            return None
        self._detach(process)
        return process

    def retire_tenant(self, tenant_id: int) -> list[int]:
        """Take all processes of a tenant out of service; return their pids, to be drained."""
        processes = list(self._of_tenant.get(tenant_id, ()))
        for process in processes:
            process.is_draining = True
            self._detach(process)
        return [process.pid for process in processes]

    # -- time

    def refill(self, now_s: float) -> list[Action]:
        """Ask for as many processes as are missing."""
        if not self._has_zygote or self._is_stopping or now_s < self._paused_until_s:
            return []
        tenants_waiting = len({w.tenant_id for w in self._waiting.values()})
        missing = self.target(now_s) + tenants_waiting - len(self._warm) - self._forking
        room = self._config.process_count_max - len(self.processes) - self._forking
        actions: list[Action] = []
        if room < tenants_waiting:
            actions += self._retire_longest_idle(tenants_waiting - max(room, 0))
        count = min(missing, room, self._config.fork_batch_max)
        if count > 0:
            self._forking += count
            self._forked_s = now_s
            actions.append(Fork(count))
        return actions

    def tick(self, now_s: float) -> list[Action]:
        """Let waits end, retire what is idle, and refill."""
        if now_s - self._forked_s > _FORK_S_MAX:
            self._forking = 0  # they would have said hello: never let a lost fork starve the pool
        actions: list[Action] = []
        late = [t for t, w in self._waiting.items() if w.deadline_s <= now_s]
        for ticket in late:
            del self._waiting[ticket]
            actions.append(Refuse(ticket, REASON_NO_PROCESS))
        for process in list(self.processes.values()):
            is_idle = process.state == "assigned" and process.session_count == 0
            if is_idle and now_s - process.idle_since_s >= self._config.idle_s:
                actions.append(self._retire(process))
        if len(self._warm) > self.target(now_s) and not self._waiting:
            actions.append(self._retire(self.processes[self._warm[-1]]))
        return actions + self.refill(now_s)

    def stop(self) -> list[Action]:
        """Serve nobody any more: refuse who waits, retire what is warm."""
        self._is_stopping = True
        actions: list[Action] = [Refuse(ticket, REASON_STOPPING) for ticket in self._waiting]
        self._waiting.clear()
        actions += [self._retire(self.processes[pid]) for pid in list(self._warm)]
        return actions

    # -- within

    def _take_warm(self, ticket: int, tenant_id: int, now_s: float) -> list[Action]:
        process = self.processes[self._warm.popleft()]
        process.tenant_id = tenant_id
        self._of_tenant.setdefault(tenant_id, []).append(process)
        self._takes.add(now_s)
        return [Assign(process.pid, tenant_id), self._hand_over(ticket, process)]

    def _hand_over(self, ticket: int, process: SqlProcess) -> HandOver:
        process.session_count += 1
        return HandOver(ticket, process.pid)

    def _retire(self, process: SqlProcess) -> Retire:
        process.is_draining = True
        self._detach(process)
        return Retire(process.pid)

    def _retire_longest_idle(self, count: int) -> list[Action]:
        idle = [p for p in self.processes.values() if p.state == "assigned" and not p.session_count]
        idle.sort(key=lambda p: p.idle_since_s)
        return [self._retire(process) for process in idle[:count]]

    def _detach(self, process: SqlProcess) -> None:
        if process.tenant_id is None:
            if process.pid in self._warm:
                self._warm.remove(process.pid)
            return
        own = self._of_tenant.get(process.tenant_id, [])
        if process in own:
            own.remove(process)
        if not own:
            self._of_tenant.pop(process.tenant_id, None)
