"""The gateway's HTTP endpoint: metrics of the whole stack, health, and the list of processes.

Health and metrics never wake a tenant. `/metrics` adds what the KV node says of itself; if it does
not answer, the gateway's own metrics come alone and `insula_kvnode_up` is 0.
"""

import asyncio
import contextlib
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import uvicorn
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

_KVNODE_S_MAX: Final = 1.0
_KVNODE_BYTES_MAX: Final = 4 << 20
_METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class HttpServer:
    """Serve HTTP on a listening socket until stopped."""

    def __init__(
        self,
        listener: socket.socket,
        registry: CollectorRegistry,
        *,
        run_dir: Path,
        is_ready: Callable[[], bool],
        describe: Callable[[], list[dict[str, Any]]],
    ) -> None:
        self._listener = listener
        self._registry = registry
        self._run_dir = run_dir
        self._is_ready = is_ready
        self._describe = describe
        self._kvnode_up = Gauge(
            "insula_kvnode_up", "1 if the KV node answered for its metrics.", registry=registry
        )
        routes = [
            Route("/metrics", self._metrics),
            Route("/_status/vars", self._metrics),
            Route("/health", self._health),
            Route("/livez", self._health),
            Route("/readyz", self._ready),
            Route("/debug/processes", self._processes),
        ]
        config = uvicorn.Config(
            Starlette(routes=routes),
            log_config=None,
            log_level="warning",
            access_log=False,
            lifespan="off",
            ws="none",
        )
        self._server = _Server(config)

    async def run(self) -> None:
        """Serve for as long as the task lives."""
        await self._server.serve(sockets=[self._listener])

    def stop(self) -> None:
        """Make `run` return."""
        self._server.should_exit = True

    async def _health(self, request: Request) -> Response:
        if request.query_params.get("ready") == "1":
            return await self._ready(request)
        return PlainTextResponse("ok\n")

    async def _ready(self, _request: Request) -> Response:
        if self._is_ready():
            return PlainTextResponse("ok\n")
        return PlainTextResponse("not ready\n", status_code=503)

    async def _metrics(self, _request: Request) -> Response:
        kvnode = await self._kvnode_metrics()
        self._kvnode_up.set(1 if kvnode else 0)
        return Response(generate_latest(self._registry) + kvnode, media_type=_METRICS_TYPE)

    async def _kvnode_metrics(self) -> bytes:
        with contextlib.suppress(OSError, ValueError, KeyError, TimeoutError):
            async with asyncio.timeout(_KVNODE_S_MAX):
                return await _fetch(self._read("kvnode.json")["http"], "/metrics")
        return b""

    async def _processes(self, _request: Request) -> Response:
        started = self._read("processes.json")
        by_pid = {pid: {"kind": kind, "pid": pid} for kind, pid in started.items()}
        for process in self._describe():
            by_pid.setdefault(process["pid"], {}).update(process)
        return JSONResponse(list(by_pid.values()))

    def _read(self, name: str) -> dict[str, Any]:
        with contextlib.suppress(OSError, ValueError):
            record: dict[str, Any] = json.loads((self._run_dir / name).read_text())
            return record
        return {}


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: signals are the gateway's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


async def _fetch(address: str, path: str) -> bytes:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=_KVNODE_BYTES_MAX)
    try:
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode()
        )
        answer = await reader.read(_KVNODE_BYTES_MAX)
        while piece := await reader.read(_KVNODE_BYTES_MAX):
            answer += piece
            if len(answer) > _KVNODE_BYTES_MAX:
                raise ValueError("the KV node's metrics are too long")
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return body if head.startswith((b"HTTP/1.1 200", b"HTTP/1.0 200")) else b""
