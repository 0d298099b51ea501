"""INSERT: from source rows to full rows, checked, written, and what RETURNING says of them."""

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from sqlnode.catalog.descriptors import ColumnDesc, ColumnState, TableDesc
from sqlnode.catalog.snapshot import Catalog
from sqlnode.plan.logical import Columns
from sqlnode.plan.scalar import Call
from sqlnode.plan.statement import Insert
from sqlnode.rowexec.async_calls import AsyncCalls
from sqlnode.rowexec.dml_source import (
    SourceCompiler,
    compile_source,
    reads_tables,
    source_context,
)
from sqlnode.rowexec.evals import Eval, Row
from sqlnode.rowexec.node import BATCH_ROWS
from sqlnode.rowexec.on_conflict import ConflictWriter
from sqlnode.rowexec.referential import Referential
from sqlnode.rowexec.row_checks import RowChecks
from sqlnode.rowexec.row_writer import RowWriter
from sqlnode.rowexec.scalars import compile_row, compile_scalar
from sqlnode.rowexec.subquery_values import SubqueryValues
from sqlnode.rowexec.table_codec import codec_of

if TYPE_CHECKING:
    from sqlnode.context import ExecContext


def row_layout(table: TableDesc, row_columns: Columns) -> dict[int, int]:
    """Return where a statement's row_columns lie in a full row."""
    position_of = codec_of(table).position_of
    return {c.id: position_of.get(c.attnum, n) for n, c in enumerate(row_columns)}


class RowBuilder:
    """Completes source rows to full rows: given values, defaults, sequences, row ids."""

    def __init__(self, bound: Insert) -> None:
        table = bound.table
        self._table_id = table.id
        given = {attnum: n for n, attnum in enumerate(bound.attnums)}
        self._calls = AsyncCalls({}, len(bound.source.columns))
        self._sequences: list[tuple[int, int]] = []  # (position, sequence id)
        self._row_id: int | None = None
        self._evals: list[Eval] = []
        for position, column in enumerate(table.columns):
            default = bound.defaults.get(column.attnum)
            if column.attnum in given:
                self._evals.append(_item(given[column.attnum]))
                continue
            if column.is_unseen:
                self._evals.append(_value_of(_unseen(table, column)))
                continue
            if column.hidden:
                self._row_id = position
                default = None
            elif column.sequence_id and (default is None or _is_nextval(default)):
                self._sequences.append((position, column.sequence_id))
                default = None
            self._evals.append(
                _nothing
                if default is None
                else compile_scalar(self._calls.take(default), self._calls.layout)
            )
        self._is_plain = not (self._sequences or self._calls or self._row_id is not None)
        # Nothing to compute: every column is given, at one of these places.
        self._picks: Callable[[Row], tuple[Any, ...]] | None = None
        places = [given.get(column.attnum) for column in table.columns]
        if self._is_plain and len(places) > 1 and None not in places:
            self._picks = itemgetter(*places)

    async def build(self, rows: Sequence[Row], ctx: "ExecContext") -> list[Row]:
        """Return the full rows."""
        if self._calls:
            rows = await self._calls.extend(rows, ctx)
        evals = self._evals
        if self._picks is not None:
            return list(map(self._picks, rows))
        if self._is_plain:
            return [tuple([evaluate(row, ctx) for evaluate in evals]) for row in rows]
        full = [[evaluate(row, ctx) for evaluate in evals] for row in rows]
        for position, sequence_id in self._sequences:
            values = await ctx.sequences.nextvals(sequence_id, len(full))
            for target, value in zip(full, values, strict=True):
                target[position] = value
        if self._row_id is not None:
            ids = await ctx.sequences.row_ids(self._table_id, len(full))
            for target, value in zip(full, ids, strict=True):
                target[self._row_id] = value
        return [tuple(row) for row in full]


def _item(position: int) -> Eval:
    return lambda row, _ctx: row[position]


def _value_of(datum: Any) -> Eval:
    return lambda _row, _ctx: datum


def _unseen(table: TableDesc, column: ColumnDesc) -> Any:
    """Return what new rows have in a column that is not public yet, or not any more."""
    if column.state is ColumnState.DROPPING:
        return None
    return codec_of(table).missing.get(column.storage_id)


def _nothing(_row: Row, _ctx: "ExecContext") -> None:
    return None


def _is_nextval(default: Any) -> bool:
    while not isinstance(default, Call) and hasattr(default, "arg"):
        default = default.arg  # nextval gives bigint, the column may be integer
    if not isinstance(default, Call):
        return False
    if default.function.name == "nextval":
        return True
    return len(default.args) == 1 and _is_nextval(default.args[0])


class InsertRows:
    """A compiled INSERT."""

    def __init__(self, bound: Insert, catalog: Catalog, compiler: SourceCompiler) -> None:
        self._table = bound.table
        layout = row_layout(bound.table, bound.row_columns)
        self._source = compile_source(bound.source, catalog, compiler)
        self._reads_tables = reads_tables(bound.source)
        self._build = RowBuilder(bound)
        self._checks = RowChecks(bound.table, bound.checks, layout)
        self._writer = RowWriter(bound.table)
        self._conflict: ConflictWriter | None = None
        if bound.on_conflict is not None:
            self._conflict = ConflictWriter(
                bound, self._writer, self._checks, layout, (catalog, compiler)
            )
        self._returning = None
        self._subqueries = SubqueryValues(layout, len(bound.row_columns), catalog, compiler)
        if bound.returning is not None:
            scalars = [self._subqueries.take(scalar) for scalar in bound.returning.scalars]
            self._returning = compile_row(scalars, self._subqueries.layout)
        if self._conflict is not None:
            self._subqueries.refuse_reads_of(bound.table)

    async def run(self, ctx: "ExecContext") -> tuple[int, list[tuple[Any, ...]]]:
        """Insert; return (row count, RETURNING rows)."""
        mark = ctx.txn.mark()
        try:
            return await self._insert(ctx)
        except BaseException:
            ctx.txn.undo_to(mark)
            raise

    async def _insert(self, ctx: "ExecContext") -> tuple[int, list[tuple[Any, ...]]]:
        references = Referential(ctx)
        count, returned = 0, []
        conflicts = None
        if self._conflict is not None:
            conflicts = await self._conflict.begin(references, ctx)
        computed = await self._subqueries.begin(ctx) if self._subqueries else None
        async for batch in self._batches(ctx):
            rows = await self._build.build(batch, ctx)
            self._checks.check(rows, ctx)
            if conflicts is not None:
                rows = await conflicts.write(rows, ctx)
            shown = rows if computed is None else await computed.extend(rows, ctx)
            if conflicts is None:
                await self._writer.insert(rows, ctx)
                await references.inserted(self._table, rows)
            await ctx.txn.make_room()
            count += len(rows)
            if self._returning is not None:
                returned += [self._returning(row, ctx) for row in shown]
        await references.finish()
        await ctx.txn.settle()
        return count, returned

    async def _batches(self, ctx: "ExecContext") -> Any:
        """Yield batches of at most BATCH_ROWS; the source does not see what is written."""
        if self._subqueries.by_row:  # all of it before the first row is written
            yield [row async for rows in self._source.run(ctx) for row in rows]
            return
        async for rows in self._source.run(source_context(ctx) if self._reads_tables else ctx):
            for start in range(0, len(rows), BATCH_ROWS):
                yield rows[start : start + BATCH_ROWS]
