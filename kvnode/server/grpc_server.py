"""Streams over gRPC: the same frames as messages of one bidirectional call.

**Model.** Bytes in, bytes out: the session parses. While one message is being written, answers
gather in the session's frame, so that the next message carries all of them; this natural batching
is what makes a Python gRPC stream fast.

What a closed stream has not sent is dropped when its client does not read it in time, but for the
message that gRPC has.
"""

import asyncio
from collections import deque
from typing import Any, Final

import grpc
import grpc.aio

from kvapi.errors import Throttled
from kvnode.core import Core
from kvnode.server.stream_session import StreamSession
from kvnode.server.unread import Unread

_SERVICE: Final = "insula.kv.v1.Kv"
_MESSAGE_OVERHEAD: Final = 1024


class _GrpcOutlet:
    """Sending half of one call."""

    def __init__(self, core: Core, context: Any) -> None:
        self._core = core
        self._context = context
        self._bodies: deque[bytes] = deque()  # bounded: the session is paused when it grows
        self._bytes = 0
        self._wake = asyncio.Event()
        self._is_closed = False
        self.drained = asyncio.Event()
        self.drained.set()
        self.session = StreamSession(core, self, hello_s_max=core.config.hello_s_max)
        self.session.on_reading = self._read_on
        self.unread = Unread(self.session, lambda: self._bytes)
        self.writer: asyncio.Task[None] | None = None
        self._dropping: asyncio.TimerHandle | None = None
        self.readable = asyncio.Event()
        self.readable.set()

    def _read_on(self, is_reading: bool) -> None:
        if is_reading:
            self.readable.set()
        else:
            self.readable.clear()

    def send(self, body: bytes) -> None:
        self._bodies.append(body)
        self._bytes += len(body)
        self.session.is_held = True
        self._wake.set()
        if self._bytes > self._core.config.send_buffer_bytes_max and self.drained.is_set():
            self.drained.clear()
            self.unread.paused()

    def close(self) -> None:
        self._is_closed = True
        self._wake.set()
        self.drained.set()
        self.readable.set()
        if self._dropping is None:
            self._dropping = self._core.loop.call_later(self._core.config.close_s_max, self._drop)

    def _drop(self) -> None:
        if self.writer is not None:
            self.writer.cancel()

    def gone(self) -> None:
        """Take note that the call is over."""
        if self._dropping is not None:
            self._dropping.cancel()
        self.unread.closed()
        self.session.closed()

    async def write_all(self) -> None:
        """Write what the session sends, until it is closed and everything is out."""
        while True:
            while self._bodies:
                body = self._bodies.popleft()
                try:
                    await self._context.write(body)
                except grpc.aio.InternalError:
                    return  # normal: clients vanish
                self._bytes -= len(body)
                if not self._bodies:
                    self.session.is_held = False
                    self.session.flush()
                if not self.drained.is_set() and not self._bytes:
                    self.drained.set()
                    self.unread.resumed()
            if self._is_closed:
                return
            self._wake.clear()
            await self._wake.wait()


async def _read_all(context: Any, outlet: _GrpcOutlet) -> None:
    """Feed the session until the client is done or the session is closed."""
    session = outlet.session
    while not session.is_closed:
        try:
            body = await context.read()
        except grpc.aio.InternalError:
            return  # normal: clients vanish
        if not isinstance(body, bytes):  # grpc.aio.EOF
            return
        session.begin_chunk()
        session.receive(body)
        session.end_chunk()
        await outlet.drained.wait()
        await outlet.readable.wait()


class KvService:
    """The handler of `Kv.Stream`."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def stream(self, _requests: Any, context: Any) -> None:
        """Serve one stream."""
        outlet = _GrpcOutlet(self._core, context)
        if self._core.stats.stream_count > self._core.streams_max:
            outlet.session.fail(Throttled("the node has too many streams"))
        try:
            async with asyncio.TaskGroup() as tasks:
                writer = tasks.create_task(outlet.write_all(), name="kv-stream-writer")
                reader = tasks.create_task(_read_all(context, outlet), name="kv-stream-reader")
                outlet.writer = writer
                writer.add_done_callback(lambda _: reader.cancel())
                reader.add_done_callback(lambda _: outlet.close())
        finally:
            outlet.gone()

    def handler(self) -> Any:
        """Return the handler to add to a server; it leaves messages as bytes."""
        method: Any = grpc.stream_stream_rpc_method_handler(self.stream)
        return grpc.method_handlers_generic_handler(_SERVICE, {"Stream": method})


def server_options(frame_bytes_max: int) -> list[tuple[str, int]]:
    """Return gRPC options: sizes, and no second server on the same port."""
    limit = frame_bytes_max + _MESSAGE_OVERHEAD
    return [
        ("grpc.max_receive_message_length", limit),
        ("grpc.max_send_message_length", 2 * limit),
        ("grpc.so_reuseport", 0),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
    ]
