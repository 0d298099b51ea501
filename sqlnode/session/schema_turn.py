"""Statements that change the schema, one after the other.

**Model.** A schema change is made of the newest catalog and refused if another one came first. With
many at once most would fail again and again. So a DDL statement that is a transaction of its own
queues up first, and begins with the catalog of the one before it: an advisory lock of the
transaction, freed with its commit. It is a courtesy, nothing more: who has waited long goes on
without it, and blocks, which may stay open for long, do not take it.
"""

from contextlib import suppress
from typing import Final

from kvapi.errors import LockTimeout
from sqlnode.advisory_locks import SCHEMA_TURN_KEY
from sqlnode.session.session import Session
from sqlnode.txn import Transaction
from sqlnode.txn_locks import LockWish

_WAIT_MS_MAX: Final = 2_000


async def take_turn(session: Session, txn: Transaction) -> None:
    """Wait until it is this statement's turn, and follow to the newest catalog.

    Requires: nothing was read in `txn`. Raises: KvError.
    """
    wish = LockWish("exclusive", "block", _WAIT_MS_MAX, "schema change")
    with suppress(LockTimeout):
        await txn.locks.lock_advisory(SCHEMA_TURN_KEY, wish)
    engine = session.engine
    if engine.is_catalog_stale:
        await engine.reload()
    txn.catalog_version = engine.catalog.version
    session.block.follow(engine.catalog)


def end_turn(txn: Transaction) -> None:
    """Let others have their turn: the statement has to wait for something else."""
    txn.locks.give_up_advisory(SCHEMA_TURN_KEY, "exclusive")
