"""ALTER TABLE and the RENAMEs: one action after the other on the descriptor as it stands."""

import msgspec

from pgwire.errors import (
    DependentObjectsStillExist,
    DuplicateColumn,
    DuplicateObject,
    DuplicateSchema,
    DuplicateTable,
    FeatureNotSupported,
    UndefinedColumn,
    UndefinedTable,
)
from sqlnode.catalog.descriptors import (
    ColumnDesc,
    Relation,
    SchemaDesc,
    SequenceDesc,
    TableDesc,
    ViewDesc,
)
from sqlnode.ddl.column_change import (
    begin_add_column,
    begin_drop_column,
    begin_fill_column,
    next_layout,
    require_settled,
    with_column,
)
from sqlnode.ddl.columns import make_column
from sqlnode.ddl.constraints import (
    add_constraint,
    begin_not_null,
    drop_constraint,
    drop_references,
    set_not_null,
    validate_constraint,
)
from sqlnode.ddl.context import DdlContext
from sqlnode.ddl.expressions import (
    constant_default_text,
    normal_default,
    renamed_column,
)
from sqlnode.ddl.names import (
    constraint_names,
    find_index,
    find_relation,
    find_schema,
    find_table,
    relation_names,
    require_column,
    undefined_constraint,
    visible_indexes,
)
from sqlnode.ddl.nodes import (
    Action,
    AddColumn,
    AddConstraint,
    AlterTable,
    DropColumn,
    DropConstraint,
    Rename,
    SetDefault,
    SetNotNull,
    SetOwner,
    SetSchema,
    SetType,
    ValidateConstraint,
)
from sqlnode.ddl.retype import require_constraints, set_type, with_replaced
from sqlnode.ddl.rewrite import drop_primary_key, recompute
from sqlnode.ddl.row_checks import require_no_nulls
from sqlnode.ddl.sequences import owned_sequences, rename_default


async def alter_table(context: DdlContext, node: AlterTable) -> None:
    """ALTER TABLE. Raises: UndefinedTable and what each action raises."""
    if find_relation(context.editor.catalog, node.name, context.search_path) is None:
        if node.if_exists:
            context.notice(f'relation "{node.name}" does not exist, skipping')
            return
        raise UndefinedTable(f'relation "{node.name}" does not exist', position=node.name.position)
    table = find_table(context.editor.catalog, node.name, context.search_path)
    context.editor.require_owner(table, context.user)
    require_settled(table)
    for action in node.actions:
        await _act(context, context.table(table.id), action)
    if context.recomputed:
        await require_constraints(context, context.table(table.id))


async def _act(context: DdlContext, table: TableDesc, action: Action) -> None:
    match action:
        case AddColumn():
            await _add_column(context, table, action)
        case DropColumn():
            await _drop_column(context, table, action)
        case SetDefault():
            _set_default(context, table, action)
        case SetNotNull():
            await _set_not_null(context, table, action)
        case SetType():
            _check_views(
                context, table, "cannot alter type of a column used by a view or rule", "0A000"
            )
            await set_type(context, table, action)
        case AddConstraint():
            await add_constraint(context, table.id, action.constraint, is_empty=False)
        case DropConstraint():
            await drop_constraint(
                context, table, action.name, if_exists=action.if_exists, cascade=action.cascade
            )
        case ValidateConstraint():
            await validate_constraint(context, table, action.name)
        case SetOwner():
            _set_owner(context, table, action.owner)
        case SetSchema():
            _set_schema(context, table, action.schema)


async def _set_not_null(context: DdlContext, table: TableDesc, action: SetNotNull) -> None:
    if action.not_null:
        column = require_column(table, action.name)
        if await begin_not_null(context, table, column):
            return
        await require_no_nulls(context, table, column.name)
    context.editor.put(set_not_null(table, action.name, action.not_null))


async def _add_column(context: DdlContext, table: TableDesc, action: AddColumn) -> None:
    definition = action.column
    if table.find_column(definition.name) is not None:
        if not action.if_not_exists:
            raise DuplicateColumn(
                f'column "{definition.name}" of relation "{table.name}" already exists'
            )
        context.notice(
            f'column "{definition.name}" of relation "{table.name}" already exists, skipping'
        )
        return
    column = await make_column(context, table, definition)
    missing = None
    needs_rewrite = bool(column.sequence_id)
    if column.default_sql is not None and not needs_rewrite:
        missing = constant_default_text(context, column)
        needs_rewrite = missing is None
    added = msgspec.structs.replace(column, missing=missing)
    if needs_rewrite and not definition.constraints:
        filled = msgspec.structs.replace(column, fill_sql=_default_of(column))
        if await begin_fill_column(context, table, filled):
            return
    if not needs_rewrite and await begin_add_column(context, table, added, definition):
        return
    grown = with_column(table, added)
    if needs_rewrite:
        await recompute(context, table, grown, {column.attnum: _default_of(column)})
    else:
        context.editor.put(grown)
    if column.not_null and missing is None and not needs_rewrite:
        await require_no_nulls(context, context.table(table.id), column.name)
    for constraint in definition.constraints:
        await add_constraint(context, table.id, constraint, is_empty=False)


def _default_of(column: ColumnDesc) -> str:
    if column.sequence_id:
        return f"nextval({column.sequence_id}::regclass)"
    assert column.default_sql is not None, "the caller checked"
    return column.default_sql


async def _drop_column(context: DdlContext, table: TableDesc, action: DropColumn) -> None:
    if (column := table.find_column(action.name)) is None:
        message = f'column "{action.name}" of relation "{table.name}" does not exist'
        if not action.if_exists:
            raise UndefinedColumn(message)
        context.notice(f"{message}, skipping")
        return
    _check_views(context, table, f"cannot drop column {column.name} of table {table.name}")
    if await begin_drop_column(context, table, column):
        return
    for index in visible_indexes(table):
        if index.unique and any(part.attnum == column.attnum for part in index.columns):
            drop_references(context, table, index, cascade=action.cascade)
    table = context.table(table.id)
    if table.primary.primary and any(c.attnum == column.attnum for c in table.primary.columns):
        await drop_primary_key(context, table)
        table = context.table(table.id)
    owned = [s for s in owned_sequences(context, table) if s.owned_by == (table.id, column.attnum)]
    columns = tuple(c for c in table.columns if c.attnum != column.attnum)
    context.editor.put(
        msgspec.structs.replace(
            table,
            columns=columns,
            layouts=(*table.layouts, next_layout(table, columns)),
            dropped_columns=(*table.dropped_columns, column),
            indexes=tuple(i for i in table.indexes if not _has(i.columns, column.attnum)),
            building=tuple(i for i in table.building if not _has(i.columns, column.attnum)),
            checks=tuple(c for c in table.checks if column.attnum not in c.columns),
            foreign_keys=tuple(k for k in table.foreign_keys if column.attnum not in k.columns),
        )
    )
    if owned:
        context.editor.remove(*owned)


def _has(parts: tuple[object, ...], attnum: int) -> bool:
    return any(getattr(part, "attnum", None) == attnum for part in parts)


def _check_views(context: DdlContext, table: TableDesc, what: str, sqlstate: str = "") -> None:
    """Refuse to change a column under a view; views record tables, so any view of it counts."""
    for view in context.editor.catalog.by_id.values():
        if isinstance(view, ViewDesc) and table.id in view.depends_on:
            raise DependentObjectsStillExist(
                what if sqlstate else f"{what} because other objects depend on it",
                detail=f"view {view.name} depends on table {table.name}",
                hint=f"Drop view {view.name} first, and create it again afterwards.",
                sqlstate=sqlstate or None,
            )


def _set_default(context: DdlContext, table: TableDesc, action: SetDefault) -> None:
    column = require_column(table, action.name)
    default_sql = None
    if action.default is not None:
        default_sql = normal_default(context, action.default, column.type, column.name)
    if column.identity:
        raise FeatureNotSupported(
            f'column "{column.name}" of relation "{table.name}" is an identity column',
            sqlstate="42601",
        )
    # A SERIAL column's sequence stays owned by it, only the default no longer draws from it.
    changed = msgspec.structs.replace(column, default_sql=default_sql, sequence_id=0)
    context.editor.put(with_replaced(table, changed))


def _set_owner(context: DdlContext, table: TableDesc, owner: str) -> None:
    if not any(role.name == owner for role in context.editor.catalog.roles):
        raise UndefinedTable(f'role "{owner}" does not exist', sqlstate="42704")
    context.editor.put(msgspec.structs.replace(table, owner=owner))


def _set_schema(context: DdlContext, table: TableDesc, schema_name: str) -> None:
    schema = find_schema(context.editor.catalog, schema_name)
    _require_no_views(context, table)
    if table.name in relation_names(context.editor.catalog, schema.id):
        raise DuplicateTable(f'relation "{table.name}" already exists in schema "{schema_name}"')
    moved = [
        msgspec.structs.replace(sequence, schema_id=schema.id)
        for sequence in owned_sequences(context, table)
    ]
    changed = msgspec.structs.replace(table, schema_id=schema.id)
    for sequence in moved:
        changed = rename_default(changed, sequence, schema)
    context.editor.put(changed, *moved)


async def rename(context: DdlContext, node: Rename) -> None:
    """ALTER … RENAME TO. Raises: UndefinedTable, DuplicateTable, DuplicateColumn and more."""
    match node.kind:
        case "schema":
            _rename_schema(context, node)
        case "index":
            _rename_index(context, node)
        case _:
            relation = find_relation(context.editor.catalog, node.name, context.search_path)
            if relation is None:
                if not node.if_exists:
                    raise UndefinedTable(f'relation "{node.name}" does not exist')
                context.notice(f'relation "{node.name}" does not exist, skipping')
                return
            context.editor.require_owner(relation, context.user)
            _rename_in_relation(context, node, relation)


def _rename_in_relation(context: DdlContext, node: Rename, relation: Relation) -> None:
    if node.kind in ("column", "constraint"):
        table = find_table(context.editor.catalog, node.name, context.search_path)
        assert node.part is not None, "the grammar names what is renamed"
        change = _rename_column if node.kind == "column" else _rename_constraint
        change(context, table, node.part, node.new_name)
        return
    if node.new_name in relation_names(context.editor.catalog, relation.schema_id):
        raise DuplicateTable(f'relation "{node.new_name}" already exists')
    _require_no_views(context, relation)
    renamed = msgspec.structs.replace(relation, name=node.new_name)
    context.editor.put(renamed)
    if isinstance(renamed, SequenceDesc):
        schema = context.editor.catalog.by_id[renamed.schema_id]
        assert isinstance(schema, SchemaDesc), "relations live in schemas"
        for table in context.editor.catalog.tables():
            if any(column.sequence_id == renamed.id for column in table.columns):
                context.editor.put(rename_default(table, renamed, schema))


def _require_no_views(context: DdlContext, relation: Relation) -> None:
    """Refuse to rename or move what views name: they are kept as text."""
    for view in context.editor.catalog.by_id.values():
        if isinstance(view, ViewDesc) and relation.id in view.depends_on:
            raise FeatureNotSupported(
                f"renaming or moving {relation.name} is not supported while view {view.name} "
                "depends on it",
                hint=f"Drop view {view.name} first, and create it again afterwards.",
            )


def _rename_column(context: DdlContext, table: TableDesc, name: str, new_name: str) -> None:
    require_settled(table)
    column = require_column(table, name)
    if table.find_column(new_name) is not None:
        raise DuplicateColumn(f'column "{new_name}" of relation "{table.name}" already exists')
    _check_views(context, table, f"cannot rename column {name} of table {table.name}")
    renamed = with_replaced(table, msgspec.structs.replace(column, name=new_name))
    checks = tuple(
        msgspec.structs.replace(check, sql=renamed_column(context, table, check, renamed))
        if column.attnum in check.columns
        else check
        for check in table.checks
    )
    context.editor.put(msgspec.structs.replace(renamed, checks=checks))


def _rename_constraint(context: DdlContext, table: TableDesc, name: str, new_name: str) -> None:
    if name not in constraint_names(table):
        raise undefined_constraint(name, table)
    if new_name in constraint_names(table):
        raise DuplicateObject(f'constraint "{new_name}" for relation "{table.name}" already exists')

    def renamed(parts: tuple[object, ...]) -> tuple[object, ...]:
        return tuple(
            msgspec.structs.replace(part, name=new_name)  # type: ignore[type-var]  # all are structs
            if getattr(part, "name", None) == name
            else part
            for part in parts
        )

    (primary,) = renamed((table.primary,))
    context.editor.put(
        msgspec.structs.replace(
            table,
            primary=primary,
            indexes=renamed(table.indexes),
            checks=renamed(table.checks),
            foreign_keys=renamed(table.foreign_keys),
        )
    )


def _rename_index(context: DdlContext, node: Rename) -> None:
    found = find_index(context.editor.catalog, node.name, context.search_path)
    if found is None:
        if not node.if_exists:
            raise UndefinedTable(f'relation "{node.name}" does not exist')
        context.notice(f'relation "{node.name}" does not exist, skipping')
        return
    table, index = found
    context.editor.require_owner(table, context.user)
    if node.new_name in relation_names(context.editor.catalog, table.schema_id):
        raise DuplicateTable(f'relation "{node.new_name}" already exists')
    renamed = msgspec.structs.replace(index, name=node.new_name)
    if index.index_id == table.primary.index_id:
        context.editor.put(msgspec.structs.replace(table, primary=renamed))
        return
    indexes = tuple(renamed if i.index_id == index.index_id else i for i in table.indexes)
    context.editor.put(msgspec.structs.replace(table, indexes=indexes))


def _rename_schema(context: DdlContext, node: Rename) -> None:
    catalog = context.editor.catalog
    schema = find_schema(catalog, node.name.name)
    if node.new_name in catalog.schemas:
        raise DuplicateSchema(f'schema "{node.new_name}" already exists')
    if node.new_name.startswith("pg_"):
        raise FeatureNotSupported(
            f'unacceptable schema name "{node.new_name}"',
            detail='The prefix "pg_" is reserved for system schemas.',
            sqlstate="42939",
        )
    renamed = msgspec.structs.replace(schema, name=node.new_name)
    context.editor.put(renamed)
    for table in context.editor.catalog.tables():
        for sequence in owned_sequences(context, table):
            if sequence.schema_id == schema.id:
                context.editor.put(rename_default(context.table(table.id), sequence, renamed))
