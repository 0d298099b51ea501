"""CREATE INDEX and ADD UNIQUE online.

**Model.**

    delete-only ──► write-only ── backfill, validate ──► public
         ▲               │ error, cancel
         └───────────────┘──► gone, its keys garbage

Between two states the step waits for everybody who still works with the one before. So when the
backfill begins every writer maintains the index, and only rows that were there before lack entries.
A chunk of the backfill is one transaction that validates its rows: if a writer was faster, the
chunk comes again. A row that is written all the time is locked for the moment.

A row whose key in a unique index belongs to another row is a duplicate: whichever entry comes
second finds the first, be it the backfill's or a writer's.
"""

from collections.abc import Callable

import msgspec

from kvapi.footprint import Footprint
from pgwire.errors import InternalError, UndefinedObject, UniqueViolation
from sqlnode.catalog.descriptors import IndexDesc, IndexState, TableDesc
from sqlnode.catalog.store import CatalogEditor
from sqlnode.ddl.key_text import key_detail
from sqlnode.jobs.chunk_writes import write_chunk
from sqlnode.jobs.record import JobStatus
from sqlnode.jobs.work import ELASTIC, Chunk, JobWork, Row
from sqlnode.rowexec.index_codec import SecondaryIndexCodec
from sqlnode.rowexec.table_codec import TableCodec, codec_of

Claims = dict[bytes, tuple[bytes, Row]]  # unique key → (owner, row)


class BuildIndex:
    """The states of one index under construction."""

    def __init__(self, work: JobWork) -> None:
        self._work = work
        self._index_id = work.handle.record.part

    # --- forward ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Carry on until the index is public. Raises: SqlError, JobLost, JobCancelled, KvError."""
        work = self._work
        if work.handle.record.step == IndexState.DELETE_ONLY:
            await work.step(self._moved_to(IndexState.WRITE_ONLY), step=str(IndexState.WRITE_ONLY))
        await work.wait()  # from now on every writer maintains the index
        await work.walk(self._fill)
        await self._validate()
        await work.step(
            self._publish,
            step=str(IndexState.PUBLIC),
            status=JobStatus.SUCCEEDED,
            finished_ms=work.handle.now_ms(),
        )

    async def revert(self, status: JobStatus) -> None:
        """Take the index away again. Raises: JobLost, KvError."""
        work = self._work
        if work.handle.record.step == IndexState.WRITE_ONLY:
            await work.step(
                self._moved_to(IndexState.DELETE_ONLY), step=str(IndexState.DELETE_ONLY)
            )
        await work.step(self._remove, status=status, finished_ms=work.handle.now_ms())

    def _moved_to(self, state: IndexState) -> Callable[[CatalogEditor], None]:
        def edit(editor: CatalogEditor) -> None:
            if (found := self._find(editor)) is not None:
                table, index = found
                moved = msgspec.structs.replace(index, state=state)
                building = tuple(moved if i is index else i for i in table.building)
                editor.put(msgspec.structs.replace(table, building=building))

        return edit

    def _publish(self, editor: CatalogEditor) -> None:
        table, index = self._require(editor)
        public = msgspec.structs.replace(index, state=IndexState.PUBLIC)
        editor.put(
            msgspec.structs.replace(
                table,
                indexes=(*table.indexes, public),
                building=tuple(i for i in table.building if i is not index),
            )
        )

    def _remove(self, editor: CatalogEditor) -> None:
        if (found := self._find(editor)) is not None:
            table, index = found
            building = tuple(i for i in table.building if i is not index)
            editor.put(msgspec.structs.replace(table, building=building))
            editor.discard_index(table.key_id, index.index_id)

    def _find(self, editor: CatalogEditor) -> tuple[TableDesc, IndexDesc] | None:
        """Return table and index; None if somebody has dropped them meanwhile."""
        table = editor.catalog.by_id.get(self._work.handle.record.table_id)
        if not isinstance(table, TableDesc):
            return None
        index = next((i for i in table.building if i.index_id == self._index_id), None)
        return None if index is None else (table, index)

    def _require(self, editor: CatalogEditor) -> tuple[TableDesc, IndexDesc]:
        if (found := self._find(editor)) is None:
            raise _gone()
        return found

    # --- backfill -----------------------------------------------------------------------------

    def _codec(self, codec: TableCodec) -> SecondaryIndexCodec:
        for index in codec.building:
            if index.desc.index_id == self._index_id:
                return index
        raise _gone()

    async def _fill(self, chunk: Chunk) -> None:
        """Write the entries of a chunk, unless a row has changed. Raises: WriteConflict."""
        await write_chunk(self._work, chunk, self._fill_with)

    async def _fill_with(self, chunk: Chunk, txn_id: bytes) -> None:
        index = self._codec(chunk.codec)
        claims: Claims = {}
        writes: dict[bytes, bytes | None] = {}
        for row in chunk.rows:
            key, value = index.entry(row)
            if index.is_exclusive(row):
                if key in claims:
                    raise _duplicate(chunk, index, row)
                claims[key] = (value, row)
            writes[key] = value
        await self._check_claims(chunk, index, claims, writes)
        if not writes:
            return
        await self._work.kv.commit(
            txn_id=txn_id,
            read_ts=chunk.read_ts,
            **chunk.planned,
            footprint=Footprint([*([] if chunk.is_locked else chunk.keys), *claims], []),
            writes=writes,
            priority=ELASTIC,
        )

    async def _check_claims(
        self,
        chunk: Chunk,
        index: SecondaryIndexCodec,
        claims: Claims,
        writes: dict[bytes, bytes | None],
    ) -> None:
        """Leave out entries that are there. Raises: UniqueViolation if they are another row's."""
        if not claims:
            return
        got = await self._work.kv.multi_get(list(claims), read_ts=chunk.read_ts, **chunk.planned)
        for (key, (owner, row)), value in zip(claims.items(), got.values, strict=True):
            if value is None:
                continue
            if value != owner:
                raise _duplicate(chunk, index, row)
            del writes[key]

    # --- validation ---------------------------------------------------------------------------

    async def _validate(self) -> None:
        """Count rows and entries at one snapshot. Raises: InternalError if they differ."""
        work = self._work
        await work.refresh()
        codec = codec_of(work.table())
        index = self._codec(codec)
        rows = await work.kv.scan(codec.span, count_only=True, priority=ELASTIC)
        found = await work.kv.scan(
            index.span, read_ts=rows.read_ts, count_only=True, priority=ELASTIC
        )
        if rows.row_count != found.row_count:
            raise InternalError(
                f'index "{index.desc.name}" has {found.row_count} entries for {rows.row_count} rows'
            )


def _gone() -> UndefinedObject:
    return UndefinedObject("the index was dropped while it was being built")


def _duplicate(chunk: Chunk, index: SecondaryIndexCodec, row: Row) -> UniqueViolation:
    table = chunk.codec.table
    return UniqueViolation(
        f'could not create unique index "{index.desc.name}"',
        detail=f"Key {key_detail(table, index.desc, row)} is duplicated.",
        table_name=table.name,
        constraint_name=index.desc.name,
    )
