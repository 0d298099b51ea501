"""Lock and Unlock of one stream, and whose locks the stream holds.

**Invariants.** A lock lives at most as long as the stream that asked for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from kvapi.errors import BadRequest, KvError, RequestTooLarge
from kvapi.pb import kv_pb2
from kvnode.mvcc.overlay import find_intents
from kvnode.mvcc.point_read import ABSENT, read_keys
from kvnode.server.lock_bounds import LOCK_KEYS_MAX, check_lock_bounds
from kvnode.server.long_reads import LockedRead, OwnLayers, fill_values
from kvnode.txn.lock_modes import Mode
from kvnode.txn.lock_queue import LockRequest, Owner, Wait

if TYPE_CHECKING:
    from kvnode.server.stream_session import StreamSession

_MODES: Final = {
    kv_pb2.EXCLUSIVE: Mode.EXCLUSIVE,
    kv_pb2.SHARED: Mode.SHARED,
    kv_pb2.NO_KEY_EXCLUSIVE: Mode.NO_KEY_EXCLUSIVE,
    kv_pb2.KEY_SHARED: Mode.KEY_SHARED,
}
_WAITS: Final = {
    kv_pb2.BLOCK: Wait.BLOCK,
    kv_pb2.NOWAIT: Wait.NOWAIT,
    kv_pb2.SKIP_LOCKED: Wait.SKIP,
}
_TXN_ID_BYTES: Final = 16
_STATEMENT_MAX: Final = 1_000
_SESSION_MAX: Final = 16
_READ_AT_ONCE_MAX: Final = 256  # locked rows; more are read in quanta


class LockRequests:
    """Answers the lock requests of one stream."""

    def __init__(self, session: StreamSession) -> None:
        self._session = session
        self._core = session.core
        self._owners: dict[Owner, None] = {}

    def handlers(self) -> dict[str, Callable[[kv_pb2.Request], None]]:
        """Return which operation goes where."""
        return {"lock": self._lock, "unlock": self._unlock}

    def close(self) -> None:
        """Free the locks of the stream; a commit on its way frees its own."""
        for owner in self._owners:
            if not self._core.sequencer.is_committing(owner):
                self._core.locks.release(owner)
        self._owners.clear()

    def remember(self, owner: Owner) -> None:
        """Take note that `owner` may hold locks."""
        self._owners[owner] = None

    def forget(self, owner: Owner) -> None:
        """Take note that `owner` has ended; its locks are freed by whoever ended it."""
        self._owners.pop(owner, None)

    def release(self, owner: Owner) -> None:
        """Free the locks of `owner`, which has ended."""
        self._owners.pop(owner, None)
        self._core.locks.release(owner)

    def _lock(self, request: kv_pb2.Request) -> None:
        session, tenant = self._session, self._session.tenant
        if request.catalog_version:
            tenant.check_catalog(request)
        owner = self._owner(request)
        self._core.intents.find(tenant, owner)  # it is alive, or lapsed
        lock = request.lock
        check_lock_bounds(
            self._core, self._owners, owner, tenant_id=tenant.id, count=len(lock.keys)
        )
        acquiring = self._request(owner, lock)
        request_id = request.id
        session.track(
            request_id,
            lambda error: self._core.locks.withdraw(acquiring, error),
            size_bytes=request.ByteSize(),
        )
        self._owners[owner] = None
        self._core.locks.acquire(
            acquiring,
            lambda settled: self._locked(request_id, settled),
            timeout_s=lock.timeout_ms / 1000,
        )

    def _owner(self, request: kv_pb2.Request) -> Owner:
        owner = (self._session.id, txn_id_of(request))
        if self._core.sequencer.is_committing(owner):
            raise BadRequest("the transaction is committing")
        return owner

    def _request(self, owner: Owner, lock: kv_pb2.Lock) -> LockRequest:
        if len(lock.session) > _SESSION_MAX:
            raise BadRequest(f"a lock's session has up to {_SESSION_MAX} bytes")
        is_advisory = lock.space == kv_pb2.ADVISORY
        return LockRequest(
            owner,
            self._keys(lock),
            _MODES.get(lock.mode, Mode.EXCLUSIVE),
            _WAITS.get(lock.wait, Wait.BLOCK),
            lock.statement[:_STATEMENT_MAX],
            session=(self._session.id, lock.session) if lock.session else None,
            process=int.from_bytes(lock.session, "big"),
            is_advisory=is_advisory,
        )

    def _keys(self, message: kv_pb2.Lock | kv_pb2.Unlock) -> list[bytes]:
        keyspace = self._session.tenant.keyspace
        if message.space == kv_pb2.ADVISORY:
            return keyspace.advisory_keys(message.keys)
        return keyspace.keys(message.keys)

    def _unlock(self, request: kv_pb2.Request) -> None:
        owner, message, locks = self._owner(request), request.unlock, self._core.locks
        if len(message.keys) > LOCK_KEYS_MAX:
            raise RequestTooLarge("too many keys in one unlock request", number=LOCK_KEYS_MAX)
        if message.keys:
            mode = _MODES.get(message.mode, Mode.EXCLUSIVE)
            locks.unlock(owner, self._keys(message), mode)
        else:
            (space,) = self._session.tenant.keyspace.advisory_keys([b""])
            is_advisory = message.space == kv_pb2.ADVISORY
            held = locks.table.held_keys(owner)
            keys = [key for key in held if key.startswith(space) == is_advisory]
            for mode in Mode:
                locks.unlock(owner, keys, mode)
        has_staged = owner in self._session.tenant.layers.holding  # others may wait for that
        is_free = not locks.table.held_count(owner) and not locks.table.waiting_of(owner)
        if is_free and not has_staged:
            self.release(owner)
        self._session.respond(request.id).done.SetInParent()

    def _locked(self, request_id: int, lock: LockRequest) -> None:
        """Answer with the values; writes sequenced before the lock was granted come first.

        Nobody else can write these keys now, so after those the values stand.
        """
        pending = self._session.tenant.pending
        if lock.error is None and pending and not pending.keys().isdisjoint(lock.keys):
            self._core.group.after_queued(lambda: self._answer_lock(request_id, lock))
        else:
            self._answer_lock(request_id, lock)

    def _answer_lock(self, request_id: int, lock: LockRequest) -> None:
        session = self._session
        session.outstanding.pop(request_id)
        if session.is_closed:
            return
        if lock.error is not None:
            if lock.error.key:
                lock.error.key = session.tenant.keyspace.strip(lock.error.key)
            session.answer_error(request_id, lock.error)
            return
        if lock.is_advisory:
            self._answer_advisory(request_id, lock)
            return
        if len(lock.keys) > _READ_AT_ONCE_MAX:
            self._read_in_quanta(request_id, lock)
        else:
            self._answer_values(request_id, lock)

    def _read_in_quanta(self, request_id: int, lock: LockRequest) -> None:
        """Read many rows. What fails is this request, not that of whoever freed the lock."""
        session = self._session
        own = OwnLayers(session.tenant.layers.holding.get(lock.owner), 0)
        read_ts = self._core.timeline.durable_ts
        try:
            LockedRead(session, request_id, lock.keys, lock.skipped, read_ts, own).start()
        except KvError as error:
            session.answer_error(request_id, error)

    def _answer_values(self, request_id: int, lock: LockRequest) -> None:
        session, timeline = self._session, self._core.timeline
        snapshot, read_ts = timeline.snapshot(), timeline.durable_ts
        tenant = session.tenant
        deleted_since = tenant.last_delete_ts > read_ts
        own = tenant.layers.holding.get(lock.owner)
        layers = tenant.layers.seen_by(own, read_ts)
        keys = [key for key in lock.keys if key not in lock.skipped]
        seen = find_intents(snapshot, layers, keys) if layers else {}
        rest = [key for key in keys if key not in seen] if seen else keys
        stored = read_keys(snapshot, rest, read_ts=read_ts, deleted_since=deleted_since)
        seen.update(zip(rest, stored, strict=True))
        versions = [seen.get(key, ABSENT) for key in lock.keys]
        limit = self._core.config.frame_bytes_max // 2
        if sum(len(v.value) for v in versions if v.value is not None) > limit:
            message = "the locked rows do not fit into one answer"  # the client asks for fewer
            session.answer_error(request_id, RequestTooLarge(message, number=limit))
            return
        response = session.respond(request_id)
        response.read_ts = read_ts
        skipped = {index for index, key in enumerate(lock.keys) if key in lock.skipped}
        fill_values(response, versions, skipped)
        session.add_weight(response.cost_bytes)

    def _answer_advisory(self, request_id: int, lock: LockRequest) -> None:
        response = self._session.respond(request_id)
        response.read_ts = self._core.timeline.durable_ts
        skipped = {index for index, key in enumerate(lock.keys) if key in lock.skipped}
        fill_values(response, [ABSENT] * len(lock.keys), skipped)


def txn_id_of(request: kv_pb2.Request) -> bytes:
    """Return the request's transaction. Raises: BadRequest."""
    if len(request.txn_id) != _TXN_ID_BYTES:
        raise BadRequest(f"the request needs a txn_id of {_TXN_ID_BYTES} bytes")
    return request.txn_id
