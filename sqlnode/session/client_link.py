"""The socket end of one session: bytes from the client into the protocol machine, output to it.

**Model.** An asyncio protocol. Received bytes are fed at once to the sans-IO connection; whoever
waits for more is woken. Reading pauses while the client is ahead of us by more than the connection
allows, writing waits while the client is behind. A client that only ends its sending half still
gets the answers to what it sent.

**Concurrency.** One session task waits on it at a time.
"""

import asyncio
from typing import Any, Final

from pgwire.connection import ServerConnection

WRITE_HIGH_WATER: Final = 1 << 20


class ClientGone(ConnectionError):
    """The client closed its end, or the connection broke."""


class ClientLink(asyncio.Protocol):
    """The client's connection."""

    def __init__(self, connection: ServerConnection) -> None:
        self.connection = connection
        self.is_closed = False
        self._has_ended = False
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._drainer: asyncio.Future[None] | None = None
        self._is_paused = False
        self._loop = asyncio.get_running_loop()

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]  # uvloop's is no subclass
        assert self._transport is not None
        self._transport.set_write_buffer_limits(WRITE_HIGH_WATER)

    def data_received(self, data: bytes) -> None:
        self.connection.feed(data)
        if self.connection.is_backlogged and not self._is_paused and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()
        _wake(self._waiter)

    def eof_received(self) -> bool:
        self._has_ended = True
        _wake(self._waiter)
        return True  # keeps the transport open for writing

    def connection_lost(self, _error: Exception | None) -> None:
        self._close()

    def pause_writing(self) -> None:
        if self._drainer is None:
            self._drainer = self._loop.create_future()

    def resume_writing(self) -> None:
        drainer, self._drainer = self._drainer, None
        _wake(drainer)

    def _close(self) -> None:
        self.is_closed = True
        _wake(self._waiter)
        self.resume_writing()

    # the session's side

    async def wait_data(self) -> None:
        """Wait for more bytes. Raises: ClientGone."""
        if self.is_closed or self._has_ended:
            raise ClientGone
        if self._is_paused and self._transport is not None:
            self._is_paused = False
            self._transport.resume_reading()
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
        # What arrived before the end is still answered: the next wait finds the end.

    def write(self, data: bytes) -> None:
        """Send; never waits."""
        if self._transport is not None and not self.is_closed:
            self._transport.write(data)

    async def drain(self) -> None:
        """Wait while the client is behind. Raises: ClientGone."""
        if self._drainer is not None:
            await asyncio.shield(self._drainer)
        if self.is_closed:
            raise ClientGone

    def close(self) -> None:
        """Close once everything written is out."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close now."""
        if self._transport is not None:
            self._transport.abort()


def _wake(future: "asyncio.Future[Any] | None") -> None:
    if future is not None and not future.done():
        future.set_result(None)
