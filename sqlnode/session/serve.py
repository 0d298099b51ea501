"""Serving one session from the hand-over of its socket to its end.

**Model.** One task for each session: pull a frame, handle it, answer its error, and send what was
collected when nothing more is waiting (or the client asked for it).

**Invariants.** Whatever goes wrong in a statement, the session goes on in a defined state; only a
fatal error or the client's leaving ends it.
"""

import asyncio
import logging
import socket
from typing import Final

from kvapi.client.meter import current_meter
from kvapi.errors import KvError
from pgwire import frames
from pgwire.connection import ServerConnection, State
from pgwire.errors import (
    AdminShutdown,
    ConnectionFailure,
    IdleInTransactionSessionTimeout,
    IdleSessionTimeout,
    InternalError,
    ProtocolViolation,
)
from pgwire.messages import (
    READY_FAILED,
    READY_IDLE,
    READY_IN_TRANSACTION,
    backend_key_data,
    error_response,
    parameter_status,
)
from pgwire.sql_error import SqlError
from runtime.control_wire import SessionHello
from sqlnode.engine import Engine
from sqlnode.kv_errors import sql_error
from sqlnode.session import extended_query
from sqlnode.session.client_link import ClientGone, ClientLink
from sqlnode.session.session import Session
from sqlnode.session.simple_query import TURN_S, simple_query
from sqlnode.session.statement_runner import commit, rollback
from sqlnode.session.transaction_block import BlockState
from sqlnode.session_registry import SessionRegistry

_log = logging.getLogger(__name__)
_LOCKS_LOST: Final = (
    "the connection to the KV node was lost, and with it the advisory locks of this session"
)
_READY: Final = {"I": READY_IDLE, "T": READY_IN_TRANSACTION, "E": READY_FAILED}


async def serve_session(
    engine: Engine, sock: socket.socket, hello: SessionHello, registry: SessionRegistry
) -> None:
    """Serve a session to its end and close its socket."""
    connection = ServerConnection()
    loop = asyncio.get_running_loop()
    sock.setblocking(False)
    connection.feed(hello.buffered)  # before anything can come from the socket
    # The transport closes its own descriptor; the caller closes the one it handed over.
    link = ClientLink(connection)
    await loop.connect_accepted_socket(lambda: link, sock.dup())
    try:
        session = Session(engine, hello, connection, link)
    except SqlError as error:
        error.severity = "FATAL"
        link.write(error_response(error))
        link.close()
        return
    current_meter.set(session.meter)
    server = SessionServer(session)
    registry.add(hello.session_id, server)
    engine.keeper.add(session)
    engine.sessions.add(session)
    try:
        await server.run()
    finally:
        engine.keeper.discard(session)
        engine.sessions.discard(session)
        try:
            await _end(session)
        finally:
            session.account.close()
            session.meter.close()


async def _end(session: Session) -> None:
    try:
        await rollback(session)
    except KvError as error:
        _log.info("rollback_failed", extra={"error": str(error)})
    session.advisory.unlock_all()
    session.out.flush()
    session.link.close()


class SessionServer:
    """The loop over frames; implements `SessionHandle` for the registry."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._ahead: frames.Frame | SqlError | None = None
        self._is_draining = False
        self._is_idle = False
        self._task: asyncio.Task[None] | None = None

    # SessionHandle

    def cancel_statement(self) -> None:
        """Cancel what runs."""
        self._session.guard.cancel()

    def request_drain(self) -> None:
        """End at the next moment of rest."""
        self._is_draining = True
        if self._is_idle and not self._session.block.is_block and self._task is not None:
            self._task.cancel()

    # The loop

    async def run(self) -> None:
        """Greet, then serve frames until the client leaves."""
        session = self._session
        session.guard.attach()
        self._task = asyncio.current_task()
        session.account.wake()
        self._greet()
        loop = asyncio.get_running_loop()
        turn_end_s = loop.time() + TURN_S
        try:
            while True:
                frame = self._next()
                if frame is None:
                    session.out.flush()
                    await session.link.drain()
                    await self._wait()
                    turn_end_s = loop.time() + TURN_S
                elif type(frame) is frames.Terminate or not await self._handle(frame):
                    return
                elif loop.time() > turn_end_s:  # much is pipelined: others have their turn
                    session.out.flush()
                    await session.link.drain()
                    await asyncio.sleep(0)
                    turn_end_s = loop.time() + TURN_S
        except ClientGone:
            return
        except asyncio.CancelledError:
            self._fatal(AdminShutdown("terminating connection due to administrator command"))
            if not self._is_draining:
                raise

    def _greet(self) -> None:
        session = self._session
        out, hello = session.out, session.hello
        session.parameters_reported = session.parameters.reported()
        for name, value in session.parameters_reported.items():
            out.add(parameter_status(name, value))
        out.add(backend_key_data(hello.backend_pid, hello.secret_key))
        out.add(READY_IDLE)

    def _next(self) -> frames.Frame | SqlError | None:
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            return ahead
        try:
            return self._session.connection.next_frame()
        except SqlError as error:
            return error

    def _is_sync_next(self) -> bool:
        if self._ahead is None:
            self._ahead = self._next()
        return type(self._ahead) is frames.Sync

    async def _wait(self) -> None:
        """Wait for bytes, no longer than the idle timeouts allow. Raises: ClientGone."""
        session = self._session
        values = session.parameters.values
        is_block = session.block.is_block
        if self._is_draining and not is_block:
            raise asyncio.CancelledError
        name = "idle_in_transaction_session_timeout" if is_block else "idle_session_timeout"
        timeout_ms = int(values[name])
        self._is_idle = True
        session.account.rest()
        try:
            if not timeout_ms:
                await session.link.wait_data()
                return
            async with asyncio.timeout(timeout_ms / 1000):
                await session.link.wait_data()
        except TimeoutError:
            self._fatal(_idle_error(is_block=is_block))
            raise ClientGone from None
        finally:
            self._is_idle = False
            session.account.wake()

    async def _handle(self, frame: frames.Frame | SqlError) -> bool:
        """Handle one frame and answer its error; False ends the session."""
        session = self._session
        guard = session.guard
        guard.begin(session.statement_timeout_ms)
        try:
            if isinstance(frame, SqlError):
                raise frame
            if session.advisory.is_lost:
                raise ConnectionFailure(_LOCKS_LOST, severity="FATAL")
            await self._dispatch(frame)
            return True
        except SqlError as error:
            failure = error
        except KvError as error:
            failure = sql_error(error, session.block.catalog, session.parameters.settings)
        except asyncio.CancelledError:
            interruption = guard.interruption()
            if interruption is None:
                raise
            failure = interruption
        except ClientGone:
            raise
        except RecursionError:
            failure = SqlError("stack depth limit exceeded", sqlstate="54001")
        except MemoryError:
            failure = SqlError("out of memory", sqlstate="53200")
        except Exception as error:
            _log.exception("statement_failed", extra={"session_id": session.hello.session_id})
            failure = InternalError(f"internal error: {type(error).__name__}")
        finally:
            guard.end()
        return await self._fail(failure)

    async def _fail(self, error: SqlError) -> bool:
        session = self._session
        session.out.add(session.connection.fail(error))
        if not isinstance(self._ahead, frames.Sync):
            self._ahead = None  # discarded up to the next Sync, like what follows
        block = session.block
        if block.state is BlockState.OPEN:
            await session.close_portals(block.lasting_portals)
            await block.fail()
        elif block.state is BlockState.IMPLICIT:
            await rollback(session)
        session.parameters_changed()
        if error.is_fatal:
            return False
        if session.connection.state is State.READY and self._ahead is None:
            self._ready()  # else it comes with the client's Sync
        return True

    async def _dispatch(self, frame: frames.Frame) -> None:
        session = self._session
        match frame:
            case frames.Query():
                await simple_query(session, frame.sql)
                self._ready()
            case frames.Parse():
                await self._fresh_catalog()
                await extended_query.parse(session, frame)
            case frames.Bind():
                await self._fresh_catalog()
                extended_query.bind(session, frame)
            case frames.Describe():
                extended_query.describe(session, frame)
            case frames.Execute():
                is_last = not extended_query.is_copy_in(session, frame) and self._is_sync_next()
                await extended_query.execute(session, frame, is_last=is_last)
            case frames.Sync():
                if session.block.state is BlockState.IMPLICIT:
                    await commit(session)
                self._ready()
            case frames.Close():
                await extended_query.close(session, frame)
            case frames.Flush():
                session.out.flush()
            case _:
                raise ProtocolViolation("unexpected message outside COPY", severity="FATAL")

    async def _fresh_catalog(self) -> None:
        session = self._session
        if session.block.txn is None and session.engine.is_catalog_stale:
            await session.engine.reload()

    def _ready(self) -> None:
        session = self._session
        session.parameters_changed()
        if session.parameters.reported_version != session.reported_version:
            self._report_parameters()
        session.out.add(_READY[session.block.status])

    def _report_parameters(self) -> None:
        session = self._session
        session.reported_version = session.parameters.reported_version
        present = session.parameters.reported()
        for name, value in present.items():
            if session.parameters_reported.get(name) != value:
                session.out.add(parameter_status(name, value))
        session.parameters_reported = present

    def _fatal(self, error: SqlError) -> None:
        self._session.out.add(error_response(error))
        self._session.out.flush()


def _idle_error(*, is_block: bool) -> SqlError:
    if is_block:
        return IdleInTransactionSessionTimeout(
            "terminating connection due to idle-in-transaction timeout"
        )
    return IdleSessionTimeout("terminating connection due to idle-session timeout")
