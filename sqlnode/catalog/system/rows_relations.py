"""Rows about relations: pg_class, pg_attribute, pg_attrdef, pg_index, pg_namespace, pg_sequence."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from sqlnode.catalog.descriptors import (
    FIRST_USER_ID,
    PUBLIC_SCHEMA_ID,
    ColumnDesc,
    Identity,
    IndexDesc,
    SequenceDesc,
    TableDesc,
    ViewDesc,
)
from sqlnode.catalog.snapshot import Catalog
from sqlnode.catalog.system.definitions import rows_of
from sqlnode.catalog.system.oids import (
    BOOTSTRAP_ROLE_OID,
    BTREE_AM_OID,
    CLASS_PG_NAMESPACE,
    CLASS_PG_TYPE,
    HEAP_AM_OID,
    PREDEFINED_ROLES,
    ROW_TYPE,
    VIEW_RULE,
    derived_oid,
    schema_oid,
)
from sqlnode.catalog.system.physical_types import DESCRIPTIONS, PHYSICAL, operator_class_oid
from sqlnode.catalog.virtual import SYSTEM_SCHEMAS, VIRTUAL
from sqlnode.context import ExecContext
from sqlnode.types import SqlType

Rows = Iterator[dict[str, Any]]
_SEQUENCE_COLUMNS: Final = (("last_value", 20), ("log_cnt", 20), ("is_called", 16))


def owner_oid(catalog: Catalog, name: str) -> int:
    """Return a role's OID; objects of the system belong to the bootstrap role."""
    known = next((r.oid for r in catalog.roles if r.name == name), None)
    return known or PREDEFINED_ROLES.get(name, BOOTSTRAP_ROLE_OID)


def role_name(catalog: Catalog, oid: int) -> str | None:
    """Return a role's name by its OID."""
    predefined = ((number, name) for name, number in PREDEFINED_ROLES.items())
    known = ((role.oid, role.name) for role in catalog.roles)
    return next((name for number, name in (*known, *predefined) if number == oid), None)


def indexes_of(table: TableDesc) -> tuple[IndexDesc, ...]:
    """Return the indexes that have an OID: all but the hidden primary one."""
    return ((table.primary,) if table.primary.primary else ()) + table.indexes


def live_columns(columns: Iterable[ColumnDesc]) -> list[ColumnDesc]:
    """Return the columns users see."""
    return [column for column in columns if not column.hidden]


@rows_of("pg_catalog.pg_namespace")
def _namespaces(catalog: Catalog, context: ExecContext) -> Rows:
    for name in SYSTEM_SCHEMAS:
        yield {"oid": schema_oid(name), "nspname": name, "nspowner": BOOTSTRAP_ROLE_OID}
    for schema in catalog.schemas.values():
        owner = owner_oid(catalog, schema.owner)
        yield {"oid": schema.id, "nspname": schema.name, "nspowner": owner}


@rows_of("pg_catalog.pg_class")
def _classes(catalog: Catalog, context: ExecContext) -> Rows:
    for relation in VIRTUAL.values():
        yield {
            **_class_row(
                relation.oid, relation.name, schema_oid(relation.schema) or 0, relation.kind
            ),
            "relam": HEAP_AM_OID if relation.kind == "r" else 0,
            "relhasrules": relation.kind == "v",
            "relowner": BOOTSTRAP_ROLE_OID,
            "relnatts": len(relation.columns),
        }
    for found in catalog.relations.values():
        owner = owner_oid(catalog, found.owner)
        match found:
            case TableDesc():
                yield from _table_rows(catalog, found, owner)
            case ViewDesc():
                yield {
                    **_class_row(found.id, found.name, found.schema_id, "v"),
                    "relowner": owner,
                    "reltype": derived_oid(found.id, ROW_TYPE),
                    "relnatts": len(found.columns),
                    "relhasrules": True,
                }
            case SequenceDesc():
                yield {
                    **_class_row(found.id, found.name, found.schema_id, "S"),
                    "relowner": owner,
                    "relnatts": len(_SEQUENCE_COLUMNS),
                }


def _class_row(oid: int, name: str, schema_id: int, kind: str) -> dict[str, Any]:
    return {
        "oid": oid,
        "relname": name,
        "relnamespace": schema_id,
        "relkind": kind,
        "relpersistence": "p",
        "relreplident": "d" if kind == "r" and oid >= FIRST_USER_ID else "n",
        "relispopulated": True,
        "reltuples": -1.0,  # never analyzed
    }


def _table_rows(catalog: Catalog, table: TableDesc, owner: int) -> Rows:
    yield {
        **_class_row(table.id, table.name, table.schema_id, "r"),
        "relowner": owner,
        "reltype": derived_oid(table.id, ROW_TYPE),
        "relam": HEAP_AM_OID,
        "relfilenode": table.key_id,
        "relhasindex": bool(indexes_of(table)),
        "relnatts": table.next_attnum - 1,
        "relchecks": len(table.checks),
        # Foreign keys are triggers to PostgreSQL, and psql asks for them only if there are some.
        "relhastriggers": bool(table.foreign_keys or catalog.referencing.get(table.id)),
    }
    for index in indexes_of(table):
        yield {
            **_class_row(index.oid, index.name, table.schema_id, "i"),
            "relowner": owner,
            "relam": BTREE_AM_OID,
            "relfilenode": index.oid,
            "relnatts": len(index.columns),
        }


@rows_of("pg_catalog.pg_attribute")
def _attributes(catalog: Catalog, context: ExecContext) -> Rows:
    for relation in VIRTUAL.values():
        for number, (name, sql_type) in enumerate(relation.columns, start=1):
            yield _attribute_row(relation.oid, number, name, sql_type)
    for found in catalog.relations.values():
        match found:
            case TableDesc():
                yield from _table_attributes(found)
            case ViewDesc():
                for column in found.columns:
                    yield _attribute_row(found.id, column.attnum, column.name, column.type)
            case SequenceDesc():
                for number, (name, oid) in enumerate(_SEQUENCE_COLUMNS, start=1):
                    yield _attribute_row(found.id, number, name, SqlType(oid))


def _table_attributes(table: TableDesc) -> Rows:
    for column in live_columns(table.columns):
        yield {
            **_attribute_row(table.id, column.attnum, column.name, column.type),
            "attnotnull": column.not_null,
            "atthasdef": column.default_sql is not None,
            "attidentity": str(column.identity),
            "atthasmissing": column.missing is not None,
        }
    for column in live_columns(table.dropped_columns):
        yield {
            **_attribute_row(table.id, column.attnum, "", column.type),
            "attname": f"........pg.dropped.{column.attnum}........",
            "atttypid": 0,
            "attisdropped": True,
        }
    for index in indexes_of(table):
        for number, part in enumerate(index.columns, start=1):
            column = table.column(part.attnum)
            yield _attribute_row(index.oid, number, column.name, column.type)


def _attribute_row(owner: int, number: int, name: str, sql_type: SqlType) -> dict[str, Any]:
    info, physical = sql_type.info, PHYSICAL[sql_type.oid]
    by_value = info.length in (1, 2, 4, 8)
    return {
        "attrelid": owner,
        "attname": name,
        "atttypid": sql_type.oid,
        "attlen": info.length,
        "attnum": number,
        "attcacheoff": -1,
        "atttypmod": sql_type.typmod,
        "attndims": 1 if info.element_oid else 0,
        "attbyval": by_value,
        "attalign": physical.align,
        "attstorage": physical.storage,
        "attstattarget": -1,
        "attislocal": True,
        "attcollation": physical.collation,
    }


@rows_of("pg_catalog.pg_attrdef")
def _defaults(catalog: Catalog, context: ExecContext) -> Rows:
    for table in catalog.tables():
        for column in table.columns:
            if column.default_sql is not None:
                yield {
                    "oid": derived_oid(table.id, column.attnum),
                    "adrelid": table.id,
                    "adnum": column.attnum,
                    "adbin": column.default_sql,
                }


@rows_of("pg_catalog.pg_index")
def _indexes(catalog: Catalog, context: ExecContext) -> Rows:
    for table in catalog.tables():
        for index in indexes_of(table):
            types = [table.column(part.attnum).type for part in index.columns]
            yield {
                "indexrelid": index.oid,
                "indrelid": table.id,
                "indnatts": len(index.columns),
                "indnkeyatts": len(index.columns),
                "indisunique": index.unique,
                "indisprimary": index.primary,
                "indimmediate": True,
                "indisvalid": True,
                "indisready": True,
                "indislive": True,
                "indkey": [part.attnum for part in index.columns],
                "indcollation": [PHYSICAL[t.oid].collation for t in types],
                "indclass": [operator_class_oid(t.oid) for t in types],
                "indoption": [
                    (1 if part.descending else 0) | (2 if part.nulls_first else 0)
                    for part in index.columns
                ],
            }


@rows_of("pg_catalog.pg_sequence")
def _sequences(catalog: Catalog, context: ExecContext) -> Rows:
    for found in catalog.relations.values():
        if isinstance(found, SequenceDesc):
            yield {
                "seqrelid": found.id,
                "seqtypid": found.type_oid,
                "seqstart": found.start,
                "seqincrement": found.increment,
                "seqmax": found.max_value,
                "seqmin": found.min_value,
                "seqcache": found.cache,
                "seqcycle": found.cycle,
            }


@rows_of("pg_catalog.pg_depend")
def _dependencies(catalog: Catalog, context: ExecContext) -> Rows:
    """Only what tools ask for: which column owns a sequence."""
    for found in catalog.relations.values():
        if isinstance(found, SequenceDesc) and found.owned_by is not None:
            table_id, attnum = found.owned_by
            column = _column(catalog, table_id, attnum)
            yield {
                "classid": 1259,
                "objid": found.id,
                "refclassid": 1259,
                "refobjid": table_id,
                "refobjsubid": attnum,
                "deptype": "i" if column is not None and column.identity != Identity.NONE else "a",
            }


def is_identity_sequence(catalog: Catalog, sequence: SequenceDesc) -> bool:
    """Say whether a sequence is the inside of an IDENTITY column."""
    if sequence.owned_by is None:
        return False
    column = _column(catalog, *sequence.owned_by)
    return column is not None and column.identity != Identity.NONE


def _column(catalog: Catalog, table_id: int, attnum: int) -> ColumnDesc | None:
    table = catalog.by_id.get(table_id)
    if not isinstance(table, TableDesc):
        return None
    return next((column for column in table.columns if column.attnum == attnum), None)


@rows_of("pg_catalog.pg_description")
def _descriptions(catalog: Catalog, context: ExecContext) -> Rows:
    for table in catalog.tables():
        if table.comment is not None:
            yield {"objoid": table.id, "classoid": 1259, "description": table.comment}
    yield {
        "objoid": PUBLIC_SCHEMA_ID,
        "classoid": CLASS_PG_NAMESPACE,
        "description": "standard public schema",
    }
    for oid, text in DESCRIPTIONS.items():
        yield {"objoid": oid, "classoid": CLASS_PG_TYPE, "description": text}


@rows_of("pg_catalog.pg_rewrite")
def _rules(catalog: Catalog, context: ExecContext) -> Rows:
    for found in catalog.relations.values():
        if isinstance(found, ViewDesc):
            yield {
                "oid": derived_oid(found.id, VIEW_RULE),
                "rulename": "_RETURN",
                "ev_class": found.id,
                "ev_type": "1",
                "ev_enabled": "O",
                "is_instead": True,
            }
