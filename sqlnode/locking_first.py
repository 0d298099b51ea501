"""Statements whose parts lock rows where neither executor could: in subqueries, FROM and WITH.

    update jobs set state = 'running'
    where id = (select id from jobs where state = 'new' limit 1 for update skip locked)

**Model.** Each part with FOR UPDATE (or SHARE, …) that does not look at rows outside it runs first,
once, by rowexec; its rows then stand in the statement as constants, and what is left is compiled
like any other statement. So the job above is changed by its key. A part's own subqueries are
computed before it in the same way. PostgreSQL runs such a part when it first needs a row of it;
that it locks nothing if no row is needed is a difference nobody should rely on.

Source: PostgreSQL docs, SELECT, "The Locking Clause".
"""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pgwire.errors import CardinalityViolation, FeatureNotSupported
from sqlnode.catalog.snapshot import Catalog
from sqlnode.plan.logical import (
    Columns,
    CteScan,
    Limit,
    LockRows,
    Plan,
    Project,
    Sort,
    Values,
    With,
    inputs,
    scalars,
    walk_plans,
)
from sqlnode.plan.rewrite import every_node, referenced_ids, rewrite
from sqlnode.plan.scalar import Const, Exists, InList, Scalar, ScalarSubquery, SubqueryAnyAll
from sqlnode.plan.statement import Delete, Insert, Query, Update
from sqlnode.rowexec.conditions import SUBQUERIES, comparison_symbol
from sqlnode.rowexec.not_row_shape import NotRowShape
from sqlnode.rowexec.query import Executable, compile_query

if TYPE_CHECKING:
    from sqlnode.context import ExecContext

ROWS_MAX: Final = 100_000
"""What one locking part may return into its statement, in whose plan the rows stand."""

_CHAIN: Final = (Project, Sort, Limit)
Change = Insert | Update | Delete
Rows = Sequence[tuple[Any, ...]]


def locks_inside(bound: Query | Change) -> bool:
    """Tell whether a part of the statement locks rows by a FOR clause."""
    root = bound.plan if isinstance(bound, Query) else bound.source
    return _locks((root, getattr(bound, "assignments", ())))


class LockingQuery:
    """A query of which parts lock rows first."""

    def __init__(self, bound: Query, catalog: Catalog, compile_rows: "CompileRows") -> None:
        self._bound = bound
        self._parts = _Parts(catalog, compile_rows)

    async def run(self, ctx: "ExecContext") -> AsyncIterator[Rows]:
        """Yield batches of rows."""
        executable = await self._parts.settle_query(self._bound, ctx)
        async for rows in executable.run(ctx):
            yield rows


class LockingChange:
    """An INSERT, UPDATE or DELETE of which parts lock rows first."""

    def __init__(
        self,
        bound: Change,
        catalog: Catalog,
        compile_rows: "CompileRows",
        compile_change: Callable[[Change], Any],
    ) -> None:
        self._bound = bound
        self._parts = _Parts(catalog, compile_rows)
        self._compile_change = compile_change

    async def run(self, ctx: "ExecContext") -> tuple[int, list[tuple[Any, ...]]]:
        """Return (row count, RETURNING rows)."""
        bound, settle = self._bound, self._parts.settle
        changes: dict[str, Any] = {"source": await settle(bound.source, ctx)}
        if isinstance(bound, Update):
            changes["assignments"] = tuple(
                [(attnum, await settle(scalar, ctx)) for attnum, scalar in bound.assignments]
            )
        done: tuple[int, list[tuple[Any, ...]]] = await self._compile_change(
            replace(bound, **changes)
        ).run(ctx)
        return done


CompileRows = Callable[[Query, Catalog], Executable]


class _Parts:
    """Runs parts of statements; `compile_rows` compiles what locks nothing."""

    def __init__(self, catalog: Catalog, compile_rows: CompileRows) -> None:
        self._catalog = catalog
        self._compile_rows = compile_rows

    async def settle_query(self, bound: Query, ctx: "ExecContext") -> Executable:
        """Compile a query after its parts have run. Raises: FeatureNotSupported."""
        if not _is_locking_chain(bound.plan):
            plan = await self.settle(bound.plan, ctx)
            return self._compile_rows(replace(bound, plan=plan), self._catalog)
        plan = await self._replaced(bound.plan, list(_subqueries(bound.plan)), ctx)
        try:
            return compile_query(replace(bound, plan=plan), self._catalog)
        except NotRowShape:
            locking = next(part for part in walk_plans(plan) if isinstance(part, LockRows))
            raise FeatureNotSupported(
                f"FOR {locking.strength.upper()} is not supported in this query"
            ) from None

    async def settle(self, node: Any, ctx: "ExecContext") -> Any:
        """Return a plan or scalar in which no part locks rows any more."""
        return await self._replaced(node, list(_locking_parts(node)), ctx)

    async def _replaced(self, node: Any, parts: list[Any], ctx: "ExecContext") -> Any:
        settled = {}
        for part in parts:
            if _looks_outside(part):
                raise FeatureNotSupported(
                    "a locking clause in a subquery that refers to the outer query is not supported"
                )
            settled[id(part)] = await self._computed(part, ctx)
        if not settled:
            return node
        return rewrite(rewrite(node, lambda part: settled.get(id(part))), _without_known_ctes)

    async def _computed(self, part: Any, ctx: "ExecContext") -> Any:
        if not isinstance(part, SUBQUERIES):
            return await self._values(part, ctx)
        values = await self._values(part.plan, ctx)
        match part:
            case ScalarSubquery():
                if len(values.rows) > 1:
                    raise CardinalityViolation(
                        "more than one row returned by a subquery used as an expression"
                    )
                return values.rows[0][0] if values.rows else Const(None, part.type)
            case Exists():
                return Const(bool(values.rows), part.type)
            case SubqueryAnyAll(args=(arg,), functions=(equals,), is_all=False) if (
                values.rows and comparison_symbol(equals) == "="
            ):
                return InList(arg, tuple(row[0] for row in values.rows), equals)
        return replace(part, plan=values)

    async def _values(self, plan: Plan, ctx: "ExecContext") -> Values:
        columns: Columns = plan.columns
        ctx = replace(ctx, rows_wanted=None if ctx.rows_wanted is None else 0)
        executable = await self.settle_query(Query(plan, columns), ctx)
        found: list[tuple[Scalar, ...]] = []
        async for rows in executable.run(ctx):
            found += [
                tuple([Const(d, c.type) for d, c in zip(row, columns, strict=True)]) for row in rows
            ]
            if len(found) > ROWS_MAX:
                raise FeatureNotSupported(
                    f"a subquery with a locking clause of more than {ROWS_MAX} rows"
                    " is not supported"
                )
        return Values(tuple(found), columns)


def _without_known_ctes(node: Any) -> Any:
    """Return the body of a WITH whose rows are all known, with the rows in it; else None."""
    if not isinstance(node, With):
        return None
    known = {cte.cte_id: cte.plan for cte in node.ctes if isinstance(cte.plan, Values)}
    if len(known) < len(node.ctes) or any(cte.recursive is not None for cte in node.ctes):
        return None

    def rows(part: Any) -> Any:
        if isinstance(part, CteScan) and part.cte_id in known:
            width = len(part.columns)
            return Values(tuple(row[:width] for row in known[part.cte_id].rows), part.columns)
        return None

    return rewrite(node.input, rows)


def _locks(parts: Any) -> bool:
    if isinstance(parts, tuple):
        return any(_locks(part) for part in parts)
    if isinstance(parts, int):
        return False
    return any(isinstance(node, LockRows) for node in every_node(parts))


def _is_locking_chain(plan: Plan) -> bool:
    """Tell whether a plan is what one SELECT with a locking clause computes."""
    while isinstance(plan, _CHAIN):
        plan = plan.input
    return isinstance(plan, LockRows)


def _locking_parts(node: Any) -> Iterator[Any]:
    """Yield the outermost parts with a locking clause: subqueries, and plans below others."""
    if not _locks(node):
        return
    if isinstance(node, SUBQUERIES):
        yield node
    elif hasattr(node, "columns"):  # a plan
        if _is_locking_chain(node):
            yield node
            return
        for child in inputs(node):
            yield from _locking_parts(child)
        for scalar in scalars(node):
            yield from _locking_parts_of_scalar(scalar)
    else:
        yield from _locking_parts_of_scalar(node)


def _locking_parts_of_scalar(scalar: Any) -> Iterator[Any]:
    for part in _outermost_subqueries(scalar):
        yield from _locking_parts(part)


def _subqueries(plan: Plan) -> Iterator[Any]:
    """Yield the outermost subqueries in the scalars of a plan that look at nothing outside."""
    for part in walk_plans(plan):
        for scalar in scalars(part):
            for found in _outermost_subqueries(scalar):
                if not _looks_outside(found) or _locks(found):
                    yield found


def _outermost_subqueries(scalar: Any) -> list[Any]:
    found: list[Any] = []

    def noted(node: Any) -> Any:
        if isinstance(node, SUBQUERIES):
            found.append(node)
            return node
        return None

    rewrite(scalar, noted)
    return found


def _looks_outside(part: Any) -> bool:
    """Tell whether a part names columns that it does not make itself."""
    plan = part.plan if isinstance(part, SUBQUERIES) else part
    made = {c.id for node in every_node(plan) for c in getattr(node, "columns", ())}
    return not referenced_ids(plan) <= made
