"""UPDATE and DELETE over locked rows."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from sqlnode.catalog.descriptors import TableDesc
from sqlnode.catalog.snapshot import Catalog
from sqlnode.plan.logical import OutColumn, Plan, Project
from sqlnode.plan.scalar import ColumnRef, Scalar
from sqlnode.plan.statement import Delete, Update
from sqlnode.rowexec.async_calls import AsyncCalls
from sqlnode.rowexec.conditions import has_subquery
from sqlnode.rowexec.dml_source import SourceCompiler
from sqlnode.rowexec.evals import Row
from sqlnode.rowexec.plan_compiler import column_refs
from sqlnode.rowexec.referential import Referential
from sqlnode.rowexec.returned_rows import ReturnedRows
from sqlnode.rowexec.row_checks import RowChecks
from sqlnode.rowexec.row_writer import RowWriter
from sqlnode.rowexec.scalars import compile_scalar
from sqlnode.rowexec.table_codec import codec_of
from sqlnode.rowexec.targets import compile_targets

if TYPE_CHECKING:
    from sqlnode.context import ExecContext

_COMPUTED: Final = 2_000_000_000  # ids of values that the source computes; no binder counts so far


def touches_foreign_keys(table: TableDesc, catalog: Catalog) -> bool:
    """Tell whether changes of a table can break a reference."""
    return bool(table.foreign_keys) or table.id in catalog.referencing


def computed_by_source(bound: Update) -> Update:
    """Let the source compute the assignments that hold subqueries: vecexec runs those."""
    source: Plan = bound.source
    columns, scalars = list(source.columns), column_refs(source.columns)
    assignments: list[tuple[int, Scalar]] = []
    for n, (attnum, scalar) in enumerate(bound.assignments):
        if has_subquery(scalar):
            columns.append(OutColumn(_COMPUTED + n, f"value{n}", scalar.type))
            scalars.append(scalar)
            scalar = ColumnRef(_COMPUTED + n, scalar.type)
        assignments.append((attnum, scalar))
    if len(columns) == len(source.columns):
        return bound
    project = Project(source, tuple(columns), tuple(scalars))
    return replace(bound, source=project, assignments=tuple(assignments))


class UpdateRows:
    """A compiled UPDATE."""

    def __init__(self, bound: Update, catalog: Catalog, compiler: SourceCompiler) -> None:
        bound = computed_by_source(bound)
        self._table = bound.table
        codec = codec_of(bound.table)
        self._width = len(codec.attnums)
        attnums = frozenset(attnum for attnum, _ in bound.assignments)
        self._targets = compile_targets(
            bound.table, bound.source, bound.row_columns, catalog, compiler, assigned=attnums
        )
        layout = self._targets.layout
        width = 1 + max(layout.values(), default=-1)
        self._calls = AsyncCalls(layout, width)
        self._assignments = [
            (codec.position_of[attnum], compile_scalar(self._calls.take(s), self._calls.layout))
            for attnum, s in bound.assignments
        ]
        self._checks = RowChecks(bound.table, bound.checks, layout)
        self._moves = RowWriter(bound.table).moves(attnums)
        self._refers = touches_foreign_keys(bound.table, catalog)
        self._returning = ReturnedRows(bound.returning, layout, catalog, compiler)

    async def run(self, ctx: "ExecContext") -> tuple[int, list[tuple[Any, ...]]]:
        """Update; return (row count, RETURNING rows)."""
        mark = ctx.txn.mark()
        try:
            return await self._update(ctx)
        except BaseException:
            ctx.txn.undo_to(mark)
            raise

    async def _update(self, ctx: "ExecContext") -> tuple[int, list[tuple[Any, ...]]]:
        references = Referential(ctx) if self._refers else None
        count, width = 0, self._width
        returned = await self._returning.begin(ctx)
        async for rows in returned.batches(self._targets, ctx):
            pairs = await self._pairs(rows, ctx)
            self._checks.check([new for _, new in pairs], ctx)
            if returned.wanted:
                shown = [(*new, *row[width:]) for (_, new), row in zip(pairs, rows, strict=True)]
                await returned.add(shown, ctx)
            await self._moves.update(pairs, ctx)
            if references is not None:
                await references.updated(self._table, pairs)
            await ctx.txn.make_room()
            count += len(pairs)
        if references is not None:
            await references.finish()
        await ctx.txn.settle()
        return count, returned.rows

    async def _pairs(self, rows: Sequence[Row], ctx: "ExecContext") -> list[tuple[Row, Row]]:
        """Return (old, new) full rows."""
        if self._calls:
            rows = await self._calls.extend(rows, ctx)
        width, assignments = self._width, self._assignments
        pairs: list[tuple[Row, Row]] = []
        for row in rows:
            new = list(row[:width])
            for position, value in assignments:
                new[position] = value(row, ctx)
            pairs.append((row[:width], tuple(new)))
        return pairs


class DeleteRows:
    """A compiled DELETE."""

    def __init__(self, bound: Delete, catalog: Catalog, compiler: SourceCompiler) -> None:
        self._table = bound.table
        self._width = len(codec_of(bound.table).attnums)
        self._targets = compile_targets(
            bound.table, bound.source, bound.row_columns, catalog, compiler
        )
        self._writer = RowWriter(bound.table)
        self._refers = touches_foreign_keys(bound.table, catalog)
        self._returning = ReturnedRows(bound.returning, self._targets.layout, catalog, compiler)

    async def run(self, ctx: "ExecContext") -> tuple[int, list[tuple[Any, ...]]]:
        """Delete; return (row count, RETURNING rows)."""
        mark = ctx.txn.mark()
        try:
            return await self._delete(ctx)
        except BaseException:
            ctx.txn.undo_to(mark)
            raise

    async def _delete(self, ctx: "ExecContext") -> tuple[int, list[tuple[Any, ...]]]:
        references = Referential(ctx) if self._refers else None
        count, width = 0, self._width
        returned = await self._returning.begin(ctx)
        async for rows in returned.batches(self._targets, ctx):
            full = [row[:width] for row in rows]
            if returned.wanted:
                await returned.add(rows, ctx)
            await self._writer.delete(full, ctx)
            if references is not None:
                await references.deleted(self._table, full)
            await ctx.txn.make_room()
            count += len(rows)
        if references is not None:
            await references.finish()
        await ctx.txn.settle()
        return count, returned.rows
