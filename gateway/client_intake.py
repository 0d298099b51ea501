"""Takes clients in: start-up packet, tenant, password, hand-over. One short task for each client.

**Invariants.** Nobody who has not proved a password reaches a tenant's process, and no failed
login wakes one. A client has `startup_s_max` for all of it, and there are never more than
`unauthenticated_max` of them: beyond it the one that has been logging in longest has to go, so that
silent connections, however many, keep nobody out.

Source: PostgreSQL docs, "Message Flow: Start-up".
"""

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gateway.authentication import authenticate
from gateway.client_socket import ClientGone, ClientSocket
from gateway.config import GatewayConfig
from gateway.login_directory import Login, LoginDirectory
from gateway.metrics import GatewayMetrics
from gateway.pool_manager import PoolManager
from gateway.tenant_routing import Route, resolve_route
from gateway.throttle import FailureThrottle
from pgwire.errors import (
    CannotConnectNow,
    ConnectionFailure,
    InternalError,
    InvalidAuthorizationSpecification,
    InvalidPassword,
    ProtocolViolation,
    TooManyConnections,
)
from pgwire.messages import message, negotiate_protocol_version
from pgwire.sql_error import SqlError
from pgwire.startup import (
    PROTOCOL_MINOR_MAX,
    CancelRequest,
    StartupMessage,
)
from runtime.address import peer_credentials
from runtime.clock import Clock
from runtime.control_wire import SessionHello
from runtime.os_process import parent_pid
from runtime.tasks import spawn

_log = logging.getLogger(__name__)
_ENCRYPTION_REQUESTS_MAX: Final = 2  # GSS, then TLS
_ANCESTORS_MAX: Final = 32
_KEEP_ALIVE: Final = {socket.TCP_KEEPIDLE: 60, socket.TCP_KEEPINTVL: 10, socket.TCP_KEEPCNT: 6}
_AUTHENTICATION_OK: Final = message(b"R", b"\0\0\0\0")


@dataclass(frozen=True, slots=True)
class Secrets:
    """What the intake must not share: the key of made-up verifiers and a source of randomness."""

    mock_secret: bytes
    random_bytes: Callable[[int], bytes]


class ClientIntake:
    """Accept clients on listening sockets and hand them to the pool."""

    def __init__(
        self,
        config: GatewayConfig,
        clock: Clock,
        metrics: GatewayMetrics,
        *,
        logins: LoginDirectory,
        pool: PoolManager,
        secrets: Secrets,
    ) -> None:
        self._config = config
        self._clock = clock
        self._metrics = metrics
        self._logins = logins
        self._pool = pool
        self._secrets = secrets
        self._throttle = FailureThrottle(
            failures_max=config.failures_per_source_max, memory_s=config.failure_memory_s
        )
        self._loop = asyncio.get_running_loop()
        self._client_count = 0
        self._logging_in: dict[ClientSocket, asyncio.Task[None]] = {}  # oldest first

    async def accept(self, listener: socket.socket, *, is_trusted: bool = False) -> None:
        """Take clients in from `listener` for as long as the task lives.

        On a trusted listener (Unix socket) a process of the same user needs no password.
        """
        while True:
            try:
                sock, address = await self._loop.sock_accept(listener)
            except OSError as error:  # out of descriptors: waiting lets some be freed
                _log.warning("accept_failed", extra={"error": str(error)})
                await asyncio.sleep(0.1)
                continue
            self._metrics.connections.inc()
            sock.setblocking(False)
            try:
                if sock.family != socket.AF_UNIX:
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                is_operator = is_trusted and self._is_operator(sock)
            except OSError:  # gone already
                sock.close()
                continue
            peer = "unix" if isinstance(address, str | bytes) else f"{address[0]}:{address[1]}"
            client = ClientSocket(sock, peer, self._config.startup_bytes_max)
            task = spawn(self._take_in(client, is_operator=is_operator), name=f"client-{peer}")
            self._logging_in[client] = task

    async def _take_in(self, client: ClientSocket, *, is_operator: bool) -> None:
        self._client_count += 1
        self._metrics.unauthenticated.inc()
        try:
            if self._client_count > self._config.unauthenticated_max:
                self._make_room(client)
            await self._welcome(client, is_operator=is_operator)
        except (ClientGone, asyncio.CancelledError):
            client.close()
        except SqlError as error:
            error.severity = "FATAL"
            self._metrics.refused.labels(error.sqlstate).inc()
            extra = {"peer": client.peer, "sqlstate": error.sqlstate, "error": error.message}
            _log.info("client_refused", extra=extra)
            await client.refuse(error)
        except Exception:
            _log.exception("client_failed", extra={"peer": client.peer})
            await client.refuse(InternalError("internal error of the gateway", severity="FATAL"))
        finally:
            self._logging_in.pop(client, None)
            self._client_count -= 1
            self._metrics.unauthenticated.dec()

    def _make_room(self, newcomer: ClientSocket) -> None:
        """End the oldest login. Raises: TooManyConnections if all others have logged in."""
        oldest = next(iter(self._logging_in))
        if oldest is newcomer:
            raise TooManyConnections("too many connections are logging in")
        self._logging_in.pop(oldest).cancel()
        self._metrics.refused.labels(TooManyConnections.sqlstate).inc()

    async def _welcome(self, client: ClientSocket, *, is_operator: bool) -> None:
        started_s = self._clock.monotonic_s()
        try:
            async with asyncio.timeout(self._config.startup_s_max):
                start_up = await self._read_start_up(client)
                if start_up is None:
                    client.close()
                    return
                route = resolve_route(
                    start_up.parameters, default_tenant=self._config.default_tenant
                )
                login = await self._log_in(client, route, is_operator=is_operator)
        except TimeoutError as error:
            raise ConnectionFailure("the login took too long", severity="FATAL") from error
        self._logging_in.pop(client, None)
        _keep_alive(client.sock)
        self._metrics.routed.labels(route.method).inc()
        await client.write(_AUTHENTICATION_OK)
        hello = self._session_hello(client, route, is_operator=is_operator)
        path = await self._pool.hand_over(client.sock, hello, login)
        elapsed_s = self._clock.monotonic_s() - started_s
        self._metrics.hand_over_seconds.labels(path).observe(elapsed_s)
        _log.info(
            "session_handed_over",
            extra={
                "tenant_id": login.tenant_id,
                "session_id": hello.session_id,
                "path": path,
                "elapsed_ms": round(elapsed_s * 1e3, 2),
            },
        )

    async def _read_start_up(self, client: ClientSocket) -> StartupMessage | None:
        """Read up to the start-up message; None if the client only wanted to cancel."""
        for _ in range(_ENCRYPTION_REQUESTS_MAX + 1):
            packet = await client.read_startup()
            match packet:
                case StartupMessage():
                    client.end_startup()
                    if packet.needs_negotiation:
                        await client.write(
                            negotiate_protocol_version(PROTOCOL_MINOR_MAX, packet.unknown_options)
                        )
                    return packet
                case CancelRequest():
                    self._pool.cancel(packet.process_id, packet.secret)
                    return None
                case _:
                    await client.write(b"N")  # no TLS yet, no GSS encryption
        raise ProtocolViolation("too many encryption requests", severity="FATAL")

    async def _log_in(self, client: ClientSocket, route: Route, *, is_operator: bool) -> Login:
        # Not the address alone: neighbours behind one address must not lock each other out, and a
        # success of one user must not wipe out another's failures.
        source = f"{client.peer.rpartition(':')[0]} {route.tenant}.{route.user}"
        if not is_operator and self._throttle.is_refused(source, now_s=self._clock.monotonic_s()):
            raise TooManyConnections(
                f'too many failed logins of user "{route.user}" from this address',
                hint="Wait a few seconds.",
            )
        login = await self._logins.login(route.tenant, route.user)
        if is_operator:
            return await self._operator_login(route, login)
        try:
            await authenticate(
                client,
                login,
                identity=(route.tenant, route.user),
                mock_secret=self._secrets.mock_secret,
                random_bytes=self._secrets.random_bytes,
            )
        except InvalidPassword:
            self._throttle.failed(source, now_s=self._clock.monotonic_s())
            raise
        assert login is not None, "a tenant that does not exist passed authentication"
        self._throttle.succeeded(source)
        return await self._not_suspended(login, route)

    async def _operator_login(self, route: Route, login: Login | None) -> Login:
        if login is None:
            raise InvalidAuthorizationSpecification(f'tenant "{route.tenant}" does not exist')
        if not login.scram_verifier:
            raise InvalidAuthorizationSpecification(f'role "{route.user}" does not exist')
        return await self._not_suspended(login, route)

    async def _not_suspended(self, login: Login, route: Route) -> Login:
        if not login.is_suspended:
            return login
        # Who resumed the tenant a moment ago must not be refused by what we remember.
        fresh = await self._logins.login(route.tenant, route.user, is_fresh=True)
        if fresh is None or fresh.is_suspended:
            raise CannotConnectNow(f'tenant "{login.tenant_name}" is suspended')
        return fresh

    def _session_hello(
        self, client: ClientSocket, route: Route, *, is_operator: bool
    ) -> SessionHello:
        key = self._pool.sessions.open()
        return SessionHello(
            session_id=key.session_id,
            user=route.user,
            database=route.database,
            tenant_name=route.tenant,
            backend_pid=key.backend_pid,
            secret_key=key.secret_key,
            parameters=dict(route.parameters),
            peer=client.peer,
            buffered=client.unread,
            is_operator=is_operator,
        )

    def _is_operator(self, sock: socket.socket) -> bool:
        """Whether the peer runs as our user and is no SQL process: those run tenants' queries."""
        pid, uid = peer_credentials(sock)
        if uid != os.getuid():
            return False
        own = {process["pid"] for process in self._pool.describe() if process["kind"] == "sql"}
        ancestor: int | None = pid
        for _ in range(_ANCESTORS_MAX):
            if ancestor in own:
                return False
            if not ancestor:
                break
            ancestor = parent_pid(ancestor)
        return True


def _keep_alive(sock: socket.socket) -> None:
    """Notice within two minutes that the client's machine is gone: its locks must not stay."""
    if sock.family == socket.AF_UNIX:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEP_ALIVE.items():
        sock.setsockopt(socket.IPPROTO_TCP, option, value)
