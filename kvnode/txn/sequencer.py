"""The path of a commit: locks of others, validation, a timestamp, the queue, the answer.

**Model.** Everything up to the queue happens in one turn of the event loop, so validation and
timestamp are one step, and timestamps rise in the order of validation. Later commits are validated
against what is queued as if it were durable, but an answer that depends on queued writes
(a conflict with one of them) is given only after they are on disk: who retries then sees them.

**Invariants.** A transaction that `status` called unknown never commits. Locks are freed after the
commit is durable, never before.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from admission.queue import Priority
from kvapi.errors import (
    BadRequest,
    Cancelled,
    KeyExists,
    KvError,
    SchemaChanged,
    Throttled,
    WriteConflict,
)
from kvapi.footprint import EMPTY_FOOTPRINT, Footprint
from kvnode.admission.write_gate import WriteGate, WriteTicket
from kvnode.mvcc.formats import txn_key
from kvnode.storage.engine import Table
from kvnode.tenants.tenant import Tenant
from kvnode.txn.existing import first_existing
from kvnode.txn.group_commit import GroupCommit
from kvnode.txn.intents import Intents
from kvnode.txn.layers import StagedTxn
from kvnode.txn.lock_modes import Mode
from kvnode.txn.lock_queue import LockRequest, Owner
from kvnode.txn.lock_waits import LockWaits
from kvnode.txn.operations import CommitOperation, LayersCommit
from kvnode.txn.timeline import Timeline
from kvnode.txn.validation import UNDECIDED, Validation
from kvnode.txn.validations import Validations, conflict

_REFUSED_TXNS_MAX: Final = 100_000
Answer = Callable[[int, KvError | None], None]  # commit_ts or 0, error


@dataclass(slots=True, eq=False, kw_only=True)
class CommitRequest:
    """A transaction to commit; keys are the store's."""

    tenant: Tenant
    owner: Owner
    txn_id: bytes
    read_ts: int
    catalog_version: int
    puts: Mapping[bytes, bytes]
    deletes: Collection[bytes]
    answer: Answer
    footprint: Footprint = EMPTY_FOOTPRINT
    absent_keys: Sequence[bytes] = ()
    schema_change: bool = False
    keeps_previous: bool = False
    relations: Collection[int] = ()  # that it uses; none: unknown
    changed: Collection[int] = ()  # by a schema change; none: any may have been
    size_bytes: int = 0
    staged: StagedTxn | None = None
    is_prewritten: bool = False  # `staged` is what it writes itself
    rank: int = Priority.NORMAL  # among its tenant's writes; raised if it holds locks
    cpu_s: float = 0.0  # what it took so far, where that is measured
    lock_request: LockRequest | None = field(default=None, init=False)
    validation: Validation | None = field(default=None, init=False)
    ticket: WriteTicket | None = field(default=None, init=False)  # while the disk is slow


class Sequencer:
    """Takes commits one after the other. Owner: the event loop."""

    def __init__(
        self,
        timeline: Timeline,
        locks: LockWaits,
        group: GroupCommit,
        intents: Intents,
        validations: Validations,
        writes: WriteGate,
    ) -> None:
        self._writes = writes
        self._timeline = timeline
        self._locks = locks
        self._group = group
        self._intents = intents
        self._validations = validations
        self._in_flight: dict[bytes, list[Callable[[], None]]] = {}  # txn → who asks for its state
        self._committing: dict[Owner, CommitRequest] = {}
        self._refused: dict[bytes, float] = {}  # txn → until when (monotonic)
        self.conflict_count = 0
        self.commit_count = 0

    def is_committing(self, owner: Owner) -> bool:
        """Tell whether a commit of `owner` is on its way: it frees the locks itself."""
        return owner in self._committing

    def commit(self, request: CommitRequest) -> None:
        """Commit, or say why not, through `request.answer`."""
        txn = request.tenant.prefix + request.txn_id
        assert request.owner not in self._committing, "one commit of a stream's transaction"
        if request.txn_id and txn in self._in_flight:  # another stream's
            request.answer(0, BadRequest("the transaction is already committing"))
            self._let_go(request, BadRequest("not committed"))
            return
        self._committing[request.owner] = request
        if request.staged is not None:
            request.staged.is_committing = True
        if request.txn_id:
            self._in_flight[txn] = []
            if txn in self._refused:
                message = "the transaction was given up: its outcome was asked for before it came"
                self._finish(request, 0, WriteConflict(message))
                return
            if committed_ts := self._outcome(request.tenant, request.txn_id):
                self._finish(request, committed_ts, None)
                return
        if self._writes.is_open or not (request.puts or request.deletes):
            self._pass_locks(request)
        else:
            self._ask(request)

    def _ask(self, request: CommitRequest) -> None:
        """Go on when the disk has room for the tenant's writes."""
        rank = Priority(request.rank)
        request.ticket = WriteTicket(
            tenant_id=request.tenant.id,
            size_bytes=request.size_bytes,
            txn_start=request.read_ts or self._timeline.hlc.newest,
            priority=rank.holding_locks() if self._holds_locks(request) else rank,
            go=lambda: self._pass_locks(request),
            fail=lambda error: self._finish(request, 0, error),
        )
        try:
            if self._writes.try_pass(request.ticket):
                self._pass_locks(request)
        except Throttled as error:
            self._finish(request, 0, error)

    def cancel(self, request: CommitRequest) -> None:
        """Give up a commit that waits for its turn, for a lock, or is validated.

        One that is queued for the writer goes on.
        """
        error = Cancelled("canceled by the client")
        was_waiting = request.ticket is not None and self._writes.cancel(request.ticket)
        if was_waiting or self._validations.stop(request.validation):
            self._finish(request, 0, error)
        elif request.lock_request is not None:
            self._locks.withdraw(request.lock_request, error)

    def status(
        self, tenant: Tenant, txn_id: bytes, answer: Callable[[int | None], None], *, until_s: float
    ) -> None:
        """Answer commit_ts, or 0: unknown, and from now to `until_s` it will not commit.

        Answers None if no promise can be made now.
        """
        txn = tenant.prefix + txn_id
        if (waiting := self._in_flight.get(txn)) is not None:
            waiting.append(lambda: self.status(tenant, txn_id, answer, until_s=until_s))
        elif commit_ts := self._outcome(tenant, txn_id):
            answer(commit_ts)
        elif len(self._refused) >= _REFUSED_TXNS_MAX:
            answer(None)
        else:
            self._refused[txn] = until_s
            answer(0)

    def forget_refused(self, now_s: float) -> None:
        """Let go of promises whose time is over."""
        self._refused = {txn: until_s for txn, until_s in self._refused.items() if until_s > now_s}

    def _outcome(self, tenant: Tenant, txn_id: bytes) -> int:
        stored = self._timeline.snapshot().get(Table.TXNS, txn_key(tenant.prefix, txn_id))
        return int.from_bytes(stored, "big") if stored is not None else 0

    def _pass_locks(self, request: CommitRequest) -> None:
        """Sequence when nobody else holds a lock on a written key.

        After a wait one looks again: others may have locked what was free before it.
        """
        table, owner = self._locks.table, request.owner
        contended = table.contended(owner, request.puts, Mode.NO_KEY_EXCLUSIVE)
        if request.deletes:
            contended += table.contended(owner, request.deletes, Mode.EXCLUSIVE)
        if not contended:
            self._sequence(request)
            return
        request.lock_request = LockRequest(request.owner, contended, statement="COMMIT")
        self._locks.acquire(request.lock_request, lambda lock: self._locked(request, lock))

    def _locked(self, request: CommitRequest, lock: LockRequest) -> None:
        if lock.error is not None:
            self._finish(request, 0, lock.error)
        else:
            self._pass_locks(request)

    def _sequence(self, request: CommitRequest) -> None:
        tenant = request.tenant
        try:
            if not self._check(request):
                return  # what was read takes longer to look at
        except (WriteConflict, KeyExists, SchemaChanged) as error:
            self.conflict_count += 1
            reason = error
            self._group.after_queued(lambda: self._finish(request, 0, reason))
            return
        except KvError as error:
            self._finish(request, 0, error)
            return
        staged = request.staged
        if staged is not None and not staged.kept_layers():
            staged = None
        if not request.puts and not request.deletes and not request.schema_change and not staged:
            self._finish(request, request.read_ts or self._timeline.durable_ts, None)
            return
        commit_ts = self._timeline.hlc.now()
        below = tenant.layers.lowest_first()
        tenant.recent.add(
            commit_ts,
            [*request.puts, *request.deletes],
            durable_ts=self._timeline.durable_ts,
        )
        tenant.pending.update(dict.fromkeys(request.puts, (commit_ts, True)))
        if request.deletes:
            tenant.pending.update(dict.fromkeys(request.deletes, (commit_ts, False)))
            tenant.last_delete_ts = commit_ts
            tenant.counters.update(dict.fromkeys(request.deletes, (None, commit_ts)))
        if request.schema_change:
            before = tenant.sequenced_catalog_version
            tenant.catalog_use.change(
                commit_ts,
                before,
                keeps_previous=request.keeps_previous,
                relations=request.changed,
            )
            tenant.sequenced_catalog_version = commit_ts
        layers = self._sequence_layers(staged, commit_ts) if staged is not None else None
        self._group.submit(
            CommitOperation(
                tenant_id=tenant.id,
                prefix=tenant.prefix,
                commit_ts=commit_ts,
                txn_id=request.txn_id,
                puts=request.puts,
                deletes=list(request.deletes),
                schema_change=request.schema_change,
                size_bytes=request.size_bytes if request.puts or request.deletes else 0,
                on_finish=lambda operation, error: self._written(request, operation, error),
                below=below,
                layers=layers,
                is_regular=layers is None or request.is_prewritten,
                taken=request.ticket.hand_over() if request.ticket is not None else None,
            )
        )

    def _sequence_layers(self, staged: StagedTxn, commit_ts: int) -> LayersCommit:
        tenant = staged.tenant
        tenant.layers.sequence(staged, commit_ts)
        if staged.has_deletes:
            tenant.last_delete_ts = commit_ts
        return LayersCommit(
            txn_no=staged.no,
            own=[layer.seen(0) for layer in staged.kept_layers()],
            dropped={layer.no: layer.size_bytes for layer in staged.layers if layer.is_dropped},
        )

    def _check(self, request: CommitRequest) -> bool:
        """Refuse what may not commit now; return False if that takes until later. Raises: KvError.

        All is checked again then, locks as well: others go on meanwhile.
        """
        tenant = request.tenant
        if (refusal := tenant.refusal()) is not None:
            raise refusal
        if self._group.is_full:
            raise Throttled("too many writes wait for the disk", number=10)
        version, planned = tenant.sequenced_catalog_version, request.catalog_version
        if planned and planned != version:
            if request.schema_change:  # made of the descriptors of that version
                raise SchemaChanged("the catalog has changed", number=version)
            tenant.catalog_use.check(planned, version, request.relations)
        footprint = request.footprint
        if footprint.keys or footprint.spans:
            if not request.read_ts:
                raise BadRequest("a footprint needs the read_ts of its reads")
            tenant.check_readable(request.read_ts)
            if not self._is_validated(request):
                return False
        snapshot = self._timeline.snapshot()
        existing = first_existing(snapshot, tenant, request.absent_keys, own=request.staged)
        if existing is not None:
            raise KeyExists("the key exists", key=tenant.keyspace.strip(existing))
        return True

    def _is_validated(self, request: CommitRequest) -> bool:
        """Validate; if that goes on, the commit comes back later. Raises: WriteConflict."""
        tenant, validation = request.tenant, request.validation
        if validation is None:
            validation = self._validations.make(tenant, request.footprint, request.read_ts)
            request.validation = validation
        verdict = self._validations.look(validation)
        if verdict is UNDECIDED:
            self._validations.begin(
                tenant,
                validation,
                lambda: self._pass_locks(request),
                holds_locks=self._holds_locks(request),
            )
        elif verdict is not None:
            raise conflict(tenant, validation, verdict)
        return verdict is None

    def _holds_locks(self, request: CommitRequest) -> bool:
        return request.staged is not None or self._locks.table.held_count(request.owner) > 0

    def _written(
        self, request: CommitRequest, operation: CommitOperation, error: KvError | None
    ) -> None:
        tenant, commit_ts = request.tenant, operation.commit_ts
        request.cpu_s += operation.cpu_s
        for key in (*request.puts, *request.deletes):
            if (pending := tenant.pending.get(key)) is not None and pending[0] == commit_ts:
                del tenant.pending[key]
        for key in request.deletes:
            if (counter := tenant.counters.get(key)) is not None and counter[1] == commit_ts:
                del tenant.counters[key]
        if request.schema_change:
            if error is None:
                tenant.catalog_version = max(tenant.catalog_version, commit_ts)
                tenant.catalog_use.announce()
            elif tenant.sequenced_catalog_version == commit_ts:
                tenant.sequenced_catalog_version = tenant.catalog_version
        if error is None:
            self.commit_count += 1
        self._finish(request, commit_ts if error is None else 0, error)

    def _finish(self, request: CommitRequest, commit_ts: int, error: KvError | None) -> None:
        self._committing.pop(request.owner, None)
        if request.ticket is not None:
            self._writes.give_back(request.ticket)
            request.ticket = None
        asking = self._in_flight.pop(request.tenant.prefix + request.txn_id, ())
        request.answer(commit_ts, error)
        self._let_go(request, error)
        for ask in asking:
            ask()

    def _let_go(self, request: CommitRequest, error: KvError | None) -> None:
        """End the transaction's hold on its keys."""
        if request.staged is not None:
            self._intents.ended(request.staged, error)
        self._locks.release(request.owner)
