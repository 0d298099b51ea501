"""The client's half of one KV stream, without I/O: batching, credit, answers, broken streams.

**Model.** A request is added to the open frame at once if the server's credit allows, else it waits
in a queue. The transport is woken once and takes the frames when it can write: so everything that
was asked in one turn of the loop, or while the last frame was in flight, leaves together. Without a
connection the credit is 0 and everything queues.

**Invariants.** Ids rise and are never reused. `len(sent) <= credit`, except after the server shrank
it. A request is in exactly one of `_sent`, `_queue`.

**Concurrency.** One event loop; every method is synchronous.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from google.protobuf.message import DecodeError

from kvapi.client.config import ClientConfig
from kvapi.client.meter import Meter, current_meter
from kvapi.client.operations import OnLoss, Operation
from kvapi.client.results import Hello, Limits
from kvapi.errors import (
    BadRequest,
    CommitAmbiguous,
    ConnectionLost,
    InternalError,
    KvError,
    NotLeaseholder,
    RequestTooLarge,
    Throttled,
    Unavailable,
)
from kvapi.pb import kv_pb2
from kvapi.wire import error_from_proto

AnyFuture = asyncio.Future[Any]
# A request's own fields beside its payload: id, timestamps, txn id, message heads.
REQUEST_BYTES: Final = 80


class _Waiting(NamedTuple):
    future: AnyFuture
    operation: Operation
    request: kv_pb2.Request
    meter: Meter | None
    since_s: float


_Sent = tuple[AnyFuture, Operation, kv_pb2.Request, Meter | None]


class CancellableFuture(asyncio.Future[Any]):
    """A future whose cancelling is told to the node: for requests that may take long."""

    on_cancel: Callable[[int], None] | None = None
    request_id = 0

    def cancel(self, msg: Any | None = None) -> bool:
        """Cancel, and send Cancel for the request."""
        if not super().cancel(msg):
            return False
        if self.on_cancel is not None:
            self.on_cancel(self.request_id)
        return True


class RequestStream:
    """Requests in, frames out; frames in, answers out."""

    def __init__(self, config: ClientConfig, now_s: Callable[[], float]) -> None:
        self.catalog_version = 0
        self.oldest_catalog_version = 0  # what was planned against it is still accepted
        self.on_catalog_version: Callable[[int], None] | None = None
        self.limits: Limits | None = None  # of the tenant; None: it is unlimited
        self.on_limits: Callable[[Limits | None], None] | None = None
        self.on_hello: Callable[[Hello], None] | None = None
        self.on_waiting: Callable[[], None] = _ignore  # a request queues without a connection
        self.on_unresolved: Callable[[AnyFuture, bytes], None] = _ignore_unresolved
        self.on_elsewhere: Callable[[Operation, AnyFuture, kv_pb2.Request, KvError], None] = (
            _fail_elsewhere  # a node does not hold what was asked for
        )
        self.on_throttled: Callable[[Operation, AnyFuture, kv_pb2.Request, Throttled], None] = (
            _fail_elsewhere  # nothing was done: it may be sent again
        )
        self.wake: Callable[[], None] = _ignore  # the transport's; set while connected
        self.send_bytes_max = config.frame_bytes_max
        self._config = config
        self._now_s = now_s
        self._credit = 0
        self._next_id = 1
        self._sent: dict[int, _Sent] = {}
        self._queue: deque[_Waiting] = deque()
        self._frame = kv_pb2.ClientFrame()
        self._frame_bytes = 0
        self._sealed: list[kv_pb2.ClientFrame] = []
        self._is_awake = False
        self.loss_count = 0  # connections that were ready and broke

    @property
    def outstanding_count(self) -> int:
        """Requests sent and not answered."""
        return len(self._sent)

    @property
    def queue_count(self) -> int:
        """Requests that wait for credit or a connection."""
        return len(self._queue)

    @property
    def is_open(self) -> bool:
        """True between a hello's answer and the end of its connection."""
        return self._credit > 0

    # --- requests ---------------------------------------------------------------------------

    def request(self, operation: Operation, future: AnyFuture, size: int) -> kv_pb2.Request:
        """Return a new request for the caller to fill in now; its answer goes to `future`.

        `size` is an upper bound of its payload on the wire.
        """
        request_id = self._next_id
        self._next_id = request_id + 1
        if self._queue or len(self._sent) >= self._credit:
            return self._enqueue(operation, future, request_id)
        size += REQUEST_BYTES
        if self._frame_bytes + size > self.send_bytes_max:
            if size > self.send_bytes_max:
                return self._refuse(future, size)
            self._seal()
        self._frame_bytes += size
        request = self._frame.requests.add()
        request.id = request_id
        self._sent[request_id] = (future, operation, request, current_meter.get())
        if not self._is_awake:
            self._is_awake = True
            self.wake()
        return request

    def submit(self, operation: Operation, future: AnyFuture, request: kv_pb2.Request) -> None:
        """Send a request that is filled in already; it gets a new id."""
        request.id = self._next_id
        self._next_id += 1
        if isinstance(future, CancellableFuture):
            future.request_id, future.on_cancel = request.id, self.cancel
        if len(self._queue) >= self._config.queue_requests_max:
            future.set_exception(Throttled("too many requests are waiting for the KV node"))
            return
        self._queue.append(_Waiting(future, operation, request, current_meter.get(), self._now_s()))
        if self._credit:
            self._send_waiting()
        else:
            self.on_waiting()

    def cancel(self, request_id: int) -> None:
        """Tell the node that nobody waits for this request any more."""
        if request_id not in self._sent:
            return  # still queued, and skipped there because its future is done
        self._frame.requests.add().cancel.request_id = request_id
        self._frame_bytes += REQUEST_BYTES
        self._wake_once()

    def _enqueue(self, operation: Operation, future: AnyFuture, request_id: int) -> kv_pb2.Request:
        request = kv_pb2.Request(id=request_id)
        if len(self._queue) >= self._config.queue_requests_max:
            future.set_exception(
                Throttled(f"{len(self._queue)} requests are waiting for the KV node already")
            )
            return request
        self._queue.append(_Waiting(future, operation, request, current_meter.get(), self._now_s()))
        if not self._credit:
            self.on_waiting()
        return request

    def _refuse(self, future: AnyFuture, size: int) -> kv_pb2.Request:
        limit = self.send_bytes_max
        message = f"request of about {size} bytes, the limit is {limit}"
        future.set_exception(RequestTooLarge(message, number=limit))
        return kv_pb2.Request()

    def _seal(self) -> None:
        self._sealed.append(self._frame)
        self._frame = kv_pb2.ClientFrame()
        self._frame_bytes = 0

    def _wake_once(self) -> None:
        if not self._is_awake:
            self._is_awake = True
            self.wake()

    def _send_waiting(self) -> None:
        """Move from the queue what credit allows."""
        while self._queue and len(self._sent) < self._credit:
            waiting = self._queue.popleft()
            if waiting.future.done():
                continue
            size = waiting.request.ByteSize() + REQUEST_BYTES
            if size > self.send_bytes_max:
                self._refuse(waiting.future, size)
                continue
            if self._frame_bytes + size > self.send_bytes_max:
                self._seal()
            self._frame_bytes += size
            self._frame.requests.append(waiting.request)
            self._sent[waiting.request.id] = waiting[:4]
            self._wake_once()

    # --- the transport's side -----------------------------------------------------------------

    def take_frames(self) -> list[bytes]:
        """Return the bodies to send now, oldest first; usually one."""
        self._is_awake = False
        frame = self._frame
        if not frame.requests:
            return []
        self._frame = kv_pb2.ClientFrame()
        self._frame_bytes = 0
        if self._sealed:
            frames = [*self._sealed, frame]
            self._sealed = []
            return [f.SerializeToString() for f in frames]
        return [frame.SerializeToString()]

    def receive(self, body: bytes) -> None:
        """Take one frame from the node. Raises: KvError if the stream cannot go on after it."""
        try:
            frame = kv_pb2.ServerFrame.FromString(body)
        except DecodeError as error:
            raise BadRequest("malformed frame from the KV node") from error
        if frame.catalog_version >= self.catalog_version:
            self._note_catalog(frame)
        sent = self._sent
        responses = frame.responses
        for response in responses:
            entry = sent.pop(response.id, None)
            if entry is None:
                continue
            future, operation, request, meter = entry
            if response.HasField("error"):
                self._failed(entry, error_from_proto(response.error))
                continue
            if meter is not None:
                operation.charge(meter, response, request)
            if future.done():  # cancelled meanwhile
                continue
            try:
                future.set_result(operation.decode(response, request))
            except NotLeaseholder as elsewhere:  # for a part of it
                self._failed(entry, elsewhere)
            except ValueError as error:  # lists that should be parallel are not
                future.set_exception(InternalError(f"malformed answer: {error}"))
        if frame.credit_requests or self._queue or not self._credit or not responses:
            self._other_news(frame)
        if frame.HasField("fatal"):
            raise error_from_proto(frame.fatal)

    def _failed(self, entry: _Sent, error: KvError) -> None:
        future, operation, request, meter = entry
        if future.done():
            return
        token = current_meter.set(meter)  # if it is asked again, whoever asked first pays
        if isinstance(error, NotLeaseholder):
            self.on_elsewhere(operation, future, request, error)
        elif isinstance(error, Throttled) and error.detail == Throttled.REPEAT:
            self.on_throttled(operation, future, request, error)
        else:
            future.set_exception(error)
        current_meter.reset(token)

    def _other_news(self, frame: kv_pb2.ServerFrame) -> None:
        if frame.HasField("hello") and not self._credit:
            self._opened(frame.hello)
            self._note_limits(frame.limits)  # none there: none at all
        elif frame.HasField("limits"):
            self._note_limits(frame.limits)
        if frame.credit_requests and self._credit:
            self._credit = min(frame.credit_requests, self._config.credit_requests_max)
        self._send_waiting()

    def _opened(self, hello: kv_pb2.HelloReply) -> None:
        self._credit = min(max(hello.credit_requests, 1), self._config.credit_requests_max)
        if hello.frame_bytes_max:
            self.send_bytes_max = hello.frame_bytes_max
        if hello.catalog_version > self.catalog_version:
            self._newer_catalog(hello.catalog_version)
        if self.on_hello is not None:
            self.on_hello(
                Hello(
                    hello.catalog_version,
                    hello.newest_ts,
                    hello.credit_requests,
                    hello.frame_bytes_max,
                    hello.server_epoch,
                )
            )

    def _note_limits(self, limits: kv_pb2.Limits) -> None:
        old, self.limits = self.limits, Limits.from_proto(limits)
        if self.limits != old and self.on_limits is not None:
            self.on_limits(self.limits)

    def _note_catalog(self, frame: kv_pb2.ServerFrame) -> None:
        self.oldest_catalog_version = frame.oldest_catalog_version or frame.catalog_version
        if frame.catalog_version > self.catalog_version:
            self._newer_catalog(frame.catalog_version)

    def _newer_catalog(self, version: int) -> None:
        self.catalog_version = version
        if self.on_catalog_version is not None:
            self.on_catalog_version(version)

    # --- without a connection -----------------------------------------------------------------

    def lost(self) -> None:
        """Take note that the connection broke: queue again what may be, end the rest."""
        self._credit = 0
        self._frame = kv_pb2.ClientFrame()
        self._frame_bytes = 0
        self._sealed = []
        self._is_awake = False
        self.loss_count += 1
        sent, self._sent = self._sent, {}
        self._end_queued()
        again = []
        for future, operation, request, meter in sent.values():
            if future.done():
                continue
            if operation.on_loss is OnLoss.RESEND:
                again.append(_Waiting(future, operation, request, meter, self._now_s()))
            else:
                self._end_lost(future, operation, request)
        self._queue.extendleft(reversed(again))
        if self._queue:
            self.on_waiting()

    def _end_queued(self) -> None:
        """End queued requests that rely on locks or staged writes: those went with the stream."""
        queue, self._queue = self._queue, deque()
        for waiting in queue:
            if waiting.future.done():
                continue
            if not self.end_unsent(waiting.operation, waiting.future, waiting.request):
                self._queue.append(waiting)

    def end_unsent(self, operation: Operation, future: AnyFuture, request: kv_pb2.Request) -> bool:
        """End a request that no node acted on, if it relies on the stream that broke; tell so."""
        policy = operation.on_loss
        if policy in (OnLoss.RESEND, OnLoss.AMBIGUOUS):  # never sent, so not ambiguous
            return False
        if policy is OnLoss.RESOLVE:
            operation = operation._replace(on_loss=OnLoss.FAIL)
        self._end_lost(future, operation, request)
        return True

    def _end_lost(self, future: AnyFuture, operation: Operation, request: kv_pb2.Request) -> None:
        match operation.on_loss:
            case OnLoss.DONE:
                future.set_result(None)
            case OnLoss.RESOLVE:
                self.on_unresolved(future, request.txn_id)
            case OnLoss.AMBIGUOUS:
                message = f"connection to the KV node lost during {operation.name}"
                future.set_exception(CommitAmbiguous(message))
            case _:
                message = f"connection to the KV node lost during {operation.name}"
                future.set_exception(ConnectionLost(message))

    def fail_waiting(self, error: KvError) -> None:
        """End every queued request with `error`."""
        queue, self._queue = self._queue, deque()
        for waiting in queue:
            if not waiting.future.done():
                waiting.future.set_exception(error)

    def expire_waiting(self, reason: str) -> float | None:
        """End what waited `connect_wait_s`; return the seconds until the next, None: no more."""
        deadline_s = self._now_s() - self._config.connect_wait_s
        while self._queue:
            waiting = self._queue[0]
            if waiting.since_s > deadline_s and not waiting.future.done():
                return waiting.since_s - deadline_s
            self._queue.popleft()
            if not waiting.future.done():
                waiting.future.set_exception(Unavailable(f"no connection to the KV node: {reason}"))
        return None


def _ignore() -> None:
    return None


def _fail_elsewhere(_: Operation, future: AnyFuture, __: kv_pb2.Request, error: KvError) -> None:
    future.set_exception(error)


def _ignore_unresolved(_: AnyFuture, __: bytes) -> None:
    return None
