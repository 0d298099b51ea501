"""WITH: common table expressions, recursive ones included.

**Source.** PostgreSQL, parse_cte.c transformWithClause, analyzeCTE.
"""

from pgwire.errors import (
    DatatypeMismatch,
    DuplicateAlias,
    FeatureNotSupported,
    InvalidColumnReference,
    InvalidRecursion,
)
from sqlnode.parse.query_syntax import CommonTable, Query, SetCore, WithClause
from sqlnode.plan.bind_from import CteBinding
from sqlnode.plan.bind_set import convert_columns
from sqlnode.plan.env import Env
from sqlnode.plan.logical import Cte
from sqlnode.plan.query_result import QueryResult, trim
from sqlnode.plan.scope import Scope
from sqlnode.types import SqlType, format_type


def bind_with(env: Env, clause: WithClause, parent: Scope | None) -> tuple[Scope, tuple[Cte, ...]]:
    """Bind the items; return a scope that knows their names, and their definitions."""
    scope = Scope(parent)
    ctes: list[Cte] = []
    for item in clause.items:
        if item.name in scope.ctes:
            raise DuplicateAlias(
                f'WITH query name "{item.name}" specified more than once', position=item.position
            )
        ctes.append(_bind_item(env, item, scope, recursive=clause.recursive))
    return scope, tuple(ctes)


def _bind_item(env: Env, item: CommonTable, scope: Scope, *, recursive: bool) -> Cte:
    assert isinstance(item.query, Query), "the parser refuses data changes in WITH"
    if recursive and _mentions(item.query, item.name):
        return _recursive(env, item, item.query, scope)
    from sqlnode.plan.bind_query import bind_query

    result = bind_query(env, item.query, scope)
    cte_id = env.new_cte_id()
    scope.ctes[item.name] = CteBinding(cte_id, _columns(item, result))
    return Cte(cte_id, item.name, trim(result), materialized=item.materialized)


def _columns(item: CommonTable, result: QueryResult) -> tuple[tuple[str, SqlType], ...]:
    if len(item.columns) > len(result.columns):
        raise InvalidColumnReference(
            f'WITH query "{item.name}" has {len(result.columns)} columns available but '
            f"{len(item.columns)} columns specified",
            position=item.position,
        )
    names = [*item.columns, *(c.name for c in result.columns[len(item.columns) :])]
    return tuple((n, c.type) for n, c in zip(names, result.columns, strict=True))


def _mentions(query: Query, name: str) -> bool:
    """Whether a table reference of that bare name stands anywhere in the query."""
    return f"TableRef(name=({name!r},)" in repr(query)


def _recursive(env: Env, item: CommonTable, query: Query, scope: Scope) -> Cte:
    from sqlnode.plan.bind_query import bind_query

    body = query.body
    if not isinstance(body, SetCore) or body.kind != "union":
        raise InvalidRecursion(
            f'recursive query "{item.name}" does not have the form non-recursive-term UNION [ALL] '
            "recursive-term",
            position=item.position,
        )
    if query.order_by or query.limit is not None or query.offset is not None or query.with_:
        raise FeatureNotSupported(
            "ORDER BY, LIMIT or WITH around a recursive query is not supported",
            position=item.position,
        )
    if _mentions(body.left, item.name):
        raise InvalidRecursion(
            f'recursive reference to query "{item.name}" must not appear within its '
            "non-recursive term",
            position=item.position,
        )
    start = bind_query(env, body.left, scope)
    cte_id = env.new_cte_id()
    columns = _columns(item, start)
    scope.ctes[item.name] = CteBinding(cte_id, columns)
    step = bind_query(env, body.right, scope, keep_unknown=True)
    _check_types(item, start, step)
    types = [type_ for _, type_ in columns]
    plan = convert_columns(env, step, types, "UNION")
    return Cte(cte_id, item.name, trim(start), plan, body.all, item.materialized)


def _check_types(item: CommonTable, start: QueryResult, step: QueryResult) -> None:
    from sqlnode.plan.common_type import select_common_type

    if len(start.columns) != len(step.columns):
        raise InvalidRecursion(
            "each UNION query must have the same number of columns",
            position=item.position,
            sqlstate="42601",
        )
    assert isinstance(item.query, Query), "checked by the caller"
    first = item.query.body.left if isinstance(item.query.body, SetCore) else item.query
    targets = getattr(first.body, "targets", ())
    for index, (a, b) in enumerate(zip(start.columns, step.columns, strict=True), 1):
        overall = select_common_type([a.type, b.type], "UNION", item.position)
        if overall.oid != a.type.oid:
            raise DatatypeMismatch(
                f'recursive query "{item.name}" column {index} has type '
                f"{format_type(a.type)} in non-recursive term but type {format_type(overall)} "
                "overall",
                hint="Cast the output of the non-recursive term to the correct type.",
                position=targets[index - 1].position if index <= len(targets) else None,
            )
