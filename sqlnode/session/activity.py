"""What the sessions of this process are doing, seen when somebody asks: nothing is kept for it."""

from collections.abc import Iterable
from typing import Final, Protocol

from sqlnode.context import Activity, SessionInfo
from sqlnode.session.pace import SessionPace
from sqlnode.session.statement_guard import StatementGuard
from sqlnode.session.transaction_block import TransactionBlock

_IDLE: Final = {
    "I": "idle",
    "T": "idle in transaction",
    "E": "idle in transaction (aborted)",
}


class Observed(Protocol):
    """A session, as far as others may see it."""

    info: SessionInfo
    guard: StatementGuard
    block: TransactionBlock
    pace: SessionPace
    started_micros: int
    txn_start_micros: int


def activity_of(sessions: Iterable[Observed]) -> list[Activity]:
    """Return what each session is doing."""
    return [_activity(session) for session in sessions]


def _activity(session: Observed) -> Activity:
    txn = session.block.txn
    is_open = txn is not None and not txn.is_finished
    return Activity(
        info=session.info,
        state="active" if session.guard.is_running else _IDLE[session.block.status],
        query=session.pace.waiting_text or (txn.statement if txn is not None and is_open else ""),
        backend_start=session.started_micros,
        xact_start=session.txn_start_micros if is_open else None,
    )
