"""What the gateway knows of tenants and their users: a short-lived cache in front of TenantAdmin.

**Model.** `GetLogin` gives a user's verifier and the credential for a SQL process. Answers are
kept for `login_cache_s`, and dropped at once when `WatchTenants` reports a change of their tenant
or when the watch breaks: then nothing is known for sure.

**Concurrency.** One loop. Equal questions asked at the same time share one call.
"""

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
import msgspec

from gateway.config import GatewayConfig
from kvapi.pb import admin_pb2, admin_pb2_grpc
from pgwire.errors import CannotConnectNow
from runtime.clock import Clock

_log = logging.getLogger(__name__)
_CALL_S_MAX: Final = 2.0
_RETRY_S: Final = 0.1
_WATCH_RETRY_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Login:
    """A user's verifier (empty: no login) and the credential of its tenant's SQL processes."""

    tenant_id: int
    tenant_name: str
    scram_verifier: str
    credential: bytes
    credential_life_s: float
    is_suspended: bool
    fetched_s: float


class LoginDirectory:
    """Ask the KV node who may log in.

    `on_tenant_gone` gets (tenant id, is_dropped). `on_watch_begun` is called when changes are seen
    again after some may have been missed.
    """

    def __init__(
        self,
        config: GatewayConfig,
        clock: Clock,
        *,
        kvnode_file: Path,
        token_file: Path,
        on_tenant_gone: Callable[[int, bool], None],
        on_watch_begun: Callable[[], None],
    ) -> None:
        self._config = config
        self._clock = clock
        self._kvnode_file = kvnode_file
        self._token_file = token_file
        self._on_tenant_gone = on_tenant_gone
        self._on_watch_begun = on_watch_begun
        self._cache: OrderedDict[tuple[str, str], tuple[Login | None, float]] = OrderedDict()
        self._asking: dict[tuple[str, str], asyncio.Task[Login | None]] = {}
        self._channel: grpc.aio.Channel | None = None
        self._address = ""
        self._change_count = 0  # news of tenants so far
        self.is_watching = False
        self.weights: dict[int, float] = {}  # of tenants whose share is not 1

    async def login(self, tenant: str, user: str, *, is_fresh: bool = False) -> Login | None:
        """Return the login of a user, or None if there is no such tenant.

        `is_fresh` passes over the cache. Raises: CannotConnectNow when the KV node does not answer
        in time.
        """
        key = (tenant, user)
        cached = self._cache.get(key)
        if cached is not None and not is_fresh and self._is_current(cached[1]):
            return cached[0]
        task = self._asking.get(key)
        if task is None or is_fresh:
            task = asyncio.ensure_future(self._ask(tenant, user))
            self._asking[key] = task
            task.add_done_callback(lambda done: self._asked(key, done))
        return await asyncio.shield(task)

    def _asked(self, key: tuple[str, str], task: asyncio.Task[Login | None]) -> None:
        if self._asking.get(key) is task:
            del self._asking[key]
        if not task.cancelled():
            task.exception()  # seen: all who asked may be gone

    def _is_current(self, fetched_s: float) -> bool:
        age_s = self._clock.monotonic_s() - fetched_s
        return self.is_watching and age_s < self._config.login_cache_s

    async def _ask(self, tenant: str, user: str) -> Login | None:
        deadline_s = self._clock.monotonic_s() + self._config.kv_wait_s_max
        request = admin_pb2.GetLoginRequest(tenant=tenant, user=user)
        while True:
            change_count = self._change_count
            try:
                reply = await self._stub().GetLogin(
                    request, timeout=_CALL_S_MAX, metadata=self._metadata()
                )
                break
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.NOT_FOUND:
                    return self._remember(tenant, user, None, change_count)
                self._check_retryable(error, deadline_s)
            except OSError as error:  # the KV node has never been up: no address, no token
                self._check_deadline(deadline_s, str(error))
            await asyncio.sleep(_RETRY_S)
        self._weigh(reply.tenant_id, reply.weight)
        login = Login(
            tenant_id=reply.tenant_id,
            tenant_name=reply.tenant_name,
            scram_verifier=reply.scram_verifier,
            credential=reply.credential,
            credential_life_s=reply.credential_life_s,
            is_suspended=reply.suspended,
            fetched_s=self._clock.monotonic_s(),
        )
        return self._remember(tenant, user, login, change_count)

    def _check_retryable(self, error: grpc.aio.AioRpcError, deadline_s: float) -> None:
        again = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
        if error.code() not in again:
            _log.error("login_lookup_failed", extra={"error": f"{error.code()}: {error.details()}"})
            raise CannotConnectNow("the directory of tenants cannot be read") from error
        self._check_deadline(deadline_s, str(error.details()))

    def _check_deadline(self, deadline_s: float, why: str) -> None:
        if self._clock.monotonic_s() >= deadline_s:
            _log.warning("login_lookup_timed_out", extra={"error": why})
            raise CannotConnectNow(
                "the database system is starting up", hint="Try again in a moment."
            )

    def _remember(
        self, tenant: str, user: str, login: Login | None, change_count: int
    ) -> Login | None:
        if change_count != self._change_count:
            return login  # given before the change of which we have heard meanwhile
        self._cache[tenant, user] = (login, self._clock.monotonic_s())
        self._cache.move_to_end((tenant, user))
        if len(self._cache) > self._config.login_cache_max:
            self._cache.popitem(last=False)
        return login

    async def watch(self) -> None:
        """Follow changes of tenants for as long as the task lives."""
        while True:
            with contextlib.suppress(grpc.aio.AioRpcError, OSError):
                call = self._stub().WatchTenants(admin_pb2.Empty(), metadata=self._metadata())
                await call.initial_metadata()
                self.is_watching = True
                self._on_watch_begun()
                async for event in call:
                    self._changed(event)
            self.is_watching = False
            self._change_count += 1
            self._cache.clear()
            await asyncio.sleep(_WATCH_RETRY_S)

    def _changed(self, event: admin_pb2.TenantEvent) -> None:
        tenant = event.tenant
        self._change_count += 1
        for key in [key for key in self._cache if key[0] == tenant.name]:
            del self._cache[key]
        is_dropped = event.kind == admin_pb2.TenantEvent.DROPPED
        self._weigh(tenant.id, 1.0 if is_dropped else tenant.weight)
        if is_dropped or (event.kind == admin_pb2.TenantEvent.CHANGED and tenant.suspended):
            self._on_tenant_gone(tenant.id, is_dropped)

    def _weigh(self, tenant_id: int, weight: float) -> None:
        if weight == 1.0:
            self.weights.pop(tenant_id, None)
        else:
            self.weights[tenant_id] = weight

    async def close(self) -> None:
        """Close the connection to the KV node."""
        if self._channel is not None:
            await self._channel.close(None)

    def _stub(self) -> Any:
        record = msgspec.json.decode(self._kvnode_file.read_bytes())
        if self._channel is None or record["admin"] != self._address:
            self._address = record["admin"]
            options = [
                ("grpc.max_reconnect_backoff_ms", 500),
                ("grpc.initial_reconnect_backoff_ms", 50),
            ]
            self._channel = grpc.aio.insecure_channel(self._address, options=options)
            self._channel_stub = admin_pb2_grpc.TenantAdminStub(self._channel)
        return self._channel_stub

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self._token_file.read_text().strip()}"),)
