"""What INSERT, UPDATE and DELETE share: the target table, checks, SET lists, RETURNING.

**Source.** PostgreSQL, parse_clause.c setTargetTable; analyze.c transformUpdateTargetList,
transformReturningList.
"""

from collections.abc import Sequence

from pgwire.errors import (
    DuplicateColumn,
    GeneratedAlways,
    InsufficientPrivilege,
    ObjectNotInPrerequisiteState,
    SqlError,
    SqlSyntaxError,
    UndefinedColumn,
    WrongObjectType,
)
from sqlnode.catalog.descriptors import ColumnDesc, Identity, TableDesc, ViewDesc
from sqlnode.catalog.virtual import find_virtual
from sqlnode.parse.dml import DmlParser
from sqlnode.parse.query_syntax import ColumnTarget, SetClause, TableRef, Target
from sqlnode.parse.syntax import Expr, QueryColumn, RowOf, ScalarQuery, SetDefault
from sqlnode.plan.bind_from import no_relation
from sqlnode.plan.bind_targets import bind_targets, out_column
from sqlnode.plan.coerce import coerce_to_boolean, coerce_to_column, resolve_unknown
from sqlnode.plan.env import Env
from sqlnode.plan.expr import ExprContext, bind
from sqlnode.plan.logical import Columns
from sqlnode.plan.scalar import Const, Scalar
from sqlnode.plan.scope import Scope, ScopeColumn, ScopeItem
from sqlnode.plan.statement import Returning


def find_target(env: Env, ref: TableRef, action: str) -> TableDesc:
    """Return the table a statement changes; action is insert into, update, delete from.

    Raises: UndefinedTable, ObjectNotInPrerequisiteState for views, InsufficientPrivilege for
    system tables.
    """
    name, schema = ref.name[-1], ref.name[-2] if len(ref.name) > 1 else None
    if find_virtual(name, schema, env.search_path) is not None:
        raise InsufficientPrivilege(f"permission denied for table {name}")
    relation = env.catalog.find_relation(name, schema, env.search_path)
    if isinstance(relation, TableDesc):
        env.relations.add(relation.id)
        return relation
    if isinstance(relation, ViewDesc):
        raise ObjectNotInPrerequisiteState(
            f'cannot {action} view "{name}"',
            detail="Changing the rows of views is not supported.",
        )
    if relation is None:
        raise no_relation(ref)
    raise WrongObjectType(f'cannot change sequence "{name}"')


def row_columns(env: Env, table: TableDesc) -> Columns:
    """Make columns for a whole row of the table, hidden ones included."""
    return tuple(env.new_column(c.name, c.type, table.id, c.attnum) for c in table.columns)


def row_item(table: TableDesc, columns: Columns, alias: str) -> ScopeItem:
    """Make the scope item of a row."""
    shown = [
        ScopeColumn.of(column)
        for column, desc in zip(columns, table.columns, strict=True)
        if not desc.hidden
    ]
    item = ScopeItem(alias, shown, table=table)
    item.system, item.relation_oid = ("tableoid",), table.id
    return item


def find_column(table: TableDesc, target: ColumnTarget) -> ColumnDesc:
    """Return the column a SET or INSERT list names. Raises: UndefinedColumn."""
    found = table.find_column(target.name)
    if found is None:
        raise UndefinedColumn(
            f'column "{target.name}" of relation "{table.name}" does not exist',
            position=target.position,
        )
    return found


def parse_expression(sql: str) -> Expr:
    """Parse an expression that the catalog keeps as text."""
    parser = DmlParser(sql)
    expr = parser.expression()
    parser.expect_end()
    return expr


def bind_default(env: Env, column: ColumnDesc) -> Scalar | None:
    """Bind a column's default, converted to its type; None where it has none."""
    sql = column.default_sql
    if sql is None and column.identity is not Identity.NONE:
        sql = f"nextval('{column.sequence_id}'::regclass)"
    if sql is None:
        return None
    ctx = ExprContext(env, Scope(), "DEFAULT expressions")
    try:
        scalar = bind(ctx, parse_expression(sql))
        return coerce_to_column(env, scalar, (column.name, column.type), None)
    except SqlError as error:
        error.position = None  # it counts in the default's text, not in the statement's
        raise


def bind_checks(env: Env, table: TableDesc, columns: Columns) -> tuple[tuple[str, Scalar], ...]:
    """Bind the CHECK constraints over a row."""
    if not table.checks:
        return ()
    scope = Scope()
    scope.add(row_item(table, columns, table.name))
    ctx = ExprContext(env, scope, "check constraints")
    done = []
    for check in table.checks:
        scalar = bind(ctx, parse_expression(check.sql))
        done.append((check.name, coerce_to_boolean(env, scalar, "CHECK", None)))
    return tuple(done)


def bind_returning(env: Env, scope: Scope, targets: Sequence[Target]) -> Returning | None:
    """Bind RETURNING."""
    if not targets:
        return None
    entries = bind_targets(ExprContext(env, scope, "RETURNING"), tuple(targets))
    for entry in entries:
        entry.scalar = resolve_unknown(env, entry.scalar, entry.position)
    columns = tuple(out_column(env, entry) for entry in entries)
    return Returning(columns, tuple(entry.scalar for entry in entries))


def bind_sets(
    env: Env, scope: Scope, table: TableDesc, clauses: Sequence[SetClause]
) -> tuple[tuple[int, Scalar], ...]:
    """Bind SET. Raises: SqlSyntaxError for a column set twice, GeneratedAlways."""
    done: dict[int, Scalar] = {}
    ctx = ExprContext(env, scope, "UPDATE")
    for clause in clauses:
        for target, expr in _pairs(clause):
            column = find_column(table, target)
            if column.attnum in done:
                raise DuplicateColumn(
                    f'multiple assignments to same column "{column.name}"',
                    sqlstate="42601",
                )
            done[column.attnum] = _assigned(ctx, column, expr)
    return tuple(done.items())


def _pairs(clause: SetClause) -> list[tuple[ColumnTarget, Expr]]:
    if not clause.is_row:
        return [(clause.columns[0], clause.value)]
    value = clause.value
    if isinstance(value, ScalarQuery):
        count = len(clause.columns)
        return [
            (column, QueryColumn(value.query, index, count, value.position))
            for index, column in enumerate(clause.columns)
        ]
    if not isinstance(value, RowOf):
        raise SqlSyntaxError(
            "source for a multiple-column UPDATE item must be a sub-SELECT or ROW() expression",
            position=clause.position,
            sqlstate="0A000",
        )
    if len(value.items) != len(clause.columns):
        raise SqlSyntaxError(
            "number of columns does not match number of values", position=value.position
        )
    return list(zip(clause.columns, value.items, strict=True))


def _assigned(ctx: ExprContext, column: ColumnDesc, expr: Expr) -> Scalar:
    if isinstance(expr, SetDefault):
        return default_or_null(ctx.env, column)
    if column.identity is Identity.ALWAYS:
        raise GeneratedAlways(
            f'column "{column.name}" can only be updated to DEFAULT',
            detail=f'Column "{column.name}" is an identity column defined as GENERATED ALWAYS.',
        )
    bound = bind(ctx, expr)
    return coerce_to_column(
        ctx.env, bound, (column.name, column.type), getattr(expr, "position", None)
    )


def default_or_null(env: Env, column: ColumnDesc) -> Scalar:
    """Return what DEFAULT means for a column."""
    return bind_default(env, column) or Const(None, column.type)
