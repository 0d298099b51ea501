"""The start-up packet, sans-IO: who connects to what, or a request for TLS or for a cancel.

Source: PostgreSQL docs, "Start-up" and "Message Formats"; src/backend/tcop/backend_startup.c,
pg_split_opts and process_postgres_switches in src/backend/utils/init and tcop.
"""

import struct
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

from pgwire.codecs.scalars import decode_utf8
from pgwire.errors import (
    FeatureNotSupported,
    InvalidAuthorizationSpecification,
    ProtocolViolation,
    SqlSyntaxError,
)

STARTUP_BYTES_MAX: Final = 10_000
PROTOCOL_MAJOR: Final = 3
PROTOCOL_MINOR_MAX: Final = 0
_CANCEL_CODE: Final = 80_877_102
_SSL_CODE: Final = 80_877_103
_GSSENC_CODE: Final = 80_877_104
_CANCEL_KEY_BYTES_MAX: Final = 256


class SslRequest(NamedTuple):
    """The client asks for TLS: answer b'S' and start it, or b'N'."""


class GssEncRequest(NamedTuple):
    """The client asks for GSSAPI encryption: answer b'N'."""


class CancelRequest(NamedTuple):
    """Cancel what the process with this key runs; there is no answer."""

    process_id: int
    secret: bytes


@dataclass(frozen=True, slots=True)
class StartupMessage:
    """Version and parameters of a session to be.

    `unknown_options` are protocol options (`_pq_.…`); send NegotiateProtocolVersion if
    `needs_negotiation`.
    """

    minor: int
    parameters: dict[str, str]
    unknown_options: tuple[str, ...] = field(default=())

    @property
    def user(self) -> str:
        """The role to log in as."""
        return self.parameters["user"]

    @property
    def database(self) -> str:
        """The database asked for; by default it is called like the user."""
        return self.parameters.get("database") or self.user

    @property
    def needs_negotiation(self) -> bool:
        """Whether the client asked for more than this server speaks."""
        return self.minor > PROTOCOL_MINOR_MAX or bool(self.unknown_options)


StartupPacket: TypeAlias = SslRequest | GssEncRequest | CancelRequest | StartupMessage


def _violation(text: str) -> ProtocolViolation:
    return ProtocolViolation(text, severity="FATAL")


class StartupParser:
    """Collects bytes until a start-up packet is whole. After a TLS or GSS request comes another.

    Bytes after the packet stay in `unread`.
    NB: after an SslRequest `unread` must be empty before TLS starts, or an attacker could have
    slipped in clear text (CVE-2021-23214).
    """

    def __init__(self, bytes_max: int = STARTUP_BYTES_MAX) -> None:
        self._buffer = bytearray()
        self._bytes_max = bytes_max

    @property
    def unread(self) -> bytes:
        """Bytes that belong to no packet yet."""
        return bytes(self._buffer)

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes from the client."""
        self._buffer += data

    def next_packet(self) -> StartupPacket | None:
        """Return the next packet, or None: feed more bytes. Raises: SqlError, all fatal."""
        if len(self._buffer) < 4:
            return None
        (length,) = struct.unpack_from("!I", self._buffer)
        if not 8 <= length <= self._bytes_max:
            raise _violation("invalid length of startup packet")
        if len(self._buffer) < length:
            return None
        packet = bytes(self._buffer[4:length])
        del self._buffer[:length]
        return parse_startup_packet(packet)


def parse_startup_packet(packet: bytes) -> StartupPacket:
    """Parse a packet without its length. Raises: ProtocolViolation, FeatureNotSupported, others."""
    code, body = int.from_bytes(packet[:4], "big"), packet[4:]
    if code in (_SSL_CODE, _GSSENC_CODE):
        if body:
            raise _violation("invalid length of startup packet")
        return SslRequest() if code == _SSL_CODE else GssEncRequest()
    if code == _CANCEL_CODE:
        if not 8 <= len(body) <= 4 + _CANCEL_KEY_BYTES_MAX:
            raise _violation("invalid length of cancel request packet")
        return CancelRequest(int.from_bytes(body[:4], "big"), body[4:])
    major, minor = code >> 16, code & 0xFFFF
    if major != PROTOCOL_MAJOR:
        raise FeatureNotSupported(
            f"unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.0",
            severity="FATAL",
        )
    return _parse_parameters(minor, body)


def _parse_parameters(minor: int, body: bytes) -> StartupMessage:
    if not body.endswith(b"\0"):
        raise _violation("invalid startup packet layout: expected terminator as last byte")
    words = body.split(b"\0")
    # name, value, name, value, …, the terminator's empty name, and what follows the last NUL
    pairs: dict[str, str] = {}
    at = 0
    while words[at]:
        if at + 2 >= len(words):
            raise _violation("invalid startup packet layout: expected terminator as last byte")
        pairs[decode_utf8(words[at])] = decode_utf8(words[at + 1])
        at += 2
    if at + 2 != len(words):
        raise _violation("invalid startup packet layout: expected terminator as last byte")
    unknown = tuple(name for name in pairs if name.startswith("_pq_."))
    parameters = {name: value for name, value in pairs.items() if name not in unknown}
    if not parameters.get("user"):
        raise InvalidAuthorizationSpecification(
            "no PostgreSQL user name specified in startup packet"
        )
    return StartupMessage(minor, parameters, unknown)


def split_options(text: str) -> list[str]:
    r"""Split command-line options at blanks; a backslash takes the next character as it is.

    >>> split_options(r"-c a=b\ c  --x=\\")
    ['-c', 'a=b c', '--x=\\']
    """
    words: list[str] = []
    word: list[str] = []
    is_inside = is_escaped = False
    for character in text:
        if is_escaped:
            word.append(character)
            is_escaped = False
        elif character == "\\":
            is_inside = is_escaped = True
        elif character in " \t\n\v\f\r":
            if is_inside:
                words.append("".join(word))
                word, is_inside = [], False
        else:
            word.append(character)
            is_inside = True
    if is_inside:
        words.append("".join(word))
    return words


def parse_options(text: str) -> dict[str, str]:
    """Parse the `options` parameter: -c name=value, -cname=value and --name=value.

    A dash inside a name stands for an underscore, the last of equal names wins.
    Raises: SqlSyntaxError for anything else.

    >>> parse_options("--tenant=acme -c statement_timeout=5s -csearch_path=a,b")
    {'tenant': 'acme', 'statement_timeout': '5s', 'search_path': 'a,b'}
    """
    settings: dict[str, str] = {}
    words = iter(split_options(text))
    for word in words:
        if word.startswith("--"):
            assignment = word[2:]
            shown = f"--{assignment}"
        elif word.startswith("-c"):
            assignment = word[2:] or next(words, "")
            shown = f"-c {assignment}"
        else:
            raise SqlSyntaxError(
                f"invalid command-line argument for server process: {word}", severity="FATAL"
            )
        name, equals, value = assignment.partition("=")
        if not equals or not name:
            raise SqlSyntaxError(f"{shown} requires a value", severity="FATAL")
        settings[name.replace("-", "_")] = value
    return settings
