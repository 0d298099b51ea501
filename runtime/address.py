"""Network addresses as typed values: `host:port`, `[v6]:port`, `unix:/path` and `fd:N`.

`fd:N` is a listening socket that the supervisor opened and this process inherited. Clients that
connect while the process restarts wait in that socket's backlog instead of being refused.
"""

import socket
import struct
from dataclasses import dataclass
from typing import Any, Final

from runtime.config_error import ConfigError

_BACKLOG: Final = 1024


@dataclass(frozen=True, slots=True)
class HostPort:
    """A TCP address; port 0 asks the machine to pick one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_host_port(text: str) -> HostPort:
    """Parse `host:port` or `[v6]:port`.

    Raises: ConfigError.

    >>> parse_host_port("127.0.0.1:6432")
    HostPort(host='127.0.0.1', port=6432)
    >>> str(parse_host_port("[::1]:0"))
    '[::1]:0'
    """
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise ConfigError(
            f"{text!r} is not an address: write HOST:PORT, for instance 127.0.0.1:6432"
        )
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ConfigError(
            f"{text!r} is not an address: write an IPv6 host in brackets, [{host}]:{port}"
        )
    return HostPort(host or "0.0.0.0", int(port))


def listen_tcp(address: HostPort) -> socket.socket:
    """Open a listening, non-blocking TCP socket. Raises: ConfigError."""
    try:
        family, kind, proto, _, where = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise ConfigError(f"cannot listen on {address}: {error}") from error
    listener = socket.socket(family, kind, proto)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return _listening(listener, where, name=str(address))


def listen_unix(path: str, *, kind: int = socket.SOCK_STREAM) -> socket.socket:
    """Open a listening, non-blocking Unix socket at `path`, which must not exist."""
    return _listening(socket.socket(socket.AF_UNIX, kind), path, name=path)


def _listening(listener: socket.socket, where: Any, *, name: str) -> socket.socket:
    try:
        listener.bind(where)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigError(f"cannot listen on {name}: {error}") from error
    listener.setblocking(False)
    return listener


def open_listener(text: str) -> socket.socket:
    """Open the listening socket that `text` names: `fd:N`, `unix:/path` or `host:port`."""
    if text.startswith("fd:"):
        listener = socket.socket(fileno=int(text[3:]))
        listener.setblocking(False)
        return listener
    if text.startswith("unix:"):
        return listen_unix(text[5:])
    return listen_tcp(parse_host_port(text))


def bound_address(listener: socket.socket) -> str:
    """Return where a listening socket really listens, in the form that `open_listener` reads."""
    name = listener.getsockname()
    if isinstance(name, str):
        return f"unix:{name}"
    return str(HostPort(name[0], name[1]))


def peer_credentials(sock: socket.socket) -> tuple[int, int]:
    """Return (pid, uid) of the process that opened the other end of a Unix connection."""
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, _ = struct.unpack("3i", raw)
    return pid, uid
