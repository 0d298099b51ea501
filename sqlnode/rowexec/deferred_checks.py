"""The checks of deferred foreign keys, at COMMIT or SET CONSTRAINTS … IMMEDIATE."""

from collections.abc import Collection
from typing import TYPE_CHECKING

from sqlnode.catalog.descriptors import TableDesc
from sqlnode.deferred_keys import Values
from sqlnode.rowexec.foreign_keys import ForeignKey
from sqlnode.rowexec.node import BATCH_ROWS
from sqlnode.rowexec.referential import Referential

if TYPE_CHECKING:
    from sqlnode.context import ExecContext


async def check_deferred(ctx: "ExecContext", oids: Collection[int] | None = None) -> None:
    """Check what was put off, of the foreign keys `oids` or of all; what holds is forgotten.

    Raises: ForeignKeyViolation.
    """
    pending = ctx.txn.deferred.pending
    for place in [place for place in pending if oids is None or place[1] in oids]:
        key = _key(ctx, *place)
        if key is not None:
            values = list(pending[place])
            for start in range(0, len(values), BATCH_ROWS):
                await _check(ctx, key, values[start : start + BATCH_ROWS])
        del pending[place]


def _key(ctx: "ExecContext", table_id: int, oid: int) -> ForeignKey | None:
    """Return the key as it now is; None if it was dropped since."""
    child = ctx.catalog.by_id.get(table_id)
    if not isinstance(child, TableDesc):
        return None
    for desc in child.foreign_keys:
        parent = ctx.catalog.by_id.get(desc.target_table_id)
        if desc.oid == oid and isinstance(parent, TableDesc):
            return ForeignKey(desc, child, parent)
    return None


async def _check(ctx: "ExecContext", key: ForeignKey, values: list[Values]) -> None:
    references = Referential(ctx, can_defer=False)
    orphans = ctx.txn.deferred.pending[key.child.id, key.desc.oid]
    present = []
    for wanted in values:
        if await references.first_child(key, [wanted]) is None:
            continue  # the rows that lacked it have changed, gone or never stayed
        if orphans[wanted]:
            await references.require_parents(key, [wanted], is_orphan=True)
        else:
            present.append(wanted)
    await references.require_parents(key, present, is_orphan=False)
