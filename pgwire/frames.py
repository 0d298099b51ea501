"""What a client can send after start-up, as typed frames, and how their bodies are laid out.

Source: PostgreSQL docs, "Message Formats".
"""

import struct
from typing import Final, NamedTuple, TypeAlias

from pgwire.codecs.scalars import decode_utf8
from pgwire.errors import FeatureNotSupported, ProtocolViolation


class Query(NamedTuple):
    """Simple query: one or more statements."""

    sql: str


class Parse(NamedTuple):
    """Prepare a statement; OID 0 leaves a parameter's type to the server."""

    name: str
    sql: str
    param_oids: tuple[int, ...]


class Bind(NamedTuple):
    """Make a portal from a prepared statement; a value None is NULL."""

    portal: str
    statement: str
    param_formats: tuple[int, ...]
    values: tuple[bytes | None, ...]
    result_formats: tuple[int, ...]

    def param_format(self, index: int) -> int:
        """Return the format code of one parameter."""
        formats = self.param_formats
        return 0 if not formats else formats[0] if len(formats) == 1 else formats[index]


class Describe(NamedTuple):
    """Describe a statement (kind 'S') or portal ('P')."""

    kind: str
    name: str


class Execute(NamedTuple):
    """Run a portal; `row_count_max` 0 means all rows."""

    portal: str
    row_count_max: int


class Close(NamedTuple):
    """Close a statement (kind 'S') or portal ('P')."""

    kind: str
    name: str


class Flush(NamedTuple):
    """Send out what is buffered."""


class Sync(NamedTuple):
    """End of an extended-query sequence."""


class CopyData(NamedTuple):
    """A piece of COPY input; its ends mean nothing."""

    data: bytes


class CopyDone(NamedTuple):
    """End of COPY input."""


class CopyFail(NamedTuple):
    """The client gives up its COPY."""

    message: str


class Terminate(NamedTuple):
    """The client says goodbye."""


class PasswordMessage(NamedTuple):
    """Answer to an authentication request: password, SASLInitialResponse or SASLResponse."""

    payload: bytes


Frame: TypeAlias = (
    Query
    | Parse
    | Bind
    | Describe
    | Execute
    | Close
    | Flush
    | Sync
    | CopyData
    | CopyDone
    | CopyFail
    | Terminate
    | PasswordMessage
)


_UINT8: Final = struct.Struct("!B")
_UINT16: Final = struct.Struct("!H")
_INT32: Final = struct.Struct("!i")


class _Reader:
    """Cursor over one message body. Raises ProtocolViolation where the body is too short."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def string(self) -> str:
        end = self.data.find(b"\0", self.at)
        if end < 0:
            raise ProtocolViolation("invalid string in message")
        raw = self.data[self.at : end]
        self.at = end + 1
        return decode_utf8(raw)

    def numbers(self, code: str) -> tuple[int, ...]:
        """Read a 16-bit count and as many numbers."""
        (count,) = self.unpack(_UINT16)
        return self.unpack(struct.Struct(f"!{count}{code}")) if count else ()

    def unpack(self, layout: struct.Struct) -> tuple[int, ...]:
        try:
            values = layout.unpack_from(self.data, self.at)
        except struct.error:
            raise ProtocolViolation("insufficient data left in message") from None
        self.at += layout.size
        return values

    def value(self) -> bytes | None:
        (length,) = self.unpack(_INT32)
        if length == -1:
            return None
        end = self.at + length
        if length < 0 or end > len(self.data):
            raise ProtocolViolation("insufficient data left in message")
        value = self.data[self.at : end]
        self.at = end
        return value

    def end(self) -> None:
        if self.at != len(self.data):
            raise ProtocolViolation("invalid message format")


def _query(reader: _Reader) -> Frame:
    return Query(reader.string())


def _parse(reader: _Reader) -> Frame:
    return Parse(reader.string(), reader.string(), reader.numbers("I"))


def _bind(reader: _Reader) -> Frame:
    portal, statement = reader.string(), reader.string()
    formats = reader.numbers("h")
    (count,) = reader.unpack(_UINT16)
    if len(formats) > 1 and len(formats) != count:
        raise ProtocolViolation(
            f"bind message has {len(formats)} parameter formats but {count} parameters"
        )
    values = tuple([reader.value() for _ in range(count)])
    return Bind(portal, statement, formats, values, reader.numbers("h"))


def _target(reader: _Reader, what: str) -> tuple[str, str]:
    (kind,) = reader.unpack(_UINT8)
    if kind not in b"SP":
        raise ProtocolViolation(f"invalid {what} message subtype {kind}")
    return chr(kind), reader.string()


def _describe(reader: _Reader) -> Frame:
    return Describe(*_target(reader, "DESCRIBE"))


def _close(reader: _Reader) -> Frame:
    return Close(*_target(reader, "CLOSE"))


def _execute(reader: _Reader) -> Frame:
    portal = reader.string()
    (row_count_max,) = reader.unpack(_INT32)
    return Execute(portal, max(row_count_max, 0))


def _flush(_reader: _Reader) -> Frame:
    return Flush()


def _sync(_reader: _Reader) -> Frame:
    return Sync()


def _copy_done(_reader: _Reader) -> Frame:
    return CopyDone()


def _copy_fail(reader: _Reader) -> Frame:
    return CopyFail(reader.string())


def _function_call(_reader: _Reader) -> Frame:
    raise FeatureNotSupported("the function call protocol message is not supported")


_PARSERS: Final = {
    ord("Q"): _query,
    ord("P"): _parse,
    ord("B"): _bind,
    ord("D"): _describe,
    ord("E"): _execute,
    ord("C"): _close,
    ord("H"): _flush,
    ord("S"): _sync,
    ord("c"): _copy_done,
    ord("f"): _copy_fail,
    ord("F"): _function_call,
}
_WITHOUT_BODY: Final[dict[int, Frame]] = {ord("S"): Sync(), ord("H"): Flush(), ord("c"): CopyDone()}
KNOWN_TAGS: Final = frozenset(_PARSERS) | frozenset(b"dXp")


def parse_frame(tag: int, body: bytes) -> Frame:
    """Turn one message into its frame. Raises: ProtocolViolation, FeatureNotSupported, others."""
    if not body and (frame := _WITHOUT_BODY.get(tag)) is not None:
        return frame
    if tag == ord("d"):
        return CopyData(body)
    if tag == ord("X"):
        return Terminate()
    if tag == ord("p"):
        return PasswordMessage(body)
    reader = _Reader(body)
    frame = _PARSERS[tag](reader)
    reader.end()
    return frame


def parse_sasl_initial_response(payload: bytes) -> tuple[str, bytes | None]:
    """Return the chosen mechanism and the client's first message. Raises: ProtocolViolation."""
    reader = _Reader(payload)
    mechanism = reader.string()
    data = reader.value()
    reader.end()
    return mechanism, data
