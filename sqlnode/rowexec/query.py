"""Queries that rowexec runs, and the promise it makes: exactly PostgreSQL's answer, or NotRowShape.

**Model.** A shape whose size the plan bounds (keys, an index prefix under LIMIT, no table at all)
runs here whatever comes. Anything else that can be run is tried with a budget of rows: small tables
never pay for vecexec. Until the budget is known to be enough no row leaves; if it is spent,
`fallback` runs the query instead. Without one only bounded shapes and index ranges are taken.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from sqlnode.catalog.snapshot import Catalog
from sqlnode.plan.logical import (
    Columns,
    Limit,
    LockRows,
    Plan,
    Project,
    Scan,
    walk_plans,
)
from sqlnode.plan.statement import Query
from sqlnode.rowexec.async_calls import AsyncCalls, has_async_call
from sqlnode.rowexec.node import (
    Batches,
    Node,
    Run,
    SingleBatch,
    TooManyRows,
    single_batch,
)
from sqlnode.rowexec.not_row_shape import NotRowShape
from sqlnode.rowexec.plan_compiler import column_refs, compile_plan
from sqlnode.rowexec.scalars import compile_row
from sqlnode.rowexec.sources import positions

if TYPE_CHECKING:
    from sqlnode.context import ExecContext

BUDGET_ROWS: Final = 1000
"""What a query of unknown size may read before vecexec takes over: a few milliseconds of Python."""

Rows = Sequence[tuple[Any, ...]]


class Executable(Protocol):
    """A compiled query."""

    def run(self, ctx: "ExecContext") -> AsyncIterator[Rows]:
        """Yield batches of rows in the order of the statement's columns."""
        ...


Fallback = Callable[[], Executable]


@dataclass(frozen=True, slots=True)
class RowQuery:
    """A query run by rowexec; `fallback` is set where the budget counts."""

    node: Node
    fallback: Fallback | None = None
    single: SingleBatch | None = None  # of plans that read by key

    async def run(self, ctx: "ExecContext") -> AsyncIterator[Rows]:
        """Yield batches of rows."""
        if self.single is not None and ctx.rows_wanted is None:
            if rows := await self.single(Run(ctx)):
                yield rows
            return
        if self.fallback is None:
            async with aclosing(self.node.batches(Run(ctx))) as batches:
                async for rows in batches:
                    if rows:
                        yield rows
            return
        try:
            found = [rows async for rows in self.node.batches(Run(ctx, BUDGET_ROWS)) if rows]
        except TooManyRows:
            found = None
        if found is not None:
            for rows in found:
                yield rows
            return
        async for batch in self.fallback().run(ctx):
            yield batch


def compile_query(bound: Query, catalog: Catalog, fallback: Fallback | None = None) -> RowQuery:
    """Compile a query. Raises: NotRowShape: ask vecexec.

    `fallback` makes vecexec's form of the same query, when it is needed.
    """
    del catalog  # plans hold the descriptors they were bound to
    node = output_node(bound.plan, bound.columns)
    if node.is_bounded or _streams(bound.plan):
        return RowQuery(node, single=single_batch(node))
    if _locks(bound.plan):
        return RowQuery(node)  # vecexec cannot lock rows
    if fallback is not None:
        return RowQuery(node, fallback)
    if node.is_full_scan and not isinstance(bound.plan, Limit):
        raise NotRowShape("full scan of a table of unknown size")
    return RowQuery(node)


def output_node(plan: Plan, columns: Columns) -> Node:
    """Compile a plan so that its rows are just `columns`, in order. Raises: NotRowShape."""
    if isinstance(plan, Project) and any(has_async_call(scalar) for scalar in plan.scalars):
        return _AsyncProject(compile_plan(plan.input).node, plan, columns)
    node = compile_plan(plan).node
    if node.layout == positions(columns):
        return node
    return _Pick(node, columns)


class _Pick:
    """Columns cut and put in order."""

    def __init__(self, source: Node, columns: Columns) -> None:
        self.is_bounded, self.is_full_scan = source.is_bounded, source.is_full_scan
        self.layout = positions(columns)
        self._source = source
        self._row = compile_row(column_refs(columns), source.layout)

    async def batches(self, run: Run, limit: int = 0) -> Batches:
        """Yield rows of just the wanted columns."""
        pick, ctx = self._row, run.ctx
        async with aclosing(self._source.batches(run, limit)) as batches:
            async for rows in batches:
                yield [pick(row, ctx) for row in rows]


class _AsyncProject:
    """SELECT nextval('s'): the topmost projection may wait."""

    def __init__(self, source: Node, plan: Project, columns: Columns) -> None:
        self.is_bounded, self.is_full_scan = source.is_bounded, source.is_full_scan
        self.layout = positions(columns)
        width = 1 + max(source.layout.values(), default=-1)
        self._calls = AsyncCalls(source.layout, width)
        scalars = [self._calls.take(scalar) for scalar in plan.scalars[: len(columns)]]
        self._row = compile_row(scalars, self._calls.layout)
        self._source = source

    async def batches(self, run: Run, limit: int = 0) -> Batches:
        """Yield computed rows."""
        async with aclosing(self._source.batches(run, limit)) as batches:
            async for rows in batches:
                extended = await self._calls.extend(rows, run.ctx)
                yield [self._row(row, run.ctx) for row in extended]


def _streams(plan: Plan) -> bool:
    """Tell whether every row read leaves as it is read: one table, no filter, no sort."""
    while isinstance(plan, Limit | Project):
        plan = plan.input
    return isinstance(plan, Scan)


def _locks(plan: Plan) -> bool:
    return any(isinstance(part, LockRows) for part in walk_plans(plan))
