"""Get, MultiGet and Scan of one stream: from the request's message to the answer's.

Protobuf messages are filled in place here: this is the hot path, and an intermediate value would
cost as much as the read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kvapi.errors import InternalError, KvError, RequestTooLarge, WriteConflict
from kvapi.pb import kv_pb2
from kvapi.spans import Span
from kvnode.mvcc.formats import TS_BYTES
from kvnode.mvcc.overlay import Overlay, find_intent, find_intents
from kvnode.mvcc.point_read import Version, read_history, read_keys
from kvnode.mvcc.scan import ScanRun, ScanSpec
from kvnode.server.range_gate import clamp_scan
from kvnode.storage.engine import Snapshot, Table
from kvnode.tenants.tenant import Tenant
from kvnode.txn.layers import StagedTxn

if TYPE_CHECKING:
    from kvnode.server.stream_session import StreamSession

_KEYS_PER_STEP: Final = 256
_LIVE: Final = Table.LIVE
_FOUND: Final = (b"\x00", b"\x01", b"\x02")  # absent, found, skipped


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
                if len(stored) > _KEYS_PER_STEP:
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
        MultiGetRead(self._session, request.id, keys, read_ts, own).start()

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
        ScanRead(self._session, request.id, spec, own, resume_key).start()

    def _read_ts(
        self, tenant: Tenant, request: kv_pb2.Request, again: Callable[[kv_pb2.Request], None]
    ) -> int:
        """Return the snapshot to read at, or 0 if `again` will be called when it is complete."""
        if request.catalog_version:
            tenant.check_catalog(request.catalog_version)
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


@dataclass(frozen=True, slots=True)
class OwnLayers:
    """Whose staged writes a long read sees besides, and up to which layer."""

    txn: StagedTxn | None
    layer_max: int


class _LongRead:
    """A read in steps: bookkeeping that all kinds share."""

    def __init__(
        self,
        session: StreamSession,
        request_id: int,
        read_ts: int,
        size_bytes: int,
        own: OwnLayers | None,
    ) -> None:
        self._own = own
        self._session = session
        self._tenant = session.tenant
        self._request_id = request_id
        self._read_ts = read_ts
        self._size_bytes = size_bytes
        self._cpu_s = 0.0
        self._is_over = False
        self._is_started = False

    def start(self) -> None:
        """Take the first step now or soon."""
        self._session.track(self._request_id, self._cancel, size_bytes=self._size_bytes)
        self._tenant.reads[self] = self._read_ts
        self._session.core.reads.run(self)

    def is_blocked(self) -> bool:
        """Tell whether to wait: for the client to read on, or for its reads before this one."""
        if self._is_over:
            return False
        session = self._session
        if self._is_started:
            return session.is_paused
        return session.is_paused or session.reads_started >= session.core.config.reads_max

    def step(self, snapshot: Snapshot) -> bool:
        if self._is_over:
            return True
        if not self._is_started:
            self._is_started = True
            self._session.reads_started += 1
        clock = self._session.core.clock
        started_s = clock.monotonic_s()
        try:
            is_done = self.advance(snapshot)
            self._cpu_s += clock.monotonic_s() - started_s
            if is_done:
                self._end()
                self.answer(self._response())
        except KvError as error:
            self._fail(error)
        except Exception as error:
            self._fail(InternalError(f"the read failed: {type(error).__name__}"))
            raise
        return self._is_over

    def advance(self, snapshot: Snapshot) -> bool:
        """Read on; tell whether all is read."""
        raise NotImplementedError

    def answer(self, response: kv_pb2.Response) -> None:
        """Fill in the answer."""
        raise NotImplementedError

    def _layers(self) -> Overlay:
        """Return the layers to lay over. Raises: WriteConflict if the read's own are gone."""
        layers, own = self._tenant.layers, self._own
        if own is None:
            return layers.overlay(self._read_ts) if layers.from_ts <= self._read_ts else ()
        if own.txn is not None and own.txn.is_over:
            raise WriteConflict("the transaction ended under its read")
        return layers.seen_by(own.txn, self._read_ts, layer_max=own.layer_max)

    def _deleted_since(self) -> bool:
        return self._tenant.last_delete_ts > self._read_ts

    def _response(self) -> kv_pb2.Response:
        response = self._session.respond(self._request_id)
        response.read_ts = self._read_ts
        response.cpu_us = int(self._cpu_s * 1e6)
        return response

    def _cancel(self, error: KvError) -> None:
        if not self._is_over:
            self._fail(error)

    def _fail(self, error: KvError) -> None:
        self._end()
        if not self._session.is_closed:
            self._session.answer_error(self._request_id, error)

    def _end(self) -> None:
        self._is_over = True
        self._tenant.reads.pop(self, None)
        self._session.outstanding.pop(self._request_id)
        if self._is_started:
            self._session.reads_started -= 1
            if self._session.reads_started == self._session.core.config.reads_max - 1:
                self._session.core.reads.unblock()


class MultiGetRead(_LongRead):
    """Several keys at one snapshot."""

    def __init__(
        self,
        session: StreamSession,
        request_id: int,
        keys: list[bytes],
        read_ts: int,
        own: OwnLayers | None = None,
    ) -> None:
        super().__init__(session, request_id, read_ts, sum(map(len, keys)), own)
        self._keys = keys
        self._versions: list[Version] = []
        self._bytes = 0

    def advance(self, snapshot: Snapshot) -> bool:
        first = len(self._versions)
        read_ts, deleted_since = self._read_ts, self._deleted_since()
        keys = self._keys[first : first + _KEYS_PER_STEP]
        versions = read_keys(snapshot, keys, read_ts=read_ts, deleted_since=deleted_since)
        if layers := self._layers():
            intents = find_intents(snapshot, layers, keys)
            pairs = zip(keys, versions, strict=True)
            versions = [intents.get(key, version) for key, version in pairs]
        for version in versions:
            self._versions.append(version)
            if version.value is not None:
                self._bytes += len(version.value)
        limit = self._session.core.config.frame_bytes_max // 2
        if self._bytes > limit:
            raise RequestTooLarge("the values do not fit into one answer", number=limit)
        return len(self._versions) == len(self._keys)

    def answer(self, response: kv_pb2.Response) -> None:
        fill_values(response, self._versions, ())
        self._session.add_weight(self._bytes)


class ScanRead(_LongRead):
    """A span at one snapshot; it goes on at `resume_key` on another node."""

    def __init__(
        self,
        session: StreamSession,
        request_id: int,
        spec: ScanSpec,
        own: OwnLayers | None,
        resume_key: bytes = b"",
    ) -> None:
        super().__init__(session, request_id, spec.read_ts, len(spec.start) + len(spec.end), own)
        self._run = ScanRun(spec)
        self._resume_key = resume_key

    def advance(self, snapshot: Snapshot) -> bool:
        if not self._run.done:
            self._run.step(snapshot, deleted_since=self._deleted_since(), overlay=self._layers())
        return self._run.done

    def answer(self, response: kv_pb2.Response) -> None:
        packed = self._run.block()
        block = response.block
        block.SetInParent()
        block.row_count = packed.row_count
        block.keys = packed.keys
        block.key_ends = packed.key_ends
        block.values = packed.values
        block.value_ends = packed.value_ends
        block.more = packed.more
        if self._resume_key and not packed.more:
            block.more = True
            block.resume_key = self._resume_key
        response.cost_bytes = size = len(packed.keys) + len(packed.values)
        self._session.add_weight(size)


def fill_values(
    response: kv_pb2.Response, versions: list[Version], skipped: set[int] | tuple[()]
) -> None:
    """Fill in `values`; `skipped` are the indexes of keys that were not looked at."""
    values = response.values
    values.SetInParent()
    values.values.extend([version.value or b"" for version in versions])
    values.commit_ts.extend([version.commit_ts for version in versions])
    values.found = b"".join(
        _FOUND[2 if index in skipped else version.value is not None]
        for index, version in enumerate(versions)
    )
    response.cost_bytes = sum(len(version.value) for version in versions if version.value)
