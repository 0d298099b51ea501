"""Refresh, Commit, Rollback, Increment and TxnStatus of one stream.

**Invariants.** A commit that finds no room is to be sent again: its transaction keeps its locks and
staged writes until then, or until its rollback. Any other refusal of a commit ends the transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from kvapi.errors import (
    BadRequest,
    KvError,
    RequestTooLarge,
    Throttled,
)
from kvapi.footprint import EMPTY_FOOTPRINT, Footprint
from kvapi.pb import kv_pb2
from kvapi.spans import Span
from kvnode.server.lock_requests import LockRequests, txn_id_of
from kvnode.server.stage_requests import StageRequests
from kvnode.server.writes import parse_writes, rank_of, reported_us
from kvnode.tenants.tenant import CounterState
from kvnode.txn.counters import INT64_MAX, INT64_MIN, Step
from kvnode.txn.lock_queue import Owner
from kvnode.txn.sequencer import CommitRequest
from kvnode.txn.validation import UNDECIDED, Validation
from kvnode.txn.validations import conflict

if TYPE_CHECKING:
    from kvnode.server.stream_session import StreamSession

_TXN_ID_BYTES: Final = 16
_WAIT_MS: Final = 100


class WriteRequests:
    """Answers the writing requests of one stream, and holds what they left with it."""

    def __init__(self, session: StreamSession) -> None:
        self._session = session
        self._core = session.core
        self._locks = LockRequests(session)
        self._stages = StageRequests(session, self._locks)
        self._committing: dict[int, CommitRequest] = {}
        self._written_bytes = 0  # of those

    def handlers(self) -> dict[str, Callable[[kv_pb2.Request], None]]:
        """Return which operation goes where."""
        return {
            **self._locks.handlers(),
            **self._stages.handlers(),
            "refresh": self._refresh,
            "commit": self._commit,
            "rollback": self._rollback,
            "increment": self._increment,
            "txn_status": self._txn_status,
        }

    def close(self) -> None:
        """Let go of locks and staged writes; commits that are queued go on."""
        for commit in list(self._committing.values()):
            self._core.commits.cancel(commit)
        self._stages.close()
        self._locks.close()

    def _owner(self, txn_id: bytes) -> Owner:
        return (self._session.id, txn_id)

    def _refresh(self, request: kv_pb2.Request) -> None:
        tenant, message = self._session.tenant, request.refresh.footprint
        if request.catalog_version:
            tenant.check_catalog(request)
        if not request.read_ts:
            raise BadRequest("a refresh needs the read_ts of its reads")
        tenant.check_readable(request.read_ts)
        if request.txn_id:
            self._stages.find(self._owner(request.txn_id))  # lapsed: what it had locked may change
        validations = self._core.validations
        validation = validations.make(tenant, self._footprint(message), request.read_ts)
        verdict = validations.look(validation)
        if verdict is UNDECIDED:
            self._refresh_later(request, validation)
        else:
            self._answer_refresh(request.id, validation, verdict)

    def _refresh_later(self, request: kv_pb2.Request, validation: Validation) -> None:
        session, validations = self._session, self._core.validations
        request_id = request.id

        def decided() -> None:
            session.outstanding.pop(request_id)
            try:
                verdict = validations.look(validation)
                assert verdict is not UNDECIDED, "it was decided in this turn of the loop"
                self._answer_refresh(request_id, validation, verdict)
            except KvError as error:
                session.answer_error(request_id, error)

        def cancel(error: KvError) -> None:
            if validations.stop(validation):
                session.outstanding.pop(request_id)
                if not session.is_closed:
                    session.answer_error(request_id, error)

        session.track(request_id, cancel, size_bytes=request.refresh.footprint.ByteSize())
        holds = bool(request.txn_id) and session.holds_locks(request.txn_id)
        validations.begin(session.tenant, validation, decided, holds_locks=holds)

    def _answer_refresh(
        self, request_id: int, validation: Validation, changed: bytes | None
    ) -> None:
        """Answer. Raises: WriteConflict."""
        session = self._session
        if changed is not None:
            raise conflict(session.tenant, validation, changed)
        response = session.respond(request_id)
        response.read_ts = max(self._core.timeline.durable_ts, validation.read_ts)
        response.cpu_us = reported_us(validation.cpu_s)
        response.done.SetInParent()

    def _commit(self, request: kv_pb2.Request) -> None:
        session, tenant, message = self._session, self._session.tenant, request.commit
        request_id = request.id
        # Outside a transaction the request is its own; the lengths keep the two apart.
        unit = txn_id_of(request) if request.txn_id else request_id.to_bytes(8, "big")
        owner = self._owner(unit)
        if self._core.sequencer.is_committing(owner):
            raise BadRequest("the transaction is already committing")
        try:
            staged = self._stages.find(owner)
            if staged is not None and not staged.is_quiet:
                raise BadRequest("a chunk of the transaction is still being staged")
            absent_count = len(message.absent_keys)
            written = parse_writes(session, message.writes, absent_count=absent_count)
            footprint = EMPTY_FOOTPRINT
            if message.HasField("footprint"):
                footprint = self._footprint(message.footprint)
            absent_keys = tenant.keyspace.keys(message.absent_keys)
            commit = CommitRequest(
                tenant=tenant,
                owner=owner,
                txn_id=request.txn_id,
                read_ts=request.read_ts,
                catalog_version=request.catalog_version,
                puts=written.puts,
                deletes=written.deletes,
                answer=lambda ts, error: self._committed(request_id, unit, ts, error),
                footprint=footprint,
                absent_keys=absent_keys,
                schema_change=message.schema_change,
                keeps_previous=message.keeps_previous,
                relations=tuple(request.relations),
                changed=tuple(message.changed),
                size_bytes=written.size_bytes,
                staged=staged,
                rank=rank_of(request),
            )
            size = message.footprint.ByteSize() + sum(map(len, absent_keys))
            self._check_bytes(tenant.id, written.size_bytes)
            cancel = self._core.commits.cancel
            session.track(request_id, lambda _: cancel(commit), size_bytes=size)
        except KvError as error:
            if error.detail != Throttled.REPEAT:
                self._give_up(owner)
            raise
        self._count(tenant.id, written.size_bytes)
        self._committing[request_id] = commit
        self._core.commits.commit(commit)

    def _check_bytes(self, tenant_id: int, size_bytes: int) -> None:
        limit = self._core.config.commit_bytes_max
        if self._written_bytes + size_bytes > limit:
            message = "more writes of commits on one stream than [kvnode] commit_bytes_max"
            raise RequestTooLarge(message, number=limit)
        if not self._core.memory.commits.admits(tenant_id, size_bytes):
            message = "too many bytes of the tenant's commits wait"
            raise Throttled(message, number=_WAIT_MS, detail=Throttled.REPEAT)

    def _count(self, tenant_id: int, size_bytes: int) -> None:
        self._written_bytes += size_bytes
        self._core.memory.commits.add(tenant_id, size_bytes)

    def _committed(
        self, request_id: int, unit: bytes, commit_ts: int, error: KvError | None
    ) -> None:
        """Answer; the sequencer frees the locks right after."""
        session = self._session
        session.outstanding.pop(request_id)
        if (commit := self._committing.pop(request_id, None)) is not None:
            self._count(session.tenant.id, -commit.size_bytes)
        self._locks.forget(self._owner(unit))
        session.protects.end(unit)
        if session.is_closed:
            return
        if error is not None:
            session.answer_error(request_id, error)
            return
        response = session.respond(request_id)
        response.read_ts = commit_ts
        response.commit.commit_ts = commit_ts
        if commit is not None:
            validated_s = commit.validation.cpu_s if commit.validation is not None else 0.0
            response.cpu_us = reported_us(commit.cpu_s + validated_s)

    def _give_up(self, owner: Owner) -> None:
        """End a transaction that did not come as far as the sequencer."""
        self._stages.rollback(owner)
        self._locks.release(owner)

    def _rollback(self, request: kv_pb2.Request) -> None:
        owner = self._owner(txn_id_of(request))
        if self._core.sequencer.is_committing(owner):
            raise BadRequest("the transaction is committing")
        for waiting in list(self._core.locks.table.waiting_of(owner)):
            self._core.locks.withdraw(waiting, BadRequest("the transaction was rolled back"))
        self._give_up(owner)
        self._session.protects.end(request.txn_id)
        self._session.respond(request.id).done.SetInParent()

    def _increment(self, request: kv_pb2.Request) -> None:
        session, tenant, message = self._session, self._session.tenant, request.increment
        if request.catalog_version:
            tenant.check_catalog(request)
        (key,) = tenant.keyspace.written_keys([message.key])
        counters, request_id = self._core.counters, request.id
        if message.peek:
            self._peek(request_id, key, message.start)
            return
        step = Step(
            by=message.by,
            count=message.count or 1,
            start=message.start,
            min=message.min if message.has_bounds else INT64_MIN,
            max=message.max if message.has_bounds else INT64_MAX,
            cycle=message.cycle,
        )
        session.track(request_id, lambda _: None)  # a step cannot be taken back

        def answer(state: CounterState | None, error: KvError | None) -> None:
            session.outstanding.pop(request_id)
            self._stepped(request_id, state, error)

        try:
            if message.set:
                counters.set(tenant, key, (message.start, message.is_called), answer)
            else:
                counters.step(tenant, key, step, answer)
        except KvError:
            session.outstanding.pop(request_id)
            raise

    def _peek(self, request_id: int, key: bytes, start: int) -> None:
        """Answer a counter's state, once that is on disk."""
        session = self._session
        state = self._core.counters.peek(session.tenant, key) or (start, False)
        if key not in session.tenant.counters:
            self._stepped(request_id, state, None)
            return

        def durable() -> None:
            if session.outstanding.pop(request_id) is not None:
                self._stepped(request_id, state, None)

        session.track(request_id, lambda _: None)
        self._core.group.after_queued(durable)

    def _stepped(self, request_id: int, state: CounterState | None, error: KvError | None) -> None:
        session = self._session
        if session.is_closed:
            return
        if error is not None or state is None:
            session.answer_error(request_id, error or BadRequest("no such counter"))
            return
        response = session.respond(request_id)
        response.counter.value, response.counter.is_called = state
        response.counter.SetInParent()

    def _txn_status(self, request: kv_pb2.Request) -> None:
        session, request_id = self._session, request.id
        txn_id = request.txn_status.txn_id
        if len(txn_id) != _TXN_ID_BYTES:
            raise BadRequest(f"a transaction id has {_TXN_ID_BYTES} bytes")

        def answer(commit_ts: int | None) -> None:
            session.outstanding.pop(request_id)
            if session.is_closed:
                return
            if commit_ts is None:
                error = Throttled("too many transactions are in doubt", number=1000)
                session.answer_error(request_id, error)
                return
            status = session.respond(request_id).txn_status
            status.SetInParent()
            if commit_ts:
                status.state = kv_pb2.TxnStatusResult.COMMITTED
                status.commit_ts = commit_ts

        session.track(request_id, lambda _: None)
        until_s = self._core.clock.monotonic_s() + self._core.config.txn_record_life_s
        self._core.sequencer.status(session.tenant, txn_id, answer, until_s=until_s)

    def _footprint(self, message: kv_pb2.Footprint) -> Footprint:
        limit = self._core.config.footprint_parts_max
        if len(message.keys) + len(message.spans) > limit:
            raise RequestTooLarge("the footprint has too many keys and spans", number=limit)
        keyspace = self._session.tenant.keyspace
        spans: list[Span] = []
        for span in message.spans:
            full = keyspace.span(span.start, span.end)
            if full.start < full.end:
                spans.append(full)
        return Footprint(keyspace.keys(message.keys), spans)
