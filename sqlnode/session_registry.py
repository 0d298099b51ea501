"""The sessions of this process, as the control channel sees them: cancel one, drain all.

`serve_session` adds its session when it starts and removes it when it ends.
"""

from typing import Protocol


class SessionHandle(Protocol):
    """What may be asked of a running session from outside its own task. Neither method waits."""

    def cancel_statement(self) -> None:
        """Cancel the running statement with 57014; do nothing if none runs."""
        ...

    def request_drain(self) -> None:
        """End the session with 57P01 as soon as no statement and no transaction block is open."""
        ...


class SessionRegistry:
    """All running sessions by id. Owned by the process's loop."""

    def __init__(self) -> None:
        self._sessions: dict[int, SessionHandle] = {}
        self._is_draining = False

    def add(self, session_id: int, session: SessionHandle) -> None:
        """Make a session known; while the process drains it is asked to end at once."""
        self._sessions[session_id] = session
        if self._is_draining:
            session.request_drain()

    def remove(self, session_id: int) -> None:
        """Forget a session that ended."""
        self._sessions.pop(session_id, None)

    def cancel(self, session_id: int) -> None:
        """Cancel what a session runs. One that has ended is passed over: cancels race with ends."""
        session = self._sessions.get(session_id)
        if session is not None:
            session.cancel_statement()

    def drain(self) -> None:
        """Ask every session, and every later one, to end."""
        self._is_draining = True
        for session in list(self._sessions.values()):
            session.request_drain()

    def __len__(self) -> int:
        return len(self._sessions)
