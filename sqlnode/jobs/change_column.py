"""ADD COLUMN with a constant default or none, and DROP COLUMN, online.

**Model.** No row is touched: older ones are read through their layout. What takes steps is that
processes one step apart read and write the same rows.

    ADD    adding ──► public            DROP    leaving ──► dropping ──► gone
             └── cancel ──► gone

*Adding*: the column is hidden, its layout known. Rows are written in the layout before, which those
without the column can read; nobody can set the column, so nothing is lost. Once all know the layout
the column is public. Who still has it hidden keeps what the others put there, and only such a row
is written in the new layout.

*Leaving*: public, but NULL is no error any more. *Dropping*: hidden, rows keep what they have, in
the layout that has the column, for those who still see it; new rows have NULL. The layout without
it is known by then, so that those one step ahead may write it. From then on there is no way back.
"""

from collections.abc import Callable

import msgspec

from pgwire.errors import UndefinedColumn
from sqlnode.catalog.descriptors import ColumnDesc, ColumnState, LayoutDesc, TableDesc
from sqlnode.catalog.store import CatalogEditor
from sqlnode.jobs.record import JobStatus
from sqlnode.jobs.work import JobWork

Change = Callable[[TableDesc, ColumnDesc], TableDesc]


class AddColumn:
    """The states of one column that comes."""

    def __init__(self, work: JobWork) -> None:
        self._work = work

    async def run(self) -> None:
        """Carry on until it is public. Raises: SqlError, JobLost, JobCancelled, KvError."""
        await _end(self._work, _published, JobStatus.SUCCEEDED, is_required=True)

    async def revert(self, status: JobStatus) -> None:
        """Take it away again: nobody could set it. Raises: JobLost, KvError."""
        await _end(self._work, withdrawn, status)


class DropColumn:
    """The states of one column that goes."""

    def __init__(self, work: JobWork) -> None:
        self._work = work

    async def run(self) -> None:
        """Carry on until it is gone. Raises: SqlError, JobLost, KvError."""
        work = self._work
        if work.handle.record.step == ColumnState.LEAVING:
            await work.step(_edit(work, hidden), step=str(ColumnState.DROPPING))
        await _end(work, dropped, JobStatus.SUCCEEDED)

    async def revert(self, status: JobStatus) -> None:
        """Give up: the table is gone. Raises: JobLost, KvError."""
        await _end(self._work, dropped, status)


async def _end(
    work: JobWork, change: Change, status: JobStatus, *, is_required: bool = False
) -> None:
    await work.step(
        _edit(work, change, is_required=is_required),
        step="public" if change is _published else "gone",
        status=status,
        finished_ms=work.handle.now_ms(),
    )


def _edit(
    work: JobWork, change: Change, *, is_required: bool = False
) -> Callable[[CatalogEditor], None]:
    record = work.handle.record

    def edit(editor: CatalogEditor) -> None:
        table = editor.catalog.by_id.get(record.table_id)
        if isinstance(table, TableDesc):
            for column in table.columns:
                if column.attnum == record.part:
                    editor.put(change(table, column))
                    return
        if is_required:
            raise UndefinedColumn("the column was dropped while it was being added")

    return edit


def replaced(table: TableDesc, column: ColumnDesc, *after: ColumnDesc) -> tuple[ColumnDesc, ...]:
    """Return the columns with one replaced by `after`, or removed."""
    return tuple(new for old in table.columns for new in (after if old is column else (old,)))


def _published(table: TableDesc, column: ColumnDesc) -> TableDesc:
    public = msgspec.structs.replace(column, hidden=False, state=ColumnState.PUBLIC)
    return msgspec.structs.replace(table, columns=replaced(table, column, public))


def withdrawn(table: TableDesc, column: ColumnDesc) -> TableDesc:
    """Without the column, and without the layout in which no row was ever written."""
    return msgspec.structs.replace(
        table, columns=replaced(table, column), layouts=table.layouts[:-1]
    )


def hidden(table: TableDesc, column: ColumnDesc) -> TableDesc:
    """With the column hidden, and a layout without it for those one step ahead."""
    unseen = msgspec.structs.replace(
        column, hidden=True, default_sql=None, state=ColumnState.DROPPING
    )
    kept = tuple(c.storage_id for c in replaced(table, column))
    return msgspec.structs.replace(
        table,
        columns=replaced(table, column, unseen),
        layouts=(*table.layouts, LayoutDesc(table.layouts[-1].version + 1, kept)),
        checks=tuple(check for check in table.checks if column.attnum not in check.columns),
    )


def dropped(table: TableDesc, column: ColumnDesc) -> TableDesc:
    """Without the column, of which rows may still have the bytes."""
    past = msgspec.structs.replace(column, hidden=False, state=ColumnState.PUBLIC)
    return msgspec.structs.replace(
        table,
        columns=replaced(table, column),
        dropped_columns=(*table.dropped_columns, past),
    )
