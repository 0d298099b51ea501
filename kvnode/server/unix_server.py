"""Streams over a Unix socket: frames with a 4-byte length, straight from the event loop.

**Invariants.** Memory of a connection is bounded: one incomplete frame (small before the hello),
the requests that wait for their turn (reading stops at a bound), and on the way out the send buffer
plus the answers of what was outstanding when it filled up. What a closed stream has not sent is
dropped when its client does not read it in time.
"""

import asyncio
import socket
from typing import cast

from kvapi.busy_poll import BusyPoll
from kvapi.errors import RequestTooLarge, Throttled
from kvapi.wire import FrameReader
from kvnode.core import Core
from kvnode.server.stream_session import HELLO_BYTES_MAX, StreamSession
from kvnode.server.unread import Unread


class UnixConnection(asyncio.Protocol):
    """One connection."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._reader = FrameReader(HELLO_BYTES_MAX)
        self._is_closing = False
        self._is_reading = True
        self._dropping: asyncio.TimerHandle | None = None
        self._next_request = BusyPoll(
            core.loop, core.clock.monotonic_s, wait_s_max=core.config.poll_s_max
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's class is no subclass
        self._transport.set_write_buffer_limits(high=self._core.config.send_buffer_bytes_max)
        self._session = StreamSession(self._core, self, hello_s_max=self._core.config.warm_s_max)
        self._session.on_reading = self._read_on
        self._unread = Unread(self._session, lambda: self._transport.get_write_buffer_size())
        if self._core.stats.stream_count > self._core.streams_max:
            self._session.fail(Throttled("the node has too many streams"))

    def data_received(self, data: bytes) -> None:
        session = self._session
        if session.is_closed:
            return
        self._next_request.arrived()
        try:
            bodies = self._reader.feed(data)
        except RequestTooLarge as error:
            session.fail(error)
            return
        session.begin_chunk()
        for body in bodies:
            session.receive(body)
        session.end_chunk()
        self._next_request.expect()
        if session.is_authenticated:
            self._reader.frame_bytes_max = self._core.config.frame_bytes_max

    def pause_writing(self) -> None:
        self._read_on(False)
        self._unread.paused()

    def resume_writing(self) -> None:
        self._unread.resumed()
        self._read_on(self._session.may_read)

    def _read_on(self, is_reading: bool) -> None:
        """Read from the socket, or leave what comes with the client."""
        if self._is_closing or is_reading == self._is_reading:
            return
        self._is_reading = is_reading
        if is_reading:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc  # however it ended: what the stream held must go
        self._is_closing = True
        if self._dropping is not None:
            self._dropping.cancel()
        self._unread.closed()
        self._session.closed()

    def send(self, body: bytes) -> None:
        self._transport.write(len(body).to_bytes(4, "big") + body)

    def close(self) -> None:
        self._is_closing = True
        self._transport.close()
        close_s_max = self._core.config.close_s_max
        self._dropping = self._core.loop.call_later(close_s_max, self._transport.abort)


async def serve_unix(core: Core, listener: socket.socket) -> asyncio.Server:
    """Serve streams on a listening socket until the returned server is closed."""
    return await core.loop.create_unix_server(lambda: UnixConnection(core), sock=listener)
