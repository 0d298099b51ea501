"""The value of a column that is being filled: what writers and the backfill put into rows.

**Model.** `ColumnDesc.fill_sql` is an expression over the table's public columns: the USING of
ALTER TYPE, or a default that differs from row to row. The former follows from the row and is
computed whenever the row is written. The latter is computed once for each row: a row that has a
value keeps it. While older rows may lack it, NULL says so; a default that is NULL itself may be
tried again.

An expression that fails, or gives NULL for a NOT NULL column, fails the write: the column would
refuse the row once it is there. Only a row that was no good before may stay so where it is, without
the column: the backfill meets it, or has met it already, and the change fails.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from pgwire.errors import NotNullViolation
from pgwire.sql_error import SqlError
from sqlnode.catalog.descriptors import ColumnDesc, ColumnState, TableDesc
from sqlnode.catalog.snapshot import Catalog
from sqlnode.plan.bind import BindSession, bind_expression
from sqlnode.plan.coerce import coerce_to_column
from sqlnode.plan.env import Env, Params
from sqlnode.plan.logical import OutColumn
from sqlnode.plan.scalar import Scalar
from sqlnode.rowexec.async_calls import AsyncCalls
from sqlnode.rowexec.evals import Eval, Row
from sqlnode.rowexec.scalars import compile_scalar

if TYPE_CHECKING:
    from sqlnode.context import ExecContext
    from sqlnode.rowexec.table_codec import TableCodec

_PATH: Final = ("public",)
RowKey = Callable[[Row], bytes]


class ColumnFill:
    """Computes one column of full rows. Bound when first used."""

    def __init__(self, table: TableDesc, column: ColumnDesc) -> None:
        self.column = column
        self.position = next(n for n, c in enumerate(table.columns) if c is column)
        self._table = table
        self._calls = AsyncCalls({}, 0)
        self._value: Eval | None = None

    def bind(self, catalog: Catalog) -> Scalar:
        """Prepare; return the expression. Raises: SqlError, NotRowShape."""
        scalar = bind_fill(self._table, self.column, catalog)
        layout = {n: n for n in range(len(self._table.columns))}
        self._calls = AsyncCalls(layout, len(layout))
        self._value = compile_scalar(self._calls.take(scalar), self._calls.layout)
        return scalar

    def _lacks(self, row: Row, *, is_new: bool) -> bool:
        if self.column.replaces:
            return True
        is_wanted = is_new or self.column.state is not ColumnState.FILLED
        return is_wanted and row[self.position] is None

    async def filled(
        self, rows: Sequence[Row], ctx: "ExecContext", *, is_new: bool = False
    ) -> list[Row]:
        """Return full rows with the column where they lack it. Raises: SqlError."""
        lacking = [row for row in rows if self._lacks(row, is_new=is_new)]
        if not lacking:
            return list(rows)
        values = iter(await self._computed(lacking, ctx))
        n = self.position
        return [
            (*row[:n], next(values), *row[n + 1 :]) if self._lacks(row, is_new=is_new) else row
            for row in rows
        ]

    async def refilled(
        self, pairs: Sequence[tuple[Row, Row]], ctx: "ExecContext", row_key: RowKey
    ) -> list[tuple[Row, Row]]:
        """Return (old, new) with the new rows filled. Raises: SqlError."""
        try:
            rows = await self.filled([new for _, new in pairs], ctx)
        except SqlError:
            rows = [await self._refilled(old, new, ctx, row_key) for old, new in pairs]
        return [(old, new) for (old, _), new in zip(pairs, rows, strict=True)]

    async def _refilled(self, old: Row, new: Row, ctx: "ExecContext", row_key: RowKey) -> Row:
        try:
            return (await self.filled([new], ctx))[0]
        except SqlError:
            if row_key(old) != row_key(new) or await self._is_good(old, ctx):
                raise
        return (*new[: self.position], None, *new[self.position + 1 :])

    async def _is_good(self, row: Row, ctx: "ExecContext") -> bool:
        with suppress(SqlError):
            await self.filled([row], ctx)
            return True
        return False

    async def _computed(self, rows: Sequence[Row], ctx: "ExecContext") -> list[object]:
        if self._value is None:
            self.bind(ctx.catalog)
        value = self._value
        assert value is not None, "bind() compiles"
        extended = await self._calls.extend(rows, ctx) if self._calls else rows
        computed = [value(row, ctx) for row in extended]
        if self.column.not_null and None in computed:
            raise NotNullViolation(
                f'column "{self.column.name}" of relation "{self._table.name}" contains null '
                "values",
                table_name=self._table.name,
                column_name=self.column.name,
            )
        return computed


def bind_fill(table: TableDesc, column: ColumnDesc, catalog: Catalog) -> Scalar:
    """Bind a column's `fill_sql`, converted to its type; column ids are positions in a full row.

    Raises: SqlError.
    """
    assert column.fill_sql is not None, "only a column that is filled is computed"
    shown = tuple(
        OutColumn(n, c.name, c.type, table.id, c.attnum)
        for n, c in enumerate(table.columns)
        if not c.hidden
    )
    session = BindSession()
    bound = bind_expression(
        column.fill_sql,
        shown,
        catalog=catalog,
        search_path=_PATH,
        clause="transform expressions",
        alias=table.name,
        session=session,
    )
    env = Env(catalog, _PATH, session, Params(()))
    return coerce_to_column(env, bound, (column.name, column.type), None)


def column_fill(codec: "TableCodec") -> ColumnFill | None:
    """Return the fill of the table's column that is being filled, None without one."""
    for column in codec.table.columns:
        if column.fill_sql is not None and column.state is not ColumnState.KNOWN:
            return ColumnFill(codec.table, column)
    return None
