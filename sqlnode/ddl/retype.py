"""ALTER COLUMN … TYPE: at once where the stored values stay, by a job where it can be, else anew.

**Model.** A job (jobs/fill_column.py) fills a hidden column computed from the old one. It takes an
expression which depends on the row alone, and a column that no key, index or constraint names;
otherwise the rows are written anew in the statement's transaction. Checks and foreign keys must
still make sense with the new type, and its values must meet them.
"""

from typing import Final

import msgspec

from pgwire.errors import DatatypeMismatch, FeatureNotSupported, InvalidParameterValue
from sqlnode.catalog.descriptors import CheckDesc, ColumnDesc, TableDesc
from sqlnode.ddl.column_change import begin_fill_column, is_constrained, is_index_column
from sqlnode.ddl.columns import check_storable
from sqlnode.ddl.constraints import check_fk_types
from sqlnode.ddl.context import DdlContext, quote_identifier
from sqlnode.ddl.expressions import normal_check, normal_default, normal_transform
from sqlnode.ddl.names import require_column
from sqlnode.ddl.nodes import SetType
from sqlnode.ddl.rewrite import recompute
from sqlnode.ddl.row_checks import require_met
from sqlnode.ddl.same_bytes import keeps_bytes
from sqlnode.functions.registry import CastContext
from sqlnode.plan.coerce import can_coerce
from sqlnode.types import INT2, INT4, INT8, format_type

_IDENTITY_TYPES: Final = frozenset({INT2.oid, INT4.oid, INT8.oid})


def with_replaced(table: TableDesc, column: ColumnDesc) -> TableDesc:
    """Return the table with the column of that attnum replaced."""
    columns = tuple(column if c.attnum == column.attnum else c for c in table.columns)
    return msgspec.structs.replace(table, columns=columns)


async def set_type(context: DdlContext, table: TableDesc, action: SetType) -> None:
    """Change a column's type. Raises: SqlError where something forbids it."""
    column = require_column(table, action.name)
    check_storable(action.type, column.name)
    if column.attnum in context.recomputed:
        raise FeatureNotSupported(f'cannot alter type of column "{column.name}" twice')
    if column.identity and action.type.oid not in _IDENTITY_TYPES:
        raise InvalidParameterValue("identity column type must be smallint, integer, or bigint")
    if column.sequence_id and action.type.info.category != "N":
        raise FeatureNotSupported(f"changing a serial column to {action.type} is not supported")
    expression = _expression(context, table, column, action)
    changed = msgspec.structs.replace(column, type_oid=action.type.oid, typmod=action.type.typmod)
    changed = msgspec.structs.replace(changed, default_sql=_default(context, column, action))
    shape = with_replaced(table, changed)
    shape = msgspec.structs.replace(shape, checks=_rebound_checks(context, shape, column.attnum))
    _check_keys(context, shape, column.attnum)
    if action.using is None and keeps_bytes(column.type, action.type):
        context.editor.put(shape)
        return
    is_named = is_index_column(table, column.attnum) or is_constrained(table, column.attnum)
    if not is_named and await begin_fill_column(
        context, table, _new_form(table, changed, expression)
    ):
        return
    fresh = with_replaced(shape, msgspec.structs.replace(changed, missing=None))
    await recompute(context, table, fresh, {column.attnum: expression})
    context.recomputed.add(column.attnum)


async def require_constraints(context: DdlContext, table: TableDesc) -> None:
    """Look whether recomputed columns meet what is known to be valid. Raises: violations.

    After all actions: one of them may have dropped a constraint.
    """
    attnums = context.recomputed
    for part in table.row_constraints:
        if part.validated and not attnums.isdisjoint(part.columns):
            await require_met(context, table, part)
    for child in context.editor.catalog.referencing.get(table.id, ()):
        for key in child.foreign_keys:
            is_target = key.target_table_id == table.id
            if is_target and key.validated and not attnums.isdisjoint(key.target_columns):
                await require_met(context, child, key)


def _expression(context: DdlContext, table: TableDesc, column: ColumnDesc, action: SetType) -> str:
    """Return what the new value is computed from. Raises: DatatypeMismatch, …."""
    if action.using is not None:
        sql, source, reads = normal_transform(context, table, action.using)
        if reads & context.recomputed:
            raise FeatureNotSupported(
                "USING with a column whose type the same ALTER TABLE changes is not supported"
            )
        if not can_coerce(source, action.type, CastContext.ASSIGNMENT):
            raise DatatypeMismatch(
                f'result of USING clause for column "{column.name}" cannot be cast automatically '
                f"to type {format_type(action.type.bare)}",
                hint="You might need to add an explicit cast.",
            )
        return sql
    if not can_coerce(column.type, action.type, CastContext.ASSIGNMENT):
        wanted = format_type(action.type)
        raise DatatypeMismatch(
            f'column "{column.name}" cannot be cast automatically to type '
            f"{format_type(action.type.bare)}",
            hint=f'You might need to specify "USING {column.name}::{wanted}".',
        )
    return quote_identifier(column.name)


def _default(context: DdlContext, column: ColumnDesc, action: SetType) -> str | None:
    """Return the default for the new type. Raises: DatatypeMismatch, …."""
    if column.default_sql is None or column.sequence_id:
        return column.default_sql
    try:
        return normal_default(context, column.default_sql, action.type, column.name)
    except DatatypeMismatch:
        raise DatatypeMismatch(
            f'default for column "{column.name}" cannot be cast automatically to type '
            f"{format_type(action.type.bare)}"
        ) from None


def _new_form(table: TableDesc, changed: ColumnDesc, expression: str) -> ColumnDesc:
    return ColumnDesc(
        table.next_attnum,
        changed.name,
        changed.type_oid,
        changed.typmod,
        not_null=changed.not_null,
        default_sql=changed.default_sql,
        fill_sql=expression,
        replaces=changed.attnum,
    )


def _rebound_checks(context: DdlContext, shape: TableDesc, attnum: int) -> tuple[CheckDesc, ...]:
    """Return the checks with those on a column bound to its new type. Raises: SqlError."""
    return tuple(
        msgspec.structs.replace(check, sql=normal_check(context, shape, check.sql)[0])
        if attnum in check.columns
        else check
        for check in shape.checks
    )


def _check_keys(context: DdlContext, shape: TableDesc, attnum: int) -> None:
    """Require that foreign keys over a column can live with its new type."""
    catalog = context.editor.catalog
    for child in {shape.id: shape} | {c.id: c for c in catalog.referencing.get(shape.id, ())}:
        table = shape if child == shape.id else context.table(child)
        for key in table.foreign_keys:
            is_target = key.target_table_id == shape.id
            if (table is shape and attnum in key.columns) or (
                is_target and attnum in key.target_columns
            ):
                target = shape if is_target else context.table(key.target_table_id)
                check_fk_types(table, key.columns, target, key.target_columns, key.name)
