"""Who changes the schema next: one after the other.

**Model.** A schema change is made of the newest catalog and refused if another one came first. With
many at once most would fail again and again. So a DDL statement that is a transaction of its own,
and a job's step that was refused, queue up first, and begin with the catalog of the one before: an
advisory lock of the transaction, freed with its commit. Blocks, which may stay open for long, queue
up at their COMMIT. So does a statement that reads rows, which may last: it lets go of its turn
before, and is carried over then to what others have made of the schema (session/schema_follow.py).

For the relations it names a statement queues up first of all, and keeps that turn to its end, as
PostgreSQL has it lock them: who changes the same waits for the rows to be read, nobody else does.

All of it is a courtesy, nothing more: the KV node refuses what is not made of the newest catalog.
Who has waited long for the schema, or is waited for there, goes on without his turn.

**Invariants.** Who waits for a relation has no turn to change the schema, and uses no catalog.
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from kvapi.errors import Deadlock, LockTimeout
from sqlnode.advisory_locks import SCHEMA_TURN_KEY, relation_turn_key
from sqlnode.txn import Transaction
from sqlnode.txn_locks import LockWish

if TYPE_CHECKING:
    from sqlnode.engine import Engine

_WAIT_MS_MAX: Final = 2_000
_WHAT: Final = "schema change"


async def take_turn(engine: "Engine", txn: Transaction, *, wait: bool = True) -> None:
    """Wait until it is this transaction's turn, and see to it that the newest catalog is loaded.

    Without `wait` it has asked for its turn before. Raises: KvError.
    """
    wish = LockWish("exclusive", "block", _WAIT_MS_MAX, _WHAT)
    if wait and not txn.locks.has_advisory(SCHEMA_TURN_KEY):
        with suppress(LockTimeout, Deadlock):
            await txn.locks.lock_advisory(SCHEMA_TURN_KEY, wish)
    if engine.is_catalog_stale:
        await engine.reload()


async def take_relations(txn: Transaction, ids: Iterable[int], *, timeout_ms: int) -> None:
    """Wait until nobody else's statement changes these relations; `timeout_ms` 0: for ever.

    Raises: LockTimeout; Deadlock if one of those waits for this session, as for an advisory lock: a
    job begun all the same would wait for it for ever; KvError.
    """
    wish = LockWish("exclusive", "block", timeout_ms, _WHAT)
    for relation_id in sorted(ids):
        await txn.locks.lock_advisory(relation_turn_key(relation_id), wish)


def let_go(txn: Transaction) -> None:
    """Let others change the schema; at its commit this transaction asks for its turn again."""
    txn.locks.let_go(SCHEMA_TURN_KEY)
