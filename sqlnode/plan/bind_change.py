"""UPDATE and DELETE: rows of the target joined with FROM or USING, then assignments and RETURNING.

**Source.** PostgreSQL, analyze.c transformUpdateStmt, transformDeleteStmt.
"""

from dataclasses import replace
from typing import Any

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
from sqlnode.plan.rewrite import every_node, referenced_ids, rewrite
from sqlnode.plan.scalar import Call, Scalar
from sqlnode.plan.scope import Scope, check_aliases
from sqlnode.plan.statement import Delete, Returning, Update


def bind_update(env: Env, node: UpdateSyntax) -> Update:
    """Bind UPDATE."""
    table = find_target(env, node.target, "update")
    scope, ctes = _outer(env, node.with_)
    columns, plan = _source(env, scope, table, node.target, node.from_)
    assignments = bind_sets(env, scope, table, node.sets)
    plan = _filtered(env, scope, plan, node.where)
    checks = bind_checks(env, table, columns)
    returning = bind_returning(env, scope, node.returning)
    assignments = tuple((attnum, reach(ctes, scalar)) for attnum, scalar in assignments)
    return Update(table, _with(ctes, plan), columns, assignments, checks, returned(ctes, returning))


def bind_delete(env: Env, node: DeleteSyntax) -> Delete:
    """Bind DELETE."""
    table = find_target(env, node.target, "delete from")
    scope, ctes = _outer(env, node.with_)
    columns, plan = _source(env, scope, table, node.target, node.using)
    plan = _filtered(env, scope, plan, node.where)
    returning = bind_returning(env, scope, node.returning)
    return Delete(table, _with(ctes, plan), columns, returned(ctes, returning))


def _outer(env: Env, clause: WithClause | None) -> tuple[Scope, tuple[Cte, ...]]:
    if clause is None:
        return Scope(), ()
    scope, ctes = bind_with(env, clause, None)
    return Scope(scope), ctes


def _with(ctes: tuple[Cte, ...], plan: Plan) -> Plan:
    return With(ctes, plan) if ctes else plan


def reach(ctes: tuple[Cte, ...], scalar: Scalar) -> Scalar:
    """Give the subqueries of SET and RETURNING the CTEs, which are else only in the source plan.

    Raises: FeatureNotSupported where a CTE computed twice could differ.
    """

    def change(node: Any) -> Any:
        plan = getattr(node, "plan", None)
        if plan is None or not any(type(inner) is CteScan for inner in every_node(plan)):
            return None
        if any(
            isinstance(inner, Call) and inner.function.volatility == "v"
            for cte in ctes
            for inner in every_node(cte.plan)
        ):
            raise FeatureNotSupported(
                "a WITH query with volatile functions in SET or RETURNING is not supported"
            )
        return replace(node, plan=With(ctes, plan))

    reached: Scalar = rewrite(scalar, change) if ctes else scalar
    return reached


def returned(ctes: tuple[Cte, ...], returning: Returning | None) -> Returning | None:
    """Give RETURNING the CTEs."""
    if returning is None or not ctes:
        return returning
    return Returning(returning.columns, tuple(reach(ctes, s) for s in returning.scalars))


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
