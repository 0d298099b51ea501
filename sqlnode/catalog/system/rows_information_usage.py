"""information_schema: who may do what, and what uses what.

Source: ISO/IEC 9075-11; PostgreSQL, src/backend/catalog/information_schema.sql.
"""

from collections.abc import Iterator
from typing import Any, Final

from sqlnode.catalog.descriptors import TableDesc, ViewDesc
from sqlnode.catalog.snapshot import Catalog
from sqlnode.catalog.system.definitions import rows_of
from sqlnode.catalog.system.rows_constraints import schema_name
from sqlnode.catalog.system.rows_relations import indexes_of, live_columns
from sqlnode.context import ExecContext

Rows = Iterator[dict[str, Any]]
_PREFIX: Final = "information_schema"
_TABLE_PRIVILEGES: Final = (
    *("INSERT", "SELECT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"),
)
_COLUMN_PRIVILEGES: Final = ("INSERT", "SELECT", "UPDATE", "REFERENCES")


def _in(catalog: Catalog, context: ExecContext, kind: str, schema_id: int) -> dict[str, Any]:
    """Return `<kind>_catalog` and `<kind>_schema`."""
    return {
        f"{kind}_catalog": context.session.database,
        f"{kind}_schema": schema_name(catalog, schema_id),
    }


@rows_of(f"{_PREFIX}.role_table_grants")
@rows_of(f"{_PREFIX}.table_privileges")
def _privileges(catalog: Catalog, context: ExecContext) -> Rows:
    """Yield every privilege for the owner; there is no GRANT yet."""
    for found in catalog.relations.values():
        if isinstance(found, TableDesc | ViewDesc):
            for privilege in _TABLE_PRIVILEGES:
                yield {
                    "grantor": found.owner,
                    "grantee": found.owner,
                    **_in(catalog, context, "table", found.schema_id),
                    "table_name": found.name,
                    "privilege_type": privilege,
                    "is_grantable": "YES",
                    "with_hierarchy": "YES" if privilege == "SELECT" else "NO",
                }


@rows_of(f"{_PREFIX}.role_column_grants")
@rows_of(f"{_PREFIX}.column_privileges")
def _column_privileges(catalog: Catalog, context: ExecContext) -> Rows:
    for found in catalog.relations.values():
        if isinstance(found, TableDesc | ViewDesc):
            for column in live_columns(found.columns):
                for privilege in _COLUMN_PRIVILEGES:
                    yield {
                        "grantor": found.owner,
                        "grantee": found.owner,
                        **_in(catalog, context, "table", found.schema_id),
                        "table_name": found.name,
                        "column_name": column.name,
                        "privilege_type": privilege,
                        "is_grantable": "YES",
                    }


@rows_of(f"{_PREFIX}.column_udt_usage")
def _column_types(catalog: Catalog, context: ExecContext) -> Rows:
    for found in catalog.relations.values():
        if isinstance(found, TableDesc | ViewDesc):
            for column in live_columns(found.columns):
                yield {
                    "udt_catalog": context.session.database,
                    "udt_schema": "pg_catalog",
                    "udt_name": column.type.name,
                    **_in(catalog, context, "table", found.schema_id),
                    "table_name": found.name,
                    "column_name": column.name,
                }


@rows_of(f"{_PREFIX}.constraint_table_usage")
def _constraint_tables(catalog: Catalog, context: ExecContext) -> Rows:
    for table in catalog.tables():
        used = [(index.name, table) for index in indexes_of(table) if index.constraint]
        for key in table.foreign_keys:
            target = catalog.by_id[key.target_table_id]
            assert isinstance(target, TableDesc), "foreign keys point at tables"
            used.append((key.name, target))
        for name, owner in used:
            yield {
                **_in(catalog, context, "table", owner.schema_id),
                **_in(catalog, context, "constraint", table.schema_id),
                "table_name": owner.name,
                "constraint_name": name,
            }


@rows_of(f"{_PREFIX}.view_table_usage")
def _view_tables(catalog: Catalog, context: ExecContext) -> Rows:
    for view in catalog.relations.values():
        if isinstance(view, ViewDesc):
            for relation_id in view.depends_on:
                found = catalog.by_id.get(relation_id)
                if isinstance(found, TableDesc | ViewDesc):
                    yield {
                        **_in(catalog, context, "view", view.schema_id),
                        **_in(catalog, context, "table", found.schema_id),
                        "view_name": view.name,
                        "table_name": found.name,
                    }


@rows_of(f"{_PREFIX}.character_sets")
def _character_sets(catalog: Catalog, context: ExecContext) -> Rows:
    yield {
        "character_set_name": "UTF8",
        "character_repertoire": "UCS",
        "form_of_use": "UTF8",
        "default_collate_catalog": context.session.database,
        "default_collate_schema": "pg_catalog",
        "default_collate_name": "ucs_basic",
    }


@rows_of(f"{_PREFIX}.enabled_roles")
def _enabled_roles(catalog: Catalog, context: ExecContext) -> Rows:
    yield {"role_name": context.session.user}
