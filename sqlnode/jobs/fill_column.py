"""ALTER COLUMN TYPE, and ADD COLUMN with a default that differs from row to row, online.

**Model.** A hidden column is filled row by row, then it becomes public (ADD COLUMN) or takes the
place of the column that it was computed from (ALTER TYPE).

    known ──► filling ── backfill ──► filled ──► public          ADD COLUMN
      │          │   └───────────────────────► replaced          ALTER TYPE
      │ cancel   │ error, cancel
      ▼          ▼
     gone     dropping ──► gone

*Known*: rows are written without the column, but its layout can be read: those one step ahead write
it. *Filling*: everybody writes it, so that the backfill meets only rows from before. *Filled*: as
those who see it may set it to NULL, who does not see it keeps what is there.

The old and the new form of a column cannot be in use at once: a value of the new type need not have
one of the old. So the last step of ALTER TYPE leaves no older version valid. Statements come again
by themselves; a transaction that has used the table and is open just then fails with 40001.

Rows that were filled have the column for ever, so giving up is dropping it.
"""

from collections.abc import Callable

import msgspec

from kvapi.footprint import Footprint
from pgwire.errors import UndefinedColumn
from sqlnode.catalog.descriptors import (
    ColumnDesc,
    ColumnState,
    LayoutDesc,
    SequenceDesc,
    TableDesc,
)
from sqlnode.catalog.store import CatalogEditor
from sqlnode.jobs.background import background_context
from sqlnode.jobs.change_column import dropped, hidden, replaced, withdrawn
from sqlnode.jobs.chunk_writes import write_chunk
from sqlnode.jobs.record import JobKind, JobStatus
from sqlnode.jobs.work import ELASTIC, Chunk, JobWork
from sqlnode.rowexec.column_fill import ColumnFill

Change = Callable[[TableDesc, ColumnDesc], TableDesc]


class FillColumn:
    """The states of one column that is filled."""

    def __init__(self, work: JobWork) -> None:
        self._work = work
        self._fill: tuple[TableDesc, ColumnFill] | None = None

    async def run(self) -> None:
        """Carry on until it is in use. Raises: SqlError, JobLost, JobCancelled, KvError."""
        work = self._work
        if work.handle.record.step == ColumnState.KNOWN:
            await self._move(ColumnState.FILLING)
        if work.handle.record.step == ColumnState.FILLING:
            await work.wait()  # from now on every writer fills the rows it writes
            await work.walk(self._backfill)
        if work.handle.record.kind is JobKind.ALTER_TYPE:
            await self._end(_swapped, "replaced", JobStatus.SUCCEEDED, keeps_previous=False)
            return
        if work.handle.record.step == ColumnState.FILLING:
            await self._move(ColumnState.FILLED)
        await self._end(_published, "public", JobStatus.SUCCEEDED)

    async def revert(self, status: JobStatus) -> None:
        """Take it away again. Raises: JobLost, KvError."""
        step = self._work.handle.record.step
        if step in (ColumnState.FILLING, ColumnState.FILLED):
            await self._work.step(
                self._edit(_given_up, is_required=False), step=str(ColumnState.DROPPING)
            )
        end = withdrawn if step == ColumnState.KNOWN else dropped
        await self._end(end, "gone", status, is_required=False)

    async def _move(self, state: ColumnState) -> None:
        def moved(table: TableDesc, column: ColumnDesc) -> TableDesc:
            after = msgspec.structs.replace(column, state=state)
            return msgspec.structs.replace(table, columns=replaced(table, column, after))

        await self._work.step(self._edit(moved), step=str(state))

    async def _end(
        self,
        change: Change,
        step: str,
        status: JobStatus,
        *,
        is_required: bool = True,
        keeps_previous: bool = True,
    ) -> None:
        await self._work.step(
            self._edit(change, is_required=is_required),
            keeps_previous=keeps_previous,
            step=step,
            status=status,
            finished_ms=self._work.handle.now_ms(),
        )

    def _edit(self, change: Change, *, is_required: bool = True) -> Callable[[CatalogEditor], None]:
        record = self._work.handle.record

        def edit(editor: CatalogEditor) -> None:
            table = editor.catalog.by_id.get(record.table_id)
            column = _find(table, record.part)
            if column is not None and isinstance(table, TableDesc):
                editor.put(change(table, column))
                if change in (withdrawn, dropped):
                    editor.remove(*_sequences_of(editor, table, column))
            elif is_required:
                raise _gone()

        return edit

    # --- backfill -----------------------------------------------------------------------------

    async def _backfill(self, chunk: Chunk) -> None:
        """Fill the rows of a chunk, unless one has changed. Raises: WriteConflict, SqlError."""
        await write_chunk(self._work, chunk, self._fill_with)

    async def _fill_with(self, chunk: Chunk, txn_id: bytes) -> None:
        fill, codec = self._fill_of(chunk.codec.table), chunk.codec
        position = fill.position
        bare = [row for row in chunk.rows if row[position] is None]
        if not bare:
            return
        context = background_context(self._work.engine, self._work.handle.record.user)
        full = await fill.filled(bare, context)
        writes: dict[bytes, bytes | None] = {
            codec.row_key(row): codec.encode_row(row) for row in full if row[position] is not None
        }
        if not writes:
            return
        await self._work.kv.commit(
            txn_id=txn_id,
            read_ts=chunk.read_ts,
            **chunk.planned,
            footprint=Footprint([] if chunk.is_locked else list(writes), []),
            writes=writes,
            priority=ELASTIC,
        )

    def _fill_of(self, table: TableDesc) -> ColumnFill:
        if self._fill is None or self._fill[0] is not table:
            column = _find(table, self._work.handle.record.part)
            if column is None:
                raise _gone()
            self._fill = (table, ColumnFill(table, column))
        return self._fill[1]


def _find(table: object, attnum: int) -> ColumnDesc | None:
    columns = table.columns if isinstance(table, TableDesc) else ()
    return next((column for column in columns if column.attnum == attnum), None)


def _gone() -> UndefinedColumn:
    return UndefinedColumn("the column was dropped while it was being changed")


def _sequences_of(
    editor: CatalogEditor, table: TableDesc, column: ColumnDesc
) -> list[SequenceDesc]:
    return [
        found
        for found in editor.catalog.by_id.values()
        if isinstance(found, SequenceDesc) and found.owned_by == (table.id, column.attnum)
    ]


def _published(table: TableDesc, column: ColumnDesc) -> TableDesc:
    public = msgspec.structs.replace(column, hidden=False, state=ColumnState.PUBLIC, fill_sql=None)
    return msgspec.structs.replace(table, columns=replaced(table, column, public))


def _given_up(table: TableDesc, column: ColumnDesc) -> TableDesc:
    plain = msgspec.structs.replace(column, not_null=False, fill_sql=None, replaces=0)
    columns = replaced(table, column, plain)
    return hidden(msgspec.structs.replace(table, columns=columns), plain)


def _swapped(table: TableDesc, column: ColumnDesc) -> TableDesc:
    """With the new form of a column in the place of the old one, which counts as dropped."""
    old = next(c for c in table.columns if c.attnum == column.replaces)
    new = msgspec.structs.replace(
        old,
        type_oid=column.type_oid,
        typmod=column.typmod,
        default_sql=old.default_sql if old.sequence_id else column.default_sql,
        missing=None,
        stored_as=column.storage_id,
    )
    gone = msgspec.structs.replace(old, attnum=column.attnum, stored_as=old.storage_id)
    columns = tuple(new if c is old else c for c in table.columns if c is not column)
    layout = LayoutDesc(table.layouts[-1].version + 1, tuple(c.storage_id for c in columns))
    return msgspec.structs.replace(
        table,
        columns=columns,
        layouts=(*table.layouts, layout),
        dropped_columns=(*table.dropped_columns, gone),
    )
