"""Protect of one stream: snapshots that its transactions still read stay whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kvapi.errors import BadRequest, Throttled
from kvapi.pb import kv_pb2

if TYPE_CHECKING:
    from kvnode.server.stream_session import StreamSession

_TXN_ID_BYTES = 16


class ProtectRequests:
    """Holds what the transactions of one stream protect, until they end or it does."""

    def __init__(self, session: StreamSession) -> None:
        self._session = session
        self._core = session.core
        self._txn_ids: set[bytes] = set()

    def handlers(self) -> dict[str, Callable[[kv_pb2.Request], None]]:
        """Return which operation goes where."""
        return {"protect": self._protect}

    def end(self, txn_id: bytes) -> None:
        """Give up what an ended transaction protected."""
        if txn_id in self._txn_ids:
            self._txn_ids.discard(txn_id)
            self._session.tenant.protections.drop((self._session.id, txn_id))

    def close(self) -> None:
        """Give up everything: the stream ended."""
        for txn_id in list(self._txn_ids):
            self.end(txn_id)

    def _protect(self, request: kv_pb2.Request) -> None:
        txn_id, read_ts = request.txn_id, request.protect.read_ts
        if len(txn_id) != _TXN_ID_BYTES:
            raise BadRequest(f"the request needs a txn_id of {_TXN_ID_BYTES} bytes")
        if read_ts:
            self._hold(txn_id, read_ts)
        else:
            self.end(txn_id)
        self._session.respond(request.id).done.SetInParent()

    def _hold(self, txn_id: bytes, read_ts: int) -> None:
        tenant = self._session.tenant
        tenant.check_readable(read_ts)
        limit = self._core.config.protections_max
        if txn_id not in self._txn_ids and len(self._txn_ids) >= limit:
            raise Throttled("one stream protects too many snapshots", number=1000)
        self._txn_ids.add(txn_id)
        now_s = self._core.clock.monotonic_s()
        tenant.protections.hold((self._session.id, txn_id), read_ts, now_s=now_s)
