"""What writers do for indexes that are not public yet.

**Model.** A *delete-only* index loses the entries of rows that go or move; a *write-only* one gets
those of new and moved rows as well. So a process one step behind never leaves an entry without its
row, and from write-only on only rows older than that state lack their entry: the backfill's work.

An entry of a unique index names its owner in the value, and before the backfill has come to a row
another row may hold its key. So there an entry is deleted only if it belongs to the row, which
takes a read; the commit validates it at every isolation level.

Source: Rae et al., "Online, Asynchronous Schema Change in F1", VLDB 2013, section 3.2.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlnode.catalog.descriptors import IndexState
from sqlnode.rowexec.evals import Row
from sqlnode.rowexec.index_codec import SecondaryIndexCodec

if TYPE_CHECKING:
    from sqlnode.context import ExecContext
    from sqlnode.rowexec.table_codec import TableCodec


class BuildingIndexes:
    """Some or all of a table's indexes under construction. Immutable."""

    def __init__(
        self, codec: "TableCodec", indexes: tuple[SecondaryIndexCodec, ...] | None = None
    ) -> None:
        self._codec = codec
        self._all = codec.building if indexes is None else indexes
        self.filled = tuple(i for i in self._all if i.desc.state is IndexState.WRITE_ONLY)

    def __bool__(self) -> bool:
        return bool(self._all)

    def changed_by(self, attnums: frozenset[int], *, changes_key: bool) -> "BuildingIndexes":
        """Return those whose entries an update of `attnums` may change."""
        return BuildingIndexes(
            self._codec,
            tuple(i for i in self._all if changes_key or not attnums.isdisjoint(i.attnums)),
        )

    async def remove(self, rows: Sequence[Row], ctx: "ExecContext") -> None:
        """Delete the entries of locked rows, and nobody else's."""
        txn = ctx.txn
        doubtful: list[tuple[bytes, bytes]] = []
        for index in self._all:
            for row in rows:
                key, owner = index.entry(row)
                if index.is_exclusive(row):
                    doubtful.append((key, owner))
                else:
                    txn.delete(key)
        if not doubtful:
            return
        keys = [key for key, _ in doubtful]
        view = txn.newest()
        values = await view.multi_get(keys)
        if view.read_ts:  # else all of them are this transaction's own writes
            txn.require_still(view, keys)
        for (key, owner), value in zip(doubtful, values, strict=True):
            if value == owner:
                txn.delete(key)
