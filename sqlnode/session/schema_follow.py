"""Going on with an open transaction after somebody else has changed the schema.

**Model.** A transaction is planned against one catalog. If the newer one differs only in relations
that the transaction has not touched, and everything it read is still so, it moves to a snapshot as
new as the new catalog and goes on. Otherwise the client sees 40001.

A changed foreign key counts for both of its tables: writing one must look at the other.
"""

from collections.abc import Iterator

from kvapi.errors import SchemaChanged
from sqlnode.catalog.descriptors import Descriptor, TableDesc
from sqlnode.catalog.snapshot import Catalog
from sqlnode.session.session import Session
from sqlnode.txn import Mark


def changed_relations(old: Catalog, new: Catalog) -> set[int]:
    """Return the ids of all relations that differ, and of those their foreign keys name."""
    changed: set[int] = set()
    for relation_id in old.by_id.keys() | new.by_id.keys():
        before, after = old.by_id.get(relation_id), new.by_id.get(relation_id)
        if before is after or before == after:
            continue
        changed.add(relation_id)
        changed.update(_targets(before))
        changed.update(_targets(after))
    return changed


def _targets(descriptor: Descriptor | None) -> Iterator[int]:
    if isinstance(descriptor, TableDesc):
        for key in descriptor.foreign_keys:
            yield key.target_table_id


async def follow_schema(session: Session, mark: Mark | None) -> None:
    """Move the running transaction to the newest catalog, the statement since `mark` taken back.

    Raises: SchemaChanged, WriteConflict if that is not possible.
    """
    block, engine = session.block, session.engine
    txn = block.txn
    assert txn is not None, "only a running transaction follows"
    old = block.catalog
    await engine.reload()
    new = engine.catalog
    if block.is_catalog_edited or txn.is_finished or block.touched & changed_relations(old, new):
        raise SchemaChanged("a relation that this transaction uses was changed")
    await txn.retry_statement(txn.mark() if mark is None else mark)
    txn.catalog_version = new.version
    block.follow(new)
