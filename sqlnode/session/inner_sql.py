"""SQL that a DDL statement runs: same transaction, the catalog as edited so far, nothing cached."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import msgspec

from pgwire.errors import FeatureNotSupported, SqlSyntaxError
from sqlnode.catalog.descriptors import ColumnDesc, TableDesc
from sqlnode.catalog.snapshot import Catalog
from sqlnode.context import ExecContext
from sqlnode.ddl.expressions import table_columns
from sqlnode.parse.query_syntax import TableRef
from sqlnode.plan.bind import BindSession, bind_expression
from sqlnode.plan.coerce import coerce_to_column
from sqlnode.plan.env import Env, Params
from sqlnode.plan.logical import Columns
from sqlnode.plan_cache import PlanEnv
from sqlnode.planner import Plan, PlanKind, make_plan
from sqlnode.rowexec.async_calls import AsyncCalls
from sqlnode.rowexec.not_row_shape import NotRowShape
from sqlnode.rowexec.scalars import compile_row
from sqlnode.statements import read_statements


class EngineSql:
    """Implements ddl.context.InnerSql over the planner."""

    def __init__(self, context: Callable[[Catalog], ExecContext]) -> None:
        """`context` makes the surroundings of one inner statement."""
        self._context = context

    def _plan(self, sql: str, catalog: Catalog) -> tuple[Plan, Any]:
        statements = read_statements(sql, is_extended=True)
        if len(statements) != 1:
            raise SqlSyntaxError("one statement is expected")
        if statements[0].as_of is not None:
            raise FeatureNotSupported("AS OF SYSTEM TIME inside of DDL is not supported")
        context = self._context(catalog)
        env = PlanEnv(catalog, context.session.search_path, context.settings, is_shared=False)
        return make_plan(statements[0], env, ()), statements[0].tree

    def describe(self, sql: str, catalog: Catalog) -> tuple[Columns, tuple[int, ...]]:
        """Return a query's columns and the relations it names."""
        plan, tree = self._plan(sql, catalog)
        path = self._context(catalog).session.search_path
        found = {
            relation.id
            for name in _relation_names(tree)
            if (
                relation := catalog.find_relation(
                    name[-1], name[-2] if len(name) > 1 else None, path
                )
            )
            is not None
        }
        return plan.columns, tuple(sorted(found))

    async def query(self, sql: str, catalog: Catalog) -> list[tuple[Any, ...]]:
        """Return all rows of a query."""
        plan, _ = self._plan(sql, catalog)
        assert plan.kind is PlanKind.QUERY, "inner queries are queries"
        rows: list[tuple[Any, ...]] = []
        context = self._context(catalog)
        context.txn.used.add(plan.relations)
        async for batch in plan.executable.run(context):
            rows += batch
        return rows

    async def execute(self, sql: str, catalog: Catalog) -> int:
        """Run a data change; return its row count."""
        plan, _ = self._plan(sql, catalog)
        assert plan.kind is PlanKind.CHANGE, "inner changes are changes"
        context = self._context(catalog)
        context.txn.used.add(plan.relations)
        row_count, _rows = await plan.executable.run(context)
        return int(row_count)

    def row_function(
        self, expressions: Sequence[tuple[str, ColumnDesc]], table: TableDesc, catalog: Catalog
    ) -> Callable[[tuple[Any, ...]], Awaitable[tuple[Any, ...]]]:
        """Return a function from a full row to the expressions' values, cast to their columns."""
        context = self._context(catalog)
        session = BindSession(context.settings)
        columns = table_columns(table)
        shown = tuple(c for c, desc in zip(columns, table.columns, strict=True) if not desc.hidden)
        scalars = []
        for sql, column in expressions:
            bound = bind_expression(
                sql,
                shown,
                catalog=catalog,
                search_path=context.session.search_path,
                clause="transform expressions",
                alias=table.name,
                session=session,
            )
            env = Env(catalog, context.session.search_path, session, Params(()))
            scalars.append(coerce_to_column(env, bound, (column.name, column.type), None))
        layout = {column.id: n for n, column in enumerate(columns)}
        calls = AsyncCalls(layout, len(columns))
        try:
            taken = [calls.take(scalar) for scalar in scalars]
        except NotRowShape as error:
            raise FeatureNotSupported(f"{error} is not supported here") from None
        compute = compile_row(taken, calls.layout)

        async def row_values(row: tuple[Any, ...]) -> tuple[Any, ...]:
            (extended,) = await calls.extend([row], context)
            return compute(extended, context)

        return row_values


def _relation_names(tree: Any) -> Iterator[tuple[str, ...]]:
    """Yield the name of every table reference in a syntax tree, CTE names among them."""
    if isinstance(tree, TableRef):
        yield tree.name
    if isinstance(tree, msgspec.Struct):
        for name in tree.__struct_fields__:
            yield from _relation_names(getattr(tree, name))
    elif isinstance(tree, tuple):
        for item in tree:
            yield from _relation_names(item)
