"""Takes committed layers to where versions live, and rolled back ones away, in quanta.

Each operation waits for an elastic turn, so that requests go first.

**Invariants.** One operation of a tenant is on its way at a time; the next one queues behind those
of other tenants. Committed layers go before discarded ones, in the order of commit, the lowest
first. What fails is tried again: nothing is lost by waiting.
"""

import asyncio
import logging
from typing import Final

from kvapi.errors import KvError
from kvnode.admission.elastic import Turn
from kvnode.admission.scheduler import Scheduler
from kvnode.mvcc.intents import Place
from kvnode.tenants.tenant import Tenant
from kvnode.txn.group_commit import GroupCommit
from kvnode.txn.layer_operations import MoveOperation
from kvnode.txn.layers import Layer, StagedTxn

_log = logging.getLogger(__name__)
_RETRY_S: Final = 1.0
_SHARE_BESIDE_COMMITS: Final = 2  # half a quantum: a commit that comes now waits for it


class LayerMover:
    """Owner: the event loop."""

    def __init__(
        self, group: GroupCommit, scheduler: Scheduler, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._group = group
        self.scheduler = scheduler
        self._loop = loop
        self._stuck: set[Tenant] = set()
        self.moved_count = 0
        self.discarded_count = 0
        self._is_stopped = False

    def stop(self) -> None:
        """Begin nothing more: the store is about to be closed, and the next start goes on."""
        self._is_stopped = True

    def wake(self, tenant: Tenant) -> None:
        """Go on with what there is to do for `tenant`."""
        layers = tenant.layers
        if layers.is_moving or layers.is_closed or self._is_stopped:
            if layers.is_closed:
                self._stuck.discard(tenant)
            return
        if layers.committed and layers.committed[0].is_durable:
            txn = layers.committed[0]
            self._submit(txn, txn.layers[0], txn.commit_ts)
        elif layers.discarding:
            self._submit(*layers.discarding[0], 0)

    def _submit(self, txn: StagedTxn, layer: Layer, move_ts: int) -> None:
        tenant = txn.tenant
        tenant.layers.is_moving = True
        is_last = bool(move_ts) and len(txn.layers) == 1
        operation = MoveOperation(
            tenant_id=tenant.id,
            place=Place(tenant.prefix, layer.no, txn.no, is_last, self._share()),
            move_ts=move_ts,
            is_stacked=layer.no != txn.no,  # the lowest has the transaction's number
            on_finish=lambda operation, error: self._moved(txn, layer, operation, error),
        )
        self.scheduler.submit(Turn(tenant.id, lambda: self._write(tenant, operation)))

    def _write(self, tenant: Tenant, operation: MoveOperation) -> None:
        if tenant.layers.is_closed or self._is_stopped:  # in the meantime
            tenant.layers.is_moving = False
        else:
            self._group.submit(operation)

    def _share(self) -> int:
        return 1 if self._group.is_calm else _SHARE_BESIDE_COMMITS

    def _moved(
        self, txn: StagedTxn, layer: Layer, operation: MoveOperation, error: KvError | None
    ) -> None:
        layers = txn.tenant.layers
        layers.is_moving = False
        if error is not None:
            if txn.tenant not in self._stuck:  # said once: it is tried again and again
                self._stuck.add(txn.tenant)
                _log.warning("layer_not_moved", extra={"reason": error.message})
            self._loop.call_later(_RETRY_S, self.wake, txn.tenant)
        else:
            self._stuck.discard(txn.tenant)
            if operation.move_ts:
                self._resolved(txn, operation)
            else:
                self.discarded_count += operation.moved.row_count
                if operation.moved.is_done:
                    layers.discarding.popleft()
                    layers.size_bytes -= layer.size_bytes
            self.wake(txn.tenant)

    def _resolved(self, txn: StagedTxn, operation: MoveOperation) -> None:
        layers, moved = txn.tenant.layers, operation.moved
        self.moved_count += moved.row_count
        if moved.row_count and txn.extent is not None:
            txn.extent.add(moved.first, moved.last)
        if not moved.is_done:
            return
        layers.size_bytes -= txn.layers.pop(0).size_bytes
        if not txn.layers:
            layers.unsequence(txn)
            if txn.extent is not None:
                layers.moved.append(txn.extent)
