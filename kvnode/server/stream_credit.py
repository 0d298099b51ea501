"""The credit of one stream: what its client was told, and when to tell it otherwise."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from kvnode.admission.credit_window import CreditWindow

if TYPE_CHECKING:
    from kvnode.server.stream_session import StreamSession

_GROWTH_S: Final = 0.1


class StreamCredit:
    """Shrinks with the waits of a tenant over its share, and grows back by itself."""

    def __init__(self, session: StreamSession) -> None:
        self._session = session
        self._full = session.core.config.credit_requests
        self._window = CreditWindow(self._full)
        self._granted = self._full
        self._timer: asyncio.TimerHandle | None = None
        self.long_reads = 0  # outstanding requests that wait for their turn as well

    @property
    def is_limited(self) -> bool:
        """Whether the client may have less outstanding than at first."""
        return self._window.is_limited

    def waited(self, wait_s: float) -> None:
        """Learn how long a request waited for its turn: the window follows."""
        session = self._session
        scheduler = session.core.scheduler
        is_within = not scheduler.is_shared or scheduler.queue.is_within_share(session.tenant.id)
        if self._window.waited(wait_s, is_within_share=is_within, now_s=scheduler.now()):
            session.announce()
        if self._window.is_limited and self._timer is None and not session.is_closed:
            self._timer = session.core.loop.call_later(_GROWTH_S, self._look)

    def news(self) -> int:
        """Return the credit to announce now, 0: the client knows it."""
        wanted = self._full
        if self._window.is_limited:
            wanted = self._window.size + len(self._session.outstanding) - self.long_reads
        if wanted == self._granted:
            return 0
        self._granted = wanted
        return wanted

    def close(self) -> None:
        """End the timer."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        """Let the window grow while nothing waits, though no turn says so."""
        self._timer = None
        if not self._session.lane:
            self.waited(0.0)
        elif self._window.is_limited:
            self._timer = self._session.core.loop.call_later(_GROWTH_S, self._look)
