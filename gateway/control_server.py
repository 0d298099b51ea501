"""The gateway's control socket: lets the zygote and SQL processes in and tells them apart.

**Concurrency.** One loop. A peer that does not say who it is within `_HELLO_S_MAX` is closed.
"""

import asyncio
import logging
import os
import socket
from pathlib import Path
from typing import Final, Protocol

from gateway.binding_proof import is_genuine
from runtime.address import listen_unix, peer_credentials
from runtime.control_channel import ControlChannel
from runtime.control_wire import FromSql, FromZygote, Message, SqlHello, ZygoteHello

_HELLO_S_MAX: Final = 10.0
_log = logging.getLogger(__name__)


class ControlListener(Protocol):
    """Who is told of peers: the pool manager."""

    def zygote_connected(self, channel: ControlChannel, hello: ZygoteHello) -> None: ...

    def zygote_said(self, message: FromZygote) -> None: ...

    def zygote_closed(self, channel: ControlChannel) -> None: ...

    def sql_connected(self, channel: ControlChannel, hello: SqlHello) -> None: ...

    def sql_said(self, pid: int, message: FromSql) -> None: ...

    def sql_closed(self, pid: int, channel: ControlChannel) -> None: ...


class Watcher(Protocol):
    """Who keeps the signal taps of SQL processes: the hold on the guard of real-time."""

    def watch(self, pid: int, tap: socket.socket) -> None:
        """Watch a process; takes over its tap."""
        ...

    def forget(self, pid: int, tap: socket.socket | None) -> None:
        """See a process's connection end, with the tap that came on it."""
        ...


class ControlServer:
    """Accept control connections on a Unix socket of type SOCK_SEQPACKET."""

    def __init__(
        self,
        path: Path,
        listener: ControlListener,
        *,
        secret: bytes,
        watcher: Watcher | None = None,
    ) -> None:
        path.unlink(missing_ok=True)
        self._socket = listen_unix(str(path), kind=socket.SOCK_SEQPACKET)
        self._listener = listener
        self._secret = secret
        self._watcher = watcher
        self._loop = asyncio.get_running_loop()
        self._peers: set[_Peer] = set()
        self._loop.add_reader(self._socket.fileno(), self._accept)

    def close(self) -> None:
        """Close the socket and every connection."""
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()
        for peer in list(self._peers):
            peer.channel.close()

    def _accept(self) -> None:
        try:
            sock, _ = self._socket.accept()
        except OSError as error:
            if not isinstance(error, BlockingIOError):
                _log.warning("control_accept_failed", extra={"error": str(error)})
            return
        pid, uid = peer_credentials(sock)
        if uid != os.getuid():
            _log.warning("control_peer_refused", extra={"peer_pid": pid, "uid": uid})
            sock.close()
            return
        peer = _Peer(sock, pid, self._listener, self._secret, self._watcher)
        self._peers.add(peer)
        peer.on_end = lambda: self._peers.discard(peer)


class _Peer:
    """One control connection: unknown, then the zygote's or a SQL process's."""

    def __init__(
        self,
        sock: socket.socket,
        pid: int,
        listener: ControlListener,
        secret: bytes,
        watcher: Watcher | None,
    ) -> None:
        self._pid = pid
        self._watcher = watcher
        self._tap: socket.socket | None = None
        self._listener = listener
        self._secret = secret
        self._is_zygote = False
        self._is_sql = False
        self.on_end = lambda: None
        self.channel = ControlChannel(sock, on_message=self._received, on_closed=self._closed)
        self._deadline = asyncio.get_running_loop().call_later(_HELLO_S_MAX, self.channel.close)

    def _received(self, message: Message, sockets: list[socket.socket]) -> None:
        was_known = self._is_sql
        if self._is_zygote and isinstance(message, FromZygote):
            self._listener.zygote_said(message)
        elif self._is_sql and isinstance(message, FromSql):
            self._listener.sql_said(self._pid, message)
        else:
            self._said_hello(message)
        for sock in sockets:  # nobody has a reason to send us another than the tap
            if self._watcher is not None and self._is_sql and not was_known and self._tap is None:
                self._tap = sock
                self._watcher.watch(self._pid, sock)
            else:
                sock.close()

    def _said_hello(self, message: Message) -> None:
        is_first = not (self._is_zygote or self._is_sql)
        if is_first and isinstance(message, ZygoteHello) and message.pid == self._pid:
            self._is_zygote = True
            self._deadline.cancel()
            self._listener.zygote_connected(self.channel, message)
        elif is_first and isinstance(message, SqlHello) and self._is_believed(message):
            self._is_sql = True
            self._deadline.cancel()
            self._listener.sql_connected(self.channel, message)
        else:
            extra = {"peer_pid": self._pid, "kind": type(message).__name__}
            _log.warning("control_peer_refused", extra=extra)
            self.channel.close()

    def _is_believed(self, hello: SqlHello) -> bool:
        if hello.pid != self._pid:
            return False
        if hello.binding is None:
            return not hello.sessions
        return is_genuine(self._secret, hello.binding, pid=self._pid)

    def _closed(self) -> None:
        self._deadline.cancel()
        self.on_end()
        if self._watcher is not None:  # also of one whose tap, with its hello, never got here
            self._watcher.forget(self._pid, self._tap)
        if self._is_zygote:
            self._listener.zygote_closed(self.channel)
        elif self._is_sql:
            self._listener.sql_closed(self._pid, self.channel)
