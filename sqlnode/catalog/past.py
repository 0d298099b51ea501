"""Catalogs of the past, for statements AS OF SYSTEM TIME.

**Model.** Descriptors are versioned as rows are. Each schema change also writes one key; when that
was written, as of a time, names the catalog's version then, so one small read finds a catalog that
is known already. The newest one serves every time since its own.

**Concurrency.** Belongs to the process's loop; two that miss at once both load.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from kvapi import layout
from kvapi.client.kv_client import KvClient
from sqlnode.catalog.snapshot import Catalog
from sqlnode.catalog.store import load_past_catalog
from sqlnode.plan_cache import LruCache

PAST_CATALOGS_MAX: Final = 8


class PastCatalogs:
    """What names meant at some time."""

    def __init__(
        self,
        kv: KvClient,
        newest: Callable[[], Catalog],
        reload: Callable[[], Awaitable[None]],
    ) -> None:
        self._kv = kv
        self._newest = newest
        self._reload = reload
        self._known: LruCache[Catalog] = LruCache(PAST_CATALOGS_MAX)

    async def at(self, read_ts: int) -> Catalog:
        """Return the catalog as of a time. Raises: SnapshotTooOld, KvError."""
        changed = await self._kv.get(layout.CATALOG_CHANGED_KEY, read_ts=read_ts)
        # That answer has told of every schema change up to read_ts.
        if self._kv.catalog_version != self._newest().version:
            await self._reload()
        if self._newest().version <= read_ts:
            return self._newest()
        version = changed.commit_ts
        if not version:  # before the first change that left note
            return await load_past_catalog(self._kv, read_ts, -read_ts)
        found = self._known.get(version)
        if found is None:
            found = await load_past_catalog(self._kv, read_ts, version)
            self._known.put(version, found)
        return found
