"""pg_constraint, and the text of constraints and indexes as pg_get_constraintdef prints it."""

from collections.abc import Iterator
from typing import Any, Final

from sqlnode.catalog.descriptors import (
    FkAction,
    ForeignKeyDesc,
    IndexDesc,
    SchemaDesc,
    TableDesc,
)
from sqlnode.catalog.snapshot import Catalog
from sqlnode.catalog.system.definitions import rows_of
from sqlnode.catalog.system.expressions import shown_expression
from sqlnode.catalog.system.rows_relations import indexes_of
from sqlnode.context import ExecContext
from sqlnode.plan.quoting import quote_name

_ACTIONS: Final = {
    FkAction.RESTRICT: "RESTRICT",
    FkAction.CASCADE: "CASCADE",
    FkAction.SET_NULL: "SET NULL",
    FkAction.SET_DEFAULT: "SET DEFAULT",
}


@rows_of("pg_catalog.pg_constraint")
def _constraints(catalog: Catalog, context: ExecContext) -> Iterator[dict[str, Any]]:
    for table in catalog.tables():
        for index in indexes_of(table):
            if index.constraint:
                yield {
                    **_row(table, index.constraint_oid, index.name),
                    "contype": "p" if index.primary else "u",
                    "conindid": index.oid,
                    "conkey": [part.attnum for part in index.columns],
                }
        for check in table.checks:
            yield {
                **_row(table, check.oid, check.name),
                "contype": "c",
                "convalidated": check.validated,
                "conkey": list(check.columns),
                "conbin": check.sql,
            }
        for key in table.foreign_keys:
            yield _foreign_key(catalog, table, key)


def _row(table: TableDesc, oid: int, name: str) -> dict[str, Any]:
    return {
        "oid": oid,
        "conname": name,
        "connamespace": table.schema_id,
        "conrelid": table.id,
        "convalidated": True,
        "conislocal": True,
        "connoinherit": True,
        "confupdtype": " ",
        "confdeltype": " ",
        "confmatchtype": " ",
    }


def _foreign_key(catalog: Catalog, table: TableDesc, key: ForeignKeyDesc) -> dict[str, Any]:
    target = catalog.by_id[key.target_table_id]
    assert isinstance(target, TableDesc), "foreign keys point at tables"
    needed = set(key.target_columns)
    indexes = (i for i in indexes_of(target) if i.unique)
    index = next((i for i in indexes if {c.attnum for c in i.columns} == needed), None)
    return {
        **_row(table, key.oid, key.name),
        "contype": "f",
        "convalidated": key.validated,
        "conindid": index.oid if index is not None else 0,
        "confrelid": key.target_table_id,
        "conkey": list(key.columns),
        "confkey": list(key.target_columns),
        "confupdtype": str(key.on_update),
        "confdeltype": str(key.on_delete),
        "confmatchtype": "f" if key.match_full else "s",
        "condeferrable": key.deferrable,
        "condeferred": key.deferred,
    }


def constraint_definition(
    catalog: Catalog, oid: int, path: tuple[str, ...], *, pretty: bool = False
) -> str | None:
    """Return the text of a constraint by OID, None if there is none."""
    for table in catalog.tables():
        for index in indexes_of(table):
            if index.constraint and index.constraint_oid == oid:
                word = "PRIMARY KEY" if index.primary else "UNIQUE"
                return f"{word} ({_names(table, [c.attnum for c in index.columns])})"
        for check in table.checks:
            if check.oid == oid:
                shown = shown_expression(catalog, table, check.sql, path, pretty=pretty)
                return f"CHECK ({shown})" + ("" if check.validated else " NOT VALID")
        for key in table.foreign_keys:
            if key.oid == oid:
                return _foreign_key_definition(catalog, table, key, path)
    return None


def _foreign_key_definition(
    catalog: Catalog, table: TableDesc, key: ForeignKeyDesc, path: tuple[str, ...]
) -> str:
    target = catalog.by_id[key.target_table_id]
    assert isinstance(target, TableDesc), "foreign keys point at tables"
    text = (
        f"FOREIGN KEY ({_names(table, key.columns)}) REFERENCES "
        f"{visible_name(catalog, target, path)}({_names(target, key.target_columns)})"
    )
    if key.match_full:
        text += " MATCH FULL"
    if key.on_update in _ACTIONS:
        text += f" ON UPDATE {_ACTIONS[key.on_update]}"
    if key.on_delete in _ACTIONS:
        text += f" ON DELETE {_ACTIONS[key.on_delete]}"
    if key.deferrable:
        text += " DEFERRABLE INITIALLY DEFERRED" if key.deferred else " DEFERRABLE"
    return text if key.validated else f"{text} NOT VALID"


def _names(table: TableDesc, attnums: Any) -> str:
    return ", ".join(quote_name(table.column(attnum).name) for attnum in attnums)


def schema_name(catalog: Catalog, schema_id: int) -> str:
    """Return a schema's name by its id."""
    schema = catalog.by_id.get(schema_id)
    assert isinstance(schema, SchemaDesc), "relations live in schemas"
    return schema.name


def visible_name(catalog: Catalog, relation: Any, path: tuple[str, ...]) -> str:
    """Return a relation's name, qualified unless the search path finds it."""
    found = catalog.find_relation(relation.name, None, path)
    if found is not None and found.id == relation.id:
        return quote_name(relation.name)
    return f"{quote_name(schema_name(catalog, relation.schema_id))}.{quote_name(relation.name)}"


def find_index(catalog: Catalog, oid: int) -> tuple[TableDesc, IndexDesc] | None:
    """Return an index and its table by the index's OID."""
    for table in catalog.tables():
        for index in indexes_of(table):
            if index.oid == oid:
                return table, index
    return None


def index_definition(
    catalog: Catalog, oid: int, *, qualified: bool, path: tuple[str, ...]
) -> str | None:
    """Return `CREATE INDEX …` of an index by OID, None if there is none."""
    if (found := find_index(catalog, oid)) is None:
        return None
    table, index = found
    columns = []
    for part in index.columns:
        text = quote_name(table.column(part.attnum).name)
        if part.descending:
            text += " DESC" if part.nulls_first else " DESC NULLS LAST"
        elif part.nulls_first:
            text += " NULLS FIRST"
        columns.append(text)
    name = visible_name(catalog, table, path)
    if qualified:
        name = f"{quote_name(schema_name(catalog, table.schema_id))}.{quote_name(table.name)}"
    unique = "UNIQUE " if index.unique else ""
    return (
        f"CREATE {unique}INDEX {quote_name(index.name)} ON {name} "
        f"USING {index.method} ({', '.join(columns)})"
    )
