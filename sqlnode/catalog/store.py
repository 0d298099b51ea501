"""Loading the catalog, and editing it inside a transaction.

**Model.** `load_catalog` reads every descriptor at one timestamp and one catalog version. DDL works
through a `CatalogEditor`: each edit is buffered in the statement's transaction and at once visible
in `editor.catalog`, so later statements of the same transaction bind against it. The commit of such
a transaction is a schema change: the KV node raises the tenant's catalog version and refuses it if
another schema change came first.

Layout of a descriptor's key: layout.descriptor_key(kind, id); kinds below, never renumbered.
"""

from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from kvapi import layout
from kvapi.client.kv_client import KvClient
from kvapi.errors import SchemaChanged
from kvapi.role_record import decode_role
from kvapi.spans import Span
from pgwire.errors import InsufficientPrivilege
from sqlnode.catalog.changes import Pair, changed_relations, differing, go_together
from sqlnode.catalog.descriptors import (
    FIRST_USER_ID,
    DatabaseDesc,
    Descriptor,
    Relation,
    SchemaDesc,
    SequenceDesc,
    TableDesc,
    ViewDesc,
    decode_descriptor,
    encode_descriptor,
)
from sqlnode.catalog.snapshot import Catalog, RoleInfo, build_catalog
from sqlnode.sequences import stepped
from sqlnode.txn import Transaction

TABLE_KIND: Final = 1
SEQUENCE_KIND: Final = 2
_KINDS: Final[dict[type[Descriptor], int]] = {
    TableDesc: TABLE_KIND,
    SequenceDesc: SEQUENCE_KIND,
    ViewDesc: 3,
    SchemaDesc: 4,
    DatabaseDesc: 5,
}
_FIRST_ROLE_OID: Final = 10  # as PostgreSQL's bootstrap superuser
_LOAD_TRIES: Final = 5
_WORDS: Final[dict[type[Relation], str]] = {
    TableDesc: "table",
    SequenceDesc: "sequence",
    ViewDesc: "view",
}
GARBAGE_PREFIX: Final = "garbage/"  # catalog settings that name dropped tables whose keys remain


def descriptor_key(descriptor: Descriptor) -> bytes:
    """Return the key a descriptor is stored under."""
    return layout.descriptor_key(_KINDS[type(descriptor)], descriptor.id)


async def load_catalog(kv: KvClient) -> Catalog:
    """Load the newest catalog whole. Raises: SchemaChanged if it keeps changing meanwhile."""
    for _ in range(_LOAD_TRIES - 1):
        version = kv.catalog_version
        try:
            catalog = await _load(kv, version)
        except SchemaChanged:
            continue  # the failed answer has brought the newer version with it
        if kv.catalog_version == version:  # else it may be newer than it says: both are valid
            return catalog
    return await _load(kv, kv.catalog_version)


async def load_past_catalog(kv: KvClient, read_ts: int, version: int) -> Catalog:
    """Load the catalog as it was; `version` is what to call it. Raises: SnapshotTooOld."""
    return await _load(kv, 0, read_ts=read_ts, shown_version=version)


async def _load(kv: KvClient, version: int, *, read_ts: int = 0, shown_version: int = 0) -> Catalog:
    read_ts, stored = await _read_span(kv, layout.DESCRIPTORS_SPAN, version, read_ts)
    _, roles = await _read_span(kv, layout.ROLES_SPAN, version, read_ts)
    return build_catalog(
        shown_version or version,
        (decode_descriptor(value) for value in stored),
        (_role_info(index, value) for index, value in enumerate(roles)),
    )


def _role_info(index: int, stored: bytes) -> RoleInfo:
    role = decode_role(stored)
    return RoleInfo(_FIRST_ROLE_OID + index, role.name, role.can_login, role.is_superuser)


async def _read_span(
    kv: KvClient, span: Span, version: int, read_ts: int
) -> tuple[int, list[bytes]]:
    values: list[bytes] = []
    while True:
        block = await kv.scan(span, read_ts=read_ts, catalog_version=version)
        read_ts = block.read_ts
        values += [value for _, value in block.rows()]
        if not block.more:
            return read_ts, values
        span = block.resume_span(span)


AllocateId = Callable[[], Awaitable[int]]


def id_allocator(kv: KvClient) -> AllocateId:
    """Return a source of descriptor ids, unique in the tenant for ever."""

    async def allocate() -> int:
        counter = await stepped(kv, layout.DESCRIPTOR_ID_COUNTER, start=FIRST_USER_ID)
        return counter.value

    return allocate


class EditMark(NamedTuple):
    """A position among a transaction's edits."""

    base: Catalog
    catalog: Catalog
    stored: frozenset[int]


class CatalogEditor:
    """The catalog as one transaction is changing it."""

    def __init__(self, txn: Transaction, catalog: Catalog, allocate_id: AllocateId) -> None:
        self.txn = txn
        self.base = catalog
        self.catalog = catalog
        self.allocate_id = allocate_id
        self.is_changed = False
        self._stored: frozenset[int] = frozenset()  # ids of what was written, if only as it was

    def changed(self) -> set[int]:
        """Return the ids of what is changed, and of what that concerns.

        What is written as it was is changed as well: another's change would be lost under it.
        """
        return changed_relations(self.base, self.catalog) | (self._stored & self.base.by_id.keys())

    def mark(self) -> EditMark | None:
        """Return the present position, None while nothing is changed."""
        return EditMark(self.base, self.catalog, self._stored) if self.is_changed else None

    def undo_to(self, mark: EditMark | None) -> None:
        """Take edits since `mark` back, but not what was followed since: see `rebase`."""
        base = self.base
        self.base, self.catalog, self._stored = mark or EditMark(base, base, frozenset())
        self.is_changed = mark is not None
        if self.base is not base:
            self.rebase(base)

    def rebase(self, newest: Catalog) -> None:
        """Make the same changes to a newer catalog. Raises: SchemaChanged if they do not go there.

        What is buffered stays as it is: descriptors are stored one by one.
        """
        before, after = self.base.by_id, self.catalog.by_id
        mine: dict[int, Pair] = {}
        mine |= {key: (before[key], after.get(key)) for key in self._stored & before.keys()}
        mine |= differing(self.base, self.catalog)
        if not go_together(mine, differing(self.base, newest)):
            raise SchemaChanged("the same relations were changed by another transaction")
        descriptors = {**newest.by_id, **{key: after for key, (_, after) in mine.items()}}
        kept = (found for found in descriptors.values() if found is not None)
        self.catalog = build_catalog(newest.version, kept, newest.roles)
        self.base = newest

    def put(self, *descriptors: Descriptor) -> None:
        """Add or replace descriptors."""
        for descriptor in descriptors:
            self.txn.put(descriptor_key(descriptor), encode_descriptor(descriptor))
        self._rebuild({descriptor.id: descriptor for descriptor in descriptors}, set())

    def remove(self, *descriptors: Descriptor) -> None:
        """Remove descriptors; a table's or sequence's keys become garbage, collected later."""
        for descriptor in descriptors:
            self.txn.delete(descriptor_key(descriptor))
            match descriptor:
                case TableDesc():
                    self.discard_keys(descriptor.key_id)
                    self.txn.delete(layout.stats_key(descriptor.key_id))
                case SequenceDesc():
                    self.discard_keys(descriptor.id)
                case _:
                    pass
        self._rebuild({}, {descriptor.id for descriptor in descriptors})

    def discard_index(self, key_id: int, index_id: int) -> None:
        """Leave note that the keys of one index are garbage once this commits."""
        self.txn.put(layout.meta_key(f"{GARBAGE_PREFIX}{key_id}/{index_id}"), b"")

    def discard_keys(self, key_id: int) -> None:
        """Leave note that the keys of a table id (or counter) are garbage once this commits."""
        self.txn.put(layout.meta_key(f"{GARBAGE_PREFIX}{key_id}"), b"")

    def _rebuild(self, changed: dict[int, Descriptor], removed: set[int]) -> None:
        before = self.catalog
        descriptors = {**before.by_id, **changed}
        kept = (found for key, found in descriptors.items() if key not in removed)
        self.catalog = build_catalog(before.version, kept, before.roles)
        self.is_changed = True
        self._stored |= changed.keys() | removed

    def require_owner(self, relation: Relation, user: str) -> None:
        """Raise InsufficientPrivilege unless `user` owns the relation or is a superuser."""
        if relation.owner != user and not self._is_superuser(user):
            raise InsufficientPrivilege(
                f"must be owner of {_WORDS[type(relation)]} {relation.name}"
            )

    def _is_superuser(self, user: str) -> bool:
        return any(role.superuser for role in self.catalog.roles if role.name == user)
