"""Large transactions: staging, layers, heartbeats, and what becomes of them after a crash.

**Model.** A chunk takes its keys' locks, is checked, and goes through group commit as intents; from
then on the intents are the locks. The commit flips one record (`Sequencer`), after which
`LayerMover` takes the intents to where versions live. Chunks of one transaction are taken strictly
one after the other, however many are under way.

    stage → locks → check → staging ──durable──→ intent ──commit──→ moved
                                                   └──rollback, lapse, crash──→ discarded

**Invariants.** Nothing of a transaction commits without its record; a restart discards every layer
without one. A transaction that lapsed never commits. What is staged is never kept in memory beyond
the chunks under way.

**Concurrency.** Owner: the event loop.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable

from admission.queue import Priority
from kvapi.errors import (
    BadRequest,
    KeyExists,
    KvError,
    RequestTooLarge,
    Throttled,
    WriteConflict,
)
from kvnode.admission.write_gate import WriteGate, WriteTicket
from kvnode.mvcc.formats import layer_prefix, txn_key
from kvnode.mvcc.intents import Place
from kvnode.node_config import NodeConfig
from kvnode.storage.engine import Table
from kvnode.tenants.tenant import Tenant
from kvnode.txn.existing import first_existing
from kvnode.txn.group_commit import GroupCommit
from kvnode.txn.heartbeats import LAPSED, Heartbeats
from kvnode.txn.intent_holds import IntentHolds
from kvnode.txn.layer_loading import load_all
from kvnode.txn.layer_mover import LayerMover
from kvnode.txn.layers import Layer, StagedTxn, StageRequest, Staging, check_layer
from kvnode.txn.lock_queue import LockRequest, Owner, stream_of
from kvnode.txn.lock_waits import LockWaits
from kvnode.txn.pieces import stage_in_pieces
from kvnode.txn.timeline import Timeline

_log = logging.getLogger(__name__)


class Intents:
    """All large transactions of the store."""

    def __init__(
        self,
        timeline: Timeline,
        locks: LockWaits,
        group: GroupCommit,
        mover: LayerMover,
        *,
        writes: WriteGate,
        config: NodeConfig,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._writes = writes
        self._timeline = timeline
        self._locks = locks
        self._group = group
        self._config = config
        self._loop = loop
        self.mover = mover
        self._scheduler = mover.scheduler  # told of the CPU
        self._holds = IntentHolds(timeline)
        self._heartbeats = Heartbeats(
            self._holds, loop, lapse_s=config.heartbeat_lapse_s, on_lapse=self._lapse
        )
        self._next_no = 1
        self.lapsed_count = 0

    # --- staging --------------------------------------------------------------------------------

    def find(self, tenant: Tenant, owner: Owner) -> StagedTxn | None:
        """Return the open transaction of `owner`, which shows that it is alive.

        Raises: WriteConflict if it lapsed.
        """
        self._heartbeats.check(owner)
        txn = tenant.layers.holding.get(owner)
        if txn is not None:
            txn.seen_s = self._loop.time()
        return txn

    def stage(self, request: StageRequest) -> None:
        """Stage a chunk; the outcome goes to `request.answer`. Raises: KvError."""
        tenant, layers = request.tenant, request.tenant.layers
        if layers.size_bytes + request.size_bytes > self._config.intents_bytes_tenant_max:
            limit = self._config.intents_bytes_tenant_max
            message = "more staged writes of one tenant than [kvnode] intents_bytes_tenant_max"
            raise RequestTooLarge(message, number=limit)
        txn = self.find(tenant, request.owner) or self._open(request)
        txn.queue.append(request)
        self._advance(txn)

    def cancel(self, request: StageRequest, error: KvError) -> None:
        """Give up a chunk that waits; one that is being written goes on."""
        txn = request.tenant.layers.holding.get(request.owner)
        if txn is None or request not in txn.queue:
            self._group.withdraw(request.pieces, error)
            return
        if request.lock_request is not None and not request.lock_request.is_settled:
            self._locks.withdraw(request.lock_request, error)
        else:
            self._drop(txn, request, error)

    def _open(self, request: StageRequest) -> StagedTxn:
        tenant = request.tenant
        if len(tenant.layers.holding) >= self._config.staged_txns_tenant_max:
            raise Throttled("too many transactions of the tenant have staged", number=1000)
        for other in tenant.layers.holding.values():
            if other.txn_id == request.txn_id:
                raise BadRequest("the transaction has staged on another stream")
        outcome = txn_key(tenant.prefix, request.txn_id)
        if self._timeline.snapshot().get(Table.TXNS, outcome) is not None:
            raise BadRequest("the transaction has committed")
        no = self._new_no()
        txn = StagedTxn(no, tenant, request.owner, request.txn_id, self._loop.time())
        tenant.layers.holding[request.owner] = txn
        self._holds.tenants[tenant.prefix] = tenant
        self._locks.table.intents = self._holds
        self._heartbeats.watch()
        return txn

    def _advance(self, txn: StagedTxn) -> None:
        """Take a queued chunk, if it need not wait for a lock; the next one in the next turn."""
        if txn.is_advancing or txn.is_scheduled:
            return
        txn.is_advancing = True
        while txn.queue and not txn.is_scheduled and self._step(txn, txn.queue[0]):
            pass
        txn.is_advancing = False
        txn.tell_quiet()

    def _schedule(self, txn: StagedTxn) -> None:
        """Go on with the queue in the next turn of the loop: others have theirs in between."""
        if not txn.is_scheduled:
            txn.is_scheduled = True
            self._loop.call_soon(self._go_on, txn)

    def _go_on(self, txn: StagedTxn) -> None:
        txn.is_scheduled = False
        began_s = self._scheduler.now()
        self._advance(txn)
        self._scheduler.used(txn.tenant.id, self._scheduler.now() - began_s)

    def _step(self, txn: StagedTxn, request: StageRequest) -> bool:
        """Bring the first chunk on; tell whether it is done with."""
        lock = request.lock_request
        if request.is_waiting or (lock is not None and not lock.is_settled):
            return False
        if lock is None and request.ticket is None and not (self._writes.is_open or txn.is_over):
            return self._ask(txn, request)
        error = lock.error if lock is not None else None
        if error is not None and error.key:
            error.key = txn.tenant.keyspace.strip(error.key)
        if error is None and txn.is_over:
            error = BadRequest("the transaction was rolled back")
        if error is not None:
            return self._refuse(txn, request, error)
        if lock is None and (error := check_layer(txn, request)) is not None:
            return self._refuse(txn, request, error)
        keys = [*request.puts, *request.deletes]
        missing = self._locks.table.not_exclusive(txn.owner, keys)
        if missing:
            lock = LockRequest(txn.owner, sorted(missing), statement=request.statement)
            request.lock_request = lock
            self._locks.acquire(lock, lambda _: self._advance(txn))
            return lock.is_settled
        pending = txn.tenant.pending
        if request.absent_keys and not pending.keys().isdisjoint(request.absent_keys):
            self._look_again(txn, request)  # chunks and commits fail apart: see group_commit.py
            return False
        existing = first_existing(
            self._timeline.snapshot(), request.tenant, request.absent_keys, own=txn
        )
        if existing is not None:
            exists = KeyExists("the key exists", key=txn.tenant.keyspace.strip(existing))
            txn.queue.popleft()
            self._writes.give_back(request.ticket)
            self._group.after_queued(lambda: request.settle(exists))
        else:
            try:
                self._group.check_bulk_room(request.tenant.id)
            except Throttled as no_room:
                return self._refuse(txn, request, no_room)
            txn.queue.popleft()
            self._write(txn, request, keys)
        return True

    def _ask(self, txn: StagedTxn, request: StageRequest) -> bool:
        """Ask to write while the disk is slow; the chunk counts as young: commits come first.

        Who holds locks goes before both. Intents count once somebody has waited for one of them.
        """
        rank = Priority(request.rank)

        def go() -> None:
            request.is_waiting = False
            self._schedule(txn)

        request.ticket = WriteTicket(
            tenant_id=txn.tenant.id,
            size_bytes=request.size_bytes,
            txn_start=self._timeline.hlc.newest,
            priority=rank.holding_locks() if self._locks.table.held_count(txn.owner) else rank,
            go=go,
            fail=lambda error: self._drop(txn, request, error),
        )
        try:
            request.is_waiting = not self._writes.try_pass(request.ticket)
        except Throttled as error:
            return self._refuse(txn, request, error)
        return not request.is_waiting and self._step(txn, request)

    def _drop(self, txn: StagedTxn, request: StageRequest, error: KvError) -> None:
        """Give up a queued chunk, wherever it stands."""
        txn.queue.remove(request)
        if request.ticket is not None:
            self._writes.cancel(request.ticket)
            self._writes.give_back(request.ticket)
            self._schedule(txn)
        request.settle(error)

    def _look_again(self, txn: StagedTxn, request: StageRequest) -> None:
        def durable() -> None:
            request.is_waiting = False
            self._schedule(txn)

        request.is_waiting = True
        self._group.after_queued(durable)

    def _refuse(self, txn: StagedTxn, request: StageRequest, error: KvError) -> bool:
        txn.queue.popleft()
        self._writes.give_back(request.ticket)
        request.settle(error)
        return True

    def _write(self, txn: StagedTxn, request: StageRequest, keys: list[bytes]) -> None:
        layers = txn.tenant.layers
        layer = txn.top()
        if layer is None or layer.number < request.number:
            layer_no = self._new_no() if txn.layers else txn.no
            layer = Layer(layer_no, request.number, layer_prefix(txn.tenant.prefix, layer_no))
            txn.layers.append(layer)
        layer.size_bytes += request.size_bytes
        layers.size_bytes += request.size_bytes
        txn.has_deletes |= bool(request.deletes)
        if keys:
            layer.widen(keys)
        owner = txn.owner
        for written, is_put in ((request.puts, True), (request.deletes, False)):
            if written:
                layers.staging.update(dict.fromkeys(written, Staging(owner, request, is_put)))
        txn.unwritten += 1
        stage_in_pieces(
            self._group,
            request,
            Place(txn.tenant.prefix, layer.no, txn.no, is_last=False),
            layer_bytes=layer.size_bytes,
            wait_s_max=self._config.bulk_wait_s_max,
            on_finish=lambda error: self._written(txn, request, keys, error),
        )
        self._schedule(txn)

    def _written(
        self, txn: StagedTxn, request: StageRequest, keys: list[bytes], error: KvError | None
    ) -> None:
        txn.unwritten -= 1
        staging = txn.tenant.layers.staging
        for key in keys:
            if (entry := staging.get(key)) is not None and entry.request is request:
                del staging[key]  # else a later chunk holds it as well
        if error is None and not txn.is_over:
            self._locks.table.hand_to_intents(txn.owner, keys)
        request.settle(error)
        txn.tell_quiet()

    # --- the transaction's course ---------------------------------------------------------------

    def unstage(self, txn: StagedTxn, number: int) -> None:
        """Drop the layers from `number` on; their intents lock on. Requires: the txn is quiet."""
        for layer in txn.layers:
            if layer.number >= number:
                layer.is_dropped = True

    def when_quiet(self, txn: StagedTxn, callback: Callable[[], None]) -> None:
        """Run `callback` when no chunk waits or is being written."""
        if txn.is_quiet:
            callback()
        else:
            txn.waiting.append(callback)

    def rollback(self, tenant: Tenant, owner: Owner) -> None:
        """Give up what `owner` has staged, if anything; the caller frees its locks afterwards."""
        self._heartbeats.forget(owner)
        txn = tenant.layers.holding.get(owner)
        if txn is not None:
            self._end(txn)
            self._discard(txn, txn.layers)

    def ended(self, txn: StagedTxn, error: KvError | None) -> None:
        """Take note of a commit's outcome; the caller frees the locks afterwards."""
        if error is not None or not txn.commit_ts:
            if txn.commit_ts:
                txn.tenant.layers.unsequence(txn)
            self._end(txn)
            self._discard(txn, txn.layers)
            return
        self._end(txn)
        dropped = [layer for layer in txn.layers if layer.is_dropped]
        txn.layers = txn.kept_layers()
        txn.is_durable = True
        self._discard(txn, dropped)

    def close_stream(self, tenant: Tenant, stream_id: int) -> None:
        """Roll back what the stream's transactions have staged; commits on their way go on."""
        for owner, txn in list(tenant.layers.holding.items()):
            if stream_of(owner) == stream_id and not txn.is_committing:
                self.rollback(tenant, owner)
        self._heartbeats.forget_stream(stream_id)

    async def close_tenant(self, tenant: Tenant) -> None:
        """Return when nothing will be written for `tenant` any more, which is being dropped."""
        tenant.layers.is_closed = True
        done = asyncio.Event()
        self._group.after_bulk(tenant.id, done.set)
        await done.wait()

    def _end(self, txn: StagedTxn) -> None:
        """Let go of the transaction's hold on its keys."""
        txn.is_over = True
        layers = txn.tenant.layers
        layers.holding.pop(txn.owner, None)
        staging = {key: entry for key, entry in layers.staging.items() if entry.owner == txn.owner}
        for key in staging:
            del layers.staging[key]
        for request in list(txn.queue):
            lock = request.lock_request
            if lock is not None and not lock.is_settled:
                self._locks.withdraw(lock, BadRequest("the transaction was rolled back"))
            if request.ticket is not None and self._writes.cancel(request.ticket):
                request.is_waiting = False
                self._schedule(txn)
        for request in {entry.request for entry in staging.values()}:
            self._group.withdraw(request.pieces, BadRequest("the transaction was rolled back"))
        if not layers.holding:
            self._holds.tenants.pop(txn.tenant.prefix, None)
        if not self._holds.tenants:
            self._locks.table.intents = None
            self._heartbeats.stop()

    def _discard(self, txn: StagedTxn, dropped: Iterable[Layer]) -> None:
        layers = txn.tenant.layers
        layers.discarding.extend((txn, layer) for layer in dropped)
        self.mover.wake(txn.tenant)

    def _lapse(self, txn: StagedTxn) -> None:
        """Roll back what has not been heard of."""
        self.lapsed_count += 1
        fields = {"tenant_id": txn.tenant.id, "layer_count": len(txn.layers)}
        _log.info("transaction_lapsed", extra=fields)
        for waiting in list(self._locks.table.waiting_of(txn.owner)):
            self._locks.withdraw(waiting, WriteConflict(LAPSED))
        self.rollback(txn.tenant, txn.owner)
        self._heartbeats.remember(txn.owner)
        self._locks.release(txn.owner)

    # --- after a restart ------------------------------------------------------------------------

    def load(self, load_tenant: Callable[[int], Tenant]) -> None:
        """Go on with what the store holds: committed layers are moved, others discarded."""
        found, newest_no = load_all(self._timeline.snapshot(), load_tenant)
        self._next_no = max(self._next_no, newest_no + 1)
        for tenant in found:  # not before all is read: the store may grow for the first write
            self.mover.wake(tenant)

    def _new_no(self) -> int:
        self._next_no += 1
        return self._next_no - 1
