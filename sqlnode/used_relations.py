"""Which relations a transaction uses, of which catalog: so that it goes on when others change.

**Model.** Requests name the catalog version that they were planned against. As long as that is the
newest one nothing more need be said. The first request that is refused for a newer one is sent
again with the relations that the transaction uses, and so are all later ones: they pass unless one
of those has changed (kvnode/tenants/catalog_use.py). A commit cannot be sent twice and names them
always.

**Invariants.** What a statement uses is added before it runs, foreign keys and all that they reach
included (`Plan.relations`). DDL adds the tables whose rows it reads; what else it rests on is
looked at before its commit, which must have the newest catalog (session/schema_follow.py).
"""

Ids = frozenset[int]
_NONE: Ids = frozenset()


class UsedRelations:
    """Shared by all views of one transaction."""

    __slots__ = ("catalog_version", "ids", "told")

    def __init__(self, catalog_version: int = 0) -> None:
        self.catalog_version = catalog_version  # that the transaction is planned against
        self.ids = _NONE
        self.told = _NONE  # to be named with every request; empty while there is no need

    def add(self, ids: Ids) -> None:
        """Note what a statement uses that is about to run."""
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
        """Name them from now on; tell whether that is more than `sent`, which was refused."""
        self.told = self.ids
        return self.told != sent
