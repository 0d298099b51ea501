"""The messages between the gateway and the processes it directs: zygote and SQL processes.

**Model.** Each of them opens one Unix connection of type SOCK_SEQPACKET to the gateway's control
socket and says hello. One message is one packet, so a message and the socket that travels with it
(SCM_RIGHTS) cannot be torn apart.

```
zygote    →  ZygoteHello                       gateway  →  Fork
          →  Forked, ForkRefused, Exited
SQL       →  SqlHello + signal tap (warm, or bound: after the gateway was replaced)
          →  Assigned, AssignRefused           gateway  →  Assign, Renew
          →  SessionTaken, SessionClosed       gateway  →  SessionHello + socket, CancelSession
          →  (end of file: gone)               gateway  →  Drain, Exit
```

The gateway does not wait for `Assigned` before it sends sessions: the SQL process queues them. It
keeps its own descriptor of a session's socket until `SessionTaken`: if the process ends before, the
client has not heard a word from it, and the session goes to another process.

**Layout.** A packet is one msgpack map with the tag field `t`, at most `PACKET_BYTES_MAX` long.
"""

import array
import os
import socket
from typing import Final

import msgspec

PACKET_BYTES_MAX: Final = 128 * 1024
_FDS_MAX: Final = 4


class Fork(msgspec.Struct, tag_field="t", tag=True, frozen=True):
    """To the zygote: make `count` generic SQL processes."""

    count: int


class ZygoteHello(msgspec.Struct, tag_field="t", tag=True, frozen=True):
    """From the zygote, first."""

    pid: int


class Forked(msgspec.Struct, tag_field="t", tag=True, frozen=True):
    """From the zygote: these processes exist; each says hello by itself when it is warm."""

    pids: tuple[int, ...]
    elapsed_s: float


class ForkRefused(msgspec.Struct, tag_field="t", tag=True, frozen=True):
    """From the zygote: it did not fork `count` processes; it starts itself afresh."""

    count: int
    reason: str


class Exited(msgspec.Struct, tag_field="t", tag=True, frozen=True):
    """From the zygote: a child ended. `status` is its exit code, or minus its signal."""

    pid: int
    status: int


class TenantBinding(msgspec.Struct, frozen=True):
    """What binds a SQL process to its tenant; `proof` is the gateway's signature over it."""

    tenant_id: int
    tenant_name: str
    user: str
    proof: bytes


class SessionKey(msgspec.Struct, frozen=True):
    """One running session, as told to a gateway that starts anew."""

    session_id: int
    backend_pid: int
    secret_key: int


class SqlHello(msgspec.Struct, tag_field="t", tag=True, frozen=True):
    """From a SQL process, first. Unbound and without sessions it is warm."""

    pid: int
    binding: TenantBinding | None = None
    sessions: tuple[SessionKey, ...] = ()
    nice: int = 0  # what it started with; the gateway lowers and raises it from there


class Assign(msgspec.Struct, tag_field="t", tag=True, frozen=True):
    """To a warm SQL process: serve this tenant, for good."""

    binding: TenantBinding
    credential: bytes
    catalog_version: int = 0  # hint: the newest version the gateway has heard of; 0 unknown
    settings: dict[str, str] = {}


class Assigned(msgspec.Struct, tag_field="t", tag=True, frozen=True):
    """From a SQL process: the tenant's catalog is loaded and sessions are served."""

    elapsed_s: float


class AssignRefused(msgspec.Struct, tag_field="t", tag=True, frozen=True):
    """From a SQL process: it could not become the tenant's; it has told its sessions and ends."""

    reason: str


class Renew(msgspec.Struct, tag_field="t", tag=True, frozen=True):
    """To a SQL process: use this credential from now on."""

    credential: bytes


class SessionHello(msgspec.Struct, tag_field="t", tag=True, frozen=True):
    """To a SQL process, with the client's socket: serve this session.

    The client has had AuthenticationOk (and NegotiateProtocolVersion if it was due). It waits for
    ParameterStatus, BackendKeyData(`backend_pid`, `secret_key`) and ReadyForQuery. `parameters`
    are the start-up parameters but user, database and what named the tenant; `options` (-c) is
    already taken apart into them. `buffered` are bytes read from the socket that belong to the
    session.
    """

    session_id: int
    user: str
    database: str
    tenant_name: str
    backend_pid: int
    secret_key: int
    parameters: dict[str, str]
    peer: str = ""  # "127.0.0.1:50412", or "unix"
    buffered: bytes = b""
    is_operator: bool = False  # came in over the trusted Unix socket


class SessionTaken(msgspec.Struct, tag_field="t", tag=True, frozen=True):
    """From a SQL process: from here on it speaks to this session's client."""

    session_id: int


class SessionClosed(msgspec.Struct, tag_field="t", tag=True, frozen=True):
    """From a SQL process: this session is over."""

    session_id: int


class CancelSession(msgspec.Struct, tag_field="t", tag=True, frozen=True):
    """To a SQL process: cancel what this session runs, if anything. The gateway checked the key."""

    session_id: int


class Drain(msgspec.Struct, tag_field="t", tag=True, frozen=True):
    """To a SQL process: end sessions as they come to rest, all by `deadline_s`, then exit."""

    deadline_s: float


class Exit(msgspec.Struct, tag_field="t", tag=True, frozen=True):
    """To a SQL process without sessions: exit now."""


ToZygote = Fork
FromZygote = ZygoteHello | Forked | ForkRefused | Exited
ToSql = Assign | Renew | SessionHello | CancelSession | Drain | Exit
FromSql = SqlHello | Assigned | AssignRefused | SessionTaken | SessionClosed
Message = ToZygote | FromZygote | ToSql | FromSql

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Message)


class ControlViolation(Exception):
    """The peer sent a packet that is none of these messages."""


def encode(message: Message) -> bytes:
    """Encode one message as one packet.

    >>> decode(encode(Fork(count=3)))
    Fork(count=3)
    """
    packet = _encoder.encode(message)
    if len(packet) > PACKET_BYTES_MAX:
        raise ControlViolation(f"a message of {len(packet)} bytes exceeds {PACKET_BYTES_MAX}")
    return packet


def decode(packet: bytes) -> Message:
    """Decode one packet. Raises: ControlViolation."""
    try:
        return _decoder.decode(packet)
    except msgspec.MsgspecError as error:
        raise ControlViolation(f"malformed control packet: {error}") from error


def send_packet(sock: socket.socket, packet: bytes, fds: tuple[int, ...] = ()) -> None:
    """Send one packet with descriptors. Raises: OSError; BlockingIOError when full."""
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    sock.sendmsg([packet], ancillary)


def receive_packet(sock: socket.socket) -> tuple[bytes, list[int]]:
    """Receive one packet and its descriptors, close-on-exec; empty bytes mean end of file.

    Raises: ControlViolation for a packet that was cut off. The caller owns the descriptors.
    """
    # NB: socket.recv_fds ignores its flags in Python 3.11: descriptors would survive exec.
    space = socket.CMSG_LEN(_FDS_MAX * array.array("i").itemsize)
    packet, ancillary, flags, _ = sock.recvmsg(PACKET_BYTES_MAX, space, socket.MSG_CMSG_CLOEXEC)
    fds = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        for fd in fds:
            os.close(fd)
        raise ControlViolation("a control packet was cut off")
    return packet, list(fds)
