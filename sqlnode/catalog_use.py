"""What this process still uses of older catalogs, told to the KV node.

**Model.** Nothing is said until a newer catalog version is known. Then it is loaded, statement or
not, so that new transactions begin with it; and when the last transaction of an older version has
ended, the oldest version still used here is reported. An online schema change of any process waits
for that (kvnode/tenants/catalog_use.py). Who is known to use nothing that has changed is carried to
the newer catalog while it runs: a statement that changes other relations and reads their rows.

**Concurrency.** One loop; a report is sent and not waited for, in order with the commits before it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Protocol
from weakref import WeakKeyDictionary, WeakSet

from kvapi.client.kv_client import KvClient
from kvapi.errors import KvError
from pgwire.sql_error import SqlError
from runtime.tasks import spawn
from sqlnode.catalog.changes import changed_relations
from sqlnode.catalog.snapshot import Catalog
from sqlnode.used_relations import UsedRelations

_log = logging.getLogger(__name__)


class CatalogUser(Protocol):
    """What may use an older catalog for a while: a session's transaction block."""

    @property
    def catalog_version_used(self) -> int:
        """The version of the running transaction, 0 without one."""
        ...


class CatalogUse:
    """The versions in use in this process."""

    def __init__(
        self, kv: KvClient, *, current: Callable[[], int], reload: Callable[[], Awaitable[None]]
    ) -> None:
        """Take `current`, the loaded catalog's version, and `reload`, which loads the newest."""
        self._kv = kv
        self._current = current
        self._reload = reload
        self._users: WeakSet[CatalogUser] = WeakSet()
        self._carried: WeakKeyDictionary[UsedRelations, Catalog] = WeakKeyDictionary()
        self._reported = current()
        self._following: asyncio.Task[Any] | None = None
        kv.on_catalog_version = self._told

    def add(self, user: CatalogUser) -> None:
        """Count a session from now on, as long as it lives."""
        self._users.add(user)

    def carry(self, used: UsedRelations, base: Catalog, newest: Catalog) -> None:
        """Carry a statement planned against `base` to newer catalogs from now on, while it can be.

        Requires: it uses nothing but what it adds to `used`, and its transaction ends with it.
        """
        self._carried[used] = base
        used.carry(newest.version, changed_relations(base, newest))
        self.settle()

    def put_down(self, used: UsedRelations) -> None:
        """Carry a statement no further: what it has made is compared with one catalog now."""
        self._carried.pop(used, None)

    def loaded(self, newest: Catalog) -> None:
        """Note that a catalog was loaded."""
        for used, base in list(self._carried.items()):
            used.carry(newest.version, changed_relations(base, newest))
        self.settle()

    @property
    def oldest(self) -> int:
        """The oldest version in use here."""
        used = (user.catalog_version_used for user in self._users)
        return min((version for version in used if version), default=self._current())

    def settle(self) -> None:
        """Report if something older was given up: a transaction ended, a catalog was loaded."""
        if self._reported == self._current():
            return
        oldest = self.oldest
        if oldest <= self._reported:
            return
        self._reported = oldest
        told = self._kv.catalog_use(oldest)
        # A lost stream counts with its next hello.
        told.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def close(self) -> None:
        """Stop following."""
        self._kv.on_catalog_version = None
        if self._following is not None:
            self._following.cancel()
            await asyncio.wait([self._following])

    def _told(self, version: int) -> None:
        if version > self._current() and self._following is None:
            self._following = spawn(self._follow(), name="catalog-follow")
            self._following.add_done_callback(self._followed)

    def _followed(self, _task: "asyncio.Task[Any]") -> None:
        self._following = None

    async def _follow(self) -> None:
        try:
            while self._kv.catalog_version > self._current():
                await self._reload()
        except (KvError, SqlError) as error:  # the next statement tries again
            _log.info("catalog_reload_postponed", extra={"error": str(error)})
