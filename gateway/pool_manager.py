"""Carries out what the pool decides: forks, assigns, hands over, renews credentials, retires.

**Concurrency.** One loop owns everything here. Only `hand_over` waits, and only for a process.
"""

import asyncio
import contextlib
import logging
import random
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gateway.binding_proof import make_binding
from gateway.config import Config
from gateway.cpu_priority import AssignedProcess
from gateway.login_directory import Login, LoginDirectory
from gateway.metrics import GatewayMetrics
from gateway.pool import (
    Action,
    Assign,
    Fork,
    HandOver,
    Pool,
    Refuse,
    Retire,
    SqlProcess,
)
from gateway.refusals import refusal
from gateway.session_table import SessionTable
from pgwire.errors import CannotConnectNow
from runtime import control_wire as wire
from runtime.clock import Clock
from runtime.control_channel import ControlChannel
from runtime.tasks import spawn

_log = logging.getLogger(__name__)
_TICK_S: Final = 0.5
_HAND_OVERS_MAX: Final = 8  # of one session, whose processes ended before they took it
_RENEW_AT: Final = 0.5  # of a credential's life


@dataclass(slots=True)
class _Pending:
    """A session on its way to a process."""

    sock: socket.socket
    hello: wire.SessionHello
    login: Login
    taken: asyncio.Future[str]  # where the process came from: existing or warm
    pid: int | None = None  # the process that was told and has not answered
    path: str = ""
    attempts: int = 0


@dataclass(slots=True)
class _Peer:
    """A SQL process's control channel and when its credential is due."""

    channel: ControlChannel
    nice: int
    binding: wire.TenantBinding | None = None
    renew_at_s: float = 0.0
    is_assigned: bool = False


class PoolManager:
    """Own the SQL processes. Implements `ControlListener`."""

    def __init__(
        self,
        config: Config,
        clock: Clock,
        metrics: GatewayMetrics,
        *,
        secret: bytes,
        rng: random.Random,
    ) -> None:
        self._config = config
        self._clock = clock
        self._metrics = metrics
        self._secret = secret
        self._loop = asyncio.get_running_loop()
        self._pool = Pool(config.pool)
        self.sessions = SessionTable(rng, first_session_id=clock.now_ns() // 1_000)
        self._zygote: ControlChannel | None = None
        self._zygote_pid: int | None = None
        self._peers: dict[int, _Peer] = {}
        self._pending: dict[int, _Pending] = {}
        self._refill_timer: asyncio.TimerHandle | None = None
        self._renewing: set[int] = set()
        self.has_warmed = asyncio.Event()
        self._all_gone = asyncio.Event()
        self._is_draining = False

    # -- sessions

    async def hand_over(self, sock: socket.socket, hello: wire.SessionHello, login: Login) -> str:
        """Pass an authenticated client to a process of its tenant; returns how it was found.

        Returns once the process speaks to the client; closes `sock` then. A process that ends
        before is replaced by another. Raises: TooManyConnections, CannotConnectNow, AdminShutdown.
        """
        taken: asyncio.Future[str] = self._loop.create_future()
        ticket = hello.session_id
        pending = self._pending[ticket] = _Pending(sock, hello, login, taken)
        try:
            self._do(self._pool.request(ticket, login.tenant_id, self._now_s()))
            self._refill_soon()
            path = await taken
            sock.close()
            return path
        except BaseException:
            if pending.pid is None:  # else the process serves it, and says so when it ends
                self._pool.give_up(ticket)
                self.sessions.close(ticket)
            raise
        finally:
            self._pending.pop(ticket, None)

    def cancel(self, backend_pid: int, secret: bytes) -> None:
        """Cancel what a session runs, if the key is right; say nothing either way."""
        entry = self.sessions.find(backend_pid, secret)
        peer = self._peers.get(entry.pid) if entry is not None and entry.pid is not None else None
        self._metrics.cancels.labels("refused" if peer is None else "sent").inc()
        if entry is not None and peer is not None:
            peer.channel.send(wire.CancelSession(session_id=entry.key.session_id))

    # -- peers (ControlListener)

    def zygote_connected(self, channel: ControlChannel, hello: wire.ZygoteHello) -> None:
        if self._zygote is not None:
            self._pool.zygote_lost()
        self._zygote, self._zygote_pid = channel, hello.pid
        _log.info("zygote_connected", extra={"zygote_pid": hello.pid})
        self._do(self._pool.zygote_connected(self._now_s()))

    def zygote_said(self, message: wire.FromZygote) -> None:
        match message:
            case wire.Forked():
                self._metrics.forks.inc(len(message.pids))
                self._metrics.fork_seconds.observe(message.elapsed_s / max(len(message.pids), 1))
            case wire.ForkRefused():
                _log.warning("fork_refused", extra={"reason": message.reason})
                self._pool.fork_refused(message.count)
            case wire.Exited():
                self._pool.process_reaped(message.pid, self._now_s())
                if message.status != 0:
                    extra = {"sql_pid": message.pid, "status": message.status}
                    _log.warning("sql_process_crashed", extra=extra)
                self._refill_soon()
            case _:
                _log.warning("control_message_unexpected", extra={"kind": type(message).__name__})

    def zygote_closed(self, channel: ControlChannel) -> None:
        if channel is self._zygote:
            self._zygote, self._zygote_pid = None, None
            self._pool.zygote_lost()
            _log.info("zygote_lost")

    def sql_connected(self, channel: ControlChannel, hello: wire.SqlHello) -> None:
        former = self._peers.get(hello.pid)
        if former is not None:  # it connected anew before we saw the end of its old connection
            self.sql_closed(hello.pid, former.channel)
            former.channel.close()
        peer = self._peers[hello.pid] = _Peer(channel, hello.nice, hello.binding)
        if self._is_draining:
            channel.send(wire.Drain(deadline_s=0.0))
            return
        if hello.binding is None:
            self._do(self._pool.process_warm(hello.pid, self._now_s()))
            self.has_warmed.set()
            return
        peer.is_assigned = True
        for key in hello.sessions:
            self.sessions.adopt(key, hello.pid)
        self._pool.process_adopted(
            hello.pid, hello.binding.tenant_id, len(hello.sessions), self._now_s()
        )
        extra = {"sql_pid": hello.pid, "tenant_id": hello.binding.tenant_id}
        _log.info("sql_process_adopted", extra={**extra, "sessions": len(hello.sessions)})

    def sql_said(self, pid: int, message: wire.FromSql) -> None:
        match message:
            case wire.SessionTaken():
                self._taken(pid, message.session_id)
            case wire.SessionClosed():
                if self.sessions.close(message.session_id) is not None:
                    self._pool.session_closed(pid, self._now_s())
            case wire.Assigned():
                self._peers[pid].is_assigned = True
                self._metrics.assign_seconds.observe(message.elapsed_s)
            case wire.AssignRefused():
                process = self._pool.process_gone(pid)  # it ends: no session may go there
                if process is not None:
                    process.is_draining = True
                _log.warning("assign_refused", extra={"sql_pid": pid, "reason": message.reason})
            case _:
                _log.warning("control_message_unexpected", extra={"kind": type(message).__name__})

    def sql_closed(self, pid: int, channel: ControlChannel) -> None:
        peer = self._peers.get(pid)
        if peer is None or peer.channel is not channel:
            return
        del self._peers[pid]
        stranded = [pending for pending in self._pending.values() if pending.pid == pid]
        for pending in stranded:
            pending.pid = None
            self.sessions.placed(pending.hello.session_id, None)
        lost = self.sessions.close_of(pid)
        process = self._pool.process_gone(pid)
        cause = "retired" if process is None or process.is_draining else "lost"
        self._metrics.ends.labels(cause).inc()
        if cause == "lost":
            tenant_id = None if process is None else process.tenant_id
            extra = {"sql_pid": pid, "tenant_id": tenant_id, "sessions_lost": lost}
            _log.warning("sql_process_lost", extra=extra)
        if self._is_draining and not self._peers:
            self._all_gone.set()
        for pending in stranded:
            self._place_again(pending)
        self._refill_soon()

    # -- tenants

    def tenant_gone(self, tenant_id: int, is_dropped: bool) -> None:
        """End the processes of a tenant that was dropped or suspended."""
        deadline_s = 0.0 if is_dropped else self._config.gateway.drain_s
        for pid in self._pool.retire_tenant(tenant_id):
            self._peers[pid].channel.send(wire.Drain(deadline_s=deadline_s))

    def check_tenants(self) -> None:
        """Ask soon, for each process, whether its tenant still is what it was."""
        for peer in self._peers.values():
            peer.renew_at_s = 0.0

    # -- life

    async def run(self, logins: LoginDirectory) -> None:
        """Let time pass: retire, refill, renew credentials, report."""
        while True:
            self._do(self._pool.tick(self._now_s()))
            self._renew_due(logins)
            self._report()
            await asyncio.sleep(_TICK_S)

    async def drain(self, drain_s: float) -> None:
        """End every SQL process; sessions get `drain_s` to come to rest."""
        self._is_draining = True
        self._do(self._pool.stop())
        for process in list(self._pool.processes.values()):
            process.is_draining = True
            peer = self._peers.get(process.pid)
            if peer is not None:
                peer.channel.send(wire.Drain(deadline_s=drain_s))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(drain_s + 2.0):
                if self._peers:
                    await self._all_gone.wait()

    def assigned(self) -> Iterator[AssignedProcess]:
        """Yield the processes that serve a tenant."""
        for pid, peer in self._peers.items():
            if peer.binding is not None:
                yield AssignedProcess(pid, peer.binding.tenant_id, peer.nice)

    def describe(self) -> list[dict[str, Any]]:
        """Return every process the gateway knows, for /debug/processes."""
        known: list[dict[str, Any]] = []
        if self._zygote_pid is not None:
            known.append({"kind": "zygote", "pid": self._zygote_pid, "state": "connected"})
        known += [self._describe(process) for process in self._pool.processes.values()]
        return known

    def _describe(self, process: SqlProcess) -> dict[str, Any]:
        binding = self._peers[process.pid].binding if process.pid in self._peers else None
        return {
            "kind": "sql",
            "pid": process.pid,
            "state": process.state,
            "tenant": None if binding is None else binding.tenant_name,
            "sessions": process.session_count,
        }

    # -- within

    def _now_s(self) -> float:
        return self._clock.monotonic_s()

    def _do(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Fork():
                    if self._zygote is not None:
                        self._zygote.send(wire.Fork(count=action.count))
                case Assign():
                    self._assign(action, actions)
                case HandOver():
                    self._place(action)
                case Refuse():
                    self._refuse(action)
                case Retire():
                    self._peers[action.pid].channel.send(wire.Exit())

    def _assign(self, action: Assign, actions: list[Action]) -> None:
        ticket = next(a.ticket for a in actions if isinstance(a, HandOver) and a.pid == action.pid)
        pending = self._pending[ticket]
        login, peer = pending.login, self._peers[action.pid]
        peer.binding = make_binding(
            self._secret,
            pid=action.pid,
            tenant_id=login.tenant_id,
            tenant_name=login.tenant_name,
            user=pending.hello.user,
        )
        peer.renew_at_s = login.fetched_s + login.credential_life_s * _RENEW_AT
        peer.channel.send(wire.Assign(binding=peer.binding, credential=login.credential))

    def _place(self, action: HandOver) -> None:
        pending = self._pending[action.ticket]
        peer = self._peers[action.pid]
        try:
            sent = pending.sock.dup()
        except OSError as error:  # out of descriptors
            _log.warning("hand_over_failed", extra={"error": str(error)})
            self._pool.session_closed(action.pid, self._now_s())
            pending.taken.set_exception(CannotConnectNow("the gateway is out of descriptors"))
            return
        pending.pid = action.pid
        pending.path = "existing" if peer.is_assigned else "warm"
        pending.attempts += 1
        self.sessions.placed(action.ticket, action.pid)
        peer.channel.send(pending.hello, (sent,))

    def _taken(self, pid: int, session_id: int) -> None:
        pending = self._pending.get(session_id)
        if pending is not None and pending.pid == pid and not pending.taken.done():
            pending.taken.set_result(pending.path)

    def _place_again(self, pending: _Pending) -> None:
        """Find another process for a session whose process ended before it took it."""
        if pending.taken.done():
            return
        if pending.attempts >= _HAND_OVERS_MAX:
            why = "no SQL process of the tenant stays alive"
            pending.taken.set_exception(CannotConnectNow(why, hint="Try again in a moment."))
            return
        ticket, tenant_id = pending.hello.session_id, pending.login.tenant_id
        self._do(self._pool.request(ticket, tenant_id, self._now_s()))

    def _refuse(self, action: Refuse) -> None:
        pending = self._pending.get(action.ticket)
        if pending is not None and not pending.taken.done():
            pending.taken.set_exception(refusal(action.reason))

    def _refill_soon(self) -> None:
        if self._refill_timer is None:
            delay_s = self._config.pool.refill_delay_s
            self._refill_timer = self._loop.call_later(delay_s, self._refill)

    def _refill(self) -> None:
        self._refill_timer = None
        self._do(self._pool.refill(self._now_s()))

    def _renew_due(self, logins: LoginDirectory) -> None:
        now_s = self._now_s()
        for pid, peer in self._peers.items():
            if peer.binding is not None and peer.renew_at_s <= now_s and pid not in self._renewing:
                self._renewing.add(pid)
                spawn(self._renew(logins, pid, peer), name=f"renew-{pid}")

    async def _renew(self, logins: LoginDirectory, pid: int, peer: _Peer) -> None:
        assert peer.binding is not None, "renewing the credential of a warm process"
        try:
            login = await logins.login(peer.binding.tenant_name, peer.binding.user, is_fresh=True)
        except CannotConnectNow:
            return  # the KV node restarts; the next tick asks again
        finally:
            self._renewing.discard(pid)
        if login is None or login.tenant_id != peer.binding.tenant_id or login.is_suspended:
            self.tenant_gone(peer.binding.tenant_id, login is None)
            return
        peer.renew_at_s = login.fetched_s + login.credential_life_s * _RENEW_AT
        peer.channel.send(wire.Renew(credential=login.credential))

    def _report(self) -> None:
        counts = {"warm": 0, "assigned": 0, "draining": 0}
        for process in self._pool.processes.values():
            counts[process.state] += 1
        for state, count in counts.items():
            self._metrics.processes.labels(state).set(count)
        self._metrics.sessions.set(len(self.sessions))
        self._metrics.waiting.set(self._pool.waiting_count)


def control_path(run_dir: Path) -> Path:
    """Return where the gateway's control socket is."""
    return run_dir / "control.sock"
