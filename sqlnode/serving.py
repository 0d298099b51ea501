"""What a SQL process serves with: one KV client, one engine, one `serve_session` for each client.

The rim between the control channel (`control.py`) and the engine: nothing here decides anything.
"""

import asyncio
import contextlib
import logging
import socket
from typing import Final

from kvapi.client.config import ClientConfig
from kvapi.client.kv_client import KvClient
from kvapi.errors import KvError, Unavailable
from pgwire.messages import error_response
from pgwire.sql_error import SqlError
from runtime.clock import SystemClock
from runtime.control_wire import Assign, SessionHello
from sqlnode.engine import Engine, open_engine
from sqlnode.kv_errors import sql_error
from sqlnode.process_config import ProcessOptions
from sqlnode.session.serve import serve_session
from sqlnode.session_registry import SessionRegistry

_CONNECT_RETRY_S: Final = 0.05
_log = logging.getLogger(__name__)


class SqlServing:
    """Implements `sqlnode.control.Serving` over the KV node."""

    def __init__(self, options: ProcessOptions) -> None:
        self._client = KvClient(
            options.kv_address, config=ClientConfig(client_name="sqlnode"), clock=SystemClock()
        )
        self._stage_bytes = options.config.sqlnode.stage_bytes
        self._usage_period_s = options.config.sqlnode.usage_period_s
        self._protect_after_s = options.config.sqlnode.protect_after_s
        self._engine: Engine | None = None

    async def connect(self) -> None:
        """Open the transport, however long the KV node takes to come up."""
        is_first = True
        while True:
            try:
                await self._client.connect()
                return
            except Unavailable as error:
                if is_first:
                    _log.info("kv_unavailable", extra={"error": str(error)})
                is_first = False
                await asyncio.sleep(_CONNECT_RETRY_S)

    async def bind(self, assign: Assign) -> None:
        """Say hello with the tenant's credential and load its catalog."""
        await self._client.authenticate(assign.credential)
        self._engine = await open_engine(
            self._client,
            tenant_id=assign.binding.tenant_id,
            tenant_name=assign.binding.tenant_name,
            stage_bytes=self._stage_bytes,
            protect_after_s=self._protect_after_s,
            usage_period_s=self._usage_period_s,
        )

    def renew(self, credential: bytes) -> None:
        """Use `credential` for connections from now on."""
        self._client.set_credential(credential)

    async def serve(
        self, sock: socket.socket, hello: SessionHello, registry: SessionRegistry
    ) -> None:
        """Serve one session to its end."""
        assert self._engine is not None, "a session came before its tenant"
        await serve_session(self._engine, sock, hello, registry)

    def refuse(self, sock: socket.socket, error: SqlError | KvError) -> None:
        """Tell the client; what the kernel does not take at once is lost."""
        known = error if isinstance(error, SqlError) else sql_error(error)
        known.severity = "FATAL"
        with contextlib.suppress(OSError):
            sock.send(error_response(known))
        sock.close()

    async def close(self) -> None:
        """End the engine's background work and close the KV connection."""
        if self._engine is not None:
            await self._engine.close()
        await self._client.close()
