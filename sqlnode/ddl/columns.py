"""Columns: one definition to one descriptor, for CREATE TABLE and ADD COLUMN."""

from typing import Final

from pgwire.errors import (
    DuplicateColumn,
    FeatureNotSupported,
    InvalidTableDefinition,
    SqlSyntaxError,
)
from sqlnode.catalog.descriptors import ColumnDesc, Identity, TableDesc
from sqlnode.ddl.context import DdlContext
from sqlnode.ddl.expressions import normal_default
from sqlnode.ddl.nodes import ColumnDef
from sqlnode.ddl.sequences import create_owned_sequence, default_of_sequence
from sqlnode.types import SqlType

# In step with what kvapi/row_layout.py can store; arrays and system types are not storable.
_STORABLE: Final = frozenset(
    {16, 17, 18, 19, 20, 21, 23, 25, 26, 114, 700, 701, 1042, 1043}
    | {1082, 1083, 1114, 1184, 1186, 1700, 2950, 3802}
)
_SYSTEM_COLUMNS: Final = frozenset({"tableoid", "ctid", "xmin", "xmax", "cmin", "cmax"})


async def make_column(context: DdlContext, table: TableDesc, definition: ColumnDef) -> ColumnDesc:
    """Return the descriptor of a new column, with its sequence made if it has one.

    Raises: FeatureNotSupported for a type that cannot be stored, DuplicateColumn, SqlSyntaxError,
    and what binding the default raises.
    """
    check_storable(definition.type, definition.name)
    if definition.name in _SYSTEM_COLUMNS:
        raise DuplicateColumn(
            f'column name "{definition.name}" conflicts with a system column name'
        )
    attnum = table.next_attnum
    default_sql, sequence_id = None, 0
    if definition.serial or definition.identity is not Identity.NONE:
        if definition.default is not None:
            what = "default and identity" if definition.identity else "multiple default values"
            raise SqlSyntaxError(
                f'{what} specified for column "{definition.name}" of table "{table.name}"'
            )
        sequence_id, default_sql = await _sequence_for(context, table, definition, attnum)
    elif definition.default is not None:
        default_sql = normal_default(context, definition.default, definition.type, definition.name)
    return ColumnDesc(
        attnum,
        definition.name,
        definition.type.oid,
        definition.type.typmod,
        not_null=definition.not_null or bool(sequence_id),
        default_sql=default_sql,
        identity=definition.identity,
        sequence_id=sequence_id,
    )


async def _sequence_for(
    context: DdlContext, table: TableDesc, definition: ColumnDef, attnum: int
) -> tuple[int, str | None]:
    sequence = await create_owned_sequence(
        context, table, definition.name, definition.type, definition.identity_options, attnum
    )
    if definition.identity is not Identity.NONE:
        return sequence.id, None
    schema = next(
        schema
        for schema in context.editor.catalog.schemas.values()
        if schema.id == sequence.schema_id
    )
    return sequence.id, default_of_sequence(sequence, schema)


def check_storable(sql_type: SqlType, column_name: str) -> None:
    """Check that a column can have this type.

    Raises: FeatureNotSupported, InvalidTableDefinition.
    """
    if sql_type.info.category in ("P", "X"):
        raise InvalidTableDefinition(f'column "{column_name}" has pseudo-type {sql_type}')
    if sql_type.oid not in _STORABLE:
        raise FeatureNotSupported(f"columns of type {sql_type} are not supported yet")
