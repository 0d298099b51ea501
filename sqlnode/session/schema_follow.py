"""Going on with an open transaction after somebody else has changed the schema.

**Model.** A transaction is planned against one catalog, and its requests pass as long as what it
uses has not changed (used_relations.py). When one does not pass, and the newer catalog differs only
in relations that earlier statements have not used, and everything they read is still so, the
transaction moves to a snapshot as new as the new catalog and the statement runs again. Otherwise
the client sees 40001.

A transaction that has changed the schema itself must commit against the newest catalog. What others
have changed meanwhile goes together with what it has, or the client sees 40001.
"""

from contextlib import suppress

from kvapi.errors import Deadlock, SchemaChanged
from sqlnode.catalog.changes import changed_relations
from sqlnode.jobs.schema_turn import take_turn
from sqlnode.session.session import Session
from sqlnode.session.transaction_block import TransactionBlock
from sqlnode.txn import Mark, Transaction


async def follow_schema(session: Session, mark: Mark | None) -> None:
    """Move the running transaction to the newest catalog, the statement since `mark` taken back.

    Requires: what that statement used and edited is taken back already.
    Raises: SchemaChanged, WriteConflict if that is not possible.
    """
    block, txn = session.block, session.block.txn
    assert txn is not None, "only a running transaction follows"
    await session.engine.reload()
    if txn.is_finished or (block.is_catalog_edited and block.has_savepoints):
        raise SchemaChanged("a transaction that has changed the schema goes on with its own")
    _move(session, block, txn)
    await txn.retry_statement(txn.mark() if mark is None else mark)


async def follow_at_commit(session: Session) -> None:
    """Move a block that has changed the schema to the newest catalog, for its commit.

    Its snapshot stays: nothing is read any more but for checks of what it has used.
    Raises: SchemaChanged if that is not possible; KvError.
    """
    block, txn = session.block, session.block.txn
    assert txn is not None, "only a running transaction commits"
    with suppress(Deadlock):  # somebody waits for this very block
        await take_turn(session.engine, txn)
    if txn.catalog_version != session.engine.catalog.version:
        _move(session, block, txn)


def _move(session: Session, block: TransactionBlock, txn: Transaction) -> None:
    old, new = block.base_catalog, session.engine.catalog
    if txn.used.ids & changed_relations(old, new):
        raise SchemaChanged("a relation that this transaction uses was changed")
    if block.editor is not None:
        block.editor.rebase(new)
    txn.catalog_version = new.version
    block.follow(new)
