"""Who changes the schema next: one after the other.

**Model.** A schema change is made of the newest catalog and refused if another one came first. With
many at once most would fail again and again. So a DDL statement that is a transaction of its own,
and a job's step that was refused, queue up first, and begin with the catalog of the one before: an
advisory lock of the transaction, freed with its commit. It is a courtesy, nothing more: who has
waited long, or is waited for, goes on without it, and blocks, which may stay open for long, queue
up at their COMMIT.
"""

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from kvapi.errors import Deadlock, LockTimeout
from sqlnode.advisory_locks import SCHEMA_TURN_KEY
from sqlnode.txn import Transaction
from sqlnode.txn_locks import LockWish

if TYPE_CHECKING:
    from sqlnode.engine import Engine

_WAIT_MS_MAX: Final = 2_000


async def take_turn(engine: "Engine", txn: Transaction, *, wait: bool = True) -> None:
    """Wait until it is this transaction's turn, and see to it that the newest catalog is loaded.

    Without `wait` it has asked for its turn before. Raises: KvError.
    """
    wish = LockWish("exclusive", "block", _WAIT_MS_MAX, "schema change")
    if wait and not txn.locks.has_advisory(SCHEMA_TURN_KEY):
        with suppress(LockTimeout, Deadlock):
            await txn.locks.lock_advisory(SCHEMA_TURN_KEY, wish)
    if engine.is_catalog_stale:
        await engine.reload()
