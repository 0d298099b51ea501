"""Keys in messages: the `(a, b)=(1, x)` of unique and foreign key violations."""

from collections.abc import Sequence
from typing import Any

from pgwire.codecs.registry import text_out
from sqlnode.catalog.descriptors import IndexDesc, TableDesc


def key_detail(table: TableDesc, index: IndexDesc, row: Sequence[Any]) -> str:
    """Return `(columns)=(values)` of a full row for an index."""
    positions = {column.attnum: n for n, column in enumerate(table.columns)}
    columns = [table.column(part.attnum) for part in index.columns]
    values = [
        text_out(column.type_oid)(datum, None)
        if (datum := row[positions[column.attnum]]) is not None
        else "null"
        for column in columns
    ]
    return f"({', '.join(c.name for c in columns)})=({', '.join(values)})"
