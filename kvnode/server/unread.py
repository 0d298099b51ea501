"""What a client leaves unread, counted with the answers of its tenant.

**Model.** It is counted when the client pauses, if its tenant may have so much more. Beyond that
the client has time to read on: most do at once, and have only met a burst of answers. Then:

    pause ── admitted, or within its share ──► counted, watched (`admission/unread_watch.py`)
      │                                          ▲
      └─ beyond it ──► `unread_s_max` later ─────┴─ its tenant may have so much by now
           ▲           │         │   │
           └───────────┘         │   └─ nobody waits, and there would be room ──► watched
        a quarter was read       └─ else ──► cut off

**Invariants.** Nobody is cut off for what other tenants hold. What is watched without being counted
takes no room from others, and would fit into the room beside what was counted when it came.
"""

import asyncio
from collections.abc import Callable

from kvapi.errors import Throttled
from kvnode.admission.unread_watch import has_read
from kvnode.server.stream_session import StreamSession


class Unread:
    """Answers of one stream that wait for its client to read; `unread_bytes` is its transport's."""

    def __init__(self, session: StreamSession, unread_bytes: Callable[[], int]) -> None:
        self._session = session
        self.unread_bytes = unread_bytes
        self.counted_bytes = self._beyond_bytes = 0
        self.tenant_id = 0  # once the client has paused
        self._is_watched = False
        self._timer: asyncio.TimerHandle | None = None
        self._noted_bytes = 0

    @property
    def is_ended(self) -> bool:
        """Whether the stream has ended, and what is unread only waits for its transport."""
        return self._session.is_closed

    def paused(self) -> None:
        """Take note that the client does not read, and stop the stream's work."""
        session = self._session
        session.pause()
        if session.is_authenticated and not self._is_watched and self._timer is None:
            self.tenant_id = session.tenant.id
            self._see(is_stale=False)

    def resumed(self) -> None:
        """Take note that the client reads on, and go on with the stream's work."""
        self.closed()
        self._session.resume()

    def closed(self) -> None:
        """Take note that nothing waits any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._is_watched:
            core, size_bytes = self._session.core, self.counted_bytes
            core.unread.resumed(self)
            core.unread.beyond_bytes -= self._beyond_bytes
            self.counted_bytes = self._beyond_bytes = 0
            self._is_watched = False
            core.memory.answers.add(self.tenant_id, -size_bytes)

    def cut_off(self) -> None:
        """End the stream."""
        self._session.core.unread.cut_count += not self._session.is_closed
        self._session.fail(Throttled("the tenant leaves too many answers unread"))

    def _see(self, *, is_stale: bool) -> None:
        """Count what is unread, or let the client read on; `is_stale`: it has had time for that."""
        core, size_bytes = self._session.core, self.unread_bytes()
        answers, watch, tenant_id = core.memory.answers, core.unread, self.tenant_id
        if answers.admits(tenant_id, size_bytes) or answers.is_within(tenant_id, size_bytes):
            self.counted_bytes = size_bytes
            answers.add(tenant_id, size_bytes)
        elif not is_stale:
            self._noted_bytes = size_bytes
            self._timer = core.loop.call_later(core.config.unread_s_max, self._look)
            return
        elif not answers.missing_bytes and answers.has_room_for(watch.beyond_bytes + size_bytes):
            self._beyond_bytes = size_bytes
            watch.beyond_bytes += size_bytes
        else:
            self.cut_off()
            return
        self._is_watched = True
        watch.paused(self, is_stale=is_stale)

    def _look(self) -> None:
        self._timer = None
        self._see(is_stale=not has_read(self._noted_bytes, self.unread_bytes()))
