"""Columns that come and go: at once where nobody can be disturbed, else begun here for a job.

**Invariant.** One column of a table comes or goes at a time: while it does, the last but one layout
is written (TableDesc.written).
"""

from typing import Final

import msgspec

from pgwire.errors import ObjectInUse
from sqlnode.catalog.descriptors import ColumnDesc, ColumnState, LayoutDesc, TableDesc
from sqlnode.ddl.context import DdlContext, OnlineChange
from sqlnode.ddl.expressions import is_immutable
from sqlnode.ddl.names import visible_indexes
from sqlnode.ddl.nodes import ColumnDef
from sqlnode.ddl.sequences import owned_sequences
from sqlnode.jobs.record import JobKind
from sqlnode.rowexec.column_fill import ColumnFill
from sqlnode.rowexec.not_row_shape import NotRowShape

_WORDS: Final = {ColumnState.LEAVING: "dropped", ColumnState.DROPPING: "dropped"}


def require_settled(table: TableDesc) -> None:
    """Require that no column of the table comes or goes. Raises: ObjectInUse."""
    for column in table.columns:
        if column.state is not ColumnState.PUBLIC:
            word = _WORDS.get(column.state, "altered" if column.replaces else "added")
            raise ObjectInUse(
                f'cannot alter table "{table.name}" because its column "{column.name}" is being '
                f"{word}",
                hint="Wait for the job that SHOW JOBS reports.",
            )


def with_column(table: TableDesc, column: ColumnDesc) -> TableDesc:
    """Return the table with one more column, and a layout that has it."""
    columns = (*table.columns, column)
    return msgspec.structs.replace(
        table,
        columns=columns,
        next_attnum=table.next_attnum + 1,
        layouts=(*table.layouts, next_layout(table, columns)),
    )


def next_layout(table: TableDesc, columns: tuple[ColumnDesc, ...]) -> LayoutDesc:
    """Return the layout after the table's last one, for these columns."""
    return LayoutDesc(table.layouts[-1].version + 1, tuple(c.storage_id for c in columns))


async def begin_add_column(
    context: DdlContext, table: TableDesc, column: ColumnDesc, definition: ColumnDef
) -> bool:
    """Leave ADD COLUMN to a job if older rows need no look; tell whether it was left."""
    needs_look = bool(definition.constraints) or (column.not_null and column.missing is None)
    if needs_look or not await context.goes_online(table):
        return False
    unseen = msgspec.structs.replace(column, hidden=True, state=ColumnState.ADDING)
    context.editor.put(with_column(table, unseen))
    context.change = OnlineChange(
        JobKind.ADD_COLUMN, table.id, column.attnum, str(ColumnState.ADDING)
    )
    return True


async def begin_fill_column(context: DdlContext, table: TableDesc, column: ColumnDesc) -> bool:
    """Leave it to a job to fill a new column with its `fill_sql`; tell whether it was left."""
    unseen = msgspec.structs.replace(column, hidden=True, state=ColumnState.KNOWN)
    grown = with_column(table, unseen)
    try:
        scalar = ColumnFill(grown, unseen).bind(context.editor.catalog)
    except NotRowShape:
        return False
    if (column.replaces and not is_immutable(scalar)) or not await context.goes_online(table):
        return False
    context.editor.put(grown)
    kind = JobKind.ALTER_TYPE if column.replaces else JobKind.FILL_COLUMN
    context.change = OnlineChange(kind, table.id, column.attnum, str(ColumnState.KNOWN))
    return True


async def begin_drop_column(context: DdlContext, table: TableDesc, column: ColumnDesc) -> bool:
    """Leave DROP COLUMN to a job if nothing goes with the column; tell whether it was left."""
    if _has_dependents(context, table, column.attnum) or not await context.goes_online(table):
        return False
    leaving = msgspec.structs.replace(column, not_null=False, state=ColumnState.LEAVING)
    columns = tuple(leaving if c is column else c for c in table.columns)
    context.editor.put(msgspec.structs.replace(table, columns=columns))
    context.change = OnlineChange(
        JobKind.DROP_COLUMN, table.id, column.attnum, str(ColumnState.LEAVING)
    )
    return True


def _has_dependents(context: DdlContext, table: TableDesc, attnum: int) -> bool:
    return (
        is_index_column(table, attnum)
        or is_constrained(table, attnum)
        or any(attnum in (s.owned_by or ())[1:] for s in owned_sequences(context, table))
    )


def is_index_column(table: TableDesc, attnum: int) -> bool:
    """Tell whether a column is part of an index, whatever its state."""
    indexes = (table.primary, *visible_indexes(table), *table.building)
    return any(part.attnum == attnum for index in indexes for part in index.columns)


def is_constrained(table: TableDesc, attnum: int) -> bool:
    """Tell whether a CHECK or FOREIGN KEY names a column, or NOT NULL is under way."""
    return (
        any(attnum in check.columns for check in table.checks)
        or any(attnum in key.columns for key in table.foreign_keys)
        or table.column(attnum).refuses_null
    )
