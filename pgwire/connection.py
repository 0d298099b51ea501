"""Server half of one connection after start-up: bytes in, frames out. Owns no socket.

**Model**: `feed` bytes, pull frames with `next_frame`, answer an SqlError with what `fail` returns.

        READY ── Q ──► READY                      error: stay
          │ P B D E C H
          ▼
      EXTENDED ── error ──► DISCARDING            everything up to the next Sync is dropped
          │ S                   │ S
          ▼                     ▼
        READY                 READY
      COPY_IN (begin_copy_in): only CopyData, CopyDone, CopyFail come out; Flush and Sync do not.

**Invariants**: a message longer than its limit is refused when its header is seen, before its
body is stored. After a fatal error nothing comes out any more.

Source: PostgreSQL docs, "Message Flow"; src/backend/tcop/postgres.c and commands/copyfromparse.c.
"""

import struct
from dataclasses import dataclass
from enum import Enum
from typing import Final

from pgwire.errors import ProtocolViolation
from pgwire.frames import KNOWN_TAGS, Frame, parse_frame
from pgwire.messages import error_response
from pgwire.sql_error import SqlError

_LENGTH: Final = struct.Struct("!I")
_HEADER_BYTES: Final = 5
_COMPACT_BYTES: Final = 1 << 16
_EXTENDED: Final = frozenset(b"PBDECH")
_COPY: Final = frozenset(b"dcf")
_IGNORED_IN_COPY: Final = frozenset(b"HS")
_LARGE: Final = frozenset(b"QPBdFfp")
_SYNC: Final = ord("S")
_TERMINATE: Final = ord("X")


class State(Enum):
    """Where in the protocol the connection is."""

    READY = "ready"
    EXTENDED = "extended"
    DISCARDING = "discarding"
    COPY_IN = "copy_in"
    BROKEN = "broken"


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectionLimits:
    """Bounds of what one client can make the server hold.

    Large messages are those that carry statements, parameters and COPY data; the others are names.
    """

    message_bytes_max: int = 64 << 20
    small_message_bytes_max: int = 10_000
    backlog_bytes_max: int = 1 << 20

    def __post_init__(self) -> None:
        if min(self.message_bytes_max, self.small_message_bytes_max, self.backlog_bytes_max) < 16:
            raise ValueError(f"connection limits must be at least 16 bytes: {self}")


DEFAULT_LIMITS: Final = ConnectionLimits()


class ServerConnection:
    """Frames of one connection, with error recovery and COPY-in."""

    __slots__ = ("_buffer", "_copy_resume", "_limits", "_offset", "state")

    def __init__(self, limits: ConnectionLimits = DEFAULT_LIMITS) -> None:
        self.state = State.READY
        self._limits = limits
        self._buffer = bytearray()
        self._offset = 0
        self._copy_resume = State.READY

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes from the client."""
        if self.state is not State.BROKEN:
            self._buffer += data

    @property
    def buffered_bytes(self) -> int:
        """Bytes fed and not yet turned into frames."""
        return len(self._buffer) - self._offset

    @property
    def is_backlogged(self) -> bool:
        """Whether the owner should stop reading from the client for now.

        NB: never true while the first message is incomplete: then more bytes are what is needed.
        """
        return self.buffered_bytes > self._limits.backlog_bytes_max and self._has_message()

    def next_frame(self) -> Frame | None:
        """Return the next frame, or None: feed more bytes.

        Pulled one by one because of fail(). Raises: SqlError; hand it to fail() and go on
        unless it is fatal.
        """
        while self.state is not State.BROKEN and (message := self._take()) is not None:
            tag, body = message
            if self._is_wanted(tag):
                return parse_frame(tag, body)
        return None

    def fail(self, error: SqlError) -> bytes:
        """Encode ErrorResponse; inside extended query also discard up to the next Sync."""
        if error.is_fatal:
            self._break()
        elif self.state is State.COPY_IN:
            self.end_copy_in()
        if self.state is State.EXTENDED:
            self.state = State.DISCARDING
        return error_response(error)

    def begin_copy_in(self) -> None:
        """From here on the client sends COPY data; call it when sending CopyInResponse."""
        self._copy_resume = self.state
        self.state = State.COPY_IN

    def end_copy_in(self) -> None:
        """COPY data has ended (CopyDone or CopyFail was seen, or the COPY failed)."""
        if self.state is State.COPY_IN:
            self.state = self._copy_resume

    @property
    def has_frames_pending(self) -> bool:
        """Whether a whole message is waiting: pipelining clients are answered in one write."""
        return self._has_message()

    @property
    def unread(self) -> bytes:
        """The bytes that no frame has consumed, for a hand-over of the connection."""
        return bytes(memoryview(self._buffer)[self._offset :])

    def _is_wanted(self, tag: int) -> bool:
        """Move to the state that `tag` leads to; return whether the message is to be handled."""
        if tag == _TERMINATE:
            return True
        if self.state is State.COPY_IN:
            if tag in _COPY:
                return True
            if tag in _IGNORED_IN_COPY:
                return False
            raise ProtocolViolation(f"unexpected message type 0x{tag:02X} during COPY from stdin")
        if tag in _COPY:
            return False  # left over from a COPY that has failed already
        if self.state is State.DISCARDING:
            if tag != _SYNC:
                return False
            self.state = State.READY
            return True
        self.state = State.EXTENDED if tag in _EXTENDED else State.READY
        return True

    def _has_message(self) -> bool:
        if self.buffered_bytes < _HEADER_BYTES:
            return False
        length: int = _LENGTH.unpack_from(self._buffer, self._offset + 1)[0]
        return self.buffered_bytes > length

    def _take(self) -> tuple[int, bytes] | None:
        buffer, offset = self._buffer, self._offset
        available = len(buffer) - offset
        if available == 0:
            return None
        tag = buffer[offset]
        if tag not in KNOWN_TAGS:
            raise self._fatal(f"invalid frontend message type {tag}")
        if available < _HEADER_BYTES:
            return None
        (length,) = _LENGTH.unpack_from(buffer, offset + 1)
        limits = self._limits
        length_max = limits.message_bytes_max if tag in _LARGE else limits.small_message_bytes_max
        if not 4 <= length <= length_max:
            raise self._fatal("invalid message length")
        end = offset + 1 + length
        if len(buffer) < end:
            return None
        with memoryview(buffer) as view:
            body = bytes(view[offset + _HEADER_BYTES : end])
        if end == len(buffer):
            buffer.clear()
            end = 0
        elif end > _COMPACT_BYTES:
            del buffer[:end]
            end = 0
        self._offset = end
        return tag, body

    def _fatal(self, text: str) -> SqlError:
        self._break()
        return ProtocolViolation(text, severity="FATAL")

    def _break(self) -> None:
        self.state = State.BROKEN
        self._buffer.clear()
        self._offset = 0
