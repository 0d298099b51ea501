"""Keys of one index: from rows, from column values, and back to the row they belong to.

Layout of an entry (catalog/descriptors.IndexDesc): a primary key is index prefix and columns, its
value the row. A secondary entry's key is index prefix, index columns, primary key columns, and its
value is empty; where a UNIQUE index has no NULL in its columns the primary key columns are the
value instead, so that two rows with one key cannot both exist.
"""

import struct
from collections.abc import Callable, Sequence
from typing import Any, Final

from kvapi import layout
from kvapi.keys import KeyCodec, KeyColumn
from kvapi.spans import Span, prefix_span
from sqlnode.catalog.descriptors import IndexDesc, TableDesc
from sqlnode.rowexec.storage_kinds import BPCHAR_OID, key_kind

Row = Sequence[Any]
_SIGN: Final = 1 << 63
_INT_KEY: Final = struct.Struct(f">{layout.INDEX_PREFIX_BYTES}sBQ")
_INT_OIDS: Final = (20, 21, 23)


class IndexCodec:
    """Encodes the keys of one index of one table. Immutable."""

    def __init__(self, table: TableDesc, desc: IndexDesc) -> None:
        self.desc = desc
        self.prefix = layout.index_prefix(table.key_id, desc.index_id)
        self.span: Span = prefix_span(self.prefix)
        self.attnums = tuple(column.attnum for column in desc.columns)
        types = [table.column(attnum).type for attnum in self.attnums]
        self.codec = KeyCodec(
            [
                KeyColumn(key_kind(sql_type), column.descending, column.nulls_first)
                for sql_type, column in zip(types, desc.columns, strict=True)
            ]
        )
        self._padded = tuple(n for n, t in enumerate(types) if t.oid == BPCHAR_OID)
        positions = {column.attnum: n for n, column in enumerate(table.columns)}
        self.positions = tuple(positions[attnum] for attnum in self.attnums)
        self.key_of_row: Callable[[Row], bytes] = self._columns_key
        if len(types) == 1 and types[0].oid in _INT_OIDS and not desc.columns[0].descending:
            self.key_of_row = _int_key(self.prefix, self.positions[0])

    def key(self, datums: Sequence[Any]) -> bytes:
        """Return the index prefix and the given leading columns, encoded."""
        return self.prefix + self.encode(datums)

    def encode(self, datums: Sequence[Any]) -> bytes:
        """Return the given leading columns, encoded."""
        return self.codec.encode_prefix(self._comparable(datums) if self._padded else datums)

    def prefix_span(self, datums: Sequence[Any]) -> Span:
        """Return the span of the entries that begin with `datums`."""
        return prefix_span(self.key(datums))

    def range_span(
        self, equal: Sequence[Any], low: tuple[Any, bool] | None, high: tuple[Any, bool] | None
    ) -> Span:
        """Return where the column after `equal` lies between two (datum, inclusive) bounds."""
        column = len(equal)
        pad = column in self._padded
        return self.codec.range_span(
            self.key(equal),
            column,
            low=None if low is None else _unpadded(low[0]) if pad else low[0],
            high=None if high is None else _unpadded(high[0]) if pad else high[0],
            low_inclusive=low is None or low[1],
            high_inclusive=high is None or high[1],
        )

    def values(self, row: Row) -> tuple[Any, ...]:
        """Return the index columns of a full row."""
        return tuple([row[n] for n in self.positions])

    def decode(self, key: bytes) -> tuple[Any, ...]:
        """Return the index columns of a key. Raises: KeyCorrupt."""
        return self.codec.decode_from(key, len(self.prefix))[0]

    def columns_end(self, key: bytes) -> int:
        """Return where the index columns of an entry's key end. Raises: KeyCorrupt."""
        return self.codec.decode_from(key, len(self.prefix))[1]

    def _columns_key(self, row: Row) -> bytes:
        return self.prefix + self.encode([row[n] for n in self.positions])

    def _comparable(self, datums: Sequence[Any]) -> list[Any]:
        """Cut the padding off char(n), which takes no part in comparison."""
        return [_unpadded(d) if n in self._padded else d for n, d in enumerate(datums)]


class SecondaryIndexCodec(IndexCodec):
    """An index whose entries lead to rows."""

    def __init__(self, table: TableDesc, desc: IndexDesc, primary: IndexCodec) -> None:
        super().__init__(table, desc)
        self.primary = primary

    def entry(self, row: Row) -> tuple[bytes, bytes]:
        """Return the (key, value) of a row's entry."""
        key = self._columns_key(row)
        owner = self.primary.key_of_row(row)[layout.INDEX_PREFIX_BYTES :]
        if self.is_exclusive(row):
            return key, owner
        return key + owner, b""

    def is_exclusive(self, row: Row) -> bool:
        """Tell whether no other row may have this row's key: UNIQUE, and no column is NULL."""
        return self.desc.unique and all(row[n] is not None for n in self.positions)

    def row_key(self, key: bytes, value: bytes) -> bytes:
        """Return the key of the row that an entry belongs to. Raises: KeyCorrupt."""
        return self.primary.prefix + (value or key[self.columns_end(key) :])


def _int_key(prefix: bytes, position: int) -> Callable[[Row], bytes]:
    pack = _INT_KEY.pack
    return lambda row: pack(prefix, 1, row[position] + _SIGN)


def _unpadded(datum: Any) -> Any:
    return datum if datum is None else datum.rstrip(" ")
