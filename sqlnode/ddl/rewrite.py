"""Rewrites: the same rows under new keys or in a new shape.

**Model.** A rewrite gives the table a new `data_id`, writes every row and index entry there, and
leaves the old keys as garbage for after the commit. Readers of older snapshots keep the old keys.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import msgspec

from sqlnode.catalog.descriptors import IndexDesc, LayoutDesc, TableDesc
from sqlnode.ddl.context import DdlContext
from sqlnode.ddl.hidden_key import HIDDEN_ATTNUM, hidden_primary, hidden_row_id
from sqlnode.ddl.new_keys import Claim, require_new
from sqlnode.ddl.row_checks import contains_nulls
from sqlnode.rowexec.row_writer import RowWriter
from sqlnode.rowexec.table_codec import codec_of

Row = tuple[Any, ...]


async def table_rows(context: DdlContext, table: TableDesc) -> AsyncIterator[list[Row]]:
    """Yield all rows as full tuples, one datum for each of `table.columns`, hidden ones too."""
    codec = codec_of(table)
    context.begin_scan()
    context.exec.txn.used.add(frozenset((table.id,)))
    async for block in context.exec.txn.scan_blocks(codec.span):
        yield [codec.decode_row(value) for value in block.values_list()]


async def rekey(
    context: DdlContext, table: TableDesc, primary: IndexDesc, *, is_empty: bool
) -> None:
    """Make `primary` the primary key of a table that had none. Raises: UniqueViolation."""
    attnums = {column.attnum for column in primary.columns}
    columns = tuple(
        msgspec.structs.replace(column, not_null=True) if column.attnum in attnums else column
        for column in table.columns
        if column.attnum != HIDDEN_ATTNUM
    )
    kept = [i for i, column in enumerate(table.columns) if column.attnum != HIDDEN_ATTNUM]
    changed = await _reshaped(context, table, columns, primary, is_empty=is_empty)
    if not is_empty:
        await copy_rows(context, table, changed, lambda row: tuple(row[i] for i in kept))
    context.editor.put(changed)


async def drop_primary_key(context: DdlContext, table: TableDesc) -> None:
    """Take the primary key away: rows get hidden row ids. NOT NULL stays, as in PostgreSQL."""
    columns = (hidden_row_id(), *table.columns)
    changed = await _reshaped(context, table, columns, hidden_primary(), is_empty=False)
    counter = 0

    def with_row_id(row: Row) -> Row:
        nonlocal counter
        counter += 1
        return (counter, *row)

    await copy_rows(context, table, changed, with_row_id)
    context.editor.put(changed)


async def _reshaped(
    context: DdlContext,
    table: TableDesc,
    columns: tuple[Any, ...],
    primary: IndexDesc,
    *,
    is_empty: bool,
) -> TableDesc:
    data_id = table.data_id if is_empty else await context.editor.allocate_id()
    layout = LayoutDesc(1, tuple(column.storage_id for column in columns))
    return msgspec.structs.replace(
        table,
        columns=columns,
        primary=primary,
        layouts=(layout,),
        data_id=data_id,
        dropped_columns=(),
    )


async def copy_rows(
    context: DdlContext, old: TableDesc, new: TableDesc, convert: Callable[[Row], Row]
) -> None:
    """Write every row of `old`, converted, with its index entries, under `new`'s keys."""
    async for batch in table_rows(context, old):
        await write_rows(context, new, [convert(row) for row in batch])
    await context.exec.txn.settle()
    context.editor.discard_keys(old.key_id)


async def write_rows(context: DdlContext, table: TableDesc, rows: Sequence[Row]) -> None:
    """Put rows and index entries. Raises: UniqueViolation."""
    codec, txn = codec_of(table), context.exec.txn
    indexes = (*codec.indexes, *RowWriter(table).building.filled)
    claims: list[Claim] = []
    for row in rows:
        if table.primary.primary:
            claims.append((codec.row_key(row), table.primary, row))
        claims += [(i.key_of_row(row), i.desc, row) for i in indexes if i.is_exclusive(row)]
    await require_new(context, table, claims)
    for row in rows:
        txn.put(codec.row_key(row), codec.encode_row(row))
        for index in indexes:
            txn.put(*index.entry(row))
    await txn.make_room()


async def recompute(
    context: DdlContext, old: TableDesc, new: TableDesc, expressions: dict[int, str]
) -> None:
    """Rewrite all rows with the columns in `expressions` computed anew, each from its old row.

    `new` has the columns of `old` in the same order, changed or added at the end; expressions are
    SQL over the old columns, by attnum. Raises: SqlError from computing them, NotNullViolation,
    UniqueViolation.
    """
    fresh = msgspec.structs.replace(
        new,
        data_id=await context.editor.allocate_id(),
        layouts=(LayoutDesc(1, tuple(column.storage_id for column in new.columns)),),
        dropped_columns=(),
    )
    compute = context.inner.row_function(
        [(expressions[c.attnum], c) for c in new.columns if c.attnum in expressions],
        old,
        context.editor.catalog,
    )
    positions = [n for n, column in enumerate(new.columns) if column.attnum in expressions]
    required = [n for n in positions if new.columns[n].not_null]
    async for batch in table_rows(context, old):
        rows = []
        for row in batch:
            datums = list(row) + [None] * (len(new.columns) - len(row))
            for position, datum in zip(positions, await compute(row), strict=True):
                datums[position] = datum
            for position in required:
                if datums[position] is None:
                    raise contains_nulls(new, new.columns[position].name)
            rows.append(tuple(datums))
        await write_rows(context, fresh, rows)
    await context.exec.txn.settle()
    context.editor.discard_keys(old.key_id)
    context.editor.put(fresh)
