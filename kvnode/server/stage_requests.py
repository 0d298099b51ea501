"""Stage, Unstage and Heartbeat of one stream.

**Invariants.** What the stream has staged is rolled back when it closes, except under a commit that
is on its way. The chunks under way of one stream and of the node are bounded in bytes; at the bound
a client is asked to send its chunk again, and nothing has happened.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from kvapi.errors import BadRequest, KvError, Throttled
from kvapi.pb import kv_pb2
from kvnode.server.lock_requests import LockRequests, txn_id_of
from kvnode.server.writes import parse_writes, rank_of, reported_us
from kvnode.txn.layers import StagedTxn, StageRequest
from kvnode.txn.lock_queue import Owner

if TYPE_CHECKING:
    from kvnode.server.stream_session import StreamSession

_STATEMENT_MAX: Final = 1_000
_WAIT_MS: Final = 10


class StageRequests:
    """Answers the staging requests of one stream."""

    def __init__(self, session: StreamSession, locks: LockRequests) -> None:
        self._session = session
        self._core = session.core
        self._intents = session.core.intents
        self._locks = locks
        self._bytes = 0  # of chunks under way

    def handlers(self) -> dict[str, Callable[[kv_pb2.Request], None]]:
        """Return which operation goes where."""
        return {"stage": self._stage, "unstage": self._unstage, "heartbeat": self._heartbeat}

    def close(self) -> None:
        """Roll back what the stream has staged."""
        session = self._session
        if session.is_authenticated:
            self._intents.close_stream(session.tenant, session.id)

    def find(self, owner: Owner) -> StagedTxn | None:
        """Return what `owner` has staged. Raises: WriteConflict if its heartbeat lapsed."""
        return self._intents.find(self._session.tenant, owner)

    def rollback(self, owner: Owner) -> None:
        """Give up what `owner` has staged."""
        self._intents.rollback(self._session.tenant, owner)

    def _owner(self, request: kv_pb2.Request) -> Owner:
        owner = (self._session.id, txn_id_of(request))
        if self._core.sequencer.is_committing(owner):
            raise BadRequest("the transaction is committing")
        return owner

    def _stage(self, request: kv_pb2.Request) -> None:
        session, core, tenant = self._session, self._core, self._session.tenant
        if request.catalog_version:
            tenant.check_catalog(request)
        owner, message, request_id = self._owner(request), request.stage, request.id
        written = parse_writes(session, message.writes, absent_count=len(message.absent_keys))
        size = written.size_bytes
        if self._bytes and self._bytes + size > core.config.staged_bytes_max:
            raise _busy("too many staged bytes of one stream are under way")
        if not core.memory.staging.admits(tenant.id, size):
            raise _busy("too many staged bytes of the tenant are under way")

        def answer(chunk: StageRequest, error: KvError | None) -> None:
            self._bytes -= size
            core.memory.staging.add(tenant.id, -size)
            self._answer(request_id, chunk.cpu_s, error)

        chunk = StageRequest(
            tenant=tenant,
            owner=owner,
            txn_id=request.txn_id,
            number=message.layer,
            puts=written.puts,
            deletes=list(written.deletes),
            absent_keys=tenant.keyspace.keys(message.absent_keys),
            statement=message.statement[:_STATEMENT_MAX],
            size_bytes=size,
            rank=rank_of(request),
            answer=answer,
        )
        session.track(request_id, lambda error: self._intents.cancel(chunk, error))
        self._locks.remember(owner)
        self._bytes += size
        core.memory.staging.add(tenant.id, size)
        try:
            self._intents.stage(chunk)
        except KvError as error:
            chunk.settle(error)

    def _answer(self, request_id: int, cpu_s: float, error: KvError | None) -> None:
        session = self._session
        session.outstanding.pop(request_id)
        if session.is_closed:
            return
        if error is not None:
            session.answer_error(request_id, error)
            return
        response = session.respond(request_id)
        response.done.SetInParent()
        response.cpu_us = reported_us(cpu_s)

    def _unstage(self, request: kv_pb2.Request) -> None:
        session, request_id = self._session, request.id
        if not request.unstage.layer:
            raise BadRequest("layers are counted from 1")
        number, txn = request.unstage.layer, self.find(self._owner(request))
        if txn is None:
            session.respond(request_id).done.SetInParent()
            return
        staged = txn

        def quiet() -> None:
            self._intents.unstage(staged, number)
            if session.outstanding.pop(request_id) is not None and not session.is_closed:
                session.respond(request_id).done.SetInParent()

        session.track(request_id, lambda _: None)
        self._intents.when_quiet(txn, quiet)

    def _heartbeat(self, request: kv_pb2.Request) -> None:
        self.find(self._owner(request))
        self._session.respond(request.id).done.SetInParent()


def _busy(message: str) -> Throttled:
    return Throttled(message, number=_WAIT_MS, detail=Throttled.REPEAT)
