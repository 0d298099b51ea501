"""A bound query as something that runs: read the tables, render, execute, stream rows back.

**Model.** `run` yields batches as the client takes them: the next batch is made only when it is
asked for, so a slow client holds back its own query and nothing else. A cancelled task, or
`ctx.cancelled()`, interrupts DuckDB.

If fixed DECIMAL arithmetic overflows before the first batch, the statement is rendered once more
with all numeric in text form, which has no limit.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pgwire.errors import QueryCanceled
from pgwire.sql_error import SqlError
from sqlnode.catalog.snapshot import Catalog
from sqlnode.plan.logical import Columns, Plan, Scan, VirtualScan
from sqlnode.plan.statement import Query
from sqlnode.vecexec.arrow_scan import TableSource
from sqlnode.vecexec.duck_errors import is_overflow, to_sql_error
from sqlnode.vecexec.engine import Engine, EngineConfig, Statement, engine
from sqlnode.vecexec.physical import Physical
from sqlnode.vecexec.plan_walk import deep_plans
from sqlnode.vecexec.render import PlanRenderer
from sqlnode.vecexec.scan_spans import narrowed_scans
from sqlnode.vecexec.select_text import Relation
from sqlnode.vecexec.udfs import UdfSet

if TYPE_CHECKING:
    from sqlnode.context import ExecContext

T = TypeVar("T")
Rows = Sequence[tuple[Any, ...]]
_CANCEL_POLL_S: Final = 0.05


@dataclass(slots=True)
class _Rendered:
    """One rendering of a statement."""

    text: str
    forms: tuple[Physical, ...]
    relations: list[Relation]
    udfs: UdfSet


class VecQuery:
    """A query for DuckDB. Immutable; each run is on its own."""

    def __init__(self, plan: Plan, columns: Columns, source: TableSource) -> None:
        self.plan = plan
        self.columns = columns
        self._source = source
        self._narrowed = narrowed_scans(plan)
        self._leaves = [leaf for leaf in deep_plans(plan) if isinstance(leaf, Scan | VirtualScan)]

    async def run(self, ctx: "ExecContext") -> AsyncIterator[Rows]:
        """Yield batches of rows as datums in the order of `columns`. Raises: SqlError."""
        duck = await asyncio.to_thread(engine, EngineConfig(memory_bytes_max=ctx.work_mem_bytes))
        sources = await self._read_leaves(ctx, duck)
        is_text_only = False
        while True:
            rendered = self._render(ctx, duck, sources, is_text_only=is_text_only)
            statement = duck.open()
            has_answered = False
            try:
                fetch = partial(statement.next_rows, rendered.forms)
                first = partial(_first_rows, statement, rendered)
                rows = await _call(ctx, statement, rendered, first)
                while rows is not None:
                    if rows:
                        has_answered = True
                        yield rows
                    rows = await _call(ctx, statement, rendered, fetch)
                return
            except _NumericOverflow as overflow:
                if has_answered or is_text_only:
                    raise overflow.error from overflow
                is_text_only = True
            finally:
                await asyncio.shield(asyncio.to_thread(statement.close))

    async def _read_leaves(self, ctx: "ExecContext", duck: Engine) -> dict[int, Relation]:
        statement_id = duck.next_id()
        relations = {}
        for number, leaf in enumerate(self._leaves):
            scanned = await self._source.read(leaf, ctx, self._narrowed.get(id(leaf)))
            names = tuple(f"a{i}" for i in range(len(scanned.forms)))
            relations[id(leaf)] = Relation(
                f"t{statement_id}_{number}", names, scanned.forms, scanned.table, scanned.shared
            )
        return relations

    def _render(
        self,
        ctx: "ExecContext",
        duck: Engine,
        sources: dict[int, Relation],
        *,
        is_text_only: bool,
    ) -> _Rendered:
        udfs = UdfSet(duck.next_id(), asyncio.get_running_loop())
        renderer = PlanRenderer(ctx, udfs, sources, is_text_only=is_text_only)
        text, forms = renderer.output(self.plan, self.columns)
        return _Rendered(text, forms, [*sources.values(), *renderer.made], udfs)


def _first_rows(statement: Statement, rendered: _Rendered) -> Rows | None:
    statement.register(rendered.relations, rendered.udfs.udfs.values())
    statement.start(rendered.text)
    return statement.next_rows(rendered.forms)


class _NumericOverflow(Exception):
    """Fixed numeric arithmetic was too narrow."""

    def __init__(self, error: SqlError) -> None:
        super().__init__(error.message)
        self.error = error


async def _call(
    ctx: "ExecContext", statement: Statement, rendered: _Rendered, work: Callable[[], T]
) -> T:
    """Run `work` on a thread; interrupt it if the statement is cancelled; translate its errors."""
    loop = asyncio.get_running_loop()
    future = loop.run_in_executor(None, work)
    was_cancelled = False
    try:
        while not future.done():
            await asyncio.wait((future,), timeout=_CANCEL_POLL_S)
            if not future.done() and ctx.cancelled():
                was_cancelled = True
                statement.interrupt()
    except asyncio.CancelledError:
        while not future.done():
            statement.interrupt()
            await asyncio.wait((future,), timeout=_CANCEL_POLL_S)
        future.exception()
        raise
    error = future.exception()
    if error is None:
        return future.result()
    if was_cancelled:
        raise QueryCanceled("canceling statement due to user request") from error
    raise _translated(error, rendered) from error


def _translated(error: BaseException, rendered: _Rendered) -> BaseException:
    if rendered.udfs.error is not None:
        return rendered.udfs.error
    if isinstance(error, SqlError):
        return error
    if is_overflow(error):
        return _NumericOverflow(to_sql_error(error))
    return to_sql_error(error)


def compile_query(
    query: Query, catalog: Catalog | None = None, *, source: TableSource | None = None
) -> VecQuery:
    """Return a bound query as an executable. Rendering waits for the parameters' values.

    Raises: nothing; what cannot be run raises FeatureNotSupported by `run`.
    """
    del catalog  # plans hold the descriptors they were bound to
    return VecQuery(query.plan, query.columns, source or TableSource())
