"""Keeps a request stream connected: open, hello, and again with back-off when it breaks.

**Model.** closed → open (transport only; a warm process waits here) → ready (credential accepted) →
lost → ready … A refused credential stops the retries until a request or a new credential asks for
another attempt.
"""

import asyncio
import logging
from collections.abc import Callable

from kvapi.client.config import ClientConfig
from kvapi.client.request_stream import RequestStream
from kvapi.client.results import Hello
from kvapi.client.transport import MakeTransport, Transport, TransportEvents
from kvapi.errors import (
    BadRequest,
    CredentialRefused,
    KvError,
    RequestTooLarge,
    TenantSuspended,
    TenantUnknown,
    Unavailable,
)
from kvapi.pb import kv_pb2
from kvapi.wire import PROTOCOL_VERSION

_log = logging.getLogger(__name__)
# The node said no, and would say so again.
_REFUSALS = (CredentialRefused, TenantSuspended, TenantUnknown, BadRequest, RequestTooLarge)


class Connection:
    """The one connection of a client."""

    def __init__(
        self,
        address: str,
        config: ClientConfig,
        stream: RequestStream,
        monotonic_s: Callable[[], float],
        make_transport: MakeTransport,
    ) -> None:
        self._address = address
        self._monotonic_s = monotonic_s
        self._new_transport = make_transport
        self._config = config
        self._stream = stream
        self._loop = asyncio.get_running_loop()
        self._credential: bytes | None = None
        self._transport: Transport | None = None
        self._hello: asyncio.Future[Hello] | None = None
        self._task: asyncio.Task[None] | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._opening = asyncio.Lock()
        self._last_error = "not authenticated yet"
        self._is_closed = False
        self.connect_count = 0  # hellos accepted
        stream.on_hello = self._on_hello
        stream.on_waiting = self._on_waiting

    async def open(self) -> None:
        """Connect the transport, if it is not. Raises: Unavailable."""
        async with self._opening:
            if self._is_closed:
                raise Unavailable("the KV client is closed")
            if self._transport is not None:
                return
            transport = self._make_transport()
            try:
                async with asyncio.timeout(self._config.connect_timeout_s):
                    await transport.open()
            except (OSError, TimeoutError) as error:
                self._transport = None
                reason = str(error) or type(error).__name__
                raise Unavailable(f"cannot connect to {self._address}: {reason}") from error

    async def authenticate(self, credential: bytes) -> Hello:
        """Say hello with `credential`, which later connections use as well.

        Raises: CredentialRefused, TenantSuspended, TenantUnknown, Unavailable.
        """
        self.set_credential(credential)
        deadline_s = self._loop.time() + self._config.connect_wait_s
        while True:
            try:
                return await self._attempt()
            except Unavailable:
                if self._is_closed or self._loop.time() >= deadline_s:
                    raise
                await asyncio.sleep(self._config.backoff_s_min)

    def set_credential(self, credential: bytes) -> None:
        """Use `credential` from the next hello on."""
        self._credential = credential

    async def close(self) -> None:
        """End the connection and everything that waits for it."""
        self._is_closed = True
        if self._expiry is not None:
            self._expiry.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._transport is not None:
            self._transport.close()
            self._transport = None
        self._stream.lost()
        self._stream.fail_waiting(Unavailable("the KV client is closed"))

    def _make_transport(self) -> Transport:
        def lost(error: Exception | None) -> None:
            if self._transport is transport:
                self._on_lost(error)

        events = TransportEvents(self._stream.take_frames, self._stream.receive, lost)
        transport = self._new_transport(self._address, self._config, events, self._monotonic_s)
        self._transport = transport
        return transport

    async def _attempt(self) -> Hello:
        """Open if need be and say hello; on failure the transport is gone."""
        await self.open()
        transport, credential = self._transport, self._credential
        if transport is None:
            raise Unavailable(self._last_error)
        self._hello = hello = self._loop.create_future()
        self._stream.wake = transport.wake
        transport.send(
            kv_pb2.ClientFrame(
                hello=kv_pb2.Hello(
                    protocol_version=PROTOCOL_VERSION,
                    credential=credential or b"",
                    client_name=self._config.client_name,
                )
            ).SerializeToString()
        )
        try:
            async with asyncio.timeout(self._config.connect_timeout_s):
                return await hello
        except TimeoutError as error:
            transport.close()
            self._transport = None
            raise Unavailable(f"{self._address} did not answer the hello") from error
        finally:
            self._hello = None

    async def _reconnect(self) -> None:
        delay_s = self._config.backoff_s_min
        while not self._is_closed:
            try:
                await self._attempt()
            except _REFUSALS as error:
                self._last_error = str(error)
                self._stream.fail_waiting(error)
                return
            except KvError as error:
                self._last_error = str(error)
            else:
                _log.info("kv_reconnected", extra={"address": self._address})
                return
            await asyncio.sleep(delay_s)
            delay_s = min(2 * delay_s, self._config.backoff_s_max)

    # --- events -------------------------------------------------------------------------------

    def _on_hello(self, hello: Hello) -> None:
        self.connect_count += 1
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        if self._hello is not None and not self._hello.done():
            self._hello.set_result(hello)

    def _on_lost(self, error: Exception | None) -> None:
        self._transport = None
        was_ready = self._stream.is_open
        self._last_error = str(error) if isinstance(error, KvError) else "connection lost"
        if self._hello is not None and not self._hello.done():
            refused = isinstance(error, KvError)
            self._hello.set_exception(error if refused and error else Unavailable(self._last_error))
        if was_ready:
            _log.info("kv_connection_lost", extra={"reason": self._last_error})
            self._stream.lost()
            if isinstance(error, _REFUSALS):
                self._stream.fail_waiting(error)
            self._ensure()

    def _on_waiting(self) -> None:
        """Look for a connection; a request waits for one."""
        if self._is_closed:
            self._stream.fail_waiting(Unavailable("the KV client is closed"))
            return
        self._ensure()
        if self._expiry is None:
            self._expiry = self._loop.call_later(self._config.connect_wait_s, self._expire)

    def _ensure(self) -> None:
        if self._is_closed or self._credential is None or self._hello is not None:
            return
        if self._task is None or self._task.done():
            self._task = self._loop.create_task(self._reconnect(), name="kv-reconnect")

    def _expire(self) -> None:
        self._expiry = None
        if self._stream.is_open or self._is_closed:
            return
        again_s = self._stream.expire_waiting(self._last_error)
        if again_s is not None:
            self._expiry = self._loop.call_later(max(again_s, 0.01), self._expire)
