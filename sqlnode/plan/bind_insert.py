"""INSERT: source rows converted to the columns' types, defaults, conflict arbiters, RETURNING.

**Source.** PostgreSQL, analyze.c transformInsertStmt, transformInsertRow,
transformOnConflictClause; plancat.c infer_arbiter_indexes.
"""

from dataclasses import replace

from pgwire.errors import (
    DuplicateColumn,
    FeatureNotSupported,
    GeneratedAlways,
    InvalidColumnReference,
    SqlSyntaxError,
    UndefinedObject,
)
from sqlnode.catalog.descriptors import ColumnDesc, Identity, IndexDesc, TableDesc
from sqlnode.parse.query_syntax import ConflictClause, InsertSyntax, Query, ValuesCore
from sqlnode.parse.syntax import ColumnName, Expr, SetDefault
from sqlnode.plan.bind_change import reach, returned
from sqlnode.plan.bind_cte import bind_with
from sqlnode.plan.bind_query import bind_query
from sqlnode.plan.bind_target import (
    bind_checks,
    bind_default,
    bind_returning,
    bind_sets,
    default_or_null,
    find_column,
    find_target,
    row_columns,
    row_item,
)
from sqlnode.plan.coerce import coerce_to_boolean, coerce_to_column, coerce_unknown
from sqlnode.plan.env import Env
from sqlnode.plan.expr import ExprContext, bind
from sqlnode.plan.logical import Columns, Cte, OutColumn, Plan, Project, SingleRow, Values, With
from sqlnode.plan.query_result import QueryResult, trim
from sqlnode.plan.scalar import ColumnRef, Scalar
from sqlnode.plan.scope import Scope
from sqlnode.plan.statement import Insert, OnConflict
from sqlnode.types import UNKNOWN


def bind_insert(env: Env, node: InsertSyntax) -> Insert:
    """Bind INSERT."""
    table = find_target(env, node.target, "insert into")
    parent, ctes = (None, ()) if node.with_ is None else bind_with(env, node.with_, None)
    targets = _target_columns(table, node)
    given, source = _source(env, table, node, targets, parent)
    _check_identity(node, given)
    rows = row_columns(env, table)
    alias = node.target.alias.name if node.target.alias is not None else node.target.name[-1]
    scope = Scope(parent)
    scope.add(row_item(table, rows, alias))
    returning_scope = Scope(parent)
    returning_scope.add(row_item(table, rows, alias))
    conflict = _on_conflict(env, table, node.conflict, scope, rows)
    return Insert(
        table,
        tuple(column.attnum for column in given),
        With(ctes, source) if ctes else source,
        _defaults(env, table, given),
        rows,
        bind_checks(env, table, rows),
        _with_ctes(ctes, conflict),
        returned(ctes, bind_returning(env, returning_scope, node.returning)),
        node.overriding,
    )


def _with_ctes(ctes: tuple[Cte, ...], conflict: OnConflict | None) -> OnConflict | None:
    if conflict is None or not ctes:
        return conflict
    return replace(
        conflict,
        assignments=tuple((attnum, reach(ctes, s)) for attnum, s in conflict.assignments),
        where=reach(ctes, conflict.where) if conflict.where is not None else None,
    )


def _target_columns(table: TableDesc, node: InsertSyntax) -> list[ColumnDesc]:
    if node.columns is None:
        return [column for column in table.columns if not column.hidden]
    done: list[ColumnDesc] = []
    for target in node.columns:
        column = find_column(table, target)
        if column in done:
            raise DuplicateColumn(
                f'column "{column.name}" specified more than once', position=target.position
            )
        done.append(column)
    return done


def _defaults(env: Env, table: TableDesc, given: list[ColumnDesc]) -> dict[int, Scalar]:
    """Defaults of the columns that the source does not give."""
    held = {column.attnum for column in given}
    return {
        column.attnum: default
        for column in table.columns
        if column.attnum not in held and (default := bind_default(env, column)) is not None
    }


def _check_identity(node: InsertSyntax, given: list[ColumnDesc]) -> None:
    for column in given:
        if column.identity is Identity.ALWAYS and node.overriding != "system":
            raise GeneratedAlways(
                f'cannot insert a non-DEFAULT value into column "{column.name}"',
                detail=f'Column "{column.name}" is an identity column defined as GENERATED ALWAYS.',
                hint="Use OVERRIDING SYSTEM VALUE to override.",
            )


# Source rows


def _source(
    env: Env,
    table: TableDesc,
    node: InsertSyntax,
    targets: list[ColumnDesc],
    parent: Scope | None,
) -> tuple[list[ColumnDesc], Plan]:
    if node.source is None:
        return [], SingleRow()
    body = node.source.body
    if isinstance(body, ValuesCore) and not (
        node.source.order_by or node.source.limit or node.source.offset or node.source.with_
    ):
        return _values(env, node, body, targets, parent)
    result = bind_query(env, node.source, parent, keep_unknown=True)
    given = _given(node, targets, len(result.columns), _positions(node.source))
    if node.overriding == "user":
        _refuse_user_override(given)
    return given, _convert(env, result, given)


def _positions(query: Query) -> list[int]:
    targets = getattr(query.body, "targets", ())
    return [target.position for target in targets]


def _given(
    node: InsertSyntax, targets: list[ColumnDesc], count: int, positions: list[int]
) -> list[ColumnDesc]:
    if count > len(targets):
        at = positions[len(targets)] if len(targets) < len(positions) else None
        raise SqlSyntaxError("INSERT has more expressions than target columns", position=at)
    if node.columns is not None and count < len(targets):
        raise SqlSyntaxError(
            "INSERT has more target columns than expressions",
            position=node.columns[count].position,
        )
    return targets[:count]


def _values(
    env: Env,
    node: InsertSyntax,
    body: ValuesCore,
    targets: list[ColumnDesc],
    parent: Scope | None,
) -> tuple[list[ColumnDesc], Plan]:
    width = len(body.rows[0])
    positions = [getattr(expr, "position", 0) for expr in body.rows[0]]
    given = _given(node, targets, width, positions)
    for row in body.rows:
        if len(row) != width:
            raise SqlSyntaxError(
                "VALUES lists must all be the same length",
                position=getattr(row[0], "position", None),
            )
    kept = [
        i
        for i, column in enumerate(given)
        if not all(isinstance(row[i], SetDefault) for row in body.rows)
        and not (node.overriding == "user" and column.identity is not Identity.NONE)
    ]
    given = [given[i] for i in kept]
    ctx = ExprContext(env, Scope(parent), "VALUES")
    rows = tuple(
        tuple(_value(ctx, column, row[i]) for i, column in zip(kept, given, strict=True))
        for row in body.rows
    )
    if not given:
        return _only_defaults(env, targets, len(rows))
    columns = tuple(env.new_column(column.name, column.type) for column in given)
    return given, Values(rows, columns)


def _only_defaults(
    env: Env, targets: list[ColumnDesc], row_count: int
) -> tuple[list[ColumnDesc], Plan]:
    if row_count == 1:
        return [], SingleRow()
    column = next((c for c in targets if c.identity is Identity.NONE), None)
    if column is None:
        raise FeatureNotSupported("several rows of nothing but identity defaults")
    columns = (env.new_column(column.name, column.type),)
    rows = tuple((default_or_null(env, column),) for _ in range(row_count))
    return [column], Values(rows, columns)


def _value(ctx: ExprContext, column: ColumnDesc, expr: Expr) -> Scalar:
    if isinstance(expr, SetDefault):
        return default_or_null(ctx.env, column)
    bound = bind(ctx, expr)
    position = getattr(expr, "position", None)
    return coerce_to_column(ctx.env, bound, (column.name, column.type), position)


def _refuse_user_override(given: list[ColumnDesc]) -> None:
    if any(column.identity is not Identity.NONE for column in given):
        raise FeatureNotSupported("OVERRIDING USER VALUE with a query is not supported")


def _convert(env: Env, result: QueryResult, given: list[ColumnDesc]) -> Plan:
    """Cast a query's columns for assignment."""
    plan = trim(result)
    if isinstance(plan, Project) and any(c.type.oid == UNKNOWN.oid for c in plan.columns):
        plan = _type_literals(env, plan, given)
    columns: list[OutColumn] = []
    scalars: list[Scalar] = []
    for column, desc in zip(plan.columns, given, strict=True):
        ref = ColumnRef(column.id, column.type, column.name)
        scalar = coerce_to_column(env, ref, (desc.name, desc.type), None)
        scalars.append(scalar)
        columns.append(column if scalar is ref else env.new_column(desc.name, desc.type))
    if tuple(columns) == plan.columns:
        return plan
    return Project(plan, tuple(columns), tuple(scalars))


def _type_literals(env: Env, plan: Project, given: list[ColumnDesc]) -> Project:
    scalars, columns = list(plan.scalars), list(plan.columns)
    for index, desc in enumerate(given):
        if scalars[index].type.oid == UNKNOWN.oid:
            scalars[index] = coerce_unknown(env, scalars[index], desc.type, None)
            columns[index] = replace(columns[index], type=scalars[index].type)
    return Project(plan.input, tuple(columns), tuple(scalars))


# ON CONFLICT


def _on_conflict(
    env: Env, table: TableDesc, clause: ConflictClause | None, scope: Scope, rows: Columns
) -> OnConflict | None:
    if clause is None:
        return None
    index_ids = _arbiters(table, clause)
    if clause.sets is None:
        return OnConflict(index_ids)
    if not clause.exprs and clause.constraint is None:
        raise SqlSyntaxError(
            "ON CONFLICT DO UPDATE requires inference specification or constraint name",
            hint="For example, ON CONFLICT (column_name).",
            position=clause.position,
        )
    excluded = row_columns(env, table)
    scope.add(row_item(table, excluded, "excluded"))
    scope.items[-1].table = None  # so that hints do not name it
    assignments = bind_sets(env, scope, table, clause.sets)
    where = None
    if clause.where is not None:
        bound = bind(ExprContext(env, scope, "WHERE"), clause.where)
        where = coerce_to_boolean(env, bound, "WHERE", clause.position)
    return OnConflict(index_ids, True, assignments, where, excluded)


def _arbiters(table: TableDesc, clause: ConflictClause) -> tuple[int, ...]:
    uniques = [index for index in (table.primary, *table.indexes) if index.unique or index.primary]
    if clause.constraint is not None:
        for index in uniques:
            if index.name == clause.constraint and index.constraint:
                return (index.index_id,)
        raise UndefinedObject(
            f'constraint "{clause.constraint}" for table "{table.name}" does not exist'
        )
    if not clause.exprs:
        return ()
    wanted = _arbiter_columns(table, clause)
    found = tuple(i.index_id for i in uniques if _key(i) == wanted and not _is_hidden(table, i))
    if not found:
        raise InvalidColumnReference(
            "there is no unique or exclusion constraint matching the ON CONFLICT specification"
        )
    return found


def _key(index: IndexDesc) -> set[int]:
    return {column.attnum for column in index.columns}


def _is_hidden(table: TableDesc, index: IndexDesc) -> bool:
    hidden = {column.attnum for column in table.columns if column.hidden}
    return bool(hidden & _key(index))


def _arbiter_columns(table: TableDesc, clause: ConflictClause) -> set[int]:
    wanted: set[int] = set()
    for expr in clause.exprs:
        if not isinstance(expr, ColumnName) or len(expr.parts) != 1:
            raise FeatureNotSupported(
                "expressions in ON CONFLICT are not supported",
                position=getattr(expr, "position", None),
            )
        column = table.find_column(expr.parts[0])
        if column is None:
            raise InvalidColumnReference(
                f'column "{expr.parts[0]}" does not exist',
                position=expr.position,
                sqlstate="42703",
            )
        wanted.add(column.attnum)
    return wanted
