"""Who may interrupt what a session is doing: cancel requests, timeouts, the end of the process.

**Model.** A statement runs inside the session's task; interrupting it is cancelling that task with
a reason noted before. The session turns the CancelledError into the reason's error. A commit that
is on its way is never interrupted: its outcome would be unknown.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from pgwire.errors import QueryCanceled
from pgwire.sql_error import SqlError


class StatementGuard:
    """Interruptions of one session. All methods are called on the session's loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._task: asyncio.Task[Any] | None = None
        self._reason: SqlError | None = None
        self._is_running = False
        self._is_committing = False
        self._timer: asyncio.TimerHandle | None = None

    def attach(self) -> None:
        """Guard the current task."""
        self._task = asyncio.current_task()

    def begin(self, timeout_ms: int) -> None:
        """Note that a statement begins."""
        self._is_running = True
        self._reason = None
        if timeout_ms:
            self._timer = self._loop.call_later(timeout_ms / 1000, self._time_out)

    def end(self) -> None:
        """Note that the statement has ended."""
        self._is_running = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _time_out(self) -> None:
        self._interrupt(QueryCanceled("canceling statement due to statement timeout"))

    def cancel(self) -> None:
        """Cancel the running statement on the user's request; do nothing if none runs."""
        self._interrupt(QueryCanceled("canceling statement due to user request"))

    def _interrupt(self, reason: SqlError) -> None:
        if not self._is_running or self._reason is not None:
            return
        self._reason = reason
        if not self._is_committing and self._task is not None:
            self._task.cancel()

    @property
    def is_running(self) -> bool:
        """True while a statement runs."""
        return self._is_running

    @property
    def is_cancelled(self) -> bool:
        """True once the running statement was told to end, for work that does not wait."""
        return self._reason is not None

    def interruption(self) -> SqlError | None:
        """Return why the task was cancelled and take the cancellation back; None: not by us."""
        reason, self._reason = self._reason, None
        if reason is not None and self._task is not None:
            self._task.uncancel()
        return reason

    async def uninterrupted(self, work: Callable[[], Any]) -> Any:
        """Await `work()` (a commit) whatever requests come meanwhile."""
        self._is_committing = True
        try:
            return await work()
        finally:
            self._is_committing = False
