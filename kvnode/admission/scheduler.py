"""Whose turn it is on the event loop: at once when nothing waits, else by the fair queue.

**Model.** A *turn* of the loop has a slice of time, about a millisecond, and less when several
tenants are active. Requests run where they arrive as long as nothing waits, there are CPU tokens,
and the turn's slice is not used up. What does not pass becomes a `Task` in the fair queue: the
waiting requests of a stream (`lane.py`), or a long read between two quanta. The next turn of the
loop first reads the sockets, then drains the queue for one slice: the tenant with the least recent
use for its weight is first, whoever came first.

    frame → nothing waits, tokens, slice not used up? ── yes → run, charge the tenant
                 │ no
                 ▼
            fair queue ──► _turn: take, run until the slice ends, charge, put back ──► next turn

CPU is charged as measured: for what runs from the queue, thread time of each task; for what runs
at once, wall time of each chunk of frames, corrected once a slice by the thread time that passed
(asking for that after every request would cost half a microsecond).

Elastic tasks have a queue of their own (`elastic_queue.py`): they take what regular ones leave, and
a small part beside those, so that they never starve.

A task that has its turn and lacks something else is set aside, and not looked at before who hands
that out wakes it (`read_gate.py`).

**Invariants.** While a regular task waits, nothing regular runs past it. A task is in one queue, or
set aside, or running. What waits is bounded: two lanes of each stream, whose bounds are theirs;
long reads, which `start` refuses where too many of their tenant wait or are set aside; validations,
each of them an outstanding request; one task of each tenant for the node's own work. There are no
deadlines here: when a statement's time is up, its SQL process cancels the request, and that takes
its task out.

Switched off (`[kvnode] admission = false`), requests always run at once and long reads take turns,
first come, first served.

**Concurrency.** Owner: the event loop.
"""

import asyncio
import math
from collections import defaultdict
from collections.abc import Callable
from typing import Final

from admission.cpu_tokens import CpuConfig, CpuTier, CpuTokens
from admission.queue import FairQueue, Priority, QueueConfig, Work
from kvnode.admission.elastic_queue import ElasticQueue
from kvnode.admission.task import Task
from kvnode.admission.tenant_loads import TenantLoads
from kvnode.admission.waits import WaitHistogram
from runtime.clock import Clock, CpuClock

_ESTIMATE_S: Final = 0.0002  # of a turn, until it is known
_SHARED_S: Final = 10.0  # two tenants active within so long share the node
_SHARED_PART: Final = 0.25  # of a slice, then
_ALONE_SLICES: Final = 4  # for what arrives in one turn, while one tenant has the node
_WORTHWHILE_S: Final = 0.0001  # of a slice that is left
_HELD_S: Final = 0.005  # longer than this nothing should hold the loop


class Scheduler:
    """Runs tasks in turns. `is_open`: what arrives may run at once, until `ends_s`."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        cpu: CpuClock,
        *,
        cores: float,
        quantum_s: float,
        is_enabled: bool,
        queue: QueueConfig | None = None,
    ) -> None:
        self._loop = loop
        self.now = clock.monotonic_s
        self._cpu = cpu
        self._quantum_s = self._slice_s = quantum_s
        self.is_enabled = is_enabled
        self.is_open = True
        self.is_shared = False  # several tenants were active lately
        self.ends_s = 0.0
        self.cores = cores
        self.waits = WaitHistogram()
        self.loads = TenantLoads()
        self.turn_count = 0
        self.on_held: Callable[[str, int, float], None] = _ignore  # what, whose, CPU seconds
        now_s = self.now()
        self.queue = FairQueue(queue)
        self.elastic = ElasticQueue(queue, now_s=now_s)
        self.tokens = CpuTokens(CpuConfig(cores=cores))
        self._uses: defaultdict[int, float] = defaultdict(float)  # tenant → s at once, not charged
        self._elsewhere: dict[int, float] = {}  # tenant → CPU of other threads, not charged yet
        self._began_s = self._settled_s = now_s
        self._cpu_s = 0.0  # thread time when last looked at
        self._is_scheduled = False
        self._is_running = False  # a turn
        self._at_once_s = _ALONE_SLICES * quantum_s  # for chunks, of each turn
        self._at_once_ends_s = self._renew_s = 0.0
        self._has_turned = True  # the loop has been round since those were set
        self._timer: asyncio.TimerHandle | None = None
        self._last_tenant = 0
        self._last_seen_s = self._shared_until_s = -1e9
        self.activity_count = self._turn_saw = 0  # chunks and tasks
        self._was_idle = True  # between the last two turns

    def __len__(self) -> int:
        return len(self.queue) + len(self.elastic) + self.aside_count

    @property
    def aside_count(self) -> int:
        """How many tasks wait for something else than their turn."""
        return self.queue.aside_count + self.elastic.queue.aside_count

    # --- what runs where it arrives -----------------------------------------------------------

    def begin(self) -> None:
        """Start the account of a chunk of frames; decide whether it may run at once."""
        self._began_s = now_s = self.now()
        if now_s >= self._renew_s and self.is_enabled:
            if self._has_turned:
                self._renew_s = now_s + self._at_once_s / 2
                self._at_once_ends_s = now_s + self._at_once_s
                self._has_turned = False
                self._loop.call_soon(self._turned)
            elif now_s >= self._at_once_ends_s:
                self.is_open = False  # this turn's time is used up, by others
        ends_s = now_s + self._slice_s
        self.ends_s = min(ends_s, self._at_once_ends_s) if self.is_enabled else ends_s

    def end(self, tenant_id: int) -> None:
        """End the account: `tenant_id` used what has passed since `begin`."""
        if not self.is_enabled:
            return
        now_s = self.now()
        self.activity_count += 1
        self._uses[tenant_id] += now_s - self._began_s
        if now_s - self._settled_s >= self._quantum_s:
            if now_s - self._began_s > _HELD_S:
                used_s = min(now_s - self._began_s, self._cpu.thread_s() - self._cpu_s)
                self.on_held("chunk", tenant_id, used_s)
            self._settle(now_s)

    def used(self, tenant_id: int, wall_s: float) -> None:
        """Note what the loop did for a tenant outside of chunks and tasks; charged in time."""
        if self.is_enabled:
            self._uses[tenant_id] += wall_s

    def used_elsewhere(self, tenant_id: int, cpu_s: float, *, is_elastic: bool) -> None:
        """Note CPU time that another thread took for a tenant; charged in time."""
        if is_elastic:
            self.elastic.queue.charge(tenant_id, cpu_s, now_s=self.now())
        elif self.is_enabled:
            self._elsewhere[tenant_id] = self._elsewhere.get(tenant_id, 0.0) + cpu_s

    def is_over(self) -> bool:
        """Tell whether what runs should give way: not if it was only kept from the CPU."""
        now_s = self.now()
        if now_s < self.ends_s:
            return False
        if self.is_shared or self._is_running:
            return True
        # The account was settled up to a slice before this chunk began.
        left_s = 2 * self._slice_s - (self._cpu.thread_s() - self._cpu_s)
        self.ends_s = now_s + max(left_s, 0.0)
        return left_s < _WORTHWHILE_S

    # --- what waits ---------------------------------------------------------------------------

    def start(self, task: Task) -> None:
        """Run a task's first quantum at once if that is allowed, the rest in turns.

        Raises: Throttled, with a wait, if too many tasks of its tenant wait already.
        """
        is_now = (self.is_open or self._is_running) and not task.is_blocked()
        if not is_now or task.is_elastic or self.is_over():
            if self.is_enabled:
                self._queue_for(task).check_room(task.tenant_id, now_s=self.now())
            self.submit(task)
        elif not task.run(self.ends_s):
            self.submit(task)

    def submit(self, task: Task, *, txn_start: int = 0, priority: int = Priority.NORMAL) -> None:
        """Queue a task, of which there are no more than its kind allows."""
        now_s = self.now()
        task.since_s = now_s
        if not self.is_enabled:
            task.work = Work(tenant_id=0, txn_start=0, payload=task)
        else:
            task.work = Work(
                tenant_id=task.tenant_id,
                txn_start=txn_start or task.txn_start,
                priority=priority,
                estimate=_ESTIMATE_S,
                payload=task,
            )
        task.queue = self._queue_for(task)
        if task.queue is self.queue:
            self.is_open = not self.is_enabled
        task.queue.put_back(task.work, now_s=now_s)
        self._schedule()

    def withdraw(self, task: Task) -> None:
        """Take a task out of where it waits; one that runs finds out by itself."""
        task.take_back()
        if task.work is not None and task.queue is not None:
            task.queue.cancel(task.work)
            task.work = None

    def raise_priority(self, task: Task, priority: int) -> None:
        """Let a queued task pass others of its tenant; one that is elastic no more moves over."""
        if task.work is None or task.queue is None or not self.is_enabled:
            return
        if task.queue is self._queue_for(task):
            task.queue.raise_priority(task.work, priority)
        else:
            self.withdraw(task)
            self.submit(task, priority=priority)

    def wake(self, task: Task) -> None:
        """Queue a task that was set aside: what it waited for is there."""
        task.take_back()
        self.submit(task)

    def set_weight(self, tenant_id: int, weight: float) -> None:
        """Give a tenant its share, from now on."""
        self.queue.set_weight(tenant_id, weight)
        self.elastic.queue.set_weight(tenant_id, weight)

    def _queue_for(self, task: Task) -> FairQueue:
        return self.elastic.queue if task.is_elastic and self.is_enabled else self.queue

    # --- turns ----------------------------------------------------------------------------------

    def _schedule(self) -> None:
        if not self._is_scheduled and not self._is_running:
            self._is_scheduled = True
            self._loop.call_soon(self._look)

    def _look(self) -> None:
        """Let the sockets be read between a chunk and the turn that it leads to."""
        self._loop.call_soon(self._turn)

    def _turned(self) -> None:
        self._has_turned = True
        if not self._is_scheduled:
            self._reopen()

    def _reopen(self) -> None:
        self.is_open = not self.is_enabled or not (len(self.queue) or self._is_short())

    def _turn(self) -> None:
        """Drain the queues for one slice."""
        self._is_scheduled = False
        self._is_running = True
        self.turn_count += 1
        now_s = self.now()
        self._settle(now_s)
        self.ends_s = now_s + self._slice_s
        self._was_idle = self._turn_saw == self.activity_count
        self._turn_saw = self.activity_count
        wait_s: float | None = 0.0
        try:
            while now_s < self.ends_s:
                taken = self._take(now_s)
                if not isinstance(taken, Work):
                    wait_s = taken
                    break
                self._run(taken, now_s)
                now_s = self.now()
        finally:
            self._is_running = False
            self._again(wait_s)

    def _again(self, wait_s: float | None) -> None:
        """Come back after `wait_s`; None: when something is submitted."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if wait_s is not None and (len(self.queue) or len(self.elastic)):
            if wait_s <= 0:
                self._is_scheduled = True
                self._loop.call_soon(self._turn)  # the sockets are read before
            else:
                self._timer = self._loop.call_later(wait_s, self._schedule)
        self._reopen()

    def _take(self, now_s: float) -> Work | float | None:
        """Return the next work, or how long to wait for tokens, or None: nothing waits."""
        tenant_id, elastic_s = self.queue.next_tenant(), math.inf
        if len(self.elastic):
            taken = self._take_elastic(now_s, is_beside=tenant_id is not None)
            if isinstance(taken, Work):
                return taken
            elastic_s = taken
        if tenant_id is None:
            return elastic_s if len(self.elastic) else None
        if self.is_shared:
            tier = CpuTier.BURST if self.queue.is_within_share(tenant_id) else CpuTier.REGULAR
            if self.tokens.wait_s(tier):
                return min(max(self.tokens.wait_s(tier), self._quantum_s), elastic_s)
        if self.is_enabled:
            self.tokens.take(_ESTIMATE_S)
        work = self.queue.take(now_s=now_s)
        assert work is not None, "somebody is next"
        return work

    def _take_elastic(self, now_s: float, *, is_beside: bool) -> Work | float:
        is_idle = self._was_idle or not self.is_shared
        return self.elastic.take(now_s=now_s, is_beside=is_beside, is_idle=is_idle)

    def _run(self, work: Work, now_s: float) -> None:
        task = work.payload
        assert isinstance(task, Task), "only tasks are queued"
        task.work, is_elastic = None, task.queue is self.elastic.queue
        is_over = True
        try:
            is_over = self._go_on(task, now_s)
        finally:
            before_s, self._cpu_s = self._cpu_s, self._cpu.thread_s()
            cost_s = self._cpu_s - before_s
            self._charge(work, cost_s, self.now(), is_elastic=is_elastic)
            if cost_s > _HELD_S:
                self.on_held(type(task).__name__, task.tenant_id, cost_s)
            if not is_over:
                self.submit(task, priority=task.priority)

    def _go_on(self, task: Task, now_s: float) -> bool:
        """Run a task, or set it aside; tell whether it is not to be queued again."""
        if task.is_blocked():
            task.set_aside()
            return True
        if task.wait_kind:
            self.waits.observe(task.wait_kind, now_s - task.since_s)
            self.loads.waited(task.tenant_id, now_s - task.since_s)
        self._seen(task.tenant_id, now_s)
        return task.run(self.ends_s)

    def _charge(self, work: Work, cost_s: float, now_s: float, *, is_elastic: bool) -> None:
        if not self.is_enabled:
            return
        if is_elastic:
            self.elastic.settle(work, cost_s, now_s=now_s)
            self.tokens.take(cost_s)
        else:
            self.activity_count += 1
            self.queue.settle(work, cost_s, now_s=now_s)
            self.tokens.take(cost_s - _ESTIMATE_S)

    def _settle(self, now_s: float) -> None:
        """Charge what ran at once; refill the tokens."""
        before_s, self._cpu_s = self._cpu_s, self._cpu.thread_s()
        self._settled_s = now_s
        if self._uses:
            uses, self._uses = self._uses, defaultdict(float)
            wall_s = sum(uses.values())
            part = min(1.0, (self._cpu_s - before_s) / wall_s) if wall_s > 0 else 0.0
            for tenant_id, used_s in uses.items():
                self.queue.charge(tenant_id, used_s * part, now_s=now_s)
                self._seen(tenant_id, now_s)
            self.tokens.take(wall_s * part)
        if self._elsewhere:
            elsewhere, self._elsewhere = self._elsewhere, {}
            for tenant_id, cpu_s in elsewhere.items():
                self.queue.charge(tenant_id, cpu_s, now_s=now_s)
            self.tokens.take(sum(elsewhere.values()))
        due = self.tokens.is_refit_due(now_s)
        self.tokens.tick(
            now_s=now_s,
            waiting=len(self.queue),
            process_cpu_s=self._cpu.process_s() if due else None,
        )
        self.is_shared = self.is_enabled and self._shared_until_s > now_s
        self._slice_s = self._quantum_s * (_SHARED_PART if self.is_shared else 1.0)
        self._at_once_s = self._slice_s if self.is_shared else _ALONE_SLICES * self._quantum_s
        if self.is_open and self._is_short():
            self.is_open = not self.is_enabled

    def _is_short(self) -> bool:
        """Tell whether CPU is kept for tenants within their share."""
        return self.is_shared and self.tokens.wait_s(CpuTier.REGULAR) > 0

    def _seen(self, tenant_id: int, now_s: float) -> None:
        """Notice who is active: several tenants within a second get shorter slices."""
        if not tenant_id:
            return  # the node's own work
        if tenant_id != self._last_tenant:
            if self._last_tenant and now_s - self._last_seen_s < _SHARED_S:
                self._shared_until_s = now_s + _SHARED_S
            self._last_tenant = tenant_id
        self._last_seen_s = now_s


def _ignore(_: str, __: int, ___: float) -> None:
    return None
