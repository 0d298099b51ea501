"""Length-prefixed frames over a Unix socket."""

import asyncio
import struct
from collections.abc import Callable
from typing import cast

from kvapi.busy_poll import BusyPoll
from kvapi.client.config import ClientConfig
from kvapi.client.transport import TransportEvents
from kvapi.errors import KvError
from kvapi.wire import FrameReader

_LENGTH = struct.Struct(">I")


class UnixTransport(asyncio.Protocol):
    """One connection to a Unix socket; frames leave at the end of the loop's turn."""

    def __init__(
        self,
        path: str,
        config: ClientConfig,
        events: TransportEvents,
        monotonic_s: Callable[[], float],
    ) -> None:
        self._path = path
        self._events = events
        self._reader = FrameReader(config.frame_bytes_max)
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._is_paused = False
        self._is_over = False
        self._answer = BusyPoll(self._loop, monotonic_s, wait_s_max=config.poll_s_max)

    async def open(self) -> None:
        await self._loop.create_unix_connection(lambda: self, self._path)

    def send(self, body: bytes) -> None:
        if self._transport is not None:
            self._transport.write(_LENGTH.pack(len(body)) + body)

    def wake(self) -> None:
        self._loop.call_soon(self._flush)

    def close(self) -> None:
        self._is_over = True
        if self._transport is not None:
            self._transport.abort()

    def _flush(self) -> None:
        if self._is_paused or self._is_over or self._transport is None:
            return  # resume_writing comes back here
        for body in self._events.take_frames():
            self._transport.write(_LENGTH.pack(len(body)) + body)
        self._answer.expect()

    # --- asyncio.Protocol -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's class is no subclass

    def data_received(self, data: bytes) -> None:
        if self._is_over:
            return
        self._answer.arrived()
        try:
            for body in self._reader.feed(data):
                self._events.receive(body)
        except KvError as error:
            self._end(error)

    def pause_writing(self) -> None:
        self._is_paused = True

    def resume_writing(self) -> None:
        self._is_paused = False
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc)

    def _end(self, error: Exception | None) -> None:
        if self._is_over:
            return
        self.close()
        self._events.lost(error)
