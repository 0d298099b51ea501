"""The hidden row id: what identifies rows of a table without primary key."""

from typing import Final

from sqlnode.catalog.descriptors import ColumnDesc, IndexColumn, IndexDesc
from sqlnode.types import INT8

HIDDEN_ATTNUM: Final = -100  # below PostgreSQL's system columns


def hidden_row_id() -> ColumnDesc:
    """Return the column that holds the row id."""
    return ColumnDesc(HIDDEN_ATTNUM, "__row_id", INT8.oid, not_null=True, hidden=True)


def hidden_primary() -> IndexDesc:
    """Return the primary index over the hidden row id; it has no OID, for nobody can see it."""
    return IndexDesc(1, 0, "", (IndexColumn(HIDDEN_ATTNUM),), unique=True)
