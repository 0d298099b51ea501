"""VALUES lists and UNION, INTERSECT, EXCEPT: columns matched by position, types made common.

**Source.** PostgreSQL docs, section 10.5; analyze.c transformSetOperationTree.
"""

from dataclasses import replace

from pgwire.errors import SqlSyntaxError
from sqlnode.parse.query_syntax import Query, SetCore, ValuesCore
from sqlnode.parse.syntax import SetDefault
from sqlnode.plan.bind_sort import require_equality
from sqlnode.plan.coerce import coerce_unknown
from sqlnode.plan.common_type import coerce_all, coerce_common, select_common_type
from sqlnode.plan.env import Env
from sqlnode.plan.expr import ExprContext, bind
from sqlnode.plan.logical import OutColumn, Plan, Project, SetOperation, Values
from sqlnode.plan.query_result import QueryResult, trim
from sqlnode.plan.scalar import ColumnRef, Scalar
from sqlnode.plan.scope import Scope
from sqlnode.types import UNKNOWN, SqlType


def bind_values(env: Env, core: ValuesCore, parent: Scope | None) -> QueryResult:
    """Bind VALUES; columns are named column1, column2 and so on."""
    width = len(core.rows[0])
    ctx = ExprContext(env, Scope(parent), "VALUES")
    bound: list[list[Scalar]] = []
    for row in core.rows:
        if len(row) != width:
            raise SqlSyntaxError(
                "VALUES lists must all be the same length",
                position=getattr(row[0], "position", None),
            )
        for expr in row:
            if isinstance(expr, SetDefault):
                raise SqlSyntaxError(
                    "DEFAULT is not allowed in this context", position=expr.position
                )
        bound.append([bind(ctx, expr) for expr in row])
    columns: list[OutColumn] = []
    for index in range(width):
        done, common = coerce_all(env, [row[index] for row in bound], "VALUES", core.position)
        for bound_row, scalar in zip(bound, done, strict=True):
            bound_row[index] = scalar
        columns.append(env.new_column(f"column{index + 1}", common))
    plan = Values(tuple(tuple(row) for row in bound), tuple(columns))
    return QueryResult(plan, plan.columns)


def bind_set_operation(env: Env, core: SetCore, parent: Scope | None) -> QueryResult:
    """Bind a set operation."""
    word = core.kind.upper()
    left, right = (_side(env, side, parent) for side in (core.left, core.right))
    if len(left.columns) != len(right.columns):
        raise SqlSyntaxError(
            f"each {word} query must have the same number of columns",
            position=_target_position(core.right, 0),
        )
    columns: list[OutColumn] = []
    for index, (a, b) in enumerate(zip(left.columns, right.columns, strict=True)):
        position = _target_position(core.right, index)
        common = select_common_type([a.type, b.type], word, position)
        if not (core.kind == "union" and core.all):
            require_equality(common, core.position)
        kept = a.type if a.type == b.type and a.type.oid == common.oid else common
        columns.append(env.new_column(a.name, kept))
    types = [column.type for column in columns]
    plan = SetOperation(
        core.kind,
        core.all,
        convert_columns(env, left, types, word),
        convert_columns(env, right, types, word),
        tuple(columns),
    )
    return QueryResult(plan, plan.columns)


def _target_position(query: Query, index: int) -> int | None:
    """Where a query's output column stands in the text."""
    targets = getattr(query.body, "targets", ())
    return targets[index].position if index < len(targets) else query.position or None


def _side(env: Env, query: Query, parent: Scope | None) -> QueryResult:
    from sqlnode.plan.bind_query import bind_query

    result = bind_query(env, query, parent, keep_unknown=True)
    plan = result.plan
    if isinstance(plan, Project) or all(c.type.oid != UNKNOWN.oid for c in result.columns):
        return result
    raise AssertionError("only a plain SELECT keeps untyped columns")


def convert_columns(env: Env, result: QueryResult, types: list[SqlType], word: str) -> Plan:
    """Give a query's columns these types; untyped literals are read where they stand."""
    plan = trim(result)
    plan = _type_literals(env, plan, types)
    if all(c.type.oid == t.oid for c, t in zip(plan.columns, types, strict=True)):
        return plan
    columns: list[OutColumn] = []
    scalars: list[Scalar] = []
    for column, wanted in zip(plan.columns, types, strict=True):
        ref = ColumnRef(column.id, column.type, column.name)
        scalar = coerce_common(env, ref, wanted, word)
        scalars.append(scalar)
        columns.append(column if scalar is ref else env.new_column(column.name, wanted))
    return Project(plan, tuple(columns), tuple(scalars))


def _type_literals(env: Env, plan: Plan, types: list[SqlType]) -> Plan:
    if not isinstance(plan, Project) or all(c.type.oid != UNKNOWN.oid for c in plan.columns):
        return plan
    scalars = list(plan.scalars)
    columns = list(plan.columns)
    for index, wanted in enumerate(types):
        if scalars[index].type.oid == UNKNOWN.oid:
            scalars[index] = coerce_unknown(env, scalars[index], wanted, None)
            columns[index] = replace(columns[index], type=scalars[index].type)
    return Project(plan.input, tuple(columns), tuple(scalars))
