"""A minimal HTTP endpoint for a process that has no web framework: metrics and health.

Paths: `/metrics`, `/health` and `/livez` (alive), `/health?ready=1` and `/readyz` (200 or 503).
Only GET and HEAD, one request a connection, requests of at most 8 KiB that must arrive within 10 s.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest

_REQUEST_BYTES_MAX: Final = 8192
_REQUEST_S_MAX: Final = 10.0
_TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"


async def serve_metrics(
    listener: socket.socket, registry: CollectorRegistry, *, is_ready: Callable[[], bool]
) -> asyncio.Server:
    """Serve metrics and health on a listening socket until the returned server is closed."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(
            OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError
        ):
            async with asyncio.timeout(_REQUEST_S_MAX):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(respond(head, registry, is_ready=is_ready()))
                await writer.drain()
        writer.close()

    return await asyncio.start_server(handle, sock=listener, limit=_REQUEST_BYTES_MAX)


def respond(head: bytes, registry: CollectorRegistry, *, is_ready: bool) -> bytes:
    """Answer one HTTP request, given its head."""
    words = head.split(b"\r\n", 1)[0].split(b" ")
    if len(words) != 3 or words[0] not in (b"GET", b"HEAD"):
        return _response("405 Method Not Allowed", b"only GET and HEAD are served\n")
    is_head = words[0] == b"HEAD"
    path, _, query = words[1].partition(b"?")
    if path == b"/metrics":
        return _response("200 OK", generate_latest(registry), is_head=is_head)
    asks_ready = path == b"/readyz" or (path == b"/health" and query == b"ready=1")
    if asks_ready and not is_ready:
        return _response("503 Service Unavailable", b"not ready\n", is_head=is_head)
    if asks_ready or path in (b"/health", b"/livez"):
        return _response("200 OK", b"ok\n", is_head=is_head)
    return _response("404 Not Found", b"no such path\n", is_head=is_head)


def _response(status: str, body: bytes, *, is_head: bool = False) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {_TEXT}\r\nContent-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    ).encode()
    return head if is_head else head + body
