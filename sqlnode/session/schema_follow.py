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
from typing import Final

from kvapi.errors import SchemaChanged, WriteConflict
from pgwire.errors import InvalidSchemaName, UndefinedColumn, UndefinedTable
from sqlnode.catalog.changes import changed_relations
from sqlnode.jobs.schema_turn import take_turn
from sqlnode.planner import Plan
from sqlnode.session.session import Session
from sqlnode.session.transaction_block import TransactionBlock
from sqlnode.statements import Statement
from sqlnode.txn import Mark, Transaction

_UNDEFINED: Final = (UndefinedTable, UndefinedColumn, InvalidSchemaName)
Declared = tuple[int, ...]


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
    await txn.retry_statement(txn.mark() if mark is None else mark)
    _move(session, block, txn)


async def newest_plan(session: Session, statement: Statement, declared: Declared = ()) -> Plan:
    """Return the plan of a statement; what it names may be so new that nobody told of it yet.

    Raises: SqlError, KvError.
    """
    try:
        return session.engine.plan(statement, session.env(), declared)
    except _UNDEFINED:
        if statement.as_of is not None or not await follow_unheard(session):
            raise
    return session.engine.plan(statement, session.env(), declared)


async def follow_unheard(session: Session) -> bool:
    """Ask for a newer catalog than what statements bind against; tell whether there is now.

    Another process of the tenant may just have made it. Raises: KvError.
    """
    block, engine = session.block, session.engine
    if block.past is not None:
        return False
    await engine.kv.catalog_use()  # any answer names the newest
    if block.base_catalog.version == engine.kv.catalog_version:
        return False
    if block.txn is None:
        await engine.reload()
        return True
    with suppress(SchemaChanged, WriteConflict):
        await follow_schema(session, None)
        return True
    return False


async def follow_at_commit(session: Session) -> None:
    """Move a transaction that has changed the schema to the newest catalog, for its commit.

    Its snapshot stays: nothing is read any more but for checks of what it has used.
    Raises: SchemaChanged if that is not possible; KvError.
    """
    block, txn = session.block, session.block.txn
    assert txn is not None, "only a running transaction commits"
    has_waited = session.is_whole and not txn.locks.has_let_go
    await take_turn(session.engine, txn, wait=not has_waited)
    session.engine.catalog_use.put_down(txn.used)
    if block.base_catalog.version != session.engine.catalog.version:
        _move(session, block, txn)


def _move(session: Session, block: TransactionBlock, txn: Transaction) -> None:
    old, new = block.base_catalog, session.engine.catalog
    if txn.used.ids & changed_relations(old, new):
        raise SchemaChanged("a relation that this transaction uses was changed")
    if block.editor is not None:
        block.editor.rebase(new)
    txn.catalog_version = new.version
    block.follow(new)
