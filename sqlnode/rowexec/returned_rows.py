"""RETURNING of UPDATE and DELETE: what the statement says of the rows it changes."""

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

from sqlnode.catalog.snapshot import Catalog
from sqlnode.plan.statement import Returning
from sqlnode.rowexec.dml_source import SourceCompiler
from sqlnode.rowexec.evals import Row
from sqlnode.rowexec.scalars import compile_row
from sqlnode.rowexec.subquery_values import Computed, SubqueryValues
from sqlnode.rowexec.targets import Targets

if TYPE_CHECKING:
    from sqlnode.context import ExecContext


class ReturnedRows:
    """A compiled RETURNING clause, or the lack of one."""

    def __init__(
        self,
        returning: Returning | None,
        layout: dict[int, int],
        catalog: Catalog,
        compiler: SourceCompiler,
    ) -> None:
        width = 1 + max(layout.values(), default=-1)
        self.subqueries = SubqueryValues(layout, width, catalog, compiler)
        self.compute = None
        if returning is not None:
            scalars = [self.subqueries.take(scalar) for scalar in returning.scalars]
            self.compute = compile_row(scalars, self.subqueries.layout)

    async def begin(self, ctx: "ExecContext") -> "Returned":
        """Begin one execution, before anything is written."""
        return Returned(self, await self.subqueries.begin(ctx) if self.subqueries else None)


class Returned:
    """One execution: the rows to return so far."""

    def __init__(self, clause: ReturnedRows, computed: Computed | None) -> None:
        self._clause = clause
        self._computed = computed
        self.wanted = clause.compute is not None
        self.rows: list[tuple[Any, ...]] = []

    async def batches(self, targets: Targets, ctx: "ExecContext") -> AsyncIterator[Sequence[Row]]:
        """Yield the rows to change; all at once if a subquery looks at them.

        Its answer for the last row must not depend on what was written for the first.
        """
        if not self._clause.subqueries.by_row:
            async for rows in targets.batches(ctx):
                yield rows
            return
        everything = [row async for rows in targets.batches(ctx) for row in rows]
        if everything:
            yield everything

    async def add(self, rows: Sequence[Row], ctx: "ExecContext") -> None:
        """Take rows as they will be (of DELETE: were). Called before they are written."""
        if self._computed is not None:
            rows = await self._computed.extend(rows, ctx)
        compute = self._clause.compute
        assert compute is not None, "called only if rows are wanted"
        self.rows += [compute(row, ctx) for row in rows]
