"""Secondary indexes: CREATE INDEX, begun for a job or built inside the creating transaction."""

import msgspec

from pgwire.errors import DuplicateTable
from sqlnode.catalog.descriptors import IndexColumn, IndexDesc, IndexState, TableDesc
from sqlnode.ddl.context import DdlContext, OnlineChange
from sqlnode.ddl.expressions import comparable
from sqlnode.ddl.names import choose_name, find_table, relation_names, require_column
from sqlnode.ddl.new_keys import require_new
from sqlnode.ddl.nodes import CreateIndex
from sqlnode.ddl.rewrite import table_rows
from sqlnode.jobs.record import JobKind
from sqlnode.rowexec.table_codec import codec_of


async def create_index(context: DdlContext, node: CreateIndex) -> None:
    """CREATE INDEX. Raises: DuplicateTable, UndefinedColumn, UniqueViolation while building."""
    table = find_table(context.editor.catalog, node.table, context.search_path)
    context.editor.require_owner(table, context.user)
    taken = relation_names(context.editor.catalog, table.schema_id)
    if node.name is not None and node.name in taken:
        if node.if_not_exists:
            context.notice(f'relation "{node.name}" already exists, skipping')
            return
        raise DuplicateTable(f'relation "{node.name}" already exists')
    columns = []
    for item in node.items:
        column = require_column(table, item.column)
        comparable(column)
        nulls_first = item.descending if item.nulls_first is None else item.nulls_first
        columns.append(IndexColumn(column.attnum, item.descending, nulls_first))
    joined = "_".join(item.column for item in node.items)
    index = IndexDesc(
        table.next_index_id,
        await context.editor.allocate_id(),
        node.name or choose_name(table.name, joined, "idx", taken),
        tuple(columns),
        unique=node.unique,
    )
    await add_index(context, table, index, is_empty=False)


async def add_index(
    context: DdlContext, table: TableDesc, index: IndexDesc, *, is_empty: bool
) -> None:
    """Add a secondary index and fill it from the rows there are. Raises: UniqueViolation."""
    if not is_empty and await context.goes_online(table):
        begun = msgspec.structs.replace(index, state=IndexState.DELETE_ONLY)
        context.editor.put(
            msgspec.structs.replace(
                table, building=(*table.building, begun), next_index_id=table.next_index_id + 1
            )
        )
        context.change = OnlineChange(
            JobKind.CREATE_INDEX, table.id, index.index_id, str(IndexState.DELETE_ONLY)
        )
        return
    changed = msgspec.structs.replace(
        table, indexes=(*table.indexes, index), next_index_id=table.next_index_id + 1
    )
    if not is_empty:
        await _backfill(context, table, changed, index)
    context.editor.put(changed)


async def _backfill(
    context: DdlContext, table: TableDesc, changed: TableDesc, index: IndexDesc
) -> None:
    entries = codec_of(table).entry_codec(index)
    txn = context.exec.txn
    async for batch in table_rows(context, table):
        claims = [
            (entries.key_of_row(row), index, row) for row in batch if entries.is_exclusive(row)
        ]
        await require_new(context, changed, claims)
        for row in batch:
            txn.put(*entries.entry(row))
        await txn.make_room()
    await txn.settle()
