"""CREATE VIEW and CREATE SCHEMA."""

import msgspec

from pgwire.errors import (
    DuplicateColumn,
    DuplicateSchema,
    DuplicateTable,
    InvalidTableDefinition,
    ObjectInUse,
    ReservedName,
    SqlSyntaxError,
    WrongObjectType,
)
from sqlnode.catalog.descriptors import (
    ColumnDesc,
    ColumnState,
    Descriptor,
    SchemaDesc,
    TableDesc,
    ViewDesc,
)
from sqlnode.catalog.virtual import SYSTEM_SCHEMAS
from sqlnode.ddl.context import DdlContext
from sqlnode.ddl.names import creation_schema, relation_names
from sqlnode.ddl.nodes import CreateSchema, CreateView
from sqlnode.types import TEXT, UNKNOWN


async def create_view(context: DdlContext, node: CreateView) -> None:
    """CREATE [OR REPLACE] VIEW. Raises: DuplicateTable, InvalidTableDefinition."""
    catalog = context.editor.catalog
    schema = creation_schema(catalog, node.name, context.search_path)
    existing = catalog.relations.get((schema.id, node.name.name))
    if existing is None and node.name.name in relation_names(catalog, schema.id):
        raise DuplicateTable(f'relation "{node.name.name}" already exists')
    if existing is not None and not node.or_replace:
        raise DuplicateTable(f'relation "{node.name.name}" already exists')
    if existing is not None and not isinstance(existing, ViewDesc):
        raise WrongObjectType(f'"{node.name.name}" is not a view')
    columns, depends_on = _columns(context, node)
    for id_ in depends_on:
        _require_types(catalog.by_id[id_])
    widths = tuple((id_, _width(catalog.by_id[id_])) for id_ in depends_on)
    if isinstance(existing, ViewDesc):
        context.editor.require_owner(existing, context.user)
        _check_replacement(existing, columns)
        context.editor.put(
            msgspec.structs.replace(
                existing,
                sql=node.query,
                columns=columns,
                depends_on=depends_on,
                widths=widths,
            )
        )
        return
    context.editor.put(
        ViewDesc(
            await context.editor.allocate_id(),
            schema.id,
            node.name.name,
            context.user,
            node.query,
            columns,
            depends_on,
            widths,
        )
    )


def _require_types(relation: Descriptor) -> None:
    """Require that the types a view records stay. Raises: ObjectInUse."""
    if isinstance(relation, TableDesc) and any(c.replaces for c in relation.columns):
        raise ObjectInUse(
            f'cannot create a view on table "{relation.name}" because a column of it is being '
            "altered",
            hint="Wait for the job that SHOW JOBS reports.",
        )


def _width(relation: Descriptor) -> int:
    match relation:
        case TableDesc():
            is_growing = any(
                c.is_unseen and c.state is not ColumnState.DROPPING for c in relation.columns
            )
            return relation.next_attnum - is_growing
        case ViewDesc():
            return len(relation.columns) + 1
    return 1


def _columns(
    context: DdlContext, node: CreateView
) -> tuple[tuple[ColumnDesc, ...], tuple[int, ...]]:
    with context.reading(node.query):
        described, depends_on = context.inner.describe(node.query, context.editor.catalog)
    if len(node.column_names) > len(described):
        raise SqlSyntaxError("CREATE VIEW specifies more column names than columns")
    names = list(node.column_names) + [c.name for c in described[len(node.column_names) :]]
    for name in names:
        if names.count(name) > 1:
            raise DuplicateColumn(f'column "{name}" specified more than once')
    columns = tuple(
        ColumnDesc(
            number,
            name,
            TEXT.oid if column.type == UNKNOWN else column.type.oid,
            column.type.typmod,
        )
        for number, (name, column) in enumerate(zip(names, described, strict=True), start=1)
    )
    return columns, depends_on


def _check_replacement(existing: ViewDesc, columns: tuple[ColumnDesc, ...]) -> None:
    if len(columns) < len(existing.columns):
        raise InvalidTableDefinition("cannot drop columns from view")
    for old, new in zip(existing.columns, columns, strict=False):
        if old.name != new.name:
            raise InvalidTableDefinition(
                f'cannot change name of view column "{old.name}" to "{new.name}"',
                hint="Use ALTER VIEW ... RENAME COLUMN ... to change name of view column instead.",
            )
        if old.type != new.type:
            raise InvalidTableDefinition(
                f'cannot change data type of view column "{old.name}" from {old.type} to {new.type}'
            )


async def create_schema(context: DdlContext, node: CreateSchema) -> None:
    """CREATE SCHEMA. Raises: DuplicateSchema, ReservedName."""
    if node.name.startswith("pg_"):
        raise ReservedName(
            f'unacceptable schema name "{node.name}"',
            detail='The prefix "pg_" is reserved for system schemas.',
        )
    if node.name in context.editor.catalog.schemas or node.name in SYSTEM_SCHEMAS:
        if not node.if_not_exists:
            raise DuplicateSchema(f'schema "{node.name}" already exists')
        context.notice(f'schema "{node.name}" already exists, skipping')
        return
    context.editor.put(SchemaDesc(await context.editor.allocate_id(), node.name, context.user))
