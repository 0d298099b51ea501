"""Stored tables and system relations as Arrow tables, for DuckDB to read.

Blocks are decoded on a worker thread while the next one is on its way; only the columns that the
plan names are decoded. Whole tables are kept in the process's `TableCache`.
"""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from kvapi.client.results import Block
from kvapi.row_columns import decode_columns
from kvapi.spans import Span
from sqlnode.catalog.descriptors import TableDesc
from sqlnode.plan.logical import Scan, VirtualScan
from sqlnode.rowexec.table_codec import codec_of
from sqlnode.rowexec.table_reads import BoundTerms
from sqlnode.txn import Transaction
from sqlnode.vecexec.arrow_columns import finish_column, to_arrow_column
from sqlnode.vecexec.physical import Physical
from sqlnode.vecexec.table_cache import (
    CachedTable,
    TableCache,
    column_keys,
    process_cache,
    table_key,
)
from sqlnode.vecexec.virtual_source import virtual_table

if TYPE_CHECKING:
    from sqlnode.context import ExecContext


class ScannedTable(NamedTuple):
    """Rows of a leaf: a pyarrow.Table with columns `a<i>`, their forms, their identity."""

    table: Any
    forms: tuple[Physical, ...]
    shared: tuple[Any, ...] | None = None  # see select_text.Relation


class TableSource:
    """Where the leaves of a plan get their rows: the transaction and the catalog snapshot."""

    async def read(
        self, leaf: Scan | VirtualScan, ctx: "ExecContext", terms: BoundTerms | None
    ) -> ScannedTable:
        """Return the rows of a leaf, a column `a<i>` for each of its columns.

        `terms` bounds the primary key; rows outside may be left out.
        """
        if isinstance(leaf, VirtualScan):
            return ScannedTable(*await virtual_table(leaf, ctx))
        attnums = [column.attnum for column in leaf.columns]
        if terms is None and isinstance(ctx.txn, Transaction):
            scanned = await _read_cached(leaf.table, attnums, ctx.txn, process_cache())
        else:
            spans = terms.spans((), ctx) if terms is not None else [codec_of(leaf.table).span]
            scanned = await scan_table(leaf.table, attnums, ctx.txn, spans)
        is_kept = terms is None and process_cache().get(table_key(leaf.table)) is scanned
        return _as_table(scanned, leaf.table, attnums, is_kept=is_kept)


async def _read_cached(
    table: TableDesc, attnums: Sequence[int], txn: Transaction, cache: TableCache
) -> CachedTable:
    """Read a whole table, from the cache if the KV node says that it is unchanged."""
    key, span = table_key(table), codec_of(table).span
    if txn.is_past or txn.has_writes_in(span):
        return await scan_table(table, attnums, txn, [span])
    found = cache.get(key)
    wanted = list(attnums)
    if found is not None:
        newest = await txn.unchanged_since(span, found.valid_until)
        if newest and all(column in found.columns for column in column_keys(table, attnums)):
            found.valid_until = max(found.valid_until, newest)
            return found
        living = {column.attnum for column in table.columns}
        known = (attnum for attnum, _, _ in found.columns if newest and attnum in living)
        wanted = list(dict.fromkeys([*wanted, *known]))
    scanned = await scan_table(table, wanted, txn, [span])
    if scanned.valid_until:
        cache.put(key, scanned)
    return scanned


async def scan_table(
    table: TableDesc, attnums: Sequence[int], txn: Any, spans: Sequence[Span]
) -> CachedTable:
    """Read spans of a stored table; `valid_until` is the snapshot, 0 if it moved meanwhile."""
    codec = codec_of(table)
    types = [table.column(attnum).type for attnum in attnums]
    reader, kinds = codec.reader(attnums), codec.layout_columns(attnums)
    chunks: list[list[Any]] = [[] for _ in attnums]
    row_count = 0
    snapshots = set()
    loop = asyncio.get_running_loop()

    def decode(block: Block) -> list[Any]:
        columns = decode_columns(reader, block.values, block.value_ends, kinds)
        return [to_arrow_column(c, t) for c, t in zip(columns, types, strict=True)]

    for span in spans:
        async with aclosing(txn.scan_blocks(span)) as blocks:
            async for block in blocks:
                row_count += block.row_count
                snapshots.add(block.read_ts)
                if not attnums:
                    continue
                arrays = await loop.run_in_executor(None, decode, block)
                for chunk, array in zip(chunks, arrays, strict=True):
                    chunk.append(array)
    finished = [finish_column(chunk, t) for chunk, t in zip(chunks, types, strict=True)]
    columns = dict(zip(column_keys(table, attnums), finished, strict=True))
    return CachedTable(snapshots.pop() if len(snapshots) == 1 else 0, row_count, columns)


def _as_table(
    scanned: CachedTable, table: TableDesc, attnums: Sequence[int], *, is_kept: bool
) -> ScannedTable:
    """Name the wanted columns; a table without any still knows its row count."""
    if not attnums:
        return ScannedTable(pa.table({"none": pa.nulls(scanned.row_count, pa.int8())}), ())
    keys = column_keys(table, attnums)
    columns = [scanned.columns[key] for key in keys]
    arrays = {f"a{i}": array for i, (array, _) in enumerate(columns)}
    shared = (scanned, *keys) if is_kept else None
    return ScannedTable(pa.table(arrays), tuple(form for _, form in columns), shared)
