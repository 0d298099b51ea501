"""What a client leaves unread, counted with the answers of its tenant.

A client that does so while its tenant has more of the node's memory than it may is cut off: nothing
else would free that.
"""

from kvapi.errors import Throttled
from kvnode.server.stream_session import StreamSession


class Unread:
    """Answers of one stream that wait for its client to read."""

    def __init__(self, session: StreamSession) -> None:
        self._session = session
        self._bytes = 0

    def paused(self, size_bytes: int) -> None:
        """Take note that so much waits, and stop the stream's work; it may end the stream."""
        session = self._session
        session.pause()
        if not session.is_authenticated or self._bytes:
            return
        answers = session.core.memory.answers
        if not answers.admits(session.tenant.id, size_bytes):
            session.fail(Throttled("the tenant leaves too many answers unread"))
            return
        self._bytes = size_bytes
        answers.add(session.tenant.id, size_bytes)

    def resumed(self) -> None:
        """Take note that the client reads on, and go on with the stream's work."""
        self.closed()
        self._session.resume()

    def closed(self) -> None:
        """Take note that nothing waits any more."""
        if self._bytes:
            self._session.core.memory.answers.add(self._session.tenant.id, -self._bytes)
            self._bytes = 0
