"""The catalog as one immutable snapshot: what names mean at one catalog version.

**Model.** Loaded whole by one scan of the tenant's catalog span, replaced whole when the KV node
says that the version moved. Plans hold on to descriptors of the snapshot they were made from.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from sqlnode.catalog.descriptors import (
    PUBLIC_SCHEMA_ID,
    DatabaseDesc,
    Descriptor,
    Relation,
    SchemaDesc,
    SequenceDesc,
    TableDesc,
    ViewDesc,
)


@dataclass(frozen=True, slots=True)
class RoleInfo:
    """A role as the catalog shows it; verifiers stay in the gateway's hands."""

    oid: int
    name: str
    can_login: bool
    superuser: bool


@dataclass(frozen=True, slots=True)
class Catalog:
    """Every descriptor of a tenant at one version."""

    version: int
    by_id: Mapping[int, Descriptor]
    relations: Mapping[tuple[int, str], Relation]  # (schema id, name)
    schemas: Mapping[str, SchemaDesc]
    databases: Mapping[str, DatabaseDesc]
    roles: tuple[RoleInfo, ...] = ()
    referencing: Mapping[int, tuple[TableDesc, ...]] = field(default_factory=dict)  # by target id

    def find_relation(
        self, name: str, schema: str | None, search_path: Iterable[str]
    ) -> Relation | None:
        """Return what `name` means: in `schema` if given, else along the search path."""
        for schema_name in (schema,) if schema is not None else search_path:
            found = self.schemas.get(schema_name)
            if found is not None and (relation := self.relations.get((found.id, name))) is not None:
                return relation
        return None

    def tied_by_keys(self, table_id: int) -> frozenset[int]:
        """Return a table and those that foreign keys tie to it, directly or through others."""
        found, pending = {table_id}, [table_id]
        while pending:
            table = self.by_id.get(pending.pop())
            if not isinstance(table, TableDesc):
                continue
            targets = {key.target_table_id for key in table.foreign_keys}
            sources = {child.id for child in self.referencing.get(table.id, ())}
            fresh = (targets | sources) - found
            found |= fresh
            pending += fresh
        return frozenset(found)

    def tables(self) -> list[TableDesc]:
        return [relation for relation in self.relations.values() if isinstance(relation, TableDesc)]


DEFAULT_DATABASE: Final = "defaultdb"
_DEFAULT_DATABASE_ID: Final = 5  # as PostgreSQL's `postgres`


def build_catalog(
    version: int, descriptors: Iterable[Descriptor], roles: Iterable[RoleInfo]
) -> Catalog:
    """Index descriptors by id and name; the schema `public` and its id are always there."""
    by_id: dict[int, Descriptor] = {}
    relations: dict[tuple[int, str], Relation] = {}
    schemas = {"public": SchemaDesc(PUBLIC_SCHEMA_ID, "public", "pg_database_owner")}
    databases: dict[str, DatabaseDesc] = {}
    referencing: dict[int, tuple[TableDesc, ...]] = {}
    for descriptor in descriptors:
        by_id[descriptor.id] = descriptor
        match descriptor:
            case SchemaDesc():
                schemas[descriptor.name] = descriptor
            case DatabaseDesc():
                databases[descriptor.name] = descriptor
            case TableDesc() | SequenceDesc() | ViewDesc():
                relations[descriptor.schema_id, descriptor.name] = descriptor
        if isinstance(descriptor, TableDesc):
            for target in {key.target_table_id for key in descriptor.foreign_keys}:
                referencing[target] = (*referencing.get(target, ()), descriptor)
    for schema in schemas.values():
        by_id.setdefault(schema.id, schema)
    known = tuple(roles)
    if not databases:
        owner = next((role.name for role in known if role.superuser), "")
        databases[DEFAULT_DATABASE] = DatabaseDesc(_DEFAULT_DATABASE_ID, DEFAULT_DATABASE, owner)
    return Catalog(version, by_id, relations, schemas, databases, known, referencing)
