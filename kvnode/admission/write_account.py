"""What writes took, charged to whoever wrote: of the writer thread's CPU, and of the loop's.

**Model.** The writer thread looks at its CPU time once for each batch. That is split over the
operations of the batch by size, handed to each of them (their answers report it) and charged to
their tenants in the fair queue: a flood of writes is over its share like a flood of reads. What the
loop does when a batch returns is split likewise.

    writer: batch ──► CPU of the batch ──► loop: ended ──► shares ──► tenants' use, operations

**Concurrency.** Owner: the event loop.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from kvnode.admission.bulk_queue import BulkQueue, is_regular
from kvnode.admission.io_gate import IoGate
from kvnode.admission.scheduler import Scheduler
from kvnode.admission.write_gate import Charged, WriteGate
from runtime.thread_use import ThreadUse

_OPERATION_BYTES: Final = 256  # what an operation takes beside its rows, in their CPU


class WriteAccount:
    """Stands between the writer and what decides whose turn it is."""

    def __init__(
        self, io: IoGate, writes: WriteGate, scheduler: Scheduler, bulk: BulkQueue[Any]
    ) -> None:
        self._io = io
        self._writes = writes
        self._bulk = bulk
        self._scheduler = scheduler
        self._began_s = 0.0
        self._is_bulk = False
        self._uses: dict[int, float] = {}  # of the batch that ended: tenant → CPU

    def try_bulk(self, again: Callable[[], None]) -> bool:
        """Tell whether a batch of bulk may begin; if not, `again` is called in time, once."""
        return self._io.try_bulk(again)

    def began(self, *, is_bulk: bool) -> None:
        """Take note that a batch is on its way."""
        self._is_bulk = is_bulk
        self._io.began(is_bulk=is_bulk)

    def ended(self, batch: Sequence[Charged], used: ThreadUse | None) -> None:
        """Charge the batch that is durable now; `answered` follows in the same turn."""
        self._began_s = self._scheduler.now()
        size = 0
        for operation in batch:
            size += operation.size_bytes
        counted = used.written_bytes if used is not None else 0
        written = self._io.written(len(batch), size, counted)
        given = self._writes.ended(batch, written, size)
        if self._is_bulk:
            self._bulk.settle(written)
        elif any(map(is_regular, batch)):
            self._io.saw_commit()
        self._io.ended(size, written, operation_count=len(batch), given=given)
        self._writes.look()
        each_s = (used.cpu_s if used is not None else 0.0) / (size + _OPERATION_BYTES * len(batch))
        uses: dict[int, float] = {}
        for operation in batch:
            cpu_s = operation.cpu_s = (operation.size_bytes + _OPERATION_BYTES) * each_s
            tenant_id = operation.tenant_id
            uses[tenant_id] = uses.get(tenant_id, 0.0) + cpu_s
        self._uses = uses
        if used is not None:
            for tenant_id, cpu_s in uses.items():
                if tenant_id > 0:
                    self._scheduler.used_elsewhere(tenant_id, cpu_s, is_elastic=self._is_bulk)

    def failed(self, operations: Sequence[Charged]) -> None:
        """Give back what was taken for operations of which nothing reached the disk."""
        self._writes.failed(operations)

    def answered(self) -> None:
        """Charge what the loop did with it since it ended, in the same proportion."""
        took_s, all_s = self._scheduler.now() - self._began_s, sum(self._uses.values())
        for tenant_id, cpu_s in self._uses.items():
            if tenant_id > 0:
                self._scheduler.used(tenant_id, took_s * cpu_s / all_s if all_s else 0.0)
