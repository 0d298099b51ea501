"""What every kind of job is made of: steps of the schema, and walks over a table in chunks.

**Model.** A *step* is one transaction: new descriptors, a newer catalog version that leaves the one
before valid, and the job's record, all or nothing. It waits until nobody uses a catalog from before
the last change of the same relations: so at most two adjacent states of anything are ever in use.

A *walk* reads a table in chunks, each at its own snapshot, and remembers from time to time where it
is. It yields to everything else: one chunk at a time, elastic on the wire, with pauses.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from kvapi.client.results import Block
from kvapi.errors import SchemaChanged, WriteConflict
from kvapi.spans import Span
from pgwire.errors import UndefinedTable
from sqlnode.catalog.descriptors import TableDesc
from sqlnode.catalog.snapshot import Catalog
from sqlnode.catalog.store import CatalogEditor
from sqlnode.jobs.handle import JobHandle, JobLost, wait_for_versions
from sqlnode.jobs.record import JobRecord, encode_job, key_of
from sqlnode.jobs.schema_turn import take_turn
from sqlnode.rowexec.table_codec import TableCodec, codec_of
from sqlnode.txn import Transaction

if TYPE_CHECKING:
    from sqlnode.engine import Engine

Row = tuple[Any, ...]
CHUNK_BYTES: Final = 256 << 10
ELASTIC: Final = 2  # kv.proto, Request.priority
_PAUSE_SHARE: Final = 0.3  # of the time that a chunk took
_PAUSE_S_MAX: Final = 0.05


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of a table at one snapshot."""

    codec: TableCodec
    catalog_version: int
    relations: frozenset[int]  # that it depends on
    keys: list[bytes]
    rows: list[Row]
    read_ts: int
    next_start: bytes  # where the walk goes on; empty: this was the last
    is_locked: bool = False  # its one row is: nobody else changes it

    @property
    def planned(self) -> dict[str, Any]:
        """What requests about it say of the catalog."""
        return {"catalog_version": self.catalog_version, "relations": self.relations}


class JobWork:
    """One job's steps and walks, in the process that owns it."""

    def __init__(self, engine: "Engine", handle: JobHandle) -> None:
        self.engine = engine
        self.kv = engine.kv
        self.handle = handle

    @property
    def catalog(self) -> Catalog:
        return self.engine.catalog

    def table(self) -> TableDesc:
        """Return the job's table as it is now. Raises: UndefinedTable."""
        found = self.catalog.by_id.get(self.handle.record.table_id)
        if not isinstance(found, TableDesc):
            raise UndefinedTable("the table was dropped while its schema was being changed")
        return found

    async def refresh(self) -> None:
        """Load the catalog if there is a newer one."""
        if self.engine.is_catalog_stale:
            await self.engine.reload()

    async def wait(self) -> None:
        """Wait until nobody uses an older catalog than the one loaded now, the newest."""
        await self.refresh()
        await self._wait_for(self.catalog)

    async def _wait_for(self, catalog: Catalog) -> None:
        await wait_for_versions(self.handle, lambda: self.engine.older.look(catalog))

    async def step(
        self,
        edit: Callable[[CatalogEditor], None],
        *,
        keeps_previous: bool = True,
        **changes: Any,
    ) -> None:
        """Change the schema and the record together. Raises: JobLost, JobCancelled, SqlError.

        Without `keeps_previous` open transactions that used what is changed fail (40001).
        """
        is_refused = False
        while True:
            await self.refresh()
            txn = self.engine.begin("serializable", False)
            try:
                if is_refused:
                    await take_turn(self.engine, txn)
                    txn.catalog_version = self.catalog.version
                editor = CatalogEditor(txn, self.catalog, self.engine.allocate_id)
                after = await self._stamped(txn, changes)
                edit(editor)
                if editor.is_changed and not self.engine.older.are_over(editor):
                    await txn.rollback()
                    await self._wait_for(editor.base)
                    continue
                txn.put(key_of(after), encode_job(after))
                if editor.is_changed:
                    txn.changed, txn.keeps_previous = editor.changed(), keeps_previous
                await txn.commit()
            except (SchemaChanged, WriteConflict):
                await txn.rollback()
                is_refused = True
                continue
            except BaseException:
                await txn.rollback()
                raise
            self.handle.saved(after)
            self.engine.garbage.notify()
            return

    async def _stamped(self, txn: Transaction, changes: dict[str, Any]) -> JobRecord:
        """Return the job's record as it will be after a step. Raises: JobLost, JobCancelled."""
        found = await self.handle.store.read_in(txn, self.handle.record.id)
        if (found.step, found.status) != (self.handle.record.step, self.handle.record.status):
            raise JobLost  # somebody else has made a step
        self.handle.record = found
        self.handle.check_cancel()
        return self.handle.stamped(self.handle.record, **changes)

    async def walk(self, work: Callable[[Chunk], Awaitable[None]]) -> None:
        """Do `work` for every row, from where the record says. Raises: what `work` does.

        A chunk whose `work` meets a WriteConflict comes again, smaller, in the end row by row.
        """
        start, limit = await self._begin_walk(), self.handle.config.chunk_rows_max
        loop = asyncio.get_running_loop()
        while True:
            begun_s = loop.time()
            while self._is_moved():  # at any pause: `start` is a key of the old rows
                start = await self._begin_walk()
            try:
                chunk = await self._read(start, limit)
                await work(chunk)
            except SchemaChanged:
                await self.refresh()
                continue
            except WriteConflict:
                limit = max(limit // 4, 1)
                await self.handle.beat()
                continue
            done = self.handle.record.row_count + len(chunk.rows)
            self.handle.record = msgspec.structs.replace(self.handle.record, row_count=done)
            if not chunk.next_start:
                return
            start, limit = chunk.next_start, min(limit * 2, self.handle.config.chunk_rows_max)
            await self.handle.beat(row_count=done, resume_key=start)
            await asyncio.sleep(min((loop.time() - begun_s) * _PAUSE_SHARE, _PAUSE_S_MAX))

    def _is_moved(self) -> bool:
        return self.table().key_id != self.handle.record.key_id

    async def _begin_walk(self) -> bytes:
        """Return where to begin; a table with new keys (TRUNCATE, a rewrite) from its start."""
        codec, record = codec_of(self.table()), self.handle.record
        if record.key_id == codec.table.key_id and record.resume_key:
            return record.resume_key
        counted = await self.kv.scan(codec.span, count_only=True, priority=ELASTIC)
        await self.handle.save(
            key_id=codec.table.key_id,
            rows_total=counted.row_count,
            row_count=0,
            resume_key=codec.span.start,
        )
        return codec.span.start

    async def _read(self, start: bytes, limit: int) -> Chunk:
        catalog, codec = self.catalog, codec_of(self.table())
        relations = catalog.tied_by_keys(codec.table.id)
        block: Block = await self.kv.scan(
            Span(start, codec.span.end),
            catalog_version=catalog.version,
            relations=relations,
            limit_rows=limit,
            limit_bytes=CHUNK_BYTES,
            priority=ELASTIC,
        )
        following = block.resume_span(codec.span).start if block.more else b""
        rows = [codec.decode_row(value) for value in block.values_list()]
        keys = block.keys_list() if block.row_count else []
        return Chunk(codec, catalog.version, relations, keys, rows, block.read_ts, following)
