"""Going on with an open transaction after somebody else has changed the schema.

**Model.** A transaction is planned against one catalog, and its requests pass as long as what it
uses has not changed (used_relations.py). When one does not pass, and the newer catalog differs only
in relations that earlier statements have not used, and everything they read is still so, the
transaction moves to a snapshot as new as the new catalog and the statement runs again. Otherwise
the client sees 40001.
"""

from kvapi.errors import SchemaChanged
from sqlnode.catalog.changes import changed_relations
from sqlnode.session.session import Session
from sqlnode.txn import Mark


async def follow_schema(session: Session, mark: Mark | None) -> None:
    """Move the running transaction to the newest catalog, the statement since `mark` taken back.

    Requires: what that statement used is taken back already.
    Raises: SchemaChanged, WriteConflict if that is not possible.
    """
    block, engine = session.block, session.engine
    txn = block.txn
    assert txn is not None, "only a running transaction follows"
    old = block.catalog
    await engine.reload()
    new = engine.catalog
    if block.is_catalog_edited or txn.is_finished or txn.used.ids & changed_relations(old, new):
        raise SchemaChanged("a relation that this transaction uses was changed")
    await txn.retry_statement(txn.mark() if mark is None else mark)
    txn.catalog_version = new.version
    block.follow(new)
