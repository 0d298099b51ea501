"""Operators that begin a plan: tables, VALUES, one empty row, set-returning functions, catalogs."""

from collections.abc import Iterable, Sequence
from contextlib import aclosing
from itertools import islice
from typing import Any

from sqlnode.catalog.virtual import VIRTUAL
from sqlnode.plan.logical import Columns, FunctionScan, Scan, Values, VirtualScan
from sqlnode.plan.scalar import Scalar, SortKey
from sqlnode.rowexec.access_path import choose_path
from sqlnode.rowexec.async_calls import AsyncCalls
from sqlnode.rowexec.conditions import conjunction
from sqlnode.rowexec.evals import Eval
from sqlnode.rowexec.node import BATCH_ROWS, Batches, Run
from sqlnode.rowexec.not_row_shape import NotRowShape
from sqlnode.rowexec.scalars import compile_row, compile_scalar
from sqlnode.rowexec.table_codec import codec_of
from sqlnode.rowexec.table_reads import TableReader


def positions(columns: Columns) -> dict[int, int]:
    """Return the layout of a row that has just these columns."""
    return {column.id: n for n, column in enumerate(columns)}


class TableScan:
    """The rows of one table that meet a condition, through the best index."""

    def __init__(
        self, scan: Scan, condition: Sequence[Scalar], order: Sequence[SortKey], *, has_limit: bool
    ) -> None:
        self.layout = positions(scan.columns)
        self.path = choose_path(scan, condition, order, has_limit=has_limit)
        decode = codec_of(scan.table).reader([c.attnum for c in scan.columns]).decode
        self.reader = TableReader(self.path, decode, {})
        residual = conjunction(self.path.residual)
        self.filter: Eval | None = None
        if residual is not None:
            self.filter = compile_scalar(residual, self.layout)
        self.is_bounded = self.path.is_point
        self.is_full_scan = self.path.is_full_scan
        self.is_ordered = self.path.is_ordered
        self.single = self._point if self.path.is_point else None

    async def batches(self, run: Run, limit: int = 0) -> Batches:
        """Yield matching rows."""
        keep, ctx = self.filter, run.ctx
        if self.path.is_point:
            yield await self._point(run)
            return
        async with aclosing(self.reader.scan((), run, 0 if keep else limit)) as found:
            async for rows in found:
                yield rows if keep is None else [r for r in rows if keep(r, ctx) is True]

    async def _point(self, run: Run) -> list[Any]:
        """Return the rows of a point path."""
        rows = await self.reader.rows_of(self.reader.terms.keys((), run.ctx), run)
        if (keep := self.filter) is not None:
            rows = [row for row in rows if keep(row, run.ctx) is True]
        return rows


class ValuesRows:
    """VALUES, and the one empty row of a SELECT without FROM."""

    is_bounded = True
    is_full_scan = False

    def __init__(self, plan: Values | None) -> None:
        self.layout = positions(plan.columns) if plan else {}
        self._calls = AsyncCalls({}, 0)  # of all rows: INSERT … VALUES (nextval('s')), …
        rows = [[self._calls.take(item) for item in row] for row in plan.rows] if plan else [[]]
        self._rows = [compile_row(row, self._calls.layout) for row in rows]

    async def batches(self, run: Run, limit: int = 0) -> Batches:
        """Yield the rows."""
        results: Sequence[Any] = ()
        if self._calls:
            (results,) = await self._calls.extend([()], run.ctx)
        for start in range(0, len(self._rows), BATCH_ROWS):
            yield [row(results, run.ctx) for row in self._rows[start : start + BATCH_ROWS]]


class FunctionRows:
    """A set-returning (or scalar) function in FROM."""

    is_full_scan = False

    def __init__(self, plan: FunctionScan) -> None:
        function = plan.function
        if function.python is None or function.is_async:
            raise NotRowShape(f"function {function.name} in FROM")
        self._plan = plan
        self.is_bounded = not function.returns_set
        self._args = compile_row(plan.args, {})
        self._width = len(plan.columns) - plan.with_ordinality
        self.layout = positions(plan.columns)

    async def batches(self, run: Run, limit: int = 0) -> Batches:
        """Yield the function's rows."""
        number = 0
        rows = iter(self._rows(run))
        while batch := list(islice(rows, BATCH_ROWS)):
            if self._plan.with_ordinality:
                batch = [(*row, number + n) for n, row in enumerate(batch, 1)]
                number += len(batch)
            run.spend(len(batch))
            yield batch

    def _rows(self, run: Run) -> Iterable[tuple[Any, ...]]:
        function, datums = self._plan.function, self._args((), run.ctx)
        assert function.python is not None, "checked when compiled"
        if function.strict and None in datums:
            return () if function.returns_set else ((None,) * self._width,)
        result = function.python(*((run.ctx,) if function.needs_context else ()), *datums)
        items = result if function.returns_set else (result,)
        if self._width == 1 and not function.out_types:
            return ((item,) for item in items)
        return (tuple(item) if isinstance(item, tuple) else (item,) for item in items)


class VirtualRows:
    """A relation of the system."""

    is_bounded = True
    is_full_scan = False

    def __init__(self, plan: VirtualScan) -> None:
        self.layout = positions(plan.columns)
        self._relation = VIRTUAL[plan.relation]
        self._positions = [column.attnum - 1 for column in plan.columns]

    async def batches(self, run: Run, limit: int = 0) -> Batches:
        """Yield the relation's rows as the statement's catalog has them."""
        rows = await self._relation.rows(run.ctx.catalog, run.ctx)
        wanted = self._positions
        yield [tuple([row[n] for n in wanted]) for row in rows]
