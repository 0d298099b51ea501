"""What the KV node holds of a transaction's writes: intents, in layers that can be dropped.

**Model.** Layers are numbered from 1, a newer one lies over the older ones; a number is never used
twice. Only the newest layer grows. At most what one `send` gave is on its way; `settle` waits for
it. A layer of which a part failed is incomplete: `settle` fails until it is dropped.

**Invariants.** What is in flight belongs to the newest layer. Reads that see layers come after a
drop is done.
"""

import asyncio
from collections.abc import Collection, Mapping
from operator import itemgetter
from typing import Any

from kvapi.client.kv_client import KvClient
from kvapi.errors import KvError, WriteConflict
from kvapi.layout import INDEX_PREFIX_BYTES
from kvapi.spans import Span, prefix_span

Writes = Mapping[bytes, bytes | None]
_index_prefix = itemgetter(slice(INDEX_PREFIX_BYTES))


class StagedLayers:
    """The layers of one transaction."""

    def __init__(self, client: KvClient, txn_id: bytes) -> None:
        self.newest = 0  # 0: none
        self._client = client
        self._txn_id = txn_id
        self._number = 0
        self._prefixes: dict[int, set[bytes]] = {}  # layer → the indexes it writes to
        self._request: asyncio.Future[None] | None = None
        self._drops: list[asyncio.Future[None]] = []
        self._failure: BaseException | None = None  # of the newest layer, until it is dropped

    @property
    def has_any(self) -> bool:
        """Whether anything was ever staged: the transaction may lapse."""
        return self._number > 0

    def above(self, floor: int) -> int:
        """Return the layer for writes that must be droppable without layer `floor`."""
        if self.newest <= floor:
            self._number += 1
            self.newest = self._number
            self._prefixes[self.newest] = set()
        return self.newest

    def send(self, writes: Writes, absent_keys: Collection[bytes], statement: str) -> None:
        """Put writes into the newest layer. Requires: nothing in flight, no drop to wait for."""
        prefixes = self._prefixes[self.newest]
        prefixes.update(map(_index_prefix, writes))
        self._request = self._client.stage(
            txn_id=self._txn_id,
            writes=writes,
            absent_keys=absent_keys,
            layer=self.newest,
            statement=statement,
        )
        self._request.add_done_callback(_retrieved)

    async def settle(self) -> None:
        """Wait for what is in flight and for drops. Raises: the first error of a request."""
        if self._request is not None:
            await asyncio.wait((self._request,))  # leaves it running if we are cancelled
            request, self._request = self._request, None
            self._failure = request.exception()
        if self._failure is not None:
            raise self._failure
        if self._drops:
            await self.dropped()

    def fail(self, error: BaseException) -> None:
        """Take note that the newest layer is incomplete."""
        self.cancel()
        interrupted = WriteConflict("staging a part of the transaction was interrupted")
        self._failure = error if isinstance(error, KvError) else interrupted

    async def dropped(self) -> None:
        """Wait until dropped layers are gone."""
        while self._drops:
            await asyncio.wait(self._drops)
            drops, self._drops = self._drops, []
            for drop in drops:
                drop.result()

    def drop_above(self, layer: int) -> None:
        """Drop what is newer than `layer`, on the node as well; nothing waits for that here."""
        self.cancel()
        if self.newest <= layer:
            return
        for number in [number for number in self._prefixes if number > layer]:
            del self._prefixes[number]
        self.newest = layer
        self._failure = None
        drop = self._client.unstage(txn_id=self._txn_id, layer=layer + 1)
        drop.add_done_callback(_retrieved)
        self._drops.append(drop)

    def cancel(self) -> None:
        """Give up what is in flight."""
        request, self._request = self._request, None
        if request is not None:
            request.cancel()

    def has_writes_in(self, span: Span, newest: int) -> bool:
        """Tell whether a layer up to `newest` may hold writes in `span`."""
        return any(
            prefix_span(prefix).overlaps(span)
            for number, prefixes in self._prefixes.items()
            if number <= newest
            for prefix in prefixes
        )


def _retrieved(future: "asyncio.Future[Any]") -> None:
    """Take note of an outcome that nobody waits for: what comes next meets the same error."""
    if not future.cancelled():
        future.exception()
