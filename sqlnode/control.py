"""A SQL process's end of the control connection: it becomes a tenant's and takes sessions over.

**Model.** The process is *warm* until `Assign` arrives. Sessions that arrive before the tenant's
catalog is loaded wait in a list. When the gateway dies, sessions go on; the process connects again
and again and tells the new gateway who it is and what it serves.

**Concurrency.** One loop. `ControlClient` owns the binding and the list of sessions; each session
is one task.
"""

import asyncio
import logging
import os
import socket
from typing import Final, Protocol

from kvapi.errors import KvError
from pgwire.errors import AdminShutdown
from pgwire.sql_error import SqlError
from runtime.control_channel import ControlChannel, connect_control
from runtime.control_wire import (
    Assign,
    Assigned,
    AssignRefused,
    CancelSession,
    Drain,
    Exit,
    Message,
    Renew,
    SessionClosed,
    SessionHello,
    SessionKey,
    SessionTaken,
    SqlHello,
    TenantBinding,
)
from runtime.os_process import set_title
from runtime.tasks import spawn
from sqlnode.session_registry import SessionRegistry

_RECONNECT_FIRST_S: Final = 0.02
_RECONNECT_S_MAX: Final = 0.5
_log = logging.getLogger(__name__)


class Serving(Protocol):
    """What a SQL process does with its tenant and its sessions."""

    async def connect(self) -> None:
        """Open the KV connection: transport only, there is no credential yet."""
        ...

    async def bind(self, assign: Assign) -> None:
        """Authenticate as the tenant and load its catalog. Raises: KvError, SqlError."""
        ...

    def renew(self, credential: bytes) -> None:
        """Use `credential` from now on."""
        ...

    async def serve(
        self, sock: socket.socket, hello: SessionHello, registry: SessionRegistry
    ) -> None:
        """Serve one session to its end and close its socket."""
        ...

    def refuse(self, sock: socket.socket, error: SqlError | KvError) -> None:
        """Tell a client that it cannot be served, and close its socket."""
        ...

    async def close(self) -> None:
        """Close the KV connection."""
        ...


class ControlClient:
    """Live until told to exit; `run` returns then. The gateway gets `tap` (`signal_tap`)."""

    def __init__(self, path: str, serving: Serving, tap: socket.socket) -> None:
        self._path = path
        self._tap = tap
        self._serving = serving
        self._registry = SessionRegistry()
        self._nice = os.getpriority(os.PRIO_PROCESS, 0)
        self._channel: ControlChannel | None = None
        self._binding: TenantBinding | None = None
        self._is_bound = False
        self._early: list[tuple[SessionHello, socket.socket]] = []
        self._sessions: dict[int, tuple[SessionHello, asyncio.Task[None]]] = {}
        self._is_draining = False
        self._stopped = asyncio.Event()
        self._lost = asyncio.Event()

    async def run(self) -> None:
        """Keep a connection to the gateway until this process shall end."""
        wait_s = _RECONNECT_FIRST_S
        stopped = asyncio.ensure_future(self._stopped.wait())
        while not self._stopped.is_set():
            if self._try_connect():
                wait_s = _RECONNECT_FIRST_S
                lost = asyncio.ensure_future(self._lost.wait())
                await asyncio.wait((stopped, lost), return_when=asyncio.FIRST_COMPLETED)
                lost.cancel()
            else:
                await asyncio.wait((stopped,), timeout=wait_s)
                wait_s = min(wait_s * 2, _RECONNECT_S_MAX)
        stopped.cancel()
        await self._end_sessions(0.0)
        if self._channel is not None:
            self._channel.close()

    def stop(self) -> None:
        """End this process now; sessions that still run are cut off."""
        self._stopped.set()

    def _try_connect(self) -> bool:
        try:
            sock = connect_control(self._path)
        except OSError:
            return False
        self._lost.clear()
        channel = ControlChannel(sock, on_message=self._received, on_closed=self._lost.set)
        self._channel = channel
        keys = tuple(
            SessionKey(hello.session_id, hello.backend_pid, hello.secret_key)
            for hello in self._all_sessions()
        )
        hello = SqlHello(os.getpid(), binding=self._binding, sessions=keys, nice=self._nice)
        channel.send(hello, (self._tap.dup(),))
        return True

    def _all_sessions(self) -> list[SessionHello]:
        running = [hello for hello, _ in self._sessions.values()]
        return running + [hello for hello, _ in self._early]

    def _send(self, message: Message) -> None:
        if self._channel is not None:
            self._channel.send(message)

    def _received(self, message: Message, sockets: list[socket.socket]) -> None:
        match message:
            case SessionHello() if len(sockets) == 1:
                self._on_session(message, sockets[0])
                return
            case Assign() if self._binding is None:
                self._binding = message.binding
                spawn(self._bind(message), name="bind")
            case Renew():
                self._serving.renew(message.credential)
            case CancelSession():
                self._registry.cancel(message.session_id)
            case Drain() if not self._is_draining:
                self._is_draining = True
                spawn(self._drain(message.deadline_s), name="drain")
            case Exit():
                self.stop()
            case _:
                _log.warning("control_message_unexpected", extra={"kind": type(message).__name__})
        for sock in sockets:
            sock.close()

    async def _bind(self, assign: Assign) -> None:
        binding = assign.binding
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        set_title(f"insula sqlnode: {binding.tenant_name}")
        try:
            await self._serving.bind(assign)
        except (KvError, SqlError, OSError) as error:
            _log.warning(
                "assign_failed", extra={"tenant_id": binding.tenant_id, "error": str(error)}
            )
            self._refuse_early(error)
            self._send(AssignRefused(reason=str(error)))
            self.stop()
            return
        self._is_bound = True
        elapsed_s = loop.time() - started_s
        self._send(Assigned(elapsed_s=elapsed_s))
        _log.info(
            "assigned",
            extra={"tenant_id": binding.tenant_id, "elapsed_ms": round(elapsed_s * 1e3, 2)},
        )
        early, self._early = self._early, []
        for hello, sock in early:
            self._start_session(hello, sock)

    def _refuse_early(self, error: Exception) -> None:
        known = error if isinstance(error, SqlError | KvError) else SqlError(str(error))
        for hello, sock in self._early:
            self._send(SessionTaken(session_id=hello.session_id))
            self._serving.refuse(sock, known)
            self._send(SessionClosed(session_id=hello.session_id))
        self._early.clear()

    def _on_session(self, hello: SessionHello, sock: socket.socket) -> None:
        sock.setblocking(False)
        if self._is_bound:
            self._start_session(hello, sock)
        else:
            self._early.append((hello, sock))

    def _start_session(self, hello: SessionHello, sock: socket.socket) -> None:
        self._send(SessionTaken(session_id=hello.session_id))
        task = spawn(self._serve(hello, sock), name=f"session-{hello.session_id}")
        self._sessions[hello.session_id] = (hello, task)

    async def _serve(self, hello: SessionHello, sock: socket.socket) -> None:
        try:
            await self._serving.serve(sock, hello, self._registry)
        finally:
            sock.close()
            self._registry.remove(hello.session_id)
            self._sessions.pop(hello.session_id, None)
            self._send(SessionClosed(session_id=hello.session_id))

    async def _drain(self, deadline_s: float) -> None:
        self._registry.drain()
        if not self._is_bound:
            self._refuse_early(AdminShutdown("terminating connection due to administrator command"))
        await self._end_sessions(deadline_s)
        self.stop()

    async def _end_sessions(self, deadline_s: float) -> None:
        tasks = [task for _, task in self._sessions.values()]
        if tasks and deadline_s > 0:
            await asyncio.wait(tasks, timeout=deadline_s)
        left = [task for task in tasks if not task.done()]
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=1.0)
