"""RowDescription's fields of a statement's columns."""

from collections.abc import Sequence

from pgwire.codecs.rows import resolve_formats
from pgwire.messages import FieldDescription
from sqlnode.plan.logical import Columns


def described_columns(columns: Columns, formats: Sequence[int]) -> list[FieldDescription]:
    """Return one field for each column."""
    codes = resolve_formats(formats, len(columns))
    return [
        FieldDescription(
            column.name,
            column.type.oid,
            column.type.info.length,
            column.type.typmod,
            code,
            column.table_oid,
            max(column.attnum, 0),
        )
        for column, code in zip(columns, codes, strict=True)
    ]
