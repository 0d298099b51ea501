"""Get, MultiGet and Scan of one stream: from the request's message to the answer's.

Protobuf messages are filled in place here: this is the hot path, and an intermediate value would
cost as much as the read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from kvapi.errors import KvError
from kvapi.pb import kv_pb2
from kvapi.spans import Span
from kvnode.mvcc.formats import TS_BYTES
from kvnode.mvcc.overlay import Overlay, find_intent
from kvnode.mvcc.point_read import Version, read_history
from kvnode.mvcc.scan import ScanSpec
from kvnode.server.elastic_route import read_priority
from kvnode.server.long_reads import MultiGetRead, OwnLayers, ScanRead
from kvnode.server.range_gate import clamp_scan
from kvnode.storage.engine import Table
from kvnode.tenants.tenant import Tenant
from kvnode.txn.layers import StagedTxn

if TYPE_CHECKING:
    from kvnode.server.stream_session import StreamSession

_HEAVY_BYTES: Final = 256
_LIVE: Final = Table.LIVE


class ReadRequests:
    """Answers the reads of one stream."""

    def __init__(self, session: StreamSession) -> None:
        self._session = session
        self._core = session.core
        self._timeline = session.core.timeline

    def handlers(self) -> dict[str, Callable[[kv_pb2.Request], None]]:
        """Return which operation goes where."""
        return {"get": self._get, "multi_get": self._multi_get, "scan": self._scan}

    def _get(self, request: kv_pb2.Request) -> None:
        session = self._session
        tenant = session.tenant
        timeline = self._timeline
        read_ts = self._read_ts(tenant, request, self._get)
        if not read_ts:
            return
        key = tenant.keyspace.prefix + request.get.key
        snapshot = timeline.snapshot()
        if request.txn_id or tenant.layers.from_ts <= read_ts:
            layers = self._layers(request, read_ts)
            if (version := find_intent(snapshot, layers, key)) is not None:
                self._answer_version(request.id, read_ts, version)
                return
        stored = snapshot.get(_LIVE, key)
        response = session.respond(request.id)
        response.read_ts = read_ts
        answer = response.value
        if stored is not None:
            commit_ts = int.from_bytes(stored[:TS_BYTES], "big")
            if commit_ts <= read_ts:
                answer.value = stored[TS_BYTES:]
                answer.commit_ts = commit_ts
                response.cost_bytes = len(stored)
                if len(stored) > _HEAVY_BYTES:
                    session.add_weight(len(stored))
                return
        elif tenant.last_delete_ts <= read_ts:
            answer.SetInParent()
            return
        self._fill_version(response, read_history(snapshot, key, read_ts=read_ts))

    def _answer_version(self, request_id: int, read_ts: int, version: Version) -> None:
        response = self._session.respond(request_id)
        response.read_ts = read_ts
        self._fill_version(response, version)

    def _fill_version(self, response: kv_pb2.Response, version: Version) -> None:
        answer = response.value
        answer.SetInParent()
        if version.value is not None:
            answer.value = version.value
            answer.commit_ts = version.commit_ts
            response.cost_bytes = len(version.value)
            self._session.add_weight(len(version.value))

    def _own(self, request: kv_pb2.Request) -> StagedTxn | None:
        """Return what the request's transaction has staged. Raises: WriteConflict."""
        session = self._session
        return self._core.intents.find(session.tenant, (session.id, request.txn_id))

    def _layers(self, request: kv_pb2.Request, read_ts: int) -> Overlay:
        own = self._own(request) if request.txn_id else None
        layers = self._session.tenant.layers
        return layers.seen_by(own, read_ts, layer_max=request.layer_max)

    def _multi_get(self, request: kv_pb2.Request) -> None:
        tenant = self._session.tenant
        read_ts = self._read_ts(tenant, request, self._multi_get)
        if not read_ts:
            return
        keys = tenant.keyspace.keys(request.multi_get.keys)
        own = OwnLayers(self._own(request), request.layer_max) if request.txn_id else None
        MultiGetRead(self._session, request.id, keys, read_ts, own).start(
            read_priority(self._session, request)
        )

    def _scan(self, request: kv_pb2.Request) -> None:
        tenant = self._session.tenant
        read_ts = self._read_ts(tenant, request, self._scan)
        if not read_ts:
            return
        scan, config = request.scan, self._core.config
        here, resume_key = Span(scan.start, scan.end), b""
        if tenant.ranges.is_partly_elsewhere:
            here, resume_key = clamp_scan(tenant.ranges, scan)
        start, end = tenant.keyspace.span(*here)
        rows_max = (1 << 62) if scan.count_only else config.block_rows_max
        bytes_max = config.block_bytes_max
        spec = ScanSpec(
            start=start,
            end=end,
            read_ts=read_ts,
            reverse=scan.reverse,
            limit_rows=min(scan.limit_rows or rows_max, rows_max),
            limit_bytes=min(scan.limit_bytes or bytes_max, bytes_max),
            keys_only=scan.keys_only,
            count_only=scan.count_only,
        )
        own = OwnLayers(self._own(request), request.layer_max) if request.txn_id else None
        ScanRead(self._session, request.id, spec, own, resume_key).start(
            read_priority(self._session, request)
        )

    def _read_ts(
        self, tenant: Tenant, request: kv_pb2.Request, again: Callable[[kv_pb2.Request], None]
    ) -> int:
        """Return the snapshot to read at, or 0 if `again` will be called when it is complete."""
        if request.catalog_version:
            tenant.check_catalog(request)
        timeline = self._timeline
        read_ts = request.read_ts
        if request.txn_id and (own := self._own(request)) is not None and not own.is_quiet:
            staged = own
            self._wait(request, again, lambda quiet: self._core.intents.when_quiet(staged, quiet))
            return 0
        if not read_ts:
            # Before its first commit a store has nothing to show, and 1 is before everything.
            return timeline.durable_ts or 1
        if read_ts < tenant.threshold:
            tenant.check_readable(read_ts)
        if read_ts <= timeline.durable_ts or not timeline.reserve(read_ts):
            return read_ts
        if self._core.group.is_idle:
            return read_ts
        # What is queued now goes to the disk first; what comes later lies above read_ts.
        self._wait(request, again, lambda durable: self._when_durable(read_ts, durable))
        return 0

    def _when_durable(self, read_ts: int, callback: Callable[[], None]) -> None:
        def durable() -> None:
            self._timeline.advance(min(read_ts, self._timeline.hlc.newest))
            callback()

        self._core.group.after_queued(durable)

    def _wait(
        self,
        request: kv_pb2.Request,
        again: Callable[[kv_pb2.Request], None],
        when: Callable[[Callable[[], None]], None],
    ) -> None:
        """Read when `when` calls back."""
        session = self._session
        is_cancelled: list[KvError] = []

        def cancel(error: KvError) -> None:
            is_cancelled.append(error)
            if session.outstanding.pop(request.id) is not None:
                session.answer_error(request.id, error)

        def ready() -> None:
            if is_cancelled or session.is_closed:
                return
            session.outstanding.pop(request.id)
            try:
                again(request)
            except KvError as error:
                session.answer_error(request.id, error)

        session.track(request.id, cancel, size_bytes=request.ByteSize())
        when(ready)
