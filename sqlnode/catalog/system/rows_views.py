"""The readable views of pg_catalog: pg_tables, pg_views, pg_indexes, pg_sequences."""

from collections.abc import Iterator
from typing import Any

from sqlnode.catalog.descriptors import SequenceDesc, ViewDesc
from sqlnode.catalog.snapshot import Catalog
from sqlnode.catalog.system.definitions import rows_of
from sqlnode.catalog.system.rows_constraints import index_definition, schema_name
from sqlnode.catalog.system.rows_relations import indexes_of
from sqlnode.catalog.virtual import VIRTUAL
from sqlnode.context import ExecContext
from sqlnode.types import SqlType

Rows = Iterator[dict[str, Any]]


@rows_of("pg_catalog.pg_tables")
def _tables(catalog: Catalog, context: ExecContext) -> Rows:
    for relation in VIRTUAL.values():
        if relation.kind == "r":
            yield {
                "schemaname": relation.schema,
                "tablename": relation.name,
                "tableowner": "postgres",
            }
    for table in catalog.tables():
        yield {
            "schemaname": schema_name(catalog, table.schema_id),
            "tablename": table.name,
            "tableowner": table.owner,
            "hasindexes": bool(indexes_of(table)),
            "hastriggers": bool(table.foreign_keys or catalog.referencing.get(table.id)),
        }


@rows_of("pg_catalog.pg_views")
def _views(catalog: Catalog, context: ExecContext) -> Rows:
    for relation in VIRTUAL.values():
        if relation.kind == "v":
            yield {
                "schemaname": relation.schema,
                "viewname": relation.name,
                "viewowner": "postgres",
            }
    for found in catalog.relations.values():
        if isinstance(found, ViewDesc):
            yield {
                "schemaname": schema_name(catalog, found.schema_id),
                "viewname": found.name,
                "viewowner": found.owner,
                "definition": found.sql + ";",
            }


@rows_of("pg_catalog.pg_indexes")
def _indexes(catalog: Catalog, context: ExecContext) -> Rows:
    for table in catalog.tables():
        for index in indexes_of(table):
            yield {
                "schemaname": schema_name(catalog, table.schema_id),
                "tablename": table.name,
                "indexname": index.name,
                "indexdef": index_definition(catalog, index.oid, qualified=True, path=()),
            }


@rows_of("pg_catalog.pg_sequences")
def _sequences(catalog: Catalog, context: ExecContext) -> Rows:
    for found in catalog.relations.values():
        if isinstance(found, SequenceDesc):
            yield {
                "schemaname": schema_name(catalog, found.schema_id),
                "sequencename": found.name,
                "sequenceowner": found.owner,
                "data_type": SqlType(found.type_oid).oid,
                "start_value": found.start,
                "min_value": found.min_value,
                "max_value": found.max_value,
                "increment_by": found.increment,
                "cycle": found.cycle,
                "cache_size": found.cache,
                "last_value": None,  # the counter is not part of the catalog
            }
