"""Waiting, before a change, for transactions that still work with an older catalog.

**Model.** A step of a change leaves the state before it valid, no older one: whoever still used an
older one would fail. So before each step nobody may use a catalog from before the last change of
the same relations. What the KV node has once answered is a fence and stays true; others may change
other relations as often as they like, nobody waits for that again.
"""

import asyncio
from contextlib import suppress
from typing import Final

from kvapi.client.kv_client import KvClient
from kvapi.errors import LockTimeout
from sqlnode.catalog.changes import changed_relations
from sqlnode.catalog.snapshot import Catalog
from sqlnode.catalog.store import CatalogEditor

_PAUSE_S_MIN: Final = 0.002
_PAUSE_S_MAX: Final = 0.1


class OlderVersions:
    """What a process knows of the oldest catalog that anybody of the tenant uses."""

    def __init__(self, kv: KvClient) -> None:
        self._kv = kv
        self._fence: Catalog | None = None  # nobody uses an older one

    def are_over(self, editor: CatalogEditor) -> bool:
        """Tell whether nobody can be using an older state of what `editor` changes than it did."""
        fence = self._fence
        return fence is not None and not editor.changed() & changed_relations(fence, editor.base)

    async def look(self, catalog: Catalog) -> bool:
        """Tell whether nobody uses an older catalog than this one. Raises: KvError."""
        if await self._kv.catalog_use() < catalog.version:
            return False
        if self._fence is None or self._fence.version < catalog.version:
            self._fence = catalog
        return True

    async def wait(self, catalog: Catalog, *, timeout_ms: int) -> None:
        """Wait until nobody uses an older catalog than this one; `timeout_ms` 0: for ever.

        Requires: the caller has no transaction open, or two would wait for each other.
        Raises: LockTimeout, KvError.
        """
        pause_s = _PAUSE_S_MIN
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_ms / 1000 if timeout_ms else None):
                while not await self.look(catalog):
                    await asyncio.sleep(pause_s)
                    pause_s = min(pause_s * 2, _PAUSE_S_MAX)
                return
        raise LockTimeout("transactions with an older catalog are still open")
