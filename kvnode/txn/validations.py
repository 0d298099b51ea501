"""All validations of the node: one look at once, and where that is not enough, more in turns.

**Model.** One that takes longer is a task of the fair queue, at its tenant's cost. Whoever began it
is called back in the turn in which it is decided, and then looks once more: that costs nothing, and
its answer counts.

**Invariants.** What a validation still has to look at is kept from garbage collection.

**Concurrency.** Owner: the event loop. Bounded by the outstanding requests of all streams.
"""

from collections.abc import Callable

from admission.queue import Priority
from kvapi.errors import InternalError, WriteConflict
from kvapi.footprint import Footprint
from kvnode.admission.scheduler import Scheduler
from kvnode.admission.task import Task
from kvnode.tenants.tenant import Tenant
from kvnode.txn.timeline import Timeline
from kvnode.txn.validation import (
    UNDECIDED,
    FindConflict,
    Validation,
    Verdict,
    find_conflict,
)
from runtime.clock import CpuClock


class Validations:
    """Makes them, and takes on those that take long."""

    def __init__(
        self,
        timeline: Timeline,
        scheduler: Scheduler,
        *,
        rows_per_look: int,
        cpu: CpuClock,
        find_conflict: FindConflict = find_conflict,
    ) -> None:
        self.timeline = timeline
        self.scheduler = scheduler
        self.cpu = cpu
        self._rows_per_look = rows_per_look
        self._find_conflict = find_conflict
        self._tasks: dict[Validation, _LongValidation] = {}
        self.begun_count = 0

    def __len__(self) -> int:
        return len(self._tasks)

    def make(self, tenant: Tenant, footprint: Footprint, read_ts: int) -> Validation:
        """Return the validation of what was read at `read_ts`."""
        rows = self._rows_per_look
        return Validation(
            tenant.recent, tenant.layers, footprint, read_ts=read_ts, rows_per_look=rows
        )

    def look(self, validation: Validation) -> Verdict:
        """Look for a conflict, or look on. Raises: InternalError if it failed before."""
        if validation.failure is not None:
            raise validation.failure
        timeline = self.timeline
        return self._find_conflict(validation, timeline.snapshot(), durable_ts=timeline.durable_ts)

    def begin(
        self,
        tenant: Tenant,
        validation: Validation,
        decided: Callable[[], None],
        *,
        holds_locks: bool = False,
    ) -> None:
        """Call `decided` when `validation` is; until then it has to be stopped if it is over.

        `holds_locks`: others may wait for the transaction, so it goes before those that hold none.
        """
        self.begun_count += 1
        task = self._tasks[validation] = _LongValidation(self, tenant, validation, decided)
        if holds_locks:
            task.priority = Priority.NORMAL.holding_locks()
        tenant.reads[validation] = validation.read_ts
        self.scheduler.submit(task, priority=task.priority)

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
    """One that takes more than a turn of the loop."""

    wait_kind = "scan"

    def __init__(
        self,
        owner: Validations,
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
        owner, validation = self._owner, self._validation
        began_s = owner.cpu.thread_s()
        try:
            while owner.look(validation) is UNDECIDED:
                if owner.scheduler.now() >= ends_s:
                    self.txn_start = owner.timeline.hlc.newest
                    validation.cpu_s += owner.cpu.thread_s() - began_s
                    return False
        except Exception as error:  # whoever waits for it has to learn that there is no verdict
            validation.failure = InternalError(f"the validation failed: {type(error).__name__}")
            owner.end(validation)
            self._decided()
            raise
        validation.cpu_s += owner.cpu.thread_s() - began_s
        owner.end(validation)
        self._decided()
        return True


def conflict(tenant: Tenant, validation: Validation, changed: bytes) -> WriteConflict:
    """Return the error of a transaction that read `changed`, which was written after its read."""
    message = "could not serialize access due to concurrent update"
    key = tenant.keyspace.strip(changed)
    return WriteConflict(message, key=key, detail=validation.detail)
