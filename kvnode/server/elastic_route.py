"""Which requests of a stream take what others leave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kvapi.errors import BadRequest
from kvapi.pb import kv_pb2
from kvnode.admission.lane import ELASTIC

if TYPE_CHECKING:
    from kvnode.server.stream_session import StreamSession

_AT_ONCE: Final = frozenset({"heartbeat", "rollback"})  # whatever waits of their transaction


def is_elastic(session: StreamSession, request: kv_pb2.Request, name: str | None) -> bool:
    """Tell whether a request belongs into the elastic lane.

    Those of priority 2, and chunks, while several tenants are active; not if somebody may wait for
    rows that the transaction has locked. Besides, whatever comes after one of its transaction.
    """
    txn_id = request.txn_id
    if txn_id in session.elastic.txns:
        return name not in _AT_ONCE
    if not session.core.scheduler.is_shared or not (request.priority == ELASTIC or name == "stage"):
        return False
    return not (txn_id and session.holds_rows(txn_id))


def end_waiting(session: StreamSession, request: kv_pb2.Request, name: str | None) -> None:
    """End what waits of the transaction that a request rolls back."""
    if name == "rollback" and request.txn_id in session.elastic.txns:
        error = BadRequest("the transaction was rolled back")
        session.elastic.end_txn(request.txn_id, error)


def read_priority(session: StreamSession, request: kv_pb2.Request) -> int:
    """Return the priority of a long read: who holds rows that others may wait for has it normal."""
    priority = request.priority
    if priority == ELASTIC and request.txn_id and session.holds_rows(request.txn_id):
        return 0
    return priority
