"""One SQL transaction's view of the KV store.

**Model.** Reads see one snapshot, the newest durable commit at the first read, with the
transaction's own writes laid over it (txn_reads.py). Writes leave with the commit in one request,
together with what was read; many of them are staged before (own_writes.py). Rows that will be
changed are locked first, so that contended rows queue instead of failing; what that does to the
snapshot is told in locked_rows.py.

Isolation: SERIALIZABLE validates all reads at commit. REPEATABLE READ validates only those of
constraints (`newest`) and DDL (`watched`); READ COMMITTED takes a new snapshot for each statement.

**Concurrency.** Belongs to one session. Several reads may be in flight; a lock waits alone.
"""

import copy
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final, Literal, NamedTuple

from kvapi.client.catalog_calls import SchemaChange
from kvapi.client.kv_client import KvClient
from kvapi.client.lock_calls import LockMode, LockWait
from kvapi.client.results import FOUND, SKIPPED, MultiGot
from kvapi.errors import KeyExists, RequestTooLarge, WriteConflict
from kvapi.footprint import Footprint
from pgwire.errors import ConfigurationLimitExceeded
from sqlnode.commit_checks import CommitChecks, Relied
from sqlnode.deferred_keys import DeferredKeys
from sqlnode.first_read import Snapshot
from sqlnode.locked_rows import from_buffer, is_overtaken, joined, refuse_overtaken, with_own_writes
from sqlnode.own_writes import STAGE_BYTES, OwnMark, OwnWrites, Visible
from sqlnode.read_footprint import FootprintMark, ReadFootprint
from sqlnode.savepoints import Savepoints
from sqlnode.throttle import Pace
from sqlnode.txn_locks import LocksMark, LockWish, TxnLocks
from sqlnode.txn_reads import TransactionReads
from sqlnode.used_relations import UsedRelations

Isolation = Literal["serializable", "repeatable read", "read committed"]
TXN_ID_BYTES: Final = 16


class Mark(NamedTuple):
    """Where a statement or savepoint began."""

    writes: OwnMark
    reads: FootprintMark
    relied: Relied


class Transaction(TransactionReads):
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
        stage_bytes: int = STAGE_BYTES,
    ) -> None:
        assert len(txn_id) == TXN_ID_BYTES, "a transaction id has 16 random bytes"
        self.txn_id = txn_id
        self._snapshot, self.is_past = Snapshot(read_ts), bool(read_ts)
        self.isolation: Isolation = isolation
        self.read_only = read_only
        self.used = UsedRelations(catalog_version)
        self.changed: Collection[int] | None = None  # by DDL: the commit makes a newer catalog
        self.keeps_previous = False  # what was planned against the one before stays valid
        self.pace: Pace | None = None  # of the session; without one it never waits for tokens
        self.statement = ""  # for the detail of a deadlock report
        self.is_finished = False  # its commit or rollback has begun
        self.is_over = False  # nothing more of it will reach the KV node
        self._client = client
        self._own = OwnWrites(client, txn_id, stage_bytes)
        self._visible: Visible = self._own
        self._reads = ReadFootprint()
        self._checks = CommitChecks()
        self.deferred = DeferredKeys()
        self.locks = TxnLocks(client, txn_id, self.used)
        self.lock_mark = self.locks.mark
        self.savepoints = Savepoints(self)
        # Without validation at commit a READ COMMITTED transaction never looks at its footprint.
        self._is_tracking = isolation != "read committed" and not read_only

    @property
    def has_writes(self) -> bool:
        """True if there is something to commit."""
        return bool(self._own)

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
        writes = self._own.recent
        if all(key in writes and self.locks.covers(key, mode) for key in keys):
            return from_buffer(keys, writes, self.read_ts)
        await self._own.dropped()
        wish = LockWish(mode, wait, timeout_ms, self.statement, self.catalog_version)
        parts = []
        async for part, got in self.locks.lock(keys, wish):
            await self._after_lock(part, got, mode, keep_absent=keep_absent)
            parts.append(with_own_writes(part, got, writes))
        return parts[0] if len(parts) == 1 else joined(parts, self.read_ts)

    async def hold_rows(self, keys: Sequence[bytes], *, timeout_ms: int = 0) -> list[bytes | None]:
        """Keep rows from losing their keys (for foreign keys: no read); return newest values."""
        writes = self._own.recent
        await self._own.dropped()
        wish = LockWish("key shared", "block", timeout_ms, self.statement, self.catalog_version)
        values = await self.locks.hold([key for key in keys if key not in writes], wish)
        return [writes[key] if key in writes else values[key] for key in keys]

    async def claim_keys(self, keys: Sequence[bytes], *, timeout_ms: int = 0) -> list[bytes | None]:
        """Lock keys that are to be new, and return what is under them now, own writes included.

        Whoever else inserts one of them waits; what exists already is not kept locked.
        `require_absent` follows. Raises: LockTimeout, Deadlock.
        """
        writes, values, taken = self._own.recent, dict[bytes, bytes | None](), list[bytes]()
        await self._own.dropped()
        wish = LockWish("exclusive", "block", timeout_ms, self.statement, self.catalog_version)
        async for part, got in self.locks.lock([key for key in keys if key not in writes], wish):
            if self.isolation == "serializable":
                self._at(got.read_ts)
            for key, value in zip(part, got.values, strict=True):
                if self.locks.add(key, wish.mode) and value is not None:
                    taken.append(key)
                values[key] = value
        self.locks.give_up(taken, wish.mode)
        self._record_keys(taken)
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
            elif state != SKIPPED and self._is_tracking and key not in self._own.recent:
                self._reads.add_key(key)  # an insert does not look at locks
        if not keep_absent:
            self.locks.give_up(absent, mode)

    async def _move(self, keys: Sequence[bytes], got: MultiGot) -> None:
        """Move the snapshot to where the locked rows are. Raises: WriteConflict."""
        if self._snapshot.is_fixed:
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
        """Write a row; one that exists already must have been locked by `lock_rows`."""
        self._own.buffer.set(key, value)

    def delete(self, key: bytes) -> None:
        """Delete a row, which must have been locked by `lock_rows` (index entries: their row)."""
        self._own.buffer.set(key, None)

    def give_up_locks(self, mark: LocksMark) -> None:
        """Give up the locks taken since `mark`: what was read of those rows may change again."""
        for key in self.locks.give_up_since(mark):
            if self._is_tracking:
                self._reads.add_key(key)

    def require_absent(self, key: bytes) -> None:
        """Make the commit fail with KeyExists if `key` exists then. Call it before `put`.

        If the key is staged before the commit, that fails. Raises: KeyExists if this transaction
        wrote the key itself.
        """
        recent = self._own.recent
        if key not in recent:
            self._own.buffer.absent_keys.append(key)
        elif recent[key] is not None:
            raise KeyExists("written by this transaction already", key=key)
        # Deleted by ourselves: the row is there until the commit, and locked.

    async def written_among(self, keys: Sequence[bytes]) -> set[bytes]:
        """Return those of `keys` that this transaction put. Requires: they were not stored before.

        A round trip only if something is staged.
        """
        if self._own.scope:
            values = await self.multi_get(keys, is_claim=True)
            return {key for key, value in zip(keys, values, strict=True) if value is not None}
        recent = self._own.recent
        return {key for key in keys if key in recent and recent[key] is not None}

    async def make_room(self) -> None:
        """Stage the writes so far if they are many. Called between the batches of a statement.

        Raises: ConfigurationLimitExceeded if the tenant may stage no more; KeyExists, KvError.
        """
        if self.pace is not None and self.pace.throttle.is_on:
            await self.pace.go_on()
        if self._own.is_full:
            self.locks.has_any = True
            with _limits():
                staged, vanished = await self._own.spill(self.statement)
            self.locks.forget(staged)
            if self.read_ts:
                self._record_keys(vanished)

    async def settle(self) -> None:
        """Wait until what is on its way to the node is there. Called as a statement ends.

        Raises: as `make_room`.
        """
        if self._own.is_moving:
            with _limits():
                await self._own.settle()

    def as_statement_began(self) -> "Transaction":
        """Return this transaction without what it writes from now on: a statement's source.

        No row that the statement writes is read again by it. Locks answer as ever. Requires: the
        statement has set its mark. After its end only what `as_now` gives is good, at its snapshot.
        """
        view = copy.copy(self)
        view._visible = self._own.frozen()
        return view

    @contextmanager
    def as_now(self) -> Iterator["Transaction"]:
        """Give this transaction as it is now, whatever it writes in the block."""
        with self._own.pinned():
            yield self.as_statement_began()

    def unvalidated(self) -> "Transaction":
        """Return a view whose reads the commit does not validate: to find rows for SKIP LOCKED.

        Skipping gives no consistent view anyway; the rows returned are locked, thus valid.
        """
        view = copy.copy(self)
        view._is_tracking = False
        return view

    def newest(self) -> "Transaction":
        """Return what a constraint has to read: under SERIALIZABLE this very transaction.

        Else a view of what is committed now, under the same buffered writes; see `require_still`.
        """
        if self.isolation == "serializable":
            return self
        view = copy.copy(self)
        view.isolation, view._is_tracking = "repeatable read", True
        view._reads, view._snapshot = ReadFootprint(), Snapshot()
        return view

    def watched(self) -> "Transaction":
        """Return what DDL reads rows through, at the statement's snapshot; `rely_on` follows."""
        if self.isolation == "serializable":
            return self
        view = copy.copy(self)
        view._is_tracking, view._reads = True, ReadFootprint()
        return view

    def rely_on(self, view: "Transaction") -> None:
        """As `require_still`; and what is read from now on is read while that is so.

        An index, or a table written anew, is right for no other rows, at any isolation level.
        """
        if view is not self and view._reads:
            self._checks.rely_on(view._reads.footprint(), read_ts=view.read_ts)
            self._snapshot.take = partial(self._checks.refresh, self._client, self.txn_id)

    def require_still(self, view: "Transaction", keys: Sequence[bytes] | None = None) -> None:
        """Make the commit fail if anything that `view` read (only `keys`) changes until then."""
        if view is not self:
            read = view._reads.footprint() if keys is None else Footprint(list(keys), [])
            self._checks.add(read, read_ts=view.read_ts)

    def begin_statement(self) -> Mark:
        """Begin a statement, in READ COMMITTED with a new snapshot; the mark is for `undo_to`."""
        if self.isolation == "read committed":
            self._snapshot = self._snapshot.renewed()
        self._snapshot.is_fixed = self.isolation == "repeatable read" and self.read_ts != 0
        newest = self.savepoints.newest()
        self._own.forget_marks(None if newest is None else newest.writes)
        return self.mark()

    def mark(self) -> Mark:
        """Return the present position."""
        return Mark(self._own.mark(), self._reads.mark(), self._checks.relied)

    def undo_to(self, mark: Mark) -> None:
        """Take back the writes since `mark`; reads stay, the client may have seen them."""
        self._own.undo_to(mark.writes)
        self._checks.undo_to(mark.relied)
        if not mark.relied:
            self._snapshot.take = None

    async def retry_statement(self, mark: Mark) -> None:
        """Make ready to run the statement that began at `mark` again at a newer snapshot.

        For a statement the client has seen nothing of. Raises: WriteConflict if reads changed.
        """
        if self._snapshot.is_fixed:
            raise WriteConflict("could not serialize access due to concurrent update")
        self.undo_to(mark)
        self._reads.forget_to(mark.reads)
        await self._own.dropped()
        if self._snapshot.take is not None:
            self.read_ts = await self._snapshot.take()  # what DDL relies on does not come back
            return
        # What was locked is in no footprint; with a lapsed heartbeat the locks are gone.
        is_held = self._reads or self._own.layers.has_any
        self.read_ts = await self._refresh() if is_held and self.read_ts else 0

    async def commit(self) -> int:
        """Commit; return the commit timestamp, or the snapshot if nothing was written.

        Raises: WriteConflict, KeyExists, SchemaChanged, CommitAmbiguous, …; the transaction is over
        in any case.
        """
        self.is_finished = True
        if not self._own and self.changed is None:
            self.locks.free()
            self.is_over = True
            return self.read_ts
        is_validated = self.isolation == "serializable" and self._is_tracking
        change = None if self.changed is None else SchemaChange(self.keeps_previous, self.changed)
        try:
            with _limits():
                if self.locks.has_any:
                    await self._own.settle()
                commit_ts = await self._client.commit(
                    txn_id=self.txn_id,
                    read_ts=self.read_ts if is_validated else self._checks.read_ts,
                    catalog_version=self.catalog_version,
                    relations=self.used.ids,
                    footprint=(self._reads if is_validated else self._checks).footprint(),
                    writes=self._own.buffer.writes,
                    absent_keys=self._own.buffer.absent_keys,
                    schema_change=change,
                )
        except BaseException:
            self.locks.has_any = True  # part of it may be staged
            self._free()
            raise
        finally:
            self.is_over = True
        self.locks.has_any = False  # freed with the commit
        return commit_ts

    async def rollback(self) -> None:
        """Give up: locks and what is staged have to be freed. Safe to call twice."""
        self.is_finished = self.is_over = True
        self._free()

    def _free(self) -> None:
        self._own.layers.cancel()
        self.locks.free()


@contextmanager
def _limits() -> Iterator[None]:
    """Say of a refusal for size what the client can do about it."""
    try:
        yield
    except RequestTooLarge as error:
        raise ConfigurationLimitExceeded(
            "the transaction writes more than the KV node takes of uncommitted transactions",
            detail=error.message or None,
            hint="Commit in smaller parts, or have the operator raise the limit.",
        ) from error
