"""Stored tables and system relations as Arrow tables, for DuckDB to read.

Blocks are decoded on a worker thread while the next one is on its way; only the columns that the
plan names are decoded.
"""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from kvapi.client.results import Block
from kvapi.row_columns import decode_columns
from sqlnode.catalog.virtual import VIRTUAL
from sqlnode.plan.logical import Scan, VirtualScan
from sqlnode.rowexec.table_codec import codec_of
from sqlnode.types import SqlType
from sqlnode.vecexec.arrow_columns import finish_column, to_arrow_column
from sqlnode.vecexec.arrow_values import to_arrow
from sqlnode.vecexec.physical import Physical, physical_of

if TYPE_CHECKING:
    from sqlnode.context import ExecContext

ScannedTable = tuple[Any, tuple[Physical, ...]]  # (pyarrow.Table with columns a0…, forms)


class TableSource:
    """Where the leaves of a plan get their rows: the transaction and the catalog snapshot."""

    async def read(self, leaf: Scan | VirtualScan, ctx: "ExecContext") -> ScannedTable:
        """Return the rows of a leaf, a column `a<i>` for each of its columns."""
        if isinstance(leaf, Scan):
            return await scan_table(leaf, ctx)
        return virtual_table(leaf, ctx)


async def scan_table(scan: Scan, ctx: "ExecContext") -> ScannedTable:
    """Read a stored table within the statement's transaction."""
    codec = codec_of(scan.table)
    attnums = [column.attnum for column in scan.columns]
    types = [scan.table.column(attnum).type for attnum in attnums]
    reader, kinds = codec.reader(attnums), codec.layout_columns(attnums)
    chunks: list[list[Any]] = [[] for _ in attnums]
    row_count = 0
    loop = asyncio.get_running_loop()

    def decode(block: Block) -> list[Any]:
        columns = decode_columns(reader, block.values, block.value_ends, kinds)
        return [to_arrow_column(c, t) for c, t in zip(columns, types, strict=True)]

    async for block in ctx.txn.scan_blocks(codec.span):
        row_count += block.row_count
        if attnums:
            for chunk, array in zip(
                chunks, await loop.run_in_executor(None, decode, block), strict=True
            ):
                chunk.append(array)
    return assembled(chunks, types, row_count)


def assembled(
    chunks: Sequence[list[Any]], types: Sequence[SqlType], row_count: int
) -> ScannedTable:
    """Join chunks of columns to one table; one without columns still knows its row count."""
    if not types:
        return pa.table({"none": pa.nulls(row_count, pa.int8())}), ()
    finished = [finish_column(chunk, t) for chunk, t in zip(chunks, types, strict=True)]
    table = pa.table({f"a{i}": column for i, (column, _) in enumerate(finished)})
    return table, tuple(form for _, form in finished)


def virtual_table(scan: VirtualScan, ctx: "ExecContext") -> ScannedTable:
    """Make the rows of a system relation from the catalog snapshot."""
    rows = list(VIRTUAL[scan.relation].rows(ctx.catalog, ctx))
    if not scan.columns:
        return pa.table({"none": pa.nulls(len(rows), pa.int8())}), ()
    forms = tuple(physical_of(column.type) for column in scan.columns)
    arrays = {
        f"a{i}": to_arrow([row[column.attnum - 1] for row in rows], form)
        for i, (column, form) in enumerate(zip(scan.columns, forms, strict=True))
    }
    return pa.table(arrays), forms
