"""One foreign key, compiled: from rows to the parent's keys, and from parents to child rows."""

from collections.abc import Iterable, Sequence
from contextlib import aclosing
from decimal import Decimal
from typing import Any

from kvapi.keys import KeyKind
from pgwire.errors import FeatureNotSupported, InvalidForeignKey
from sqlnode.catalog.descriptors import ForeignKeyDesc, TableDesc
from sqlnode.rowexec.evals import Row
from sqlnode.rowexec.index_codec import IndexCodec, SecondaryIndexCodec
from sqlnode.rowexec.storage_kinds import key_kind
from sqlnode.rowexec.table_codec import codec_of
from sqlnode.txn import Transaction

Values = tuple[Any, ...]


class ForeignKey:
    """A foreign key of `child` to `parent`. Values are in the order of its column lists."""

    def __init__(self, desc: ForeignKeyDesc, child: TableDesc, parent: TableDesc) -> None:
        self.desc = desc
        self.child = child
        self.parent = parent
        self._child_codec = codec_of(child)
        self._parent_codec = parent_codec = codec_of(parent)
        self.child_positions = [self._child_codec.position_of[a] for a in desc.columns]
        self.parent_positions = [parent_codec.position_of[a] for a in desc.target_columns]
        self.parent_index = _index_over(
            (parent_codec.primary, *parent_codec.indexes), desc.target_columns, exact=True
        )
        if self.parent_index is None:
            raise InvalidForeignKey(
                "there is no unique constraint matching given keys for referenced table "
                f'"{parent.name}"'
            )
        self._to_parent_order = _order(self.parent_index, desc.target_columns)
        self._child_index = _index_over(
            (self._child_codec.primary, *self._child_codec.indexes), desc.columns, exact=False
        )
        kinds = [
            (key_kind(child.column(c).type), key_kind(parent.column(p).type))
            for c, p in zip(desc.columns, desc.target_columns, strict=True)
        ]
        self._converts = any(a != b for a, b in kinds)
        self._kinds = kinds

    def child_values(self, row: Row) -> Values:
        """Return what a child row references."""
        return tuple([row[n] for n in self.child_positions])

    def parent_values(self, row: Row) -> Values:
        """Return what can be referenced of a parent row."""
        return tuple([row[n] for n in self.parent_positions])

    def parent_key(self, values: Values) -> bytes:
        """Return the unique key that a parent of a child's values must have."""
        if self._converts:
            values = tuple(
                _converted(v, a, b) for v, (a, b) in zip(values, self._kinds, strict=True)
            )
        assert self.parent_index is not None, "checked when made"
        return self.parent_index.key([values[n] for n in self._to_parent_order])

    def is_parent(self, row: bytes | None, key: bytes) -> bool:
        """Tell whether a stored row of the parent has this unique key."""
        if row is None:
            return False
        values = self.parent_values(self._parent_codec.decode_row(row))
        assert self.parent_index is not None, "checked when made"
        in_order = [values[n] for n in self._to_parent_order]
        return None not in values and self.parent_index.key(in_order) == key

    @property
    def parent_has_own_key(self) -> bool:
        """True if the referenced key is the primary key: its entries are the rows themselves."""
        return not isinstance(self.parent_index, SecondaryIndexCodec)

    def row_key_of_parent(self, key: bytes, value: bytes) -> bytes:
        """Return the row key behind an entry of the referenced unique index."""
        if isinstance(self.parent_index, SecondaryIndexCodec):
            return self.parent_index.row_key(key, value)
        return key

    async def children(self, parents: Iterable[Values], txn: Transaction) -> list[Row]:
        """Return the child rows that reference any of the parents' values, own writes included."""
        if self._converts:
            raise FeatureNotSupported("foreign keys between columns of different types")
        wanted = list(parents)
        if self._child_index is not None:
            return await self._children_by_index(self._child_index, wanted, txn)
        return await self._children_by_scan(set(map(self.parent_key, wanted)), txn)

    async def _children_by_index(
        self, index: IndexCodec, wanted: list[Values], txn: Transaction
    ) -> list[Row]:
        order = _order(index, self.desc.columns)
        decode = self._child_codec.decode_row
        rows: list[Row] = []
        for values in wanted:
            span = index.prefix_span([values[n] for n in order])
            async with aclosing(txn.scan_blocks(span)) as blocks:
                async for block in blocks:
                    if isinstance(index, SecondaryIndexCodec):
                        keys = [index.row_key(key, value) for key, value in block.rows()]
                        stored = await txn.multi_get(keys)
                    else:
                        stored = list(block.values_list())
                    rows += [decode(value) for value in stored if value is not None]
        return rows

    async def _children_by_scan(self, wanted: set[bytes], txn: Transaction) -> list[Row]:
        decode = self._child_codec.decode_row
        rows: list[Row] = []
        async with aclosing(txn.scan_blocks(self._child_codec.span)) as blocks:
            async for block in blocks:
                for row in map(decode, block.values_list()):
                    values = self.child_values(row)
                    if None not in values and self.parent_key(values) in wanted:
                        rows.append(row)
        return rows


def _index_over(
    indexes: Sequence[IndexCodec], attnums: Sequence[int], *, exact: bool
) -> IndexCodec | None:
    """Return an index that begins with these columns in any order; exact: unique, no more."""
    for index in indexes:
        if set(index.attnums[: len(attnums)]) != set(attnums):
            continue
        if not exact or (index.desc.unique and len(index.attnums) == len(attnums)):
            return index
    return None


def _order(index: IndexCodec, attnums: Sequence[int]) -> list[int]:
    """Return for each leading index column its place in `attnums`."""
    return [attnums.index(attnum) for attnum in index.attnums[: len(attnums)]]


def _converted(value: Any, source: KeyKind, target: KeyKind) -> Any:
    if source is target:
        return value
    if target is KeyKind.NUMERIC and source is KeyKind.INT:
        return Decimal(value)
    if target is KeyKind.FLOAT and source is KeyKind.INT:
        return float(value)
    raise FeatureNotSupported("foreign keys between columns of different types")
