"""information_schema: the SQL standard's view of the same descriptors.

Source: ISO/IEC 9075-11; PostgreSQL, src/backend/catalog/information_schema.sql.
"""

from collections.abc import Iterator
from typing import Any, Final

from sqlnode.catalog.descriptors import (
    ColumnDesc,
    FkAction,
    ForeignKeyDesc,
    Identity,
    SequenceDesc,
    TableDesc,
    ViewDesc,
)
from sqlnode.catalog.snapshot import Catalog
from sqlnode.catalog.system.definitions import rows_of
from sqlnode.catalog.system.expressions import shown_expression
from sqlnode.catalog.system.rows_constraints import schema_name
from sqlnode.catalog.system.rows_relations import indexes_of, is_identity_sequence, live_columns
from sqlnode.catalog.virtual import VIRTUAL
from sqlnode.context import ExecContext
from sqlnode.plan.quoting import quote_name
from sqlnode.types import INT2, INT4, INT8, SqlType, numeric_precision_scale

Rows = Iterator[dict[str, Any]]
_RULES: Final = {
    FkAction.NO_ACTION: "NO ACTION",
    FkAction.RESTRICT: "RESTRICT",
    FkAction.CASCADE: "CASCADE",
    FkAction.SET_NULL: "SET NULL",
    FkAction.SET_DEFAULT: "SET DEFAULT",
}
_INT_BITS: Final = {INT2.oid: 16, INT4.oid: 32, INT8.oid: 64}
_PREFIX: Final = "information_schema"


@rows_of(f"{_PREFIX}.information_schema_catalog_name")
def _catalog_name(catalog: Catalog, context: ExecContext) -> Rows:
    yield {"catalog_name": context.session.database}


@rows_of(f"{_PREFIX}.schemata")
def _schemata(catalog: Catalog, context: ExecContext) -> Rows:
    owners = {schema.name: schema.owner for schema in catalog.schemas.values()}
    for name in ("pg_catalog", "information_schema", *catalog.schemas):
        yield {
            "catalog_name": context.session.database,
            "schema_name": name,
            "schema_owner": owners.get(name, "postgres"),
        }


def _in(catalog: Catalog, context: ExecContext, kind: str, schema_id: int) -> dict[str, Any]:
    """Return `<kind>_catalog` and `<kind>_schema`."""
    return {
        f"{kind}_catalog": context.session.database,
        f"{kind}_schema": schema_name(catalog, schema_id),
    }


@rows_of(f"{_PREFIX}.tables")
def _tables(catalog: Catalog, context: ExecContext) -> Rows:
    for relation in VIRTUAL.values():
        yield {
            "table_catalog": context.session.database,
            "table_schema": relation.schema,
            "table_name": relation.name,
            "table_type": "VIEW" if relation.kind == "v" else "BASE TABLE",
            "is_insertable_into": "NO",
            "is_typed": "NO",
        }
    for found in catalog.relations.values():
        if isinstance(found, TableDesc | ViewDesc):
            is_table = isinstance(found, TableDesc)
            yield {
                **_in(catalog, context, "table", found.schema_id),
                "table_name": found.name,
                "table_type": "BASE TABLE" if is_table else "VIEW",
                "is_insertable_into": "YES" if is_table else "NO",
                "is_typed": "NO",
            }


@rows_of(f"{_PREFIX}.views")
def _views(catalog: Catalog, context: ExecContext) -> Rows:
    for found in catalog.relations.values():
        if isinstance(found, ViewDesc):
            yield {
                **_in(catalog, context, "table", found.schema_id),
                "table_name": found.name,
                "view_definition": found.sql + ";",
                "check_option": "NONE",
                "is_updatable": "NO",
                "is_insertable_into": "NO",
                "is_trigger_updatable": "NO",
                "is_trigger_deletable": "NO",
                "is_trigger_insertable_into": "NO",
            }


@rows_of(f"{_PREFIX}.columns")
def _columns(catalog: Catalog, context: ExecContext) -> Rows:
    for relation in VIRTUAL.values():
        for number, (name, sql_type) in enumerate(relation.columns, start=1):
            yield {
                "table_catalog": context.session.database,
                "table_schema": relation.schema,
                "table_name": relation.name,
                **_column_row(context, number, ColumnDesc(number, name, sql_type.oid)),
                "is_updatable": "NO",
            }
    for found in catalog.relations.values():
        if isinstance(found, TableDesc | ViewDesc):
            for column in live_columns(found.columns):
                yield {
                    **_in(catalog, context, "table", found.schema_id),
                    "table_name": found.name,
                    **_column_row(context, column.attnum, column),
                    **_default_row(catalog, context, found, column),
                    "is_updatable": "YES" if isinstance(found, TableDesc) else "NO",
                }


def _column_row(context: ExecContext, number: int, column: ColumnDesc) -> dict[str, Any]:
    has_identity = column.identity != Identity.NONE
    return {
        "column_name": column.name,
        "ordinal_position": number,
        "is_nullable": "NO" if column.not_null else "YES",
        **_type_row(column.type),
        "udt_catalog": context.session.database,
        "udt_schema": "pg_catalog",
        "udt_name": column.type.name,
        "dtd_identifier": str(number),
        "is_self_referencing": "NO",
        "is_identity": "YES" if has_identity else "NO",
        "identity_generation": {"a": "ALWAYS", "d": "BY DEFAULT"}.get(str(column.identity)),
        "identity_cycle": "NO",
        "is_generated": "NEVER",
    }


def _default_row(
    catalog: Catalog, context: ExecContext, relation: TableDesc | ViewDesc, column: ColumnDesc
) -> dict[str, Any]:
    """Return what a column gets when nothing is given: its default, its identity."""
    if isinstance(relation, ViewDesc):
        return {}
    if column.identity == Identity.NONE:
        sql, path = column.default_sql, context.session.search_path
        shown = None if sql is None else shown_expression(catalog, relation, sql, path)
        return {"column_default": shown}
    sequence = catalog.by_id[column.sequence_id]
    assert isinstance(sequence, SequenceDesc), "identity columns have a sequence"
    return {
        "column_default": None,
        "identity_start": str(sequence.start),
        "identity_increment": str(sequence.increment),
        "identity_maximum": str(sequence.max_value),
        "identity_minimum": str(sequence.min_value),
        "identity_cycle": "YES" if sequence.cycle else "NO",
    }


def _type_row(sql_type: SqlType) -> dict[str, Any]:
    info = sql_type.info
    row: dict[str, Any] = {
        "data_type": "ARRAY" if info.element_oid else info.sql_name,
        "character_maximum_length": None,
        "character_octet_length": None,
        "numeric_precision": None,
        "numeric_precision_radix": None,
        "numeric_scale": None,
        "datetime_precision": None,
    }
    if info.name in ("varchar", "bpchar") and sql_type.typmod >= 4:
        row["character_maximum_length"] = sql_type.typmod - 4
    if info.name in ("text", "varchar", "bpchar"):
        row["character_octet_length"] = (row["character_maximum_length"] or 1 << 28) * 4
        row["character_octet_length"] = min(row["character_octet_length"], 1 << 30)
    if info.oid in _INT_BITS:
        row |= {"numeric_precision": _INT_BITS[info.oid], "numeric_precision_radix": 2}
        row["numeric_scale"] = 0
    if info.name in ("float4", "float8"):
        row |= {"numeric_precision": 24 if info.length == 4 else 53, "numeric_precision_radix": 2}
    if info.name == "numeric":
        row["numeric_precision_radix"] = 10
        if (parts := numeric_precision_scale(sql_type.typmod)) is not None:
            row["numeric_precision"], row["numeric_scale"] = parts
    if info.category in ("D", "T"):
        default = 0 if info.name == "date" else 6
        row["datetime_precision"] = sql_type.typmod & 0xFFFF if sql_type.typmod >= 0 else default
    return row


@rows_of(f"{_PREFIX}.sequences")
def _sequences(catalog: Catalog, context: ExecContext) -> Rows:
    for found in catalog.relations.values():
        if isinstance(found, SequenceDesc) and not is_identity_sequence(catalog, found):
            yield {
                **_in(catalog, context, "sequence", found.schema_id),
                "sequence_name": found.name,
                "data_type": SqlType(found.type_oid).info.sql_name,
                "numeric_precision": _INT_BITS[found.type_oid],
                "numeric_precision_radix": 2,
                "numeric_scale": 0,
                "start_value": str(found.start),
                "minimum_value": str(found.min_value),
                "maximum_value": str(found.max_value),
                "increment": str(found.increment),
                "cycle_option": "YES" if found.cycle else "NO",
            }


@rows_of(f"{_PREFIX}.table_constraints")
def _table_constraints(catalog: Catalog, context: ExecContext) -> Rows:
    for table in catalog.tables():
        keys = {key.name: key for key in table.foreign_keys}
        for name, kind in _constraints_of(table):
            key = keys.get(name)
            yield {
                **_in(catalog, context, "constraint", table.schema_id),
                **_in(catalog, context, "table", table.schema_id),
                "constraint_name": name,
                "table_name": table.name,
                "constraint_type": kind,
                "is_deferrable": "YES" if key and key.deferrable else "NO",
                "initially_deferred": "YES" if key and key.deferred else "NO",
                "enforced": "YES",
                "nulls_distinct": "YES" if kind == "UNIQUE" else None,
            }


def _constraints_of(table: TableDesc) -> Iterator[tuple[str, str]]:
    for index in indexes_of(table):
        if index.constraint:
            yield index.name, "PRIMARY KEY" if index.primary else "UNIQUE"
    for check in table.checks:
        yield check.name, "CHECK"
    for key in table.foreign_keys:
        yield key.name, "FOREIGN KEY"
    for name, _ in _not_nulls(table):
        yield name, "CHECK"


@rows_of(f"{_PREFIX}.check_constraints")
def _check_constraints(catalog: Catalog, context: ExecContext) -> Rows:
    path = context.session.search_path
    for table in catalog.tables():
        for check in table.checks:
            clause = f"({shown_expression(catalog, table, check.sql, path)})"
            yield {
                **_in(catalog, context, "constraint", table.schema_id),
                "constraint_name": check.name,
                "check_clause": clause if check.validated else f"{clause} NOT VALID",
            }
        for name, column in _not_nulls(table):
            yield {
                **_in(catalog, context, "constraint", table.schema_id),
                "constraint_name": name,
                "check_clause": f"{quote_name(column.name)} IS NOT NULL",
            }


def _not_nulls(table: TableDesc) -> Iterator[tuple[str, ColumnDesc]]:
    """Yield the CHECK constraints that the standard sees in NOT NULL, named as PostgreSQL does."""
    for column in live_columns(table.columns):
        if column.not_null:
            yield f"{table.schema_id}_{table.id}_{column.attnum}_not_null", column


@rows_of(f"{_PREFIX}.key_column_usage")
def _key_columns(catalog: Catalog, context: ExecContext) -> Rows:
    for table in catalog.tables():
        keys: list[tuple[str, tuple[int, ...], ForeignKeyDesc | None]] = [
            (index.name, tuple(part.attnum for part in index.columns), None)
            for index in indexes_of(table)
            if index.constraint
        ]
        keys += [(key.name, key.columns, key) for key in table.foreign_keys]
        for name, attnums, foreign in keys:
            for position, attnum in enumerate(attnums, start=1):
                yield {
                    **_in(catalog, context, "constraint", table.schema_id),
                    **_in(catalog, context, "table", table.schema_id),
                    "constraint_name": name,
                    "table_name": table.name,
                    "column_name": table.column(attnum).name,
                    "ordinal_position": position,
                    "position_in_unique_constraint": None if foreign is None else position,
                }


def _target(catalog: Catalog, key: ForeignKeyDesc) -> TableDesc:
    target = catalog.by_id[key.target_table_id]
    assert isinstance(target, TableDesc), "foreign keys point at tables"
    return target


@rows_of(f"{_PREFIX}.constraint_column_usage")
def _constraint_columns(catalog: Catalog, context: ExecContext) -> Rows:
    for table in catalog.tables():
        used: list[tuple[str, TableDesc, tuple[int, ...]]] = [
            (index.name, table, tuple(part.attnum for part in index.columns))
            for index in indexes_of(table)
            if index.constraint
        ]
        used += [(check.name, table, check.columns) for check in table.checks]
        used += [(k.name, _target(catalog, k), k.target_columns) for k in table.foreign_keys]
        for name, owner, attnums in used:
            for attnum in attnums:
                yield {
                    **_in(catalog, context, "table", owner.schema_id),
                    **_in(catalog, context, "constraint", table.schema_id),
                    "table_name": owner.name,
                    "column_name": owner.column(attnum).name,
                    "constraint_name": name,
                }


@rows_of(f"{_PREFIX}.referential_constraints")
def _references(catalog: Catalog, context: ExecContext) -> Rows:
    for table in catalog.tables():
        for key in table.foreign_keys:
            target = _target(catalog, key)
            needed = set(key.target_columns)
            unique = next(
                (i for i in indexes_of(target) if {c.attnum for c in i.columns} == needed), None
            )
            yield {
                **_in(catalog, context, "constraint", table.schema_id),
                **_in(catalog, context, "unique_constraint", target.schema_id),
                "constraint_name": key.name,
                "unique_constraint_name": unique.name if unique is not None else None,
                "match_option": "FULL" if key.match_full else "NONE",
                "update_rule": _RULES[key.on_update],
                "delete_rule": _RULES[key.on_delete],
            }
