"""One SQL transaction's view of the KV store.

**Model.** Reads see one snapshot, the newest durable commit at the first read, with the
transaction's own buffered writes laid over it. Writes leave with the commit in one request,
together with what was read. Rows that will be changed are locked first, so that contended rows
queue instead of failing; what that does to the snapshot is told in locked_rows.py.

Isolation: SERIALIZABLE validates all reads at commit. REPEATABLE READ validates those of
constraints only (`newest`); READ COMMITTED takes a new snapshot for each statement as well.

**Concurrency.** Belongs to one session. Several reads may be in flight; a lock waits alone.
"""

import copy
from collections.abc import AsyncGenerator, Sequence
from typing import Final, Literal, NamedTuple

from kvapi.client.kv_client import KvClient
from kvapi.client.lock_calls import LockMode, LockWait
from kvapi.client.results import FOUND, SKIPPED, Block, MultiGot
from kvapi.errors import KeyExists, RequestTooLarge, WriteConflict
from kvapi.footprint import Footprint
from kvapi.spans import Span
from sqlnode.commit_checks import CommitChecks
from sqlnode.deferred_keys import DeferredKeys
from sqlnode.first_read import FirstRead
from sqlnode.locked_rows import (
    from_buffer,
    halves,
    is_overtaken,
    joined,
    refuse_overtaken,
    with_own_writes,
)
from sqlnode.read_footprint import FootprintMark, ReadFootprint
from sqlnode.savepoints import Savepoints
from sqlnode.span_validation import valid_until
from sqlnode.txn_locks import KEYS_PER_REQUEST, LockWish, TxnLocks
from sqlnode.txn_scan import overlaid, store_blocks
from sqlnode.write_buffer import WRITES_BYTES_MAX, BufferMark, WriteBuffer

Isolation = Literal["serializable", "repeatable read", "read committed"]
TXN_ID_BYTES: Final = 16


class Mark(NamedTuple):
    """Where a statement or savepoint began."""

    writes: BufferMark
    reads: FootprintMark


class Transaction:
    """Begins with its construction, ends with `commit` or `rollback`."""

    def __init__(
        self,
        client: KvClient,
        *,
        txn_id: bytes,
        catalog_version: int,
        isolation: Isolation = "serializable",
        read_only: bool = False,
        read_ts: int = 0,
        write_bytes_max: int = WRITES_BYTES_MAX,
    ) -> None:
        assert len(txn_id) == TXN_ID_BYTES, "a transaction id has 16 random bytes"
        self.txn_id = txn_id
        self.read_ts, self.is_past = read_ts, bool(read_ts)  # 0 until the first read fixes it
        self.catalog_version = catalog_version
        self.isolation = isolation
        self.read_only = read_only
        self.schema_changed = False  # set by DDL: the commit raises the catalog version
        self.keeps_previous = False  # what was planned against the one before stays valid
        self.statement = ""  # for the detail of a deadlock report
        self.is_finished = False
        self._client = client
        self._buffer = WriteBuffer(bytes_max=write_bytes_max)
        self._reads = ReadFootprint()
        self._checks = CommitChecks()
        self.deferred = DeferredKeys()
        self.locks = TxnLocks(client, txn_id)
        self._is_fixed = False  # REPEATABLE READ: an earlier statement took the snapshot
        self.lock_mark = self.locks.mark
        self.savepoints = Savepoints(self)
        self._first = FirstRead()
        # Without validation at commit a READ COMMITTED transaction never looks at its footprint.
        self._is_tracking = isolation != "read committed" and not read_only

    @property
    def has_writes(self) -> bool:
        """True if there is something to commit."""
        return bool(self._buffer)

    async def get(self, key: bytes) -> bytes | None:
        """Read one key."""
        writes = self._buffer.writes
        if key in writes:
            return writes[key]
        if not self.read_ts:
            await self._first.begin(self)
        try:
            got = await self._client.get(
                key, read_ts=self.read_ts, catalog_version=self.catalog_version
            )
        finally:
            self._first.end()
        self._at(got.read_ts)
        self._record_keys((key,))
        return got.value

    async def multi_get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Read several keys; the result is parallel to `keys`."""
        writes = self._buffer.writes
        wanted = [key for key in keys if key not in writes] if writes else keys
        values: dict[bytes, bytes | None] = {}
        for start in range(0, len(wanted), KEYS_PER_REQUEST):
            part = wanted[start : start + KEYS_PER_REQUEST]
            values.update(zip(part, await self._read_part(part), strict=True))
        return [writes[key] if key in writes else values[key] for key in keys]

    async def _read_part(self, keys: Sequence[bytes]) -> list[bytes | None]:
        try:
            return await self._multi_get(keys)
        except RequestTooLarge:
            if len(keys) == 1:
                raise
        first, second = halves(keys)  # rows too large for one answer
        return await self._read_part(first) + await self._read_part(second)

    async def _multi_get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        if not self.read_ts:
            await self._first.begin(self)
        try:
            got = await self._client.multi_get(
                keys, read_ts=self.read_ts, catalog_version=self.catalog_version
            )
        finally:
            self._first.end()
        self._at(got.read_ts)
        self._record_keys(keys)
        return got.values

    async def scan_blocks(
        self,
        span: Span,
        *,
        reverse: bool = False,
        limit_rows: int = 0,
        keys_only: bool = False,
    ) -> AsyncGenerator[Block, None]:
        """Read the rows of a span as packed blocks; where nothing is buffered they pass untouched.

        `limit_rows` 0 is no limit. Close the iterator early (`aclosing`) to stop reading ahead.
        """
        if span.is_empty():
            return
        own = {key: self._buffer.writes[key] for key in self._buffer.keys_in(span)}
        # Each own write hides one row of the store at most.
        store_limit = limit_rows + len(own) if limit_rows else 0
        blocks = store_blocks(
            self, span, reverse=reverse, limit_rows=store_limit, keys_only=keys_only
        )
        if own:
            blocks = overlaid(own, span, blocks, reverse=reverse, limit_rows=limit_rows)
        try:
            async for block in blocks:
                if block.row_count:
                    yield block
        finally:
            await blocks.aclose()

    async def scan_once(
        self, span: Span, *, read_ts: int, reverse: bool, limit_rows: int, keys_only: bool
    ) -> Block:
        """Read one block of the store, without buffered writes; `read_ts` 0: at the snapshot."""
        while True:
            if not read_ts and not self.read_ts:
                await self._first.begin(self)
            try:
                block = await self._client.scan(
                    span,
                    read_ts=read_ts or self.read_ts,
                    catalog_version=self.catalog_version,
                    reverse=reverse,
                    limit_rows=limit_rows,
                    keys_only=keys_only,
                )
            finally:
                self._first.end()
            self._at(block.read_ts)
            if read_ts or block.read_ts == self.read_ts:
                return block

    def has_writes_in(self, span: Span) -> bool:
        """Tell whether this transaction wrote in `span`."""
        return bool(self._buffer.keys_in(span))

    async def unchanged_since(self, span: Span, read_ts: int) -> int:
        """Return until when `span` is as at `read_ts` (0: unknown); it counts as read now."""
        if not self.read_ts:
            await self._first.begin(self)
        since, version = min(read_ts, self.read_ts or read_ts), self.catalog_version
        try:
            until = await valid_until(
                self._client, span, txn_id=self.txn_id, read_ts=since, catalog_version=version
            )
        finally:
            self._first.end()
        self._at(until)
        self.record_span(span)
        return until

    def record_span(self, span: Span) -> None:
        """Take note that all rows of `span` were read."""
        if self._is_tracking:
            self._reads.add_span(span)

    def _record_keys(self, keys: Sequence[bytes]) -> None:
        if self._is_tracking:
            for key in keys:
                if not self.locks.protects(key):
                    self._reads.add_key(key)

    def _at(self, read_ts: int) -> None:
        if not self.read_ts:
            self.read_ts = read_ts

    async def lock_rows(
        self,
        keys: Sequence[bytes],
        *,
        wait: LockWait = "block",
        timeout_ms: int = 0,
        mode: LockMode = "exclusive",
        keep_absent: bool = False,
    ) -> MultiGot:
        """Lock rows in the order given and return their newest values, own writes included.

        What does not exist stays locked only with `keep_absent`.
        Raises: WriteConflict, LockTimeout, LockNotAvailable, Deadlock.
        """
        writes = self._buffer.writes
        if all(key in writes and self.locks.covers(key, mode) for key in keys):
            return from_buffer(keys, writes, self.read_ts)
        wish = LockWish(mode, wait, timeout_ms, self.statement, self.catalog_version)
        parts = []
        async for part, got in self.locks.lock(keys, wish):
            await self._after_lock(part, got, mode, keep_absent=keep_absent)
            parts.append(with_own_writes(part, got, writes))
        return parts[0] if len(parts) == 1 else joined(parts, self.read_ts)

    async def hold_rows(self, keys: Sequence[bytes], *, timeout_ms: int = 0) -> list[bytes | None]:
        """Keep rows from losing their keys (for foreign keys: no read); return newest values."""
        writes = self._buffer.writes
        wish = LockWish("key shared", "block", timeout_ms, self.statement, self.catalog_version)
        values = await self.locks.hold([key for key in keys if key not in writes], wish)
        return [writes[key] if key in writes else values[key] for key in keys]

    async def _after_lock(
        self, keys: Sequence[bytes], got: MultiGot, mode: LockMode, *, keep_absent: bool
    ) -> None:
        """Move the snapshot if locked rows are newer, and stop validating what is locked."""
        absent = self.locks.note(keys, got.found, mode)
        if self._is_tracking and self.read_ts:
            if is_overtaken(keys, got, self.read_ts, self._reads.keys):
                await self._move(keys, got)
        elif self.isolation != "read committed":
            self._at(got.read_ts)
        for key, state in zip(keys, got.found, strict=True):
            if state == FOUND and self.locks.protects(key):
                self._reads.discard_key(key)
            elif state != SKIPPED and self._is_tracking and key not in self._buffer.writes:
                self._reads.add_key(key)  # an insert does not look at locks
        if not keep_absent:
            self.locks.give_up(absent, mode)

    async def _move(self, keys: Sequence[bytes], got: MultiGot) -> None:
        """Move the snapshot to where the locked rows are. Raises: WriteConflict."""
        if self._is_fixed:
            refuse_overtaken(await self._client.multi_get(keys, read_ts=self.read_ts), got)
            return
        if self._reads:
            await self._refresh()
        # Not the refresh's own, later time: what this lock found absent may exist then.
        self.read_ts = got.read_ts

    async def _refresh(self) -> int:
        """Validate everything read so far now; return the time. Raises: WriteConflict."""
        return await self._client.refresh(
            txn_id=self.txn_id, read_ts=self.read_ts, footprint=self._reads.footprint()
        )

    def put(self, key: bytes, value: bytes) -> None:
        """Write a row; one that exists already must have been locked by `lock_rows`.

        Raises: ConfigurationLimitExceeded if the transaction writes too much.
        """
        self._buffer.set(key, value)

    def delete(self, key: bytes) -> None:
        """Delete a row, which must have been locked by `lock_rows` (index entries: their row)."""
        self._buffer.set(key, None)

    def give_up_locks(self, mark: int) -> None:
        """Give up the locks taken since `mark`: what was read of those rows may change again."""
        for key in self.locks.give_up_since(mark):
            if self._is_tracking:
                self._reads.add_key(key)

    def require_absent(self, key: bytes) -> None:
        """Make the commit fail with KeyExists if `key` exists then. Call it before `put`.

        Raises: KeyExists if this transaction wrote the key itself.
        """
        writes = self._buffer.writes
        if key not in writes:
            self._buffer.absent_keys.append(key)
        elif writes[key] is not None:
            raise KeyExists("written by this transaction already", key=key)
        # Deleted by ourselves: the row is there until the commit, and locked.

    def newest(self) -> "Transaction":
        """Return what a constraint has to read: under SERIALIZABLE this very transaction.

        Else a view of what is committed now, under the same buffered writes; see `require_still`.
        """
        if self.isolation == "serializable":
            return self
        view = copy.copy(self)
        view.read_ts, view.isolation, view._is_tracking = 0, "repeatable read", True
        view._reads, view._first = ReadFootprint(), FirstRead()
        return view

    def require_still(self, view: "Transaction", keys: Sequence[bytes] | None = None) -> None:
        """Make the commit fail if anything that `view` read (only `keys`) changes until then."""
        if view is not self:
            read = view._reads.footprint() if keys is None else Footprint(list(keys), [])
            self._checks.add(read, read_ts=view.read_ts)

    def begin_statement(self) -> Mark:
        """Begin a statement, in READ COMMITTED with a new snapshot; the mark is for `undo_to`."""
        if self.isolation == "read committed":
            self.read_ts = 0
        self._is_fixed = self.isolation == "repeatable read" and self.read_ts != 0
        return self.mark()

    def mark(self) -> Mark:
        """Return the present position."""
        return Mark(self._buffer.mark(), self._reads.mark())

    def undo_to(self, mark: Mark) -> None:
        """Take back the writes since `mark`; reads stay, the client may have seen them."""
        self._buffer.undo_to(mark.writes)

    async def retry_statement(self, mark: Mark) -> None:
        """Make ready to run the statement that began at `mark` again at a newer snapshot.

        For a statement the client has seen nothing of. Raises: WriteConflict if reads changed.
        """
        if self._is_fixed:
            raise WriteConflict("could not serialize access due to concurrent update")
        self._buffer.undo_to(mark.writes)
        self._reads.forget_to(mark.reads)
        self.read_ts = await self._refresh() if self._reads else 0

    async def commit(self) -> int:
        """Commit; return the commit timestamp, or the snapshot if nothing was written.

        Raises: WriteConflict, KeyExists, SchemaChanged, CommitAmbiguous, …; the transaction is over
        in any case.
        """
        self.is_finished = True
        if not self._buffer and not self.schema_changed:
            self.locks.free()
            return self.read_ts
        is_validated = self.isolation == "serializable" and self._is_tracking
        try:
            commit_ts = await self._client.commit(
                txn_id=self.txn_id,
                read_ts=self.read_ts if is_validated else self._checks.read_ts,
                catalog_version=self.catalog_version,
                footprint=(self._reads if is_validated else self._checks).footprint(),
                writes=self._buffer.writes,
                absent_keys=self._buffer.absent_keys,
                schema_change=self.schema_changed,
                keeps_previous=self.keeps_previous,
            )
        except BaseException:
            self.locks.has_any = True  # part of it may be staged
            self.locks.free()
            raise
        self.locks.has_any = False  # freed with the commit
        return commit_ts

    async def rollback(self) -> None:
        """Give up: nothing was written yet, so only locks have to be freed. Safe to call twice."""
        self.is_finished = True
        self.locks.free()
