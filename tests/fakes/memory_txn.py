"""An in-memory transaction with the interface of sqlnode.txn.Transaction, over a sorted dict.

Reads see the transaction's own writes. Every call that would be a round trip is counted in
`round_trips`, so that tests can state how many a statement costs.
"""

import copy
import struct
from contextlib import contextmanager
from itertools import accumulate

from kvapi.client.results import Block, MultiGot
from kvapi.errors import KeyExists
from kvapi.spans import Span
from sqlnode.deferred_keys import DeferredKeys
from sqlnode.used_relations import UsedRelations


class MemoryStore:
    """Committed keys and values."""

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}

    def begin(self) -> "MemoryTxn":
        return MemoryTxn(self)


class MemoryTxn:
    """One transaction; no isolation from others beyond its own buffered writes."""

    def __init__(self, store: MemoryStore, block_rows: int = 1000) -> None:
        self.store = store
        self.block_rows = block_rows
        self.read_ts = 1
        self.isolation = "serializable"
        self.deferred = DeferredKeys()
        self.used = UsedRelations()
        self.catalog_version = 1
        self.writes: dict[bytes, bytes | None] = {}
        self.absent: list[bytes] = []
        self._undo = []
        self.locked: list[bytes] = []
        self.round_trips: list[str] = []
        self.staged_bytes = 0
        self.before_lock = None  # called with the keys, as if another transaction had come first

    def _value(self, key: bytes) -> bytes | None:
        return self.writes[key] if key in self.writes else self.store.values.get(key)

    async def get(self, key):
        self.round_trips.append("get")
        return self._value(key)

    async def multi_get(self, keys, *, is_claim=False):
        self.round_trips.append("multi_get")
        return [self._value(key) for key in keys]

    async def scan_blocks(self, span: Span, *, reverse=False, limit_rows=0):
        keys = sorted(
            key
            for key in self.store.values.keys() | self.writes.keys()
            if span.contains(key) and self._value(key) is not None
        )
        if reverse:
            keys.reverse()
        if limit_rows:
            keys = keys[:limit_rows]
        if not keys:
            self.round_trips.append("scan")
        for start in range(0, len(keys), self.block_rows):
            self.round_trips.append("scan")
            part = keys[start : start + self.block_rows]
            values = [self._value(key) for key in part]
            more = start + self.block_rows < len(keys)
            yield Block(
                len(part), b"".join(part), _ends(part), b"".join(values), _ends(values), more, 1,
                reverse,
            )  # fmt: skip

    async def lock_rows(
        self, keys, *, wait="block", timeout_ms=0, mode="exclusive", keep_absent=False
    ):
        self.round_trips.append("lock")
        self.locked += keys
        if self.before_lock is not None:
            self.before_lock(keys)
        values = [self._value(key) for key in keys]
        found = bytes(0 if value is None else 1 for value in values)
        return MultiGot(values, [1] * len(keys), 1, found)

    async def hold_rows(self, keys, *, timeout_ms=0):
        self.round_trips.append("lock")
        return [self._value(key) for key in keys]

    def put(self, key, value):
        self._undo.append((key, key in self.writes, self.writes.get(key)))
        self.writes[key] = value

    def delete(self, key):
        self.put(key, None)

    async def claim_keys(self, keys, *, timeout_ms=0):
        return await self.multi_get(keys)

    def require_absent(self, key):
        if key not in self.writes:
            self.absent.append(key)
        elif self.writes[key] is not None:
            raise KeyExists("written by this transaction already", key=key)

    def newest(self):
        return self

    def require_still(self, view, keys=None):
        """Do nothing: nobody else writes here."""

    async def make_room(self):
        """Do nothing: memory is the store."""

    async def settle(self):
        """Do nothing: nothing is on its way."""

    def as_statement_began(self):
        view = copy.copy(self)
        view.writes, view.lock_rows = dict(self.writes), self.lock_rows
        return view

    def unvalidated(self):
        return self

    @contextmanager
    def as_now(self):
        yield self.as_statement_began()

    def mark(self):
        return len(self._undo), len(self.absent)

    def undo_to(self, mark):
        while len(self._undo) > mark[0]:
            key, was_there, value = self._undo.pop()
            if was_there:
                self.writes[key] = value
            else:
                del self.writes[key]
        del self.absent[mark[1] :]

    async def commit(self):
        self.round_trips.append("commit")
        for key in self.absent:
            if key in self.store.values:
                raise KeyExists("key exists", key=key)
        for key, value in self.writes.items():
            if value is None:
                self.store.values.pop(key, None)
            else:
                self.store.values[key] = value
        return 2

    async def rollback(self):
        self.writes.clear()


def _ends(parts):
    return struct.pack(f"<{len(parts)}I", *accumulate(map(len, parts)))
