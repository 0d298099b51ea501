"""Writes of one table: rows and their index entries, unique keys guarded.

**Model.** Every new key of a unique index is announced with `require_absent`, so that the commit
refuses it if another transaction was first, whatever the isolation level. Where the client expects
the error now, the keys of a batch are locked and looked at in one round trip, so that a second
inserter waits for the first; those of a large batch are only looked at, and locked as they are
staged.

Indexes under construction are maintained as their state says, see building_indexes.py. A column
that is being filled gets its value here, see column_fill.py.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from kvapi.errors import KeyExists
from sqlnode.catalog.descriptors import TableDesc
from sqlnode.lock_timeout import lock_timeout_ms
from sqlnode.rowexec.building_indexes import BuildingIndexes
from sqlnode.rowexec.column_fill import column_fill
from sqlnode.rowexec.constraint_errors import ConstraintErrors
from sqlnode.rowexec.evals import Row
from sqlnode.rowexec.index_codec import IndexCodec, SecondaryIndexCodec
from sqlnode.rowexec.table_codec import TableCodec, codec_of

if TYPE_CHECKING:
    from sqlnode.context import ExecContext

_LOCKED_MAX: Final = 250  # keys of one batch

Claim = tuple[bytes, IndexCodec, Row]
"""A key that must be new, and what an error about it needs."""


class RowWriter:
    """Puts and deletes full rows of one table. Immutable."""

    def __init__(self, table: TableDesc) -> None:
        self.table = table
        self.codec: TableCodec = codec_of(table)
        self._has_hidden_key = self.codec.row_id_position in self.codec.primary.positions
        self.building = BuildingIndexes(self.codec)
        self.fill = column_fill(self.codec)
        self._filled = (*self.codec.indexes, *self.building.filled)
        self._unique = tuple(index for index in self._filled if index.desc.unique)

    def errors(self, ctx: "ExecContext") -> ConstraintErrors:
        """Return the builder of this table's errors."""
        return ConstraintErrors(self.table, ctx.catalog, ctx.settings)

    def claims(self, row: Row) -> list[Claim]:
        """Return the unique keys that a new row takes."""
        claims: list[Claim] = []
        if not self._has_hidden_key:  # row ids are unique by the way they are made
            claims.append((self.codec.row_key(row), self.codec.primary, row))
        for index in self._unique:
            if index.is_exclusive(row):
                claims.append((index.key_of_row(row), index, row))
        return claims

    async def insert(self, rows: Sequence[Row], ctx: "ExecContext") -> None:
        """Write new rows. Raises: UniqueViolation."""
        if self.fill is not None:
            rows = await self.fill.filled(rows, ctx, is_new=True)
        claims = [self.claims(row) for row in rows]
        if not ctx.commit_follows:
            await self.require_new([claim for of_row in claims for claim in of_row], ctx)
        txn, codec, is_claimed = ctx.txn, self.codec, not self._has_hidden_key
        # Row by row, so that a key claimed twice within the batch is found by require_absent.
        for row, of_row in zip(rows, claims, strict=True):
            for key, index, _ in of_row:
                self.require_absent(key, index, row, ctx)
            row_key = of_row[0][0] if is_claimed else codec.row_key(row)
            txn.put(row_key, codec.encode_row(row))
            for index in self._filled:
                txn.put(*index.entry(row))

    async def require_new(self, claims: list[Claim], ctx: "ExecContext") -> None:
        """Look whether the keys exist by now, unless the commit will. Raises: UniqueViolation."""
        if ctx.commit_follows or not claims:
            return
        keys = [key for key, _, _ in claims]
        if len(keys) <= _LOCKED_MAX:
            values = await ctx.txn.claim_keys(keys, timeout_ms=lock_timeout_ms(ctx))
        else:
            values = await ctx.txn.newest().multi_get(keys, is_claim=True)
        for (_, index, row), value in zip(claims, values, strict=True):
            if value is not None:
                raise self.errors(ctx).unique(index, index.values(row))

    def require_absent(self, key: bytes, index: IndexCodec, row: Row, ctx: "ExecContext") -> None:
        """Make the commit refuse a key that exists. Raises: UniqueViolation if we wrote it."""
        try:
            ctx.txn.require_absent(key)
        except KeyExists:
            raise self.errors(ctx).unique(index, index.values(row)) from None

    async def delete(self, rows: Sequence[Row], ctx: "ExecContext") -> None:
        """Delete locked rows."""
        txn, codec = ctx.txn, self.codec
        if self.building:
            await self.building.remove(rows, ctx)
        for row in rows:
            txn.delete(codec.row_key(row))
            for key, _ in codec.entries(row):
                txn.delete(key)

    def moves(self, attnums: Iterable[int]) -> "Moves":
        """Return the writer of updates that assign `attnums`."""
        return Moves(self, frozenset(attnums))


class Moves:
    """Updates of a fixed set of columns: which keys they can change is known beforehand."""

    def __init__(self, writer: RowWriter, attnums: frozenset[int]) -> None:
        self._writer = writer
        codec = writer.codec
        self.changes_key = not attnums.isdisjoint(codec.primary.attnums)
        self._indexes: tuple[SecondaryIndexCodec, ...] = tuple(
            index
            for index in codec.indexes
            if self.changes_key or not attnums.isdisjoint(index.attnums)
        )
        self._building = writer.building.changed_by(attnums, changes_key=self.changes_key)

    async def update(self, pairs: Sequence[tuple[Row, Row]], ctx: "ExecContext") -> None:
        """Replace locked old rows by new ones. Raises: UniqueViolation.

        What goes is deleted first, so that rows of one batch may exchange keys.
        """
        codec, txn = self._writer.codec, ctx.txn
        if self._writer.fill is not None:
            pairs = await self._writer.fill.refilled(pairs, ctx, codec.row_key)
        if self._building:
            await self._building.remove([old for old, _ in pairs], ctx)
        if self.changes_key or self._indexes or self._building:
            await self._move(pairs, ctx)
        else:
            for _, new in pairs:
                txn.put(codec.row_key(new), codec.encode_row(new))

    async def _move(self, pairs: Sequence[tuple[Row, Row]], ctx: "ExecContext") -> None:
        writer, codec, txn = self._writer, self._writer.codec, ctx.txn
        claims: list[Claim] = []
        puts: list[tuple[bytes, bytes]] = []
        for old, new in pairs:
            old_key, new_key = codec.row_key(old), codec.row_key(new)
            if new_key != old_key:
                txn.delete(old_key)
                claims.append((new_key, codec.primary, new))
            puts.append((new_key, codec.encode_row(new)))
            for index in self._indexes:
                (gone, gone_value), (key, value) = index.entry(old), index.entry(new)
                if key != gone:
                    txn.delete(gone)
                    if index.is_exclusive(new):
                        claims.append((key, index, new))
                if (key, value) != (gone, gone_value):
                    puts.append((key, value))
            for index in self._building.filled:  # the old entries are gone already
                key, value = index.entry(new)
                if index.is_exclusive(new):
                    claims.append((key, index, new))
                puts.append((key, value))
        await writer.require_new(claims, ctx)
        claimed: dict[bytes, Claim] = {}
        for claim in claims:
            key, owner, row = claim
            if key in claimed:
                raise writer.errors(ctx).unique(owner, owner.values(row))
            claimed[key] = claim
            writer.require_absent(key, owner, row, ctx)
        for key, value in puts:
            txn.put(key, value)
