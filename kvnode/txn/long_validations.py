"""Validations that take more than one turn of the event loop: they go on when it is their turn.

**Model.** Each is a task of the fair queue, at its tenant's cost. Whoever began one is called back
in the turn in which it is decided, and then looks once more: that costs nothing, and its answer
counts.

**Invariants.** What a validation still has to look at is kept from garbage collection.

**Concurrency.** Owner: the event loop. Bounded by the outstanding requests of all streams.
"""

from collections.abc import Callable

from kvnode.admission.scheduler import Scheduler
from kvnode.admission.task import Task
from kvnode.tenants.tenant import Tenant
from kvnode.txn.timeline import Timeline
from kvnode.txn.validation import UNDECIDED, Validation


class LongValidations:
    """Those under way."""

    def __init__(self, timeline: Timeline, scheduler: Scheduler) -> None:
        self.timeline = timeline
        self.scheduler = scheduler
        self._tasks: dict[Validation, _LongValidation] = {}
        self.begun_count = 0

    def __len__(self) -> int:
        return len(self._tasks)

    def begin(self, tenant: Tenant, validation: Validation, decided: Callable[[], None]) -> None:
        """Call `decided` when `validation` is; until then it has to be stopped if it is over."""
        self.begun_count += 1
        task = self._tasks[validation] = _LongValidation(self, tenant, validation, decided)
        tenant.reads[validation] = validation.read_ts
        self.scheduler.submit(task)

    def stop(self, validation: Validation | None) -> bool:
        """Give one up; tell whether it was on its way."""
        if validation is None or validation not in self._tasks:
            return False
        self.scheduler.withdraw(self.end(validation))
        return True

    def end(self, validation: Validation) -> Task:
        """Let go of one."""
        task = self._tasks.pop(validation)
        del task.tenant.reads[validation]
        return task


class _LongValidation(Task):
    """One of them."""

    wait_kind = "scan"

    def __init__(
        self,
        owner: LongValidations,
        tenant: Tenant,
        validation: Validation,
        decided: Callable[[], None],
    ) -> None:
        self.tenant = tenant
        self.tenant_id = tenant.id
        self.txn_start = validation.read_ts
        self._owner = owner
        self._validation = validation
        self._decided = decided

    def run(self, ends_s: float) -> bool:
        """Look until `ends_s`; after that it counts as young: others come first."""
        timeline, scheduler = self._owner.timeline, self._owner.scheduler
        validation = self._validation
        while validation.look(timeline.snapshot(), durable_ts=timeline.durable_ts) is UNDECIDED:
            if scheduler.now() >= ends_s:
                self.txn_start = timeline.hlc.newest
                return False
        self._owner.end(validation)
        self._decided()
        return True
