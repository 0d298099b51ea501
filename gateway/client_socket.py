"""A client's raw socket before hand-over: bounded reads, whole writes, an end that is heard.

Asyncio transports are of no use here: a transport cannot give its socket away without having read
ahead.
"""

import asyncio
import contextlib
import socket
from typing import Final

from pgwire.errors import ProtocolViolation
from pgwire.messages import error_response
from pgwire.sql_error import SqlError
from pgwire.startup import StartupPacket, StartupParser

_READ_BYTES: Final = 4096
_LINGER_S: Final = 1.0
_LINGER_BYTES_MAX: Final = 64 * 1024
_PASSWORD_TAG: Final = ord("p")


class ClientGone(Exception):
    """The client closed the connection."""


class ClientSocket:
    """Read start-up packets and password messages; write answers."""

    def __init__(self, sock: socket.socket, peer: str, startup_bytes_max: int) -> None:
        self.sock = sock
        self.peer = peer
        self._bytes_max = startup_bytes_max
        self._loop = asyncio.get_running_loop()
        self._parser = StartupParser(startup_bytes_max)
        self._buffer = bytearray()

    @property
    def unread(self) -> bytes:
        """Bytes received that belong to what comes after the messages read so far."""
        return bytes(self._buffer) or self._parser.unread

    async def read_startup(self) -> StartupPacket:
        """Read one start-up packet. Raises: ClientGone, ProtocolViolation and others of pgwire."""
        while (packet := self._parser.next_packet()) is None:
            self._parser.feed(await self._receive())
        return packet

    def end_startup(self) -> None:
        """Go over from start-up packets to tagged messages."""
        self._buffer += self._parser.unread
        self._parser = StartupParser(self._bytes_max)

    async def read_password_payload(self) -> bytes:
        """Read one password message. Raises: ClientGone, ProtocolViolation."""
        header = await self._take(5)
        length = int.from_bytes(header[1:5], "big")
        if header[0] != _PASSWORD_TAG or not 4 <= length <= self._bytes_max:
            raise ProtocolViolation(
                f"expected password response, got message type {header[0]}", severity="FATAL"
            )
        return await self._take(length - 4)

    async def write(self, data: bytes) -> None:
        """Send all of `data`. Raises: ClientGone."""
        try:
            await self._loop.sock_sendall(self.sock, data)
        except OSError as error:
            raise ClientGone from error

    async def refuse(self, error: SqlError) -> None:
        """Send the error and close, so that the client gets to read it."""
        with contextlib.suppress(OSError, ClientGone, TimeoutError):
            async with asyncio.timeout(_LINGER_S):
                await self.write(error_response(error))
                # Closing with unread bytes would reset the connection and destroy the answer.
                self.sock.shutdown(socket.SHUT_WR)
                for _ in range(_LINGER_BYTES_MAX // _READ_BYTES):
                    if not await self._loop.sock_recv(self.sock, _READ_BYTES):
                        break
        self.close()

    def close(self) -> None:
        """Close the connection without a word."""
        self.sock.close()

    async def _take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            self._buffer += await self._receive()
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    async def _receive(self) -> bytes:
        try:
            data = await self._loop.sock_recv(self.sock, _READ_BYTES)
        except OSError as error:
            raise ClientGone from error
        if not data:
            raise ClientGone
        return data
