"""ALTER COLUMN … TYPE: the rows are written anew; checks and foreign keys must still make sense."""

import msgspec

from pgwire.errors import FeatureNotSupported
from sqlnode.catalog.descriptors import CheckDesc, ColumnDesc, LayoutDesc, TableDesc
from sqlnode.ddl.columns import check_storable
from sqlnode.ddl.constraints import check_fk_types
from sqlnode.ddl.context import DdlContext, quote_identifier
from sqlnode.ddl.expressions import normal_check, normal_default
from sqlnode.ddl.names import require_column
from sqlnode.ddl.nodes import SetType
from sqlnode.ddl.rewrite import recompute


def with_replaced(table: TableDesc, column: ColumnDesc) -> TableDesc:
    """Return the table with the column of that attnum replaced."""
    columns = tuple(column if c.attnum == column.attnum else c for c in table.columns)
    return msgspec.structs.replace(table, columns=columns)


async def set_type(context: DdlContext, table: TableDesc, action: SetType) -> None:
    """Change a column's type and rewrite the rows. Raises: SqlError where something forbids it."""
    column = require_column(table, action.name)
    check_storable(action.type, column.name)
    if column.sequence_id and action.type.info.category != "N":
        raise FeatureNotSupported(f"changing a serial column to {action.type} is not supported")
    changed = msgspec.structs.replace(
        column, type_oid=action.type.oid, typmod=action.type.typmod, missing=None
    )
    if column.default_sql is not None and not column.sequence_id:
        default_sql = normal_default(context, column.default_sql, action.type, column.name)
        changed = msgspec.structs.replace(changed, default_sql=default_sql)
    expression = action.using or quote_identifier(column.name)
    if action.using is None:
        expression = f"CAST({expression} AS {action.type})"
    shape = with_replaced(table, changed)
    shape = msgspec.structs.replace(shape, checks=_rebound_checks(context, shape, column.attnum))
    _check_keys(context, shape, column.attnum)
    fresh = msgspec.structs.replace(
        shape, layouts=(LayoutDesc(1, tuple(c.attnum for c in shape.columns)),), dropped_columns=()
    )
    await recompute(context, table, fresh, {column.attnum: expression})


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
