"""Answers that become ready outside of chunks and turns: after a sync, a lock, a wait.

**Model.** They are gathered until the loop comes round, so that what becomes ready together leaves
in one frame for each stream. Whoever makes all that is due, as the end of a sync does, sends it
there and then: the next round of the loop would read the sockets first, and so let the answer wait
for other tenants' work.

**Concurrency.** Owner: the event loop.
"""

from collections.abc import Callable
from typing import Protocol


class LateStream(Protocol):
    """A stream that gathers answers."""

    def flush_late(self) -> None:
        """Send what was gathered, if it has not left already."""
        ...


class LateAnswers:
    """The streams whose answers wait to be sent."""

    def __init__(self, call_soon: Callable[[Callable[[], None]], object]) -> None:
        self._call_soon = call_soon
        self._streams: dict[LateStream, None] = {}  # in the order of their first answers
        self._is_scheduled = False

    def add(self, stream: LateStream) -> None:
        """Let a stream's answers leave when the loop comes round, or sooner."""
        self._streams[stream] = None
        if not self._is_scheduled:
            self._is_scheduled = True
            self._call_soon(self._round)

    def discard(self, stream: LateStream) -> None:
        """Forget a stream, which is closed."""
        self._streams.pop(stream, None)

    def send(self) -> None:
        """Send everything now."""
        streams, self._streams = self._streams, {}
        for stream in streams:
            stream.flush_late()

    def _round(self) -> None:
        self._is_scheduled = False
        self.send()
