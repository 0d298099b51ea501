"""UPDATE and DELETE: rows of the target joined with FROM or USING, then assignments and RETURNING.

**Source.** PostgreSQL, analyze.c transformUpdateStmt, transformDeleteStmt.
"""

from pgwire.errors import DuplicateAlias, FeatureNotSupported
from sqlnode.catalog.descriptors import TableDesc
from sqlnode.parse.query_syntax import DeleteSyntax, FromItem, TableRef, UpdateSyntax, WithClause
from sqlnode.parse.syntax import Expr
from sqlnode.plan.bind_cte import bind_with
from sqlnode.plan.bind_from import bind_from_item
from sqlnode.plan.bind_target import (
    bind_checks,
    bind_returning,
    bind_sets,
    find_target,
    row_columns,
    row_item,
)
from sqlnode.plan.coerce import coerce_to_boolean
from sqlnode.plan.env import Env
from sqlnode.plan.expr import ExprContext, bind
from sqlnode.plan.logical import Columns, Cte, CteScan, Filter, Join, Plan, Scan, With
from sqlnode.plan.rewrite import every_node, referenced_ids
from sqlnode.plan.scope import Scope, check_aliases
from sqlnode.plan.statement import Delete, Update


def bind_update(env: Env, node: UpdateSyntax) -> Update:
    """Bind UPDATE."""
    table = find_target(env, node.target, "update")
    scope, ctes = _outer(env, node.with_)
    columns, plan = _source(env, scope, table, node.target, node.from_)
    assignments = bind_sets(env, scope, table, node.sets)
    plan = _filtered(env, scope, plan, node.where)
    checks = bind_checks(env, table, columns)
    returning = bind_returning(env, scope, node.returning)
    _refuse_ctes_above(ctes, [scalar for _, scalar in assignments])
    _refuse_ctes_above(ctes, list(returning.scalars) if returning else [])
    return Update(table, _with(ctes, plan), columns, assignments, checks, returning)


def bind_delete(env: Env, node: DeleteSyntax) -> Delete:
    """Bind DELETE."""
    table = find_target(env, node.target, "delete from")
    scope, ctes = _outer(env, node.with_)
    columns, plan = _source(env, scope, table, node.target, node.using)
    plan = _filtered(env, scope, plan, node.where)
    returning = bind_returning(env, scope, node.returning)
    _refuse_ctes_above(ctes, list(returning.scalars) if returning else [])
    return Delete(table, _with(ctes, plan), columns, returning)


def _outer(env: Env, clause: WithClause | None) -> tuple[Scope, tuple[Cte, ...]]:
    if clause is None:
        return Scope(), ()
    scope, ctes = bind_with(env, clause, None)
    return Scope(scope), ctes


def _with(ctes: tuple[Cte, ...], plan: Plan) -> Plan:
    return With(ctes, plan) if ctes else plan


def _refuse_ctes_above(ctes: tuple[Cte, ...], scalars: list[object]) -> None:
    """SET and RETURNING are computed outside the source plan, where its CTEs are out of reach."""
    if ctes and any(type(node) is CteScan for s in scalars for node in every_node(s)):
        raise FeatureNotSupported("a WITH query in SET or RETURNING is not supported")


def _source(
    env: Env, scope: Scope, table: TableDesc, target: TableRef, others: tuple[FromItem, ...]
) -> tuple[Columns, Plan]:
    alias = target.alias.name if target.alias is not None else target.name[-1]
    columns = row_columns(env, table)
    scope.add(row_item(table, columns, alias))
    plan: Plan = Scan(table, columns, alias)
    for item in others:
        before = set(scope.ids)
        result = bind_from_item(env, scope, item)
        scope.star.extend(result.star)
        lateral = result.lateral and not before.isdisjoint(referenced_ids(result.plan))
        plan = Join("cross", plan, result.plan, None, lateral)
    try:
        check_aliases(scope.items)
    except DuplicateAlias as error:
        error.position = target.position
        raise
    return columns, plan


def _filtered(env: Env, scope: Scope, plan: Plan, where: Expr | None) -> Plan:
    if where is None:
        return plan
    bound = bind(ExprContext(env, scope, "WHERE"), where)
    position = getattr(where, "position", None)
    return Filter(plan, coerce_to_boolean(env, bound, "WHERE", position))
