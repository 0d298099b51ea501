"""The surroundings of expressions that run for no session."""

from typing import TYPE_CHECKING

from pgwire.codecs.settings import DEFAULT_SETTINGS
from sqlnode.context import ExecContext, SessionInfo
from sqlnode.sequences import SessionSequences

if TYPE_CHECKING:
    from sqlnode.engine import Engine


def background_context(engine: "Engine", user: str) -> ExecContext:
    """Return a context as of now, for `user`; what it reads is the newest."""
    now = engine.now_micros()
    info = SessionInfo(
        user=user,
        session_user=user,
        database="",
        tenant="",
        backend_pid=0,
        search_path=("public",),
        variables={},
    )
    return ExecContext(
        txn=engine.begin("repeatable read", True),
        catalog=engine.catalog,
        params=(),
        settings=DEFAULT_SETTINGS,
        session=info,
        sequences=SessionSequences(engine.counters, lambda: engine.catalog),
        txn_start_micros=now,
        statement_micros=now,
        clock_micros=engine.now_micros,
        random=engine.random,
        notice=lambda _severity, _message: None,
    )
