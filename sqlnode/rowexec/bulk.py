"""Bulk load: text fields to stored rows, for COPY FROM.

**Model.** Each column remembers what recent texts meant: real data repeats itself, and a dictionary
hit is many times cheaper than reading a number or a timestamp again. Rows are completed, checked
and written in batches like those of INSERT.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from pgwire.codecs.registry import text_in
from pgwire.codecs.settings import Settings
from pgwire.errors import BadCopyFileFormat, SqlError, UniqueViolation
from sqlnode.catalog.descriptors import ColumnDesc
from sqlnode.plan.logical import OutColumn, Values
from sqlnode.plan.statement import Insert
from sqlnode.rowexec.coercion import coercion
from sqlnode.rowexec.dml_insert import RowBuilder, row_layout
from sqlnode.rowexec.evals import Row
from sqlnode.rowexec.node import BATCH_ROWS
from sqlnode.rowexec.referential import Referential
from sqlnode.rowexec.row_checks import RowChecks
from sqlnode.rowexec.row_writer import RowWriter

if TYPE_CHECKING:
    from sqlnode.context import ExecContext

_TEXTS_REMEMBERED_MAX: Final = 20_000  # for each column

Fields = Sequence[str | None]
"""One line's fields; None is NULL."""


class _ColumnReader(dict[str | None, Any]):
    """Text → datum of one column, read once for each text met (bounded)."""

    def __init__(self, column: ColumnDesc, settings: Settings) -> None:
        super().__init__({None: None})
        self.column = column
        self._read = text_in(column.type_oid)
        self._coerce = coercion(column.type, explicit=False)
        self._settings = settings

    def __missing__(self, text: str) -> Any:
        datum = self._read(text, self._settings)
        if self._coerce is not None:
            datum = self._coerce(datum)
        if len(self) >= _TEXTS_REMEMBERED_MAX:
            self.clear()
            self[None] = None
        self[text] = datum
        return datum


class BulkLoader:
    """Loads rows into one table within the context's transaction.

    `bound` says the table, the columns given (`attnums`), defaults of the others and checks, as an
    INSERT of the same columns would; its source is not looked at (`empty_source` makes one).
    """

    def __init__(self, bound: Insert, ctx: "ExecContext") -> None:
        table = bound.table
        self._ctx = ctx
        self._table = table
        self._readers = [_ColumnReader(table.column(a), ctx.settings) for a in bound.attnums]
        self._take: list[Callable[[Any], Any]] = [r.__getitem__ for r in self._readers]
        self._is_whole = tuple(bound.attnums) == tuple(c.attnum for c in table.columns)
        self._builder = RowBuilder(bound)
        self._checks = RowChecks(table, bound.checks, row_layout(table, bound.row_columns))
        self._writer = RowWriter(table)
        self._references = Referential(ctx)
        self._has_keys = bool(table.foreign_keys)
        self._mark = ctx.txn.mark()
        self._waiting: list[Row] = []  # read, not yet written
        self._waiting_line = 1
        self._batch: Sequence[Row] = ()  # being written, for the line of an error
        self.row_count = 0  # written

    async def add(self, lines: Sequence[Fields], *, first_line: int | None = None) -> None:
        """Load lines. `first_line` is the first one's number, for errors: rows so far plus one.

        Raises: SqlError with PostgreSQL's CONTEXT line; BadCopyFileFormat for too few or too many
        fields. What was loaded before is taken back then.
        """
        if first_line is None:
            first_line = self.row_count + len(self._waiting) + 1
        try:
            rows = self._read(lines, first_line)
            if not self._waiting:
                self._waiting_line = first_line
            self._waiting += rows
            if len(self._waiting) >= BATCH_ROWS:
                await self._write_waiting()
        except BaseException:
            self._ctx.txn.undo_to(self._mark)
            raise

    async def finish(self) -> int:
        """Write and check what had to wait for the last row; return the row count."""
        try:
            await self._write_waiting()
            await self._references.finish()
            await self._ctx.txn.settle()
        except BaseException:
            self._ctx.txn.undo_to(self._mark)
            raise
        return self.row_count

    async def _write_waiting(self) -> None:
        """Write what was read; small pieces of a stream become whole batches here."""
        rows, self._waiting = self._waiting, []
        for start in range(0, len(rows), BATCH_ROWS):
            part = rows[start : start + BATCH_ROWS]
            try:
                await self._write(part)
            except SqlError as error:
                line = self._waiting_line + start + self._culprit(error)
                error.context = error.context or f"COPY {self._table.name}, line {line}"
                raise

    def _culprit(self, error: SqlError) -> int:
        """Return the index of the row in the last batch that an error is about."""
        found = []
        for n, row in enumerate(self._batch):
            try:
                self._checks.check([row], self._ctx)
            except SqlError:
                return n
            if isinstance(error, UniqueViolation):
                errors = self._writer.errors(self._ctx)
                claims = self._writer.claims(row)
                if any(
                    errors.unique(i, i.values(row)).detail == error.detail for _, i, _ in claims
                ):
                    found.append(n)
        return found[1] if len(found) > 1 else found[0] if found else 0

    def _read(self, lines: Sequence[Fields], number: int) -> list[Row]:
        take, width = self._take, len(self._take)
        rows: list[Row] = []
        try:
            for fields in lines:
                if len(fields) != width:
                    raise self._wrong_width(fields)
                rows.append([one(text) for one, text in zip(take, fields, strict=True)])
        except SqlError as error:
            self._add_context(error, lines[len(rows)], number + len(rows))
            raise
        return rows

    def _wrong_width(self, fields: Fields) -> BadCopyFileFormat:
        if len(fields) > len(self._take):
            return BadCopyFileFormat("extra data after last expected column")
        name = self._readers[len(fields)].column.name
        return BadCopyFileFormat(f'missing data for column "{name}"')

    def _add_context(self, error: SqlError, fields: Fields, number: int) -> None:
        where = f"COPY {self._table.name}, line {number}"
        error.context = where
        for reader, text in zip(self._readers, fields, strict=False):
            try:
                reader[text]
            except SqlError:
                error.context = f'{where}, column {reader.column.name}: "{text}"'
                return

    async def _write(self, rows: Sequence[Row]) -> None:
        if not self._is_whole:
            rows = await self._builder.build(rows, self._ctx)
        self._batch = rows
        self._checks.check(rows, self._ctx)
        await self._writer.insert(rows, self._ctx)
        if self._has_keys:
            await self._references.inserted(self._table, rows)
        await self._ctx.txn.make_room()
        self.row_count += len(rows)


def empty_source(columns: Sequence[OutColumn]) -> Values:
    """Return a source without rows, for the Insert that describes a load."""
    return Values((), tuple(columns))
