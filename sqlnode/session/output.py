"""What a session has to say, collected so that one write carries it.

**Invariants.** What was collected since `mark` can be taken back (`rewind`) as long as nothing was
flushed meanwhile: this is how a statement can be run again unseen.
"""

from typing import Final, NamedTuple

from pgwire.messages import notice_response
from pgwire.sql_error import SqlError
from sqlnode.session.client_link import ClientLink

FLUSH_BYTES: Final = 64 << 10

_SEVERITIES: Final = {
    "debug5": 0,
    "debug4": 1,
    "debug3": 2,
    "debug2": 3,
    "debug": 3,
    "debug1": 4,
    "log": 5,
    "info": 99,  # always sent
    "notice": 6,
    "warning": 7,
    "error": 8,
}


class OutputMark(NamedTuple):
    """A place in the output."""

    flush_count: int
    length: int


class Output:
    """The output buffer of one session."""

    def __init__(self, link: ClientLink) -> None:
        self._link = link
        self._buffer = bytearray()
        self._flush_count = 0
        self._flushed_bytes = 0
        self.least_severity = _SEVERITIES["notice"]

    def set_client_min_messages(self, level: str) -> None:
        """Send only notices of this level or above."""
        self.least_severity = _SEVERITIES[level]

    def add(self, data: bytes) -> None:
        """Append messages."""
        self._buffer += data

    def notice(self, severity: str, message: str, **fields: str) -> None:
        """Append a NoticeResponse if the client wants to see its severity."""
        if _SEVERITIES.get(severity.lower(), 6) >= self.least_severity:
            sqlstate = {"WARNING": "01000"}.get(severity, "00000")
            notice = SqlError(message, **{"sqlstate": sqlstate, **fields})  # type: ignore[arg-type]  # all are strings
            self._buffer += notice_response(notice, severity)

    @property
    def has_any(self) -> bool:
        """True if something waits to be sent."""
        return bool(self._buffer)

    @property
    def is_large(self) -> bool:
        """True if it is time to send."""
        return len(self._buffer) >= FLUSH_BYTES

    @property
    def total_bytes(self) -> int:
        """What was said so far, sent or not."""
        return self._flushed_bytes + len(self._buffer)

    def flush(self) -> None:
        """Send what was collected; never waits."""
        if self._buffer:
            self._flushed_bytes += len(self._buffer)
            self._link.write(bytes(self._buffer))
            self._buffer.clear()
            self._flush_count += 1

    async def relieve(self) -> None:
        """Send what was collected if it is much, and wait for a slow client."""
        if len(self._buffer) >= FLUSH_BYTES:
            self.flush()
            await self._link.drain()

    def mark(self) -> OutputMark:
        """Return the present place."""
        return OutputMark(self._flush_count, len(self._buffer))

    def is_unseen_since(self, mark: OutputMark) -> bool:
        """Tell whether the client cannot have seen anything after `mark`."""
        return self._flush_count == mark.flush_count

    def rewind(self, mark: OutputMark) -> None:
        """Take back what came after `mark`. Requires: is_unseen_since(mark)."""
        assert self._flush_count == mark.flush_count, "what was sent cannot be taken back"
        del self._buffer[mark.length :]
