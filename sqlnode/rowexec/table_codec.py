"""From a table's descriptor to bytes and back: how rows become keys and values.

**Model.** A *full row* is a tuple with one datum for each of `table.columns`, in that order, hidden
ones included. The value of a row's key holds every column, key columns too: whoever scans reads
values and never decodes keys. Rows written under older layouts are read through the same reader;
columns they lack have the value that ADD COLUMN … DEFAULT gave, or NULL.

While a column is added (docs/adr/0007) rows are written in the layout without it: processes one
step behind know no other. Only a row that has something else than the default there, which a
process one step ahead has written, keeps it in the new layout.

Layouts name columns by their storage ids, which ALTER TYPE changes and attnums do not.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

from kvapi.row_layout import LayoutColumn, RowLayout, RowReader
from kvapi.spans import Span
from pgwire.codecs.registry import text_in, text_out
from pgwire.datum import Interval
from sqlnode.catalog.descriptors import (
    ColumnDesc,
    ColumnState,
    IndexDesc,
    LayoutDesc,
    TableDesc,
)
from sqlnode.rowexec.index_codec import IndexCodec, Row, SecondaryIndexCodec
from sqlnode.rowexec.storage_kinds import layout_column

Decode = Callable[[bytes], tuple[Any, ...]]


class TableCodec:
    """Encodes and decodes the rows and index entries of one table descriptor. Immutable.

    Raises: FeatureNotSupported for a column whose type cannot be stored.
    """

    def __init__(self, table: TableDesc) -> None:
        self.table = table
        self.attnums = tuple(column.attnum for column in table.columns)
        self._storage_of = {column.attnum: column.storage_id for column in table.columns}
        self.position_of = {attnum: n for n, attnum in enumerate(self.attnums)}
        self.primary = IndexCodec(table, table.primary)
        self.indexes = tuple(
            SecondaryIndexCodec(table, index, self.primary) for index in table.indexes
        )
        self.building = tuple(
            SecondaryIndexCodec(table, index, self.primary) for index in table.building
        )
        self._stored = _stored_columns(table)
        self.layouts = {
            layout.version: RowLayout(
                layout.version,
                [self._stored[attnum] for attnum in layout.attnums],
                make_interval=Interval,
            )
            for layout in table.layouts
        }
        self.missing = {c.storage_id: _missing(c) for c in table.columns if c.missing is not None}
        self.encode_row = self._row_encoder()
        self.decode_row: Decode = self.reader(self.attnums).decode
        self.row_id_position = next(
            (n for n, c in enumerate(table.columns) if c.hidden and not c.state), None
        )

    @property
    def span(self) -> Span:
        """All rows."""
        return self.primary.span

    def row_key(self, row: Row) -> bytes:
        """Return the key of a full row."""
        return self.primary.key_of_row(row)

    def entries(self, row: Row) -> list[tuple[bytes, bytes]]:
        """Return the (key, value) of a full row's entry in every secondary index."""
        return [index.entry(row) for index in self.indexes]

    def reader(self, attnums: Sequence[int]) -> RowReader:
        """Return a reader of stored rows of any version that gives the columns `attnums`."""
        return RowReader([self._storage_of[n] for n in attnums], self.layouts, self.missing)

    def layout_columns(self, attnums: Sequence[int]) -> list[LayoutColumn]:
        """Return the storage of columns, as kvapi.row_columns.decode_columns wants it."""
        return [self._stored[self._storage_of[attnum]] for attnum in attnums]

    def index(self, index_id: int) -> IndexCodec:
        """Return an index's codec by id, the primary one included."""
        if index_id == self.primary.desc.index_id:
            return self.primary
        return next(i for i in (*self.indexes, *self.building) if i.desc.index_id == index_id)

    def entry_codec(self, desc: IndexDesc) -> SecondaryIndexCodec:
        """Return the codec of an index that the descriptor does not list yet, for its backfill."""
        return SecondaryIndexCodec(self.table, desc, self.primary)

    def _row_encoder(self) -> Callable[[Row], bytes]:
        written = self._encoder_of(self.table.written)
        adding = [c for c in self.table.columns if c.state is ColumnState.ADDING]
        if not adding:
            return written
        (column,) = adding  # one at a time, see sqlnode/ddl/column_change.py
        grown = self._encoder_of(self.table.layouts[-1])
        position, default = self.position_of[column.attnum], self.missing.get(column.storage_id)
        as_text, text = text_out(column.type_oid), column.missing

        def is_default(datum: Any) -> bool:
            if datum is default or datum is None:
                return datum is default
            return text is not None and as_text(datum, None).encode() == text

        return lambda row: written(row) if is_default(row[position]) else grown(row)

    def _encoder_of(self, written: LayoutDesc) -> Callable[[Row], bytes]:
        encode = self.layouts[written.version].encode
        position_of = {c.storage_id: n for n, c in enumerate(self.table.columns)}
        if written.attnums == tuple(position_of):
            return encode
        if all(stored in position_of for stored in written.attnums) and len(self.attnums) > 1:
            pick = itemgetter(*(position_of[stored] for stored in written.attnums))
            if len(written.attnums) > 1:
                return lambda row: encode(pick(row))
        # NULL for a dropped column that the written layout still has.
        positions = [position_of.get(stored) for stored in written.attnums]
        return lambda row: encode([None if n is None else row[n] for n in positions])


def _stored_columns(table: TableDesc) -> dict[int, LayoutColumn]:
    columns = (*table.columns, *table.dropped_columns)
    return {c.storage_id: layout_column(c.storage_id, c.type) for c in columns}


def _missing(column: ColumnDesc) -> Any:
    assert column.missing is not None, "only columns added with a default have one"
    return text_in(column.type_oid)(column.missing.decode(), None)


class _Identity:
    """A descriptor as a cache key: by identity, since hashing one walks all of it."""

    __slots__ = ("table",)

    def __init__(self, table: TableDesc) -> None:
        self.table = table

    def __hash__(self) -> int:
        return id(self.table)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and other.table is self.table


@lru_cache(maxsize=1024)
def _cached_codec(identity: _Identity) -> TableCodec:
    return TableCodec(identity.table)


def codec_of(table: TableDesc) -> TableCodec:
    """Return the codec of a descriptor, made once for each."""
    return _cached_codec(_Identity(table))
