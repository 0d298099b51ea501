"""The reading half of a transaction: one snapshot, the transaction's own writes laid over it.

`visible` are the own writes that are seen: all of them, or those from before the running statement
(`Transaction.as_statement_began`).
"""

import copy
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from kvapi.client.results import Block, Got, MultiGot
from kvapi.errors import RequestTooLarge, SchemaChanged
from kvapi.layout import CATALOG_CHANGED_KEY
from kvapi.spans import Span
from sqlnode.locked_rows import halves
from sqlnode.own_writes import NO_LAYERS, Scope
from sqlnode.span_validation import valid_until
from sqlnode.txn_locks import KEYS_PER_REQUEST
from sqlnode.txn_scan import overlaid, store_blocks

if TYPE_CHECKING:
    from kvapi.client.kv_client import KvClient
    from sqlnode.commit_checks import CommitChecks
    from sqlnode.first_read import Snapshot
    from sqlnode.own_writes import OwnWrites, Visible
    from sqlnode.read_footprint import ReadFootprint
    from sqlnode.throttle import Pace
    from sqlnode.txn_locks import TxnLocks
    from sqlnode.used_relations import UsedRelations
Answer = TypeVar("Answer", Got, MultiGot)


class TransactionReads:
    """Reads of one transaction; what they read is recorded for validation."""

    txn_id: bytes
    _client: "KvClient"
    _snapshot: "Snapshot"
    _own: "OwnWrites"
    _visible: "Visible"
    _reads: "ReadFootprint"
    _checks: "CommitChecks"
    locks: "TxnLocks"
    used: "UsedRelations"
    _is_tracking: bool
    pace: "Pace | None"
    scan_priority = 0  # kv.proto, Request.priority

    @property
    def read_ts(self) -> int:
        """The snapshot; 0 until the first read's answer fixes it."""
        return self._snapshot.read_ts

    @read_ts.setter
    def read_ts(self, read_ts: int) -> None:
        self._snapshot.read_ts = read_ts

    @property
    def catalog_version(self) -> int:
        """The catalog's version that the transaction is planned against, with all its views."""
        return self.used.catalog_version

    @catalog_version.setter
    def catalog_version(self, version: int) -> None:
        self.used.catalog_version = version

    @property
    def oldest_ts(self) -> int:
        """The oldest time that it reads at, or that its commit looks back to; 0: there is none."""
        return min(filter(None, (self.read_ts, self._checks.read_ts)), default=0)

    async def fix_snapshot(self) -> None:
        """Take the snapshot if no read has: it is to be of now, whenever the first read comes."""
        if not self.read_ts:
            await self._ask(self._client.get, CATALOG_CHANGED_KEY)

    async def get(self, key: bytes) -> bytes | None:
        """Read one key."""
        recent = self._visible.recent
        if key in recent:
            return recent[key]
        got = await self._ask(self._client.get, key)
        self._record_keys((key,))
        return got.value

    async def multi_get(
        self, keys: Sequence[bytes], *, is_claim: bool = False
    ) -> list[bytes | None]:
        """Read several keys; the result is parallel to `keys`.

        `is_claim`: `require_absent` of every key that is not there follows, which is stronger than
        having read it.
        """
        recent = self._visible.recent
        wanted = [key for key in keys if key not in recent] if recent else keys
        values: dict[bytes, bytes | None] = {}
        for start in range(0, len(wanted), KEYS_PER_REQUEST):
            part = wanted[start : start + KEYS_PER_REQUEST]
            found = await self._read_part(part)
            values.update(zip(part, found, strict=True))
            if is_claim:
                part = [key for key, value in zip(part, found, strict=True) if value is not None]
            if part:
                self._record_keys(part)
        return [recent[key] if key in recent else values[key] for key in keys]

    async def written_since(self, keys: Sequence[bytes]) -> set[bytes]:
        """Return those of `keys` that the transaction has written since it was as this view shows.

        What is staged since is told by its value.
        """
        newest, seen = self._own.recent, self._visible.recent
        written = {
            key for key in keys if key in newest and not (key in seen and seen[key] is newest[key])
        }
        if self._own.scope != self._visible.scope:
            now = copy.copy(self)
            now._visible = self._own
            before, after = await self.multi_get(keys), await now.multi_get(keys)
            written |= {k for k, a, b in zip(keys, before, after, strict=True) if a != b}
        return written

    async def _read_part(self, keys: Sequence[bytes]) -> list[bytes | None]:
        try:
            return (await self._ask(self._client.multi_get, keys)).values
        except RequestTooLarge:
            if len(keys) == 1:
                raise
        first, second = halves(keys)  # rows too large for one answer
        return await self._read_part(first) + await self._read_part(second)

    async def _ask(
        self, send: Callable[..., Awaitable[Answer]], what: bytes | Sequence[bytes]
    ) -> Answer:
        """Send a read of keys at the snapshot; once more if it has to name what was used."""
        scope = self._visible.scope
        if scope:
            await self._visible.dropped()
        is_first = not self._snapshot.read_ts and await self._snapshot.begin()
        used = self.used
        try:
            while True:
                try:
                    got = await send(
                        what,
                        read_ts=self._snapshot.read_ts,
                        catalog_version=used.catalog_version,
                        relations=(told := used.told),
                        **scope,
                    )
                    break
                except SchemaChanged:
                    if not used.tell(told):
                        raise
        finally:
            if is_first:
                self._snapshot.end()
        if is_first:
            self._at(got.read_ts)
        return got

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
        visible = self._visible
        with visible.pinned() as scope:
            if scope:
                await visible.dropped()
            own = {key: visible.recent[key] for key in visible.keys_in(span)}
            # Each own write hides one row of the store at most.
            store_limit = limit_rows + len(own) if limit_rows else 0
            blocks = store_blocks(
                self, span, scope, reverse=reverse, limit_rows=store_limit, keys_only=keys_only
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
        self,
        span: Span,
        scope: Scope = NO_LAYERS,
        *,
        reverse: bool,
        limit_rows: int,
        keys_only: bool,
    ) -> Block:
        """Read one block of the store at the snapshot, without buffered writes (for `txn_scan`).

        The snapshot may move while the block is on its way.
        """
        while True:
            is_first = not self.read_ts and await self._snapshot.begin()
            try:
                block = await self._client.scan(
                    span,
                    read_ts=self.read_ts,
                    catalog_version=self.catalog_version,
                    relations=(told := self.used.told),
                    reverse=reverse,
                    limit_rows=limit_rows,
                    keys_only=keys_only,
                    priority=self.scan_priority,
                    **scope,
                )
            except SchemaChanged:
                if not self.used.tell(told):
                    raise
                continue
            finally:
                if is_first:
                    self._snapshot.end()
            if is_first:
                self._at(block.read_ts)
            if block.read_ts == self.read_ts:
                return block

    def has_writes_in(self, span: Span) -> bool:
        """Tell whether this transaction may have written in `span`."""
        return self._visible.has_writes_in(span)

    async def unchanged_since(self, span: Span, read_ts: int) -> int:
        """Return until when `span` is as at `read_ts` (0: unknown); it counts as read now."""
        is_first = not self.read_ts and await self._snapshot.begin()
        since = min(read_ts, self.read_ts or read_ts)
        try:
            until = await valid_until(self._client, span, self, read_ts=since)
        finally:
            if is_first:
                self._snapshot.end()
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
