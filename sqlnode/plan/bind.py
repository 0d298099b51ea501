"""The binder's entry: a parsed statement to a bound one.

**Model.** parse (sqlnode/parse) → bind (here): names, PostgreSQL types, plans → an executor.
Everything that depends on the catalog is settled here, so that a bound statement is valid for one
catalog version.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import sqlnode.functions.all
import sqlnode.plan.bind_calls
import sqlnode.plan.bind_subquery
import sqlnode.plan.bind_tests
import sqlnode.plan.bind_values  # noqa: F401 - the four register their binders
from pgwire.errors import StatementTooComplex
from sqlnode.catalog.snapshot import Catalog
from sqlnode.parse.as_of import split_as_of
from sqlnode.parse.query_syntax import DeleteSyntax, InsertSyntax, Query, UpdateSyntax
from sqlnode.plan.bind_change import bind_delete, bind_update
from sqlnode.plan.bind_insert import bind_insert
from sqlnode.plan.bind_query import bind_query
from sqlnode.plan.bind_target import parse_expression
from sqlnode.plan.coerce import coerce_to_boolean, coerce_to_column, resolve_unknown
from sqlnode.plan.env import BindSession, Env, Params
from sqlnode.plan.expr import ExprContext, bind
from sqlnode.plan.logical import Columns
from sqlnode.plan.prune import prune
from sqlnode.plan.scalar import Scalar
from sqlnode.plan.scope import Scope, ScopeColumn, ScopeItem
from sqlnode.plan.statement import Bound, BoundStatement, Delete, Insert, Update, Utility
from sqlnode.plan.statement import Query as BoundQuery
from sqlnode.types import SqlType


def bind_statement(
    tree: Any,
    *,
    text: str,
    catalog: Catalog,
    search_path: Iterable[str],
    param_types: Sequence[SqlType | None] = (),
    session: BindSession | None = None,
) -> BoundStatement:
    """Bind a parsed statement: `parse(text).tree`, or a utility node, which is passed on.

    Raises: every SqlError that PostgreSQL's parse analysis raises, with its position in `text`.
    """
    env = Env(catalog, tuple(search_path), session or BindSession(), Params(param_types))
    try:
        bound = _bind(env, tree, text)
    except RecursionError:
        raise StatementTooComplex("stack depth limit exceeded") from None
    return BoundStatement(bound, env.params.finish(), frozenset(env.relations))


def _bind(env: Env, tree: Any, text: str) -> Bound:
    if isinstance(tree, Query):
        result = bind_query(env, split_as_of(tree)[0], None)
        return BoundQuery(prune(result.plan, result.columns), result.columns)
    if isinstance(tree, InsertSyntax):
        insert = bind_insert(env, tree)
        return Insert(
            insert.table,
            insert.attnums,
            prune(insert.source, insert.source.columns),
            insert.defaults,
            insert.row_columns,
            insert.checks,
            insert.on_conflict,
            insert.returning,
            insert.overriding,
        )
    if isinstance(tree, UpdateSyntax):
        update = bind_update(env, tree)
        others = tuple(scalar for _, scalar in update.assignments)
        source = _prune_source(update, others)
        return Update(
            update.table,
            source,
            update.row_columns,
            update.assignments,
            update.checks,
            update.returning,
        )
    if isinstance(tree, DeleteSyntax):
        delete = bind_delete(env, tree)
        return Delete(delete.table, _prune_source(delete, ()), delete.row_columns, delete.returning)
    return Utility(getattr(tree, "kind", type(tree).__name__), tree, text)


def _prune_source(change: Update | Delete, others: tuple[Scalar, ...]) -> Any:
    """Prune the source; the target's columns all stay, because the executor needs whole rows."""
    returned = change.returning.scalars if change.returning is not None else ()
    return prune(change.source, change.row_columns, (*others, *returned))


def bind_expression(  # noqa: PLR0913 - the whole of what binding depends on
    sql: str,
    columns: Columns,
    *,
    catalog: Catalog,
    search_path: Iterable[str],
    wanted: SqlType | None = None,
    clause: str = "DEFAULT expressions",
    alias: str | None = None,
    session: BindSession | None = None,
) -> Scalar:
    """Bind an expression that stands alone: a default, a CHECK, an index predicate.

    wanted: convert for assignment to that type; boolean conditions give BOOL. Positions count in
    `sql`. Raises: every SqlError of binding; parameters are refused as undefined.
    """
    env = Env(catalog, tuple(search_path), session or BindSession(), Params(()))
    scope = Scope()
    scope.add(ScopeItem(alias, [ScopeColumn.of(column) for column in columns]))
    bound = bind(ExprContext(env, scope, clause), parse_expression(sql))
    if wanted is None:
        return resolve_unknown(env, bound)
    if wanted.name == "bool":
        what = "CHECK" if clause == "check constraints" else clause
        return coerce_to_boolean(env, bound, what, None)
    return coerce_to_column(env, bound, (columns[0].name if columns else "", wanted), None)


__all__ = ["BindSession", "bind_expression", "bind_statement"]
