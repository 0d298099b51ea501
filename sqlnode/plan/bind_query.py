"""Queries: WITH around a SELECT, VALUES or set operation, and ORDER BY, LIMIT, locking after it.

**Source.** PostgreSQL, analyze.c transformSetOperationStmt, transformValuesClause; parse_cte.c.
"""

from pgwire.errors import (
    FeatureNotSupported,
    InvalidColumnReference,
    SqlSyntaxError,
    UndefinedColumn,
    UndefinedTable,
)
from pgwire.sql_error import SqlError
from sqlnode.parse.query_syntax import Locking, Query, SelectCore, SetCore, ValuesCore
from sqlnode.parse.syntax import ColumnName, Expr, Literal, SortItem
from sqlnode.plan.bind_cte import bind_with
from sqlnode.plan.bind_select import bind_select
from sqlnode.plan.bind_set import bind_set_operation, bind_values
from sqlnode.plan.bind_sort import bind_sort_item
from sqlnode.plan.coerce import coerce_to_bigint
from sqlnode.plan.env import Env
from sqlnode.plan.expr import ExprContext, bind
from sqlnode.plan.logical import (
    Aggregation,
    Filter,
    Limit,
    LockRows,
    Plan,
    Project,
    ProjectSet,
    Scan,
    Sort,
    Window,
    With,
    walk_plans,
)
from sqlnode.plan.query_result import QueryResult, trim
from sqlnode.plan.rewrite import referenced_ids
from sqlnode.plan.scalar import ColumnRef, Const, Scalar, SortKey
from sqlnode.plan.scope import Scope


def bind_query(
    env: Env, query: Query, parent: Scope | None, *, keep_unknown: bool = False
) -> QueryResult:
    """Bind a query. Its result may have hidden sort columns; see query_result.trim."""
    if query.with_ is None:
        return _bind_body(env, query, parent, keep_unknown=keep_unknown)
    scope, ctes = bind_with(env, query.with_, parent)
    result = _bind_body(env, query, scope, keep_unknown=keep_unknown)
    return QueryResult(With(ctes, result.plan), result.columns)


def _bind_body(env: Env, query: Query, scope: Scope | None, *, keep_unknown: bool) -> QueryResult:
    body = query.body
    if isinstance(body, SelectCore):
        tail = query.order_by or query.limit or query.offset or query.locking or query.with_
        keep = keep_unknown and not tail
        result = bind_select(env, body, query.order_by, scope, keep_unknown=keep)
    else:
        if isinstance(body, ValuesCore):
            result = bind_values(env, body, scope)
        else:
            result = bind_set_operation(env, body, scope)
        result = _sorted(env, query, result, scope)
    plan = _locked(query, result.plan)
    plan = _limited(env, query, plan, scope)
    return QueryResult(plan, result.columns)


def _sorted(env: Env, query: Query, result: QueryResult, scope: Scope | None) -> QueryResult:
    """ORDER BY of VALUES and set operations: only output names and positions."""
    if not query.order_by:
        return result
    plan = trim(result)
    keys = []
    for item in query.order_by:
        scalar = _output(query, item, result)
        inner = Scope(scope)
        keys.append(bind_sort_item(ExprContext(env, inner, "ORDER BY"), item, scalar))
    return QueryResult(Sort(plan, tuple(keys)), result.columns)


def _output(query: Query, item: SortItem, result: QueryResult) -> Scalar:
    expr = item.expr
    columns = result.columns
    if isinstance(expr, Literal):
        if expr.kind != "integer":
            raise SqlSyntaxError("non-integer constant in ORDER BY", position=expr.position)
        index = int(expr.value)
        if not 1 <= index <= len(columns):
            raise InvalidColumnReference(
                f"ORDER BY position {index} is not in select list", position=expr.position
            )
        column = columns[index - 1]
        return ColumnRef(column.id, column.type, column.name)
    if isinstance(expr, ColumnName) and len(expr.parts) == 1:
        for column in columns:
            if column.name == expr.parts[0]:
                return ColumnRef(column.id, column.type, column.name)
        raise UndefinedColumn(f'column "{expr.parts[0]}" does not exist', position=expr.position)
    what = "UNION/INTERSECT/EXCEPT" if isinstance(query.body, SetCore) else "VALUES"
    raise FeatureNotSupported(
        f"invalid {what} ORDER BY clause",
        detail="Only result column names can be used, not expressions or functions.",
        hint="Add the expression/function to every SELECT, or move the UNION into a FROM clause.",
        position=item.position,
    )


def _limited(env: Env, query: Query, plan: Plan, scope: Scope | None) -> Plan:
    if query.limit is None and query.offset is None:
        return plan
    count = _row_count(env, query.limit, "LIMIT", scope, plan)
    offset = _row_count(env, query.offset, "OFFSET", scope, plan)
    ties: tuple[SortKey, ...] = ()
    if query.with_ties:
        if not isinstance(plan, Sort):
            raise SqlSyntaxError("WITH TIES cannot be specified without ORDER BY clause")
        ties = plan.keys
    return Limit(plan, count, offset, ties)


def _of_from_clause(error: UndefinedColumn, plan: Plan, clause: str) -> SqlError:
    """Say that a column of FROM cannot be the row count; leave other errors as they are."""
    names = (column.name for part in walk_plans(plan) for column in part.columns)
    if not any(error.message.startswith((f'column "{n}" ', f"column {n} ")) for n in names):
        return error
    return InvalidColumnReference(
        f"argument of {clause} must not contain variables", position=error.position
    )


def _row_count(
    env: Env, expr: Expr | None, clause: str, scope: Scope | None, plan: Plan
) -> Scalar | None:
    if expr is None:
        return None
    try:
        bound = bind(ExprContext(env, Scope(scope), clause), expr)
    except UndefinedColumn as error:
        raise _of_from_clause(error, plan, clause) from None
    if referenced_ids(bound) & (scope.ids if scope is not None else set()):
        raise InvalidColumnReference(f"argument of {clause} must not contain variables")
    if isinstance(bound, Const) and bound.value is None:
        return None
    return coerce_to_bigint(env, bound, clause, getattr(expr, "position", None))


# FOR UPDATE


def _locked(query: Query, plan: Plan) -> Plan:
    for clause in query.locking:
        _check_lockable(query, clause, plan)
        aliases = {p.alias for p in walk_plans(plan) if isinstance(p, Scan)}
        for table in clause.tables:
            if table not in aliases:
                raise UndefinedTable(
                    f'relation "{table}" in FOR {clause.strength.upper()} clause not found in '
                    "FROM clause",
                    position=clause.position,
                )
        plan = LockRows(plan, clause.strength, clause.wait, clause.tables)
    return plan


def _computed(plan: Plan) -> str | None:
    """Return what makes the rows of a SELECT something else than table rows."""
    while isinstance(plan, Project | Sort | Filter | LockRows):
        plan = plan.input
    if isinstance(plan, Aggregation):
        return "aggregate functions"
    if isinstance(plan, Window):
        return "window functions"
    return "set-returning functions in the target list" if isinstance(plan, ProjectSet) else None


def _check_lockable(query: Query, clause: Locking, plan: Plan) -> None:
    body = query.body
    reason = None
    if isinstance(body, SetCore):
        reason = "UNION/INTERSECT/EXCEPT"
    elif isinstance(body, ValuesCore):
        raise FeatureNotSupported(
            f"FOR {clause.strength.upper()} cannot be applied to VALUES", position=clause.position
        )
    elif body.distinct is not None:
        reason = "DISTINCT clause"
    elif body.group_by:
        reason = "GROUP BY clause"
    elif body.having is not None:
        reason = "HAVING clause"
    else:
        reason = _computed(plan)
    if reason is not None:
        raise FeatureNotSupported(f"FOR {clause.strength.upper()} is not allowed with {reason}")
