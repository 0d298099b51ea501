"""One foreign key, compiled: from rows to the parent's keys, and from parents to child rows."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from decimal import Decimal
from typing import Any, Final

from kvapi.keys import KeyKind
from kvapi.spans import Span
from pgwire.errors import FeatureNotSupported, InvalidForeignKey
from sqlnode.catalog.descriptors import ForeignKeyDesc, TableDesc
from sqlnode.rowexec.evals import Row
from sqlnode.rowexec.index_codec import IndexCodec, SecondaryIndexCodec
from sqlnode.rowexec.storage_kinds import key_kind
from sqlnode.rowexec.table_codec import codec_of
from sqlnode.txn import Transaction

PAGE_ROWS: Final = 1000
_SPANS_AT_ONCE: Final = 50
Values = tuple[Any, ...]
Rows = list[Row]


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

    async def children(self, parents: Iterable[Values], txn: Transaction) -> AsyncIterator[Rows]:
        """Yield the child rows that reference any of the parents' values, own writes included.

        Page by page: what is done with one page is seen when the next is read.
        """
        if self._converts:
            raise FeatureNotSupported("foreign keys between columns of different types")
        wanted = list(parents)
        if self._child_index is None:
            keys = set(map(self.parent_key, wanted))
            async for rows in self._pages(self._child_codec.primary, self._child_codec.span, txn):
                yield [row for row in rows if self._refers_to(row, keys)]
            return
        index = self._child_index
        order = _order(index, self.desc.columns)
        spans = [index.prefix_span([values[n] for n in order]) for values in wanted]
        for start in range(0, len(spans), _SPANS_AT_ONCE):
            group = spans[start : start + _SPANS_AT_ONCE]
            limit = PAGE_ROWS // len(group)
            firsts = await asyncio.gather(*[self._page(index, s, limit, txn) for s in group])
            yield [row for rows, _ in firsts for row in rows]
            for _, rest in firsts:
                if rest is not None:
                    async for rows in self._pages(index, rest, txn):
                        yield rows

    def _refers_to(self, row: Row, keys: set[bytes]) -> bool:
        values = self.child_values(row)
        return None not in values and self.parent_key(values) in keys

    async def _pages(self, index: IndexCodec, span: Span, txn: Transaction) -> AsyncIterator[Rows]:
        rest: Span | None = span
        while rest is not None:
            rows, rest = await self._page(index, rest, PAGE_ROWS, txn)
            yield rows

    async def _page(
        self, index: IndexCodec, span: Span, limit: int, txn: Transaction
    ) -> tuple[Rows, Span | None]:
        """Return the first rows of a span of an index, and what is left of the span."""
        decode = self._child_codec.decode_row
        found: list[tuple[bytes, bytes]] = []
        async with aclosing(txn.scan_blocks(span, limit_rows=limit)) as blocks:
            async for block in blocks:
                found += block.rows()
        stored: Sequence[bytes | None] = [value for _, value in found]
        if found and isinstance(index, SecondaryIndexCodec):
            stored = await txn.multi_get([index.row_key(key, value) for key, value in found])
        rows: Rows = [decode(value) for value in stored if value is not None]
        is_all = len(found) < limit
        return rows, None if is_all else Span(found[-1][0] + b"\x00", span.end)


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
