"""Keys that nobody can name any more: deleted in small transactions, some time after their drop.

**Model.** DROP and TRUNCATE leave a note `garbage/<id>` in the catalog (docs/adr/0003), an index
that goes `garbage/<table>/<index>`. This task
of a SQL process looks for notes when it starts, and again each time DDL made one; it deletes the
keys of the id in chunks, then the note. Two processes that do the same at once only do it twice.
"""

import asyncio
import logging
import os
from typing import Any, Final

from kvapi import layout
from kvapi.client.kv_client import KvClient
from kvapi.errors import KvError
from kvapi.spans import Span, prefix_span
from runtime.tasks import spawn
from sqlnode.catalog.store import GARBAGE_PREFIX, SEQUENCE_KIND, TABLE_KIND
from sqlnode.txn import TXN_ID_BYTES, Transaction

_log = logging.getLogger(__name__)
CHUNK_KEYS: Final = 500
PAUSE_S: Final = 0.01  # between chunks, so that the tenant's own commits go first
START_DELAY_S: Final = 2.0
RETRY_S: Final = 5.0
_NOTES: Final = prefix_span(layout.meta_key(GARBAGE_PREFIX))


class GarbageCollector:
    """The background task of one SQL process."""

    def __init__(self, kv: KvClient) -> None:
        self._kv = kv
        self._wakeup = asyncio.Event()
        self._task: asyncio.Task[Any] | None = None

    def start(self) -> None:
        """Begin to collect in the background."""
        self._wakeup.set()
        self._task = spawn(self._run(), name="garbage")

    def notify(self) -> None:
        """Look again soon: a transaction that left notes has committed."""
        self._wakeup.set()

    async def close(self) -> None:
        """Stop; what is left is collected when the tenant wakes again."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            await self._wakeup.wait()
            await asyncio.sleep(START_DELAY_S)
            self._wakeup.clear()
            try:
                await self.collect()
            except KvError as error:
                _log.info("garbage_postponed", extra={"error": str(error)})
                self._wakeup.set()
                await asyncio.sleep(RETRY_S)

    async def collect(self) -> int:
        """Delete all garbage there is; return how many keys went. Raises: KvError."""
        key_count = 0
        for note in await self._keys(_NOTES, limit=CHUNK_KEYS):
            name = note[len(layout.meta_key(GARBAGE_PREFIX)) :].decode()
            key_count += await self._collect(note, *map(int, name.split("/")))
        return key_count

    async def _collect(self, note: bytes, key_id: int, index_id: int = 0) -> int:
        """Delete the keys of a dropped table or sequence, or of one index, then the note."""
        dead = [note]
        if index_id:
            span = prefix_span(layout.index_prefix(key_id, index_id))
        else:
            span = layout.table_span(key_id)
            if not await self._is_alive(key_id):
                dead.append(layout.sequence_key(key_id))
        key_count = await self._empty(span)
        await self._delete(dead)
        return key_count

    async def _is_alive(self, object_id: int) -> bool:
        """Tell whether a table or sequence has this id: TRUNCATE keeps its counter."""
        keys = [layout.descriptor_key(kind, object_id) for kind in (TABLE_KIND, SEQUENCE_KIND)]
        got = await self._kv.multi_get(keys)
        return any(value is not None for value in got.values)

    async def _empty(self, span: Span) -> int:
        key_count = 0
        while keys := await self._keys(span, limit=CHUNK_KEYS):
            await self._delete(keys)
            key_count += len(keys)
            await asyncio.sleep(PAUSE_S)
        return key_count

    async def _keys(self, span: Span, *, limit: int) -> list[bytes]:
        keys: list[bytes] = []
        while len(keys) < limit:
            block = await self._kv.scan(span, keys_only=True, limit_rows=limit - len(keys))
            keys += [key for key, _ in block.rows()]
            if not block.more:
                break
            span = block.resume_span(span)
        return keys

    async def _delete(self, keys: list[bytes]) -> None:
        txn = Transaction(
            self._kv,
            txn_id=os.urandom(TXN_ID_BYTES),
            catalog_version=0,
            isolation="read committed",
        )
        for key in keys:
            txn.delete(key)
        await txn.commit()
