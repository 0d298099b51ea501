"""The detail of a deadlock report.

Source: PostgreSQL, src/backend/storage/lmgr/deadlock.c (DeadLockReport).
"""

from kvnode.txn.lock_modes import NAMES, Mode
from kvnode.txn.lock_queue import LockRequest


def describe_circle(circle: list[LockRequest]) -> str:
    """Say who waits for whom, and then what each of them runs; the first is the victim."""
    names = [
        f"Process {request.process}" if request.process else f"Transaction {number}"
        for number, request in enumerate(circle, 1)
    ]
    waits = [
        f"{name} waits for {_wanted(request)}; blocked by {after[0].lower()}{after[1:]}."
        for name, after, request in zip(names, [*names[1:], names[0]], circle, strict=True)
    ]
    runs = [
        f"{name}: {request.statement or '(statement unknown)'}"
        for name, request in zip(names, circle, strict=True)
    ]
    return "\n".join(waits + runs)


def _wanted(request: LockRequest) -> str:
    if not request.is_advisory:
        return f"{NAMES[request.mode]} lock on a row"
    return f"{'ShareLock' if request.mode is Mode.SHARED else 'ExclusiveLock'} on advisory lock"
