"""One writer, many commits: everything that waits when a sync returns goes into the next one.

**Model.** A sync costs the same for one commit and for a thousand. So writes queue here while the
writer is busy; when it reports back, the whole queue becomes its next atomic write.

    submit, submit → queue ─┐ (writer idle?) → batch → one engine.write() → durable → answers
                            └── waits while a batch is under way ◄──────────┘

Bulk operations (`is_bulk`) have a queue of their own (`kvnode.admission.bulk_queue`), fair between
tenants, and batches of their own, small ones: a batch of ordinary operations and one of bulk take
turns. So a commit waits for one bulk batch at most, and the bulk goes on however many commits there
are; the writer is told to hurry with a batch of bulk that one waits for. One before whose sync a
commit comes gives way (`GaveWay`): nothing of it is written, and it has the next turn of bulk, to
the end this time. While there are commits, a bulk batch is a single operation, whose write takes
about twice as long as that of a small commit. Where the disk is slow, bulk waits for its tokens
(`io_gate`), and ordinary batches follow one another.

Bulk need not be on the disk to be answered for (`needs_sync`): it is with the next ordinary batch.

**Invariants.** Ordinary operations become durable in the order of submission, bulk ones of a tenant
as well; between those there is no order. `take_snapshot` runs before each write, so that what the
loop reads meanwhile is never ahead of what it was told. `on_durable` runs before any callback of
the batch, and only after the sync; `on_answered` after all of them. If a write fails for want of
room, it fails, and so does everything queued behind it, because that was checked against what now
never happened; only upkeep, which depends on no commit and may make room, is tried once more by
itself. Where bulk fails so, other bulk fails with it, but no ordinary operation, for none depends
on it. If one operation is itself at fault, it and what follows it *of the same tenant* fail. What
the gate makes of a batch changes none of that, not even if it raises.

**Concurrency.** Owner: the event loop. Only `Writer.run` leaves it, to the writer thread.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from kvapi.errors import DiskFull, InternalError, KvError, Throttled
from kvnode.admission.bulk_queue import BulkQueue, is_bulk, is_regular, is_upkeep
from kvnode.storage.engine import Engine, StoreNeedsGrowth, WriteTxn
from kvnode.txn.markers import BulkMarker, Marker
from runtime.thread_use import ThreadUse

_log = logging.getLogger(__name__)
_BATCH_OPERATIONS_MAX: Final = 10_000
_BATCH_BYTES_MAX: Final = 64 << 20
_BULK_BYTES_MAX: Final = 256 << 10  # with its sync a millisecond or two; one operation at least
_CALM_BATCHES: Final = 64  # of bulk, without anybody's commit between: some 100 ms


class Operation(Protocol):
    """Something to write. `apply` runs in the writer thread, the rest on the loop.

    `cpu_s` is set before `finish`: its part of what the writer's batch took.
    """

    cpu_s: float

    @property
    def tenant_id(self) -> int:
        """Whose it is; 0 for the system."""
        ...

    @property
    def size_bytes(self) -> int:
        """Roughly what it writes."""
        ...

    def apply(self, txn: WriteTxn) -> None:
        """Write. Must not change state that the loop reads before it is durable."""
        ...

    def finish(self, error: KvError | None) -> None:
        """Take the outcome: durable, or the reason why not."""
        ...


class GaveWay(Exception):
    """A batch of bulk was given up for a commit; nothing of it was written."""


BatchOutcome = Sequence[Exception | None] | Exception


class Report(Protocol):
    """Takes the outcome of a batch, and what it took of the writer where that is known."""

    def __call__(self, outcome: BatchOutcome, used: ThreadUse | None = None) -> None: ...


class Writer(Protocol):
    """Runs one batch at a time and reports on the loop."""

    def run(self, operations: Sequence[Operation], report: Report) -> None:
        """Write `operations` atomically; `report` gets one outcome each, or one for all."""
        ...

    def hurry(self, *, may_give_up: bool) -> None:
        """Learn that an ordinary operation waits for the batch under way, which is one of bulk.

        With `may_give_up` its outcome may be `GaveWay`.
        """
        ...


class Gate(Protocol):
    """Learns of all batches, and holds those of bulk back where the disk is slow."""

    def try_bulk(self, again: Callable[[], None]) -> bool:
        """Tell whether a batch of bulk may begin; if not, `again` is called in time, once."""
        ...

    def began(self, *, is_bulk: bool) -> None:
        """Take note that a batch is on its way."""
        ...

    def ended(self, batch: Sequence[Operation], used: ThreadUse | None) -> None:
        """Take note that it is durable, and what it took; gives each operation its `cpu_s`."""
        ...

    def failed(self, operations: Sequence[Operation]) -> None:
        """Take note that nothing of these was written; their outcome follows."""
        ...

    def answered(self) -> None:
        """Take note that all have their outcome, in the turn of `ended`."""
        ...


class GroupCommit:
    """The queue in front of the writer."""

    def __init__(  # noqa: PLR0913  all that it stands between
        self,
        engine: Engine,
        writer: Writer,
        *,
        on_durable: Callable[[Sequence[Operation]], None],
        on_answered: Callable[[], None],
        release_snapshots: Callable[[], None],
        take_snapshot: Callable[[], object],
        queue_operations_max: int = 100_000,
        gate: Gate | None = None,
        bulk: "BulkQueue[Operation] | None" = None,
    ) -> None:
        self._engine = engine
        self._writer = writer
        self._on_durable = on_durable
        self._on_answered = on_answered
        self._release_snapshots = release_snapshots
        self._take_snapshot = take_snapshot
        self._queue: list[Operation] = []
        self._bulk = bulk if bulk is not None else BulkQueue[Operation]()
        self._was_bulk = False  # the last batch
        self._given_up: list[Operation] = []  # a batch of bulk, to be the next
        self._may_give_up = False  # the batch under way
        self._bulk_run = _CALM_BATCHES  # bulk batches since the last that had a commit
        self._batch: list[Operation] = []
        self._gate = gate
        self._is_refusing = False
        self._has_miscounted = False
        self.queue_operations_max = queue_operations_max
        self.batch_count = 0
        self.operation_count = 0

    @property
    def is_idle(self) -> bool:
        """Nothing queued and nothing under way."""
        return not self._batch and not self._queue and not self._bulk_count

    @property
    def is_full(self) -> bool:
        """No room for more until the writer has caught up."""
        return len(self._queue) + self._bulk_count >= self.queue_operations_max

    @property
    def is_calm(self) -> bool:
        """Whether bulk has been alone here for a while, so that it need not make itself small."""
        return self._bulk_run >= _CALM_BATCHES and not self._queue

    @property
    def queued_count(self) -> int:
        """Operations that are not durable yet."""
        return len(self._queue) + self._bulk_count + len(self._batch)

    @property
    def _bulk_count(self) -> int:
        return len(self._bulk) + len(self._given_up)

    def submit(self, operation: Operation) -> None:
        """Queue one operation."""
        if is_bulk(operation):
            self._bulk.add(operation)
        else:
            self._queue.append(operation)
            if self._was_bulk and self._batch and not is_upkeep(operation):
                self._writer.hurry(may_give_up=self._may_give_up and is_regular(operation))
        if not self._batch:
            self._start()

    def after_queued(self, callback: Callable[[], None]) -> None:
        """Run `callback` when all ordinary operations queued now have their outcome."""
        if not self._batch and not self._queue:
            callback()
        else:
            self._queue.append(Marker(callback))

    def after_bulk(self, tenant_id: int, callback: Callable[[], None]) -> None:
        """Run `callback` when all bulk operations of a tenant queued now have their outcome."""
        self.submit(BulkMarker(tenant_id, callback))

    def check_bulk_room(self, tenant_id: int) -> None:
        """Raise Throttled, with a wait in milliseconds, if no more bulk of a tenant may wait."""
        if self.is_full:
            raise Throttled("too many writes wait", number=10)
        self._bulk.check_room(tenant_id)

    def withdraw(self, operations: Sequence[Operation], error: KvError) -> None:
        """End bulk operations that all wait with `error`; else nothing happens."""
        if self._bulk.withdraw(operations):
            self._fail(operations, error)

    def _start(self) -> None:
        wants_bulk = not self._queue or (self._bulk_count > 0 and not self._was_bulk)
        self._was_bulk = wants_bulk and self._may_begin_bulk()
        if not (self._was_bulk or self._queue):
            return
        if self._was_bulk:
            self._may_give_up = not self._given_up
            self._batch, self._given_up = self._given_up or self._take_bulk(), []
            self._bulk_run += 1
        else:
            self._batch = self._take_ordinary()
            if any(map(is_regular, self._batch)):
                self._bulk_run = 0
        if self._gate is not None:
            self._gate.began(is_bulk=self._was_bulk)
        if self._engine.needs_growth():
            self._grow_and_run()
        else:
            self._run()

    def _run(self) -> None:
        self._take_snapshot()
        self._writer.run(self._batch, self._report)
        if self._was_bulk and any(map(is_regular, self._queue)):
            self._may_give_up = False  # they waited before it began: it is its turn
            self._writer.hurry(may_give_up=False)

    def _restart(self) -> None:
        self._expire()
        if not self._batch and (self._queue or self._bulk_count):
            self._start()

    def _may_begin_bulk(self) -> bool:
        if self._gate is None or self._given_up:
            return True  # what gave way was let in before, and wrote nothing
        return self._gate.try_bulk(self._restart)

    def _take_bulk(self) -> list[Operation]:
        return self._bulk.take(_BULK_BYTES_MAX if self.is_calm else 0)

    def _take_ordinary(self) -> list[Operation]:
        size = count = 0
        for operation in self._queue[:_BATCH_OPERATIONS_MAX]:
            if count and size + operation.size_bytes > _BATCH_BYTES_MAX:
                break
            size += operation.size_bytes
            count += 1
        batch = self._queue[:count]
        del self._queue[:count]
        return batch

    def _expire(self) -> None:
        """End bulk that has waited too long; not between outcomes that belong together."""
        if expired := self._bulk.expire():
            self._fail(expired, Throttled("the write waited too long for the disk", number=1000))

    def _report(self, outcome: BatchOutcome, used: ThreadUse | None = None) -> None:
        if isinstance(outcome, GaveWay):
            self._batch, self._given_up = [], self._batch
            self._start()
        elif isinstance(outcome, StoreNeedsGrowth):
            self._grow_and_run()
        elif isinstance(outcome, DiskFull):
            self._fail_everything(outcome)
        elif isinstance(outcome, Exception):
            _log.error("write_failed", exc_info=outcome)
            self._fail_everything(InternalError(f"the store failed: {outcome}"))
        else:
            self._finish(outcome, used)

    def _grow_and_run(self) -> None:
        self._release_snapshots()
        try:
            self._engine.grow()
        except DiskFull as error:
            self._fail_everything(error)
            return
        _log.info("store_grown", extra={"used_bytes": self._engine.used_bytes()})
        self._run()

    def _finish(self, outcomes: Sequence[Exception | None], used: ThreadUse | None) -> None:
        batch, self._batch = self._batch, []
        self._account(lambda gate: gate.ended(batch, used))
        self.batch_count += 1
        self.operation_count += len(batch)
        failed_tenants: set[int] = set()
        durable: list[Operation] = []
        errors: list[KvError | None] = []
        for operation, outcome in zip(batch, outcomes, strict=True):
            if outcome is None:
                durable.append(operation)
                errors.append(None)
            else:
                _log.error("operation_failed", exc_info=outcome)
                failed_tenants.add(operation.tenant_id)
                errors.append(
                    outcome
                    if isinstance(outcome, KvError)
                    else InternalError(f"the write failed: {outcome}")
                )
        self._on_durable(durable)
        if self._is_refusing and not all(map(is_upkeep, durable)):
            self._is_refusing = False
            _log.info("writes_accepted_again")
        stranded = list[Operation]()
        if failed_tenants:
            stranded = [o for o in self._queue if o.tenant_id in failed_tenants]
            stranded += self._bulk.withdraw_tenants(failed_tenants)
            self._queue = [o for o in self._queue if o.tenant_id not in failed_tenants]
        if self._queue or self._bulk_count:
            self._start()  # before the answers: the disk should not wait for them
        # Upkeep first: an answer may lead to a validation, which must know what was moved just now.
        for operation, error in sorted(zip(batch, errors, strict=True), key=_upkeep_first):
            operation.finish(error)
        self._fail(stranded, InternalError("an earlier write of this tenant failed"))
        if self._gate is not None:
            self._gate.answered()
        self._on_answered()
        self._expire()

    def _fail_everything(self, error: KvError) -> None:
        failed, kept = [*self._batch, *self._given_up, *self._bulk.clear()], list[Operation]()
        if self._was_bulk:
            kept = self._queue
        else:
            failed += self._queue
            if not all(map(is_upkeep, self._batch)):
                kept = [operation for operation in failed if is_upkeep(operation)]
                failed = [operation for operation in failed if not is_upkeep(operation)]
        self._batch, self._given_up = [], []
        self._queue = [operation for operation in kept if not is_bulk(operation)]
        for operation in kept:
            if is_bulk(operation):
                self._bulk.add(operation)
        # Said once: clients will try again and again. Upkeep that waits for room refuses nobody.
        if not self._is_refusing and not all(map(is_upkeep, failed)):
            self._is_refusing = True
            _log.warning("writes_refused", extra={"reason": error.message, "count": len(failed)})
        if kept:
            self._start()
        self._fail(failed, error)

    def _fail(self, operations: Sequence[Operation], error: KvError) -> None:
        self._account(lambda gate: gate.failed(operations))
        for operation in operations:
            operation.finish(error)

    def _account(self, note: Callable[[Gate], None]) -> None:
        if self._gate is None:
            return
        try:
            note(self._gate)
        except Exception as error:
            if not self._has_miscounted:  # said once: it may be so with every batch
                self._has_miscounted = True
                _log.error("write_accounting_failed", exc_info=error)


def _upkeep_first(outcome: tuple[Operation, KvError | None]) -> bool:
    return not is_upkeep(outcome[0])
