"""One stream: frames in, frames out. Knows no transport.

**Model.** `receive` takes one frame and works through its requests, as long as the scheduler lets
it; the rest waits in a lane for its turn. What can be answered on the spot goes into one answering
frame, sent when the chunk of frames is done; what has to wait (a lock, a sync, a long scan) answers
later, together with whatever else is ready in that turn of the loop.

    frame → receive ─┬─ get, short reads ─────────────────→ answering frame → outlet.send
                     ├─ locks, commits, long scans … later ─┤
                     └─ lane: until it is its turn … later ─┘

Elastic requests (priority 2, and Stage) have a lane of their own when others are active, unless
somebody may wait for rows that their transaction has locked. What comes later of a transaction that
waits there goes there too, except its heartbeats; its Rollback ends what waits.

**Invariants.** No tenant, no requests: the first frame is a hello with a valid credential, or the
stream ends with a fatal error. Every request but Cancel is answered once. What the stream held
(locks, staged writes, running scans) is gone when it closes.

**Concurrency.** Owner: the event loop.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Final

from google.protobuf.message import DecodeError

from kvapi.errors import (
    BadRequest,
    Cancelled,
    CredentialRefused,
    InternalError,
    KvError,
    RequestTooLarge,
    ShuttingDown,
)
from kvapi.pb import kv_pb2
from kvapi.wire import error_to_proto
from kvnode.admission.lane import Lane
from kvnode.core import Core
from kvnode.server.catalog_requests import CatalogRequests
from kvnode.server.elastic_route import end_waiting, is_elastic
from kvnode.server.hello import authenticate, limits_news, welcome
from kvnode.server.outlet import Outlet
from kvnode.server.outstanding import Cancel, Outstanding
from kvnode.server.protect_requests import ProtectRequests
from kvnode.server.range_gate import READS, WRITES, pass_gate
from kvnode.server.range_requests import RangeRequests
from kvnode.server.read_requests import ReadRequests
from kvnode.server.stream_credit import StreamCredit
from kvnode.server.token_requests import TokenRequests
from kvnode.server.usage_requests import UsageRequests
from kvnode.server.write_requests import WriteRequests
from kvnode.tenants.catalog_use import CatalogUser
from kvnode.tenants.tenant import Tenant

_log = logging.getLogger(__name__)
_FRAME_SOFT_BYTES: Final = 1 << 20  # an answering frame of this size leaves at once
_GETS: Final = 8  # so many at once: a look at the clock is not free
HELLO_BYTES_MAX: Final = 4096
_CLIENT_NAME_MAX: Final = 64


class StreamSession:
    """Server side of one stream."""

    def __init__(self, core: Core, outlet: Outlet, *, hello_s_max: float) -> None:
        self.core = core
        self.id = core.new_stream_id()
        self.outstanding = Outstanding(core)
        self.is_paused = False  # the client does not read its answers
        self.is_closed = False
        self.is_held = False  # a frame is being written: gather until it has left
        self._outlet = outlet
        self._tenant: Tenant | None = None
        self._frame = kv_pb2.ServerFrame()
        self._frame_bytes = 0
        self._is_receiving = False
        self._has_news = False  # of the catalog, for a frame even if nothing is answered
        self.on_reading: Callable[[bool], None] = _ignore  # the transport's: read on, or not
        self._scheduler = scheduler = core.scheduler
        self.read_gate = core.read_gate()
        bounds = core.lane_bounds
        self.lane = Lane(self, scheduler, self._handle, bounds=bounds)
        self.elastic = Lane(self, scheduler, self._perform, bounds=bounds, is_for_elastic=True)
        self.lane.on_full = self.elastic.on_full = self._lane_filled
        self.credit = StreamCredit(self)
        self._reads = ReadRequests(self)
        self._writes = WriteRequests(self)
        self.protects = ProtectRequests(self)
        self._handlers = self._reads.handlers() | self._writes.handlers()
        self._handlers |= self.protects.handlers() | RangeRequests(self).handlers()
        self._handlers["catalog_use"] = CatalogRequests(self).use
        self._handlers["tokens"] = TokenRequests(self).ask
        self._handlers["report_usage"] = UsageRequests(self).report
        self._handlers["cancel"] = self._cancel
        core.warm_stream_count += 1
        if core.warm_stream_count > core.config.warm_streams_max:
            hello_s_max = min(hello_s_max, core.config.hello_s_max)
        self._hello_timer = core.loop.call_later(hello_s_max, self._hello_missing)
        core.stats.stream_count += 1
        core.stats.streams_opened += 1

    @property
    def tenant(self) -> Tenant:
        """The authenticated tenant. Requires: the hello was accepted."""
        assert self._tenant is not None, "requests are handled after the hello only"
        return self._tenant

    @property
    def is_authenticated(self) -> bool:
        """Whether the hello was accepted."""
        return self._tenant is not None

    def begin_chunk(self) -> None:
        """Hold answers back until `end_chunk`: several frames arrived together."""
        self._is_receiving = True
        self._scheduler.begin()

    def end_chunk(self) -> None:
        """Send what is ready."""
        self._is_receiving = False
        self.flush()
        if self._tenant is not None:
            self._scheduler.end(self._tenant.id)

    def begin_answers(self) -> None:
        """Hold answers back until `end_answers`: requests are taken from a lane."""
        self._is_receiving = True

    def end_answers(self) -> None:
        """Send what is ready."""
        self._is_receiving = False
        self.flush()

    def receive(self, body: bytes) -> None:
        """Take one frame."""
        if self.is_closed:
            return
        stats = self.core.stats
        stats.frames_received += 1
        stats.bytes_received += len(body)
        if self._tenant is None and len(body) > HELLO_BYTES_MAX:
            self.fail(RequestTooLarge("a hello is small", number=HELLO_BYTES_MAX))
            return
        frame = kv_pb2.ClientFrame()
        try:
            frame.ParseFromString(body)
        except DecodeError:
            self.fail(BadRequest("malformed frame"))
            return
        if self._tenant is None or frame.HasField("hello"):
            self._hello(frame)
            return
        requests = frame.requests
        stats.requests += len(requests)
        if len(requests) > 2 * self.core.config.credit_requests:
            self.fail(BadRequest("more requests in one frame than were granted"))
        else:
            self._work(requests, len(body))

    def _work(self, requests: Sequence[kv_pb2.Request], size_bytes: int) -> None:
        """Handle requests now as far as they may run, let the others wait."""
        scheduler, handled = self._scheduler, 0
        if scheduler.is_open and not self.lane and not self.is_paused:
            handle = self._handle if scheduler.is_shared or self.elastic.txns else self._perform
            must_yield, is_over = scheduler.is_enabled, scheduler.is_over
            for request in requests:
                name = request.WhichOneof("op")
                handle(request, name)
                handled += 1
                # The answers so far filled the client's buffer, or the turn is over.
                if self.is_paused or (
                    must_yield and (name != "get" or not handled % _GETS) and is_over()
                ):
                    break
        if handled < len(requests) and not self.is_closed:
            each = size_bytes // len(requests)
            self.lane.extend(requests[handled:], scheduler.now(), size_bytes=each)

    def _handle(self, request: kv_pb2.Request, name: str | None) -> None:
        """Handle a request, or let it wait with the elastic ones."""
        if not (self._scheduler.is_shared or self.elastic.txns):
            self._perform(request, name)
        elif is_elastic(self, request, name):
            self.elastic.extend((request,), self._scheduler.now(), size_bytes=request.ByteSize())
        else:
            end_waiting(self, request, name)
            self._perform(request, name)

    def _perform(self, request: kv_pb2.Request, name: str | None) -> None:
        tenant = self._tenant
        assert tenant is not None, "requests are handled after the hello only"
        ranges = tenant.ranges
        try:
            if (refusal := tenant.refusal()) is not None and name != "cancel":
                raise refusal
            if (handler := self._handlers.get(name or "")) is None:
                raise BadRequest("the request names no known operation")
            if not ranges.is_plain:
                pass_gate(ranges, name, request)
            elif name in READS:
                ranges.reads += 1
            elif name in WRITES:
                ranges.writes += 1
            handler(request)
        except KvError as error:
            self.answer_error(request.id, error)
        except Exception:
            _log.exception("request_failed", extra={"tenant_id": tenant.id})
            self.answer_error(request.id, InternalError("internal error; see the node's log"))

    def respond(self, request_id: int) -> kv_pb2.Response:
        """Return a response to fill in, in the frame that leaves next."""
        if not self._is_receiving:
            self.core.late_answers.add(self)
        response = self._frame.responses.add()
        response.id = request_id
        return response

    def answer_error(self, request_id: int, error: KvError) -> None:
        """Answer that a request failed."""
        self.core.stats.errors += 1
        self.respond(request_id).error.CopyFrom(error_to_proto(error))

    def add_weight(self, size_bytes: int) -> None:
        """Account for a large answer: a frame that has grown enough leaves at once."""
        self._frame_bytes += size_bytes
        if self._frame_bytes >= _FRAME_SOFT_BYTES:
            self.flush()

    def track(self, request_id: int, cancel: Cancel, *, size_bytes: int = 0) -> None:
        """Remember a request that is answered later. Raises: Throttled, BadRequest."""
        self.outstanding.add(request_id, cancel, size_bytes)
        if self.credit.is_limited:
            self.announce()  # what waits for a lock leaves room for what frees it

    def waited(self, wait_s: float) -> None:
        """Learn how long a request waited for its turn."""
        self.credit.waited(wait_s)

    def flush(self) -> None:
        """Send the frame that was gathered."""
        if self.is_closed or not (self._frame.responses or self._has_news):
            return
        if self.is_held and self._frame_bytes < _FRAME_SOFT_BYTES:
            return
        self._has_news = False
        self._frame.catalog_version = self.tenant.catalog_version
        if (oldest := self.tenant.catalog_use.oldest_valid) < self.tenant.catalog_version:
            self._frame.oldest_catalog_version = oldest
        if credit := self.credit.news():
            self._frame.credit_requests = credit
        frame, self._frame, self._frame_bytes = self._frame, kv_pb2.ServerFrame(), 0
        self._send(frame)

    def announce(self) -> None:
        """Tell the client of its credit and the newest catalog soon, whether or not it asks."""
        self._has_news = True
        if not self._is_receiving:
            self.core.late_answers.add(self)

    def flush_late(self) -> None:
        """Send what was gathered outside of chunks and tasks, at the tenant's cost."""
        began_s = self._scheduler.now()
        self.flush()
        if self._tenant is not None:
            self._scheduler.used(self._tenant.id, self._scheduler.now() - began_s)

    def fail(self, error: KvError) -> None:
        """End the stream with a fatal error."""
        if self.is_closed:
            return
        if self._tenant is not None:
            self.is_held = False
            self.flush()
        elif not isinstance(error, ShuttingDown):
            self.core.stats.streams_refused += 1
        _log.info("stream_refused", extra={"stream_id": self.id, "reason": error.message})
        self._send(kv_pb2.ServerFrame(fatal=error_to_proto(error)))
        self._outlet.close()
        self.closed()

    @property
    def may_read(self) -> bool:
        """Whether the transport should read on: answers are read, and requests are handled."""
        return not (self.is_paused or self.lane.is_full or self.elastic.is_full)

    def _lane_filled(self, _: bool) -> None:
        if not self.is_closed:
            self.on_reading(self.may_read)

    def pause(self) -> None:
        """Learn that the client does not read its answers."""
        self.is_paused = True
        self.read_gate.pause()

    def resume(self) -> None:
        """Learn that it does again."""
        self.is_paused = False
        self.read_gate.resume()
        if not self.is_closed:
            self._resume_lanes()

    def _resume_lanes(self) -> None:
        if self.lane and self._scheduler.is_open:
            self.begin_chunk()
            self.lane.run(self._scheduler.ends_s)
            self.end_chunk()
        self.lane.resume()
        self.elastic.resume()

    def newest_ts(self) -> int:
        """Return a timestamp for who begins now."""
        return self.core.timeline.hlc.newest

    def holds_locks(self, txn_id: bytes) -> bool:
        """Tell whether a transaction of this stream has locked or staged something."""
        owner, table = (self.id, txn_id), self.core.locks.table
        return table.held_count(owner) > 0 or owner in self.tenant.layers.holding

    def holds_rows(self, txn_id: bytes) -> bool:
        """Tell the same, apart from staged rows that nobody has asked for: intents hold those."""
        return self.core.locks.table.held_count((self.id, txn_id)) > 0

    def closed(self) -> None:
        """Let go of everything: the transport is gone or going."""
        if self.is_closed:
            return
        self.is_closed = True
        self.core.stats.stream_count -= 1
        self._hello_timer.cancel()
        self.credit.close()
        self.core.late_answers.discard(self)
        if self._tenant is not None:
            self._tenant.close_streams.pop(self, None)
            self._tenant.catalog_use.users.pop(self, None)
            self._tenant.on_limits.pop(self, None)
            self.core.stream_tenants.pop(self.id, None)
        else:
            self.core.warm_stream_count -= 1
        self.lane.clear()
        self.elastic.clear()
        self.read_gate.close()
        self.outstanding.cancel_all(Cancelled("the stream closed"))
        self._writes.close()
        self.protects.close()

    def _hello(self, frame: kv_pb2.ClientFrame) -> None:
        try:
            if self._tenant is not None:
                raise BadRequest("a second hello on one stream")
            tenant = authenticate(self.core, frame)
        except KvError as error:
            self.fail(error)
            return
        self._hello_timer.cancel()
        self._tenant = tenant
        self.outstanding.tenant_id = self.read_gate.tenant_id = tenant.id
        self.core.stream_tenants[self.id] = tenant.id
        for lane in (self.lane, self.elastic):
            lane.belongs_to(tenant.id, tenant.lane_room)
        self.core.set_weight(tenant.id, tenant.record.weight)
        self.core.warm_stream_count -= 1
        tenant.close_streams[self] = self.fail
        tenant.catalog_use.users[self] = CatalogUser(tenant.catalog_version, self.announce)
        tenant.on_limits[self] = lambda: self._send(limits_news(self.core, tenant))
        name = frame.hello.client_name[:_CLIENT_NAME_MAX]
        fields = {"stream_id": self.id, "tenant_id": tenant.id, "client": name}
        _log.info("stream_opened", extra=fields)
        self._send(welcome(self.core, tenant))

    def _hello_missing(self) -> None:
        self.fail(CredentialRefused("no hello in time"))

    def _cancel(self, request: kv_pb2.Request) -> None:
        """End a request wherever it waits."""
        request_id, error = request.cancel.request_id, Cancelled("canceled by the client")
        if (cancel := self.outstanding.get(request_id)) is not None:
            cancel(error)
        elif not self.lane.cancel(request_id, error):
            self.elastic.cancel(request_id, error)

    def _send(self, frame: kv_pb2.ServerFrame) -> None:
        body = frame.SerializeToString()
        self.core.stats.frames_sent += 1
        self.core.stats.bytes_sent += len(body)
        self._outlet.send(body)


def _ignore(_: bool) -> None:
    return None
