"""CREATE TABLE: columns, then constraints, as edits of one descriptor.

**Model.** The table is first made with a hidden row id as its primary index; PRIMARY KEY, UNIQUE,
CHECK and FOREIGN KEY are then added by the same code that serves ALTER TABLE, on a table known to
be empty.
"""

from typing import Final

import msgspec

from pgwire.errors import (
    DuplicateColumn,
    DuplicateTable,
    InvalidTableDefinition,
    SqlSyntaxError,
    TooManyColumns,
)
from sqlnode.catalog.descriptors import (
    Identity,
    LayoutDesc,
    TableDesc,
)
from sqlnode.ddl.columns import make_column
from sqlnode.ddl.constraints import add_constraint
from sqlnode.ddl.context import DdlContext, qualified, quote_identifier
from sqlnode.ddl.hidden_key import hidden_primary, hidden_row_id
from sqlnode.ddl.indexes import create_index
from sqlnode.ddl.names import creation_schema, find_table, relation_names, visible_indexes
from sqlnode.ddl.nodes import (
    CheckDef,
    ColumnDef,
    Constraint,
    CreateIndex,
    CreateTable,
    IndexItem,
    KeyDef,
    LikeClause,
)
from sqlnode.types import TEXT, UNKNOWN

COLUMNS_MAX: Final = 1600  # PostgreSQL's MaxHeapAttributeNumber


async def create_table(context: DdlContext, node: CreateTable) -> str:
    """CREATE TABLE [AS]; return the command tag. Raises: DuplicateTable and more."""
    schema = creation_schema(context.editor.catalog, node.name, context.search_path)
    if node.name.name in relation_names(context.editor.catalog, schema.id):
        if not node.if_not_exists:
            raise DuplicateTable(f'relation "{node.name.name}" already exists')
        context.notice(f'relation "{node.name.name}" already exists, skipping')
        return "CREATE TABLE AS" if node.query is not None else "CREATE TABLE"
    columns, constraints = _with_likes(context, node)
    if node.query is not None:
        columns = _columns_of_query(context, node)
    table = empty_table(await context.editor.allocate_id(), schema.id, node.name.name, context.user)
    context.editor.put(table)
    await _add_columns(context, table.id, columns)
    lifted = [item for column in columns for item in column.constraints]
    # Keys first: a foreign key of the table on itself needs them.
    for constraint in sorted([*lifted, *constraints], key=_constraint_order):
        await add_constraint(context, table.id, constraint, is_empty=True)
    for like in node.likes:
        if "indexes" in like.including:
            await _copy_indexes(context, node, like)
    if node.query is None:
        return "CREATE TABLE"
    return await _fill(context, context.table(table.id), node)


def _constraint_order(constraint: Constraint) -> int:
    if isinstance(constraint, KeyDef):
        return 0 if constraint.primary else 1
    return 2 if isinstance(constraint, CheckDef) else 3


def empty_table(table_id: int, schema_id: int, name: str, owner: str) -> TableDesc:
    """Return a table without columns but the hidden row id that is its primary index."""
    hidden = hidden_row_id()
    return TableDesc(
        id=table_id,
        schema_id=schema_id,
        name=name,
        owner=owner,
        columns=(hidden,),
        primary=hidden_primary(),
        layouts=(LayoutDesc(1, (hidden.attnum,)),),
    )


async def _add_columns(context: DdlContext, table_id: int, columns: list[ColumnDef]) -> None:
    names: set[str] = set()
    for definition in columns:
        if definition.name in names:
            raise DuplicateColumn(f'column "{definition.name}" specified more than once')
        names.add(definition.name)
    if len(columns) > COLUMNS_MAX:
        raise TooManyColumns(f"tables can have at most {COLUMNS_MAX} columns")
    for definition in columns:
        table = context.table(table_id)
        column = await make_column(context, table, definition)
        table = context.table(table_id)
        stored = tuple(c.attnum for c in (*table.columns, column))
        context.editor.put(
            msgspec.structs.replace(
                table,
                columns=(*table.columns, column),
                next_attnum=table.next_attnum + 1,
                layouts=(LayoutDesc(1, stored),),
            )
        )


def _with_likes(context: DdlContext, node: CreateTable) -> tuple[list[ColumnDef], list[Constraint]]:
    columns: list[ColumnDef] = []
    constraints: list[Constraint] = list(node.constraints)
    for like in node.likes:
        source = find_table(context.editor.catalog, like.table, context.search_path)
        columns += _like_columns(source, like)
        if "constraints" in like.including:
            constraints += [CheckDef(check.sql, check.name) for check in source.checks]
        if "indexes" in like.including:
            constraints += _like_keys(source)
    return columns + list(node.columns), constraints


def _like_columns(source: TableDesc, like: LikeClause) -> list[ColumnDef]:
    return [
        ColumnDef(
            column.name,
            column.type,
            not_null=column.not_null,
            default=column.default_sql if "defaults" in like.including else None,
            identity=column.identity if "identity" in like.including else Identity.NONE,
        )
        for column in source.columns
        if not column.hidden
    ]


def _like_keys(source: TableDesc) -> list[Constraint]:
    return [
        KeyDef(tuple(source.column(c.attnum).name for c in index.columns), index.primary)
        for index in (source.primary, *source.indexes)
        if index.primary or (index.unique and index.constraint)
    ]


async def _copy_indexes(context: DdlContext, node: CreateTable, like: LikeClause) -> None:
    """Create the indexes that stand behind no constraint of the other table."""
    source = find_table(context.editor.catalog, like.table, context.search_path)
    for index in visible_indexes(source):
        if not index.constraint:
            items = tuple(
                IndexItem(source.column(c.attnum).name, c.descending, c.nulls_first)
                for c in index.columns
            )
            await create_index(context, CreateIndex(node.name, items, unique=index.unique))


def _columns_of_query(context: DdlContext, node: CreateTable) -> list[ColumnDef]:
    assert node.query is not None, "only CREATE TABLE AS has columns of a query"
    described, _ = context.inner.describe(node.query, context.editor.catalog)
    if len(node.column_names) > len(described):
        raise SqlSyntaxError("too many column names were specified")
    names = list(node.column_names) + [c.name for c in described[len(node.column_names) :]]
    for column in described:
        if column.type.info.category == "P":
            raise InvalidTableDefinition(f'column "{column.name}" has pseudo-type {column.type}')
    types = [TEXT if column.type == UNKNOWN else column.type for column in described]
    return [ColumnDef(name, sql_type) for name, sql_type in zip(names, types, strict=True)]


async def _fill(context: DdlContext, table: TableDesc, node: CreateTable) -> str:
    if not node.with_data:
        return "CREATE TABLE AS"
    names = ", ".join(quote_identifier(c.name) for c in table.columns if not c.hidden)
    target = qualified(context, table)
    sql = f"INSERT INTO {target} ({names}) {node.query}"
    context.begin_scan()
    row_count = await context.inner.execute(sql, context.editor.catalog)
    return f"SELECT {row_count}"
