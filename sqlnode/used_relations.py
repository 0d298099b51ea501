"""Which relations a transaction uses, of which catalog: so that it goes on when others change.

**Model.** Requests name the catalog version that they were planned against. As long as that is the
newest one nothing more need be said. The first request that is refused for a newer one is sent
again with the relations that the transaction uses, and so are all later ones: they pass unless one
of those has changed (kvnode/tenants/catalog_use.py). A commit cannot be sent twice and names them
always.

A statement that changes the schema and is a transaction of its own uses nothing but what it says.
While it reads rows it is *carried* to newer catalogs that leave this as it was, so that online
changes of other relations need not wait for its end (sqlnode/catalog_use.py). What it has edited is
compared with them at its commit as ever.

**Invariants.** What a statement uses is added before it runs, foreign keys and all that they reach
included (`Plan.relations`). DDL adds the tables whose rows it reads; what else it rests on is
looked at before its commit, which must have the newest catalog (session/schema_follow.py).
"""

from collections.abc import Set as AbstractSet

from kvapi.errors import SchemaChanged

Ids = frozenset[int]
_NONE: Ids = frozenset()


class UsedRelations:
    """Shared by all views of one transaction."""

    __slots__ = ("__weakref__", "_is_carried", "_passed", "catalog_version", "ids", "told")

    def __init__(self, catalog_version: int = 0) -> None:
        self.catalog_version = catalog_version  # that the transaction is planned against
        self.ids = _NONE
        self.told = _NONE  # to be named with every request; empty while there is no need
        self._passed: AbstractSet[int] = _NONE  # what differs since the catalog of its plans
        self._is_carried = False  # since a request was refused

    def add(self, ids: Ids) -> None:
        """Note what a statement uses that is about to run. Raises: SchemaChanged."""
        if ids & self._passed:
            raise SchemaChanged("a relation that the statement comes to was changed meanwhile")
        if not ids <= self.ids:
            self.ids |= ids
            if self.told:
                self.told = self.ids

    def undo_to(self, ids: Ids) -> None:
        """Forget what came after `ids`: the statement is taken back."""
        self.ids = ids
        if self.told:
            self.told = ids

    def tell(self, sent: Ids) -> bool:
        """Name them from now on; tell whether to send again what was refused with `sent`."""
        is_carried, self._is_carried = self._is_carried, False
        self.told = self.ids
        return is_carried or self.told != sent

    def carry(self, version: int, changed: AbstractSet[int]) -> None:
        """Count as planned against a newer catalog, if nothing used is among what it `changed`."""
        if version > self.catalog_version and not self.ids & changed:
            self.catalog_version, self._passed, self._is_carried = version, changed, True
