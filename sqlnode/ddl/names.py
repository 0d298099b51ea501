"""Names in DDL: finding relations, and choosing names for what the user left unnamed.

Source: PostgreSQL, src/backend/commands/indexcmds.c (ChooseRelationName), tablecmds.c.
"""

from collections.abc import Collection, Iterable

from pgwire.errors import (
    InsufficientPrivilege,
    InvalidSchemaName,
    ObjectInUse,
    UndefinedColumn,
    UndefinedObject,
    UndefinedTable,
    WrongObjectType,
)
from sqlnode.catalog.descriptors import (
    ColumnDesc,
    ColumnState,
    IndexDesc,
    Relation,
    SchemaDesc,
    SequenceDesc,
    TableDesc,
)
from sqlnode.catalog.snapshot import Catalog
from sqlnode.catalog.virtual import SYSTEM_SCHEMAS, find_virtual
from sqlnode.ddl.nodes import Name

NAME_BYTES_MAX = 63


def find_schema(catalog: Catalog, name: str) -> SchemaDesc:
    """Return a schema. Raises: InvalidSchemaName."""
    if (schema := catalog.schemas.get(name)) is None:
        raise InvalidSchemaName(f'schema "{name}" does not exist')
    return schema


def creation_schema(catalog: Catalog, name: Name, search_path: Iterable[str]) -> SchemaDesc:
    """Return the schema a new object goes into.

    Raises: InvalidSchemaName, InsufficientPrivilege.
    """
    if name.schema is not None:
        if name.schema in SYSTEM_SCHEMAS:
            raise InsufficientPrivilege(f'permission denied to create "{name}"')
        return find_schema(catalog, name.schema)
    for candidate in search_path:
        if (schema := catalog.schemas.get(candidate)) is not None:
            return schema
    raise InvalidSchemaName("no schema has been selected to create in")


def find_relation(catalog: Catalog, name: Name, search_path: Iterable[str]) -> Relation | None:
    """Return the user relation a name means, None if there is none.

    Raises: InvalidSchemaName for an unknown schema, InsufficientPrivilege for a system relation.
    """
    path = tuple(search_path)
    if (found := catalog.find_relation(name.name, name.schema, path)) is not None:
        return found
    if find_virtual(name.name, name.schema, path) is not None:
        raise InsufficientPrivilege(f'permission denied: "{name.name}" is a system catalog')
    if name.schema is not None:
        find_schema(catalog, name.schema)
    return None


def find_table(catalog: Catalog, name: Name, search_path: Iterable[str]) -> TableDesc:
    """Return a table. Raises: UndefinedTable, WrongObjectType."""
    relation = find_relation(catalog, name, search_path)
    if relation is None:
        raise UndefinedTable(f'relation "{name}" does not exist', position=name.position)
    if not isinstance(relation, TableDesc):
        raise WrongObjectType(f'"{name.name}" is not a table')
    return relation


def find_sequence(catalog: Catalog, name: Name, search_path: Iterable[str]) -> SequenceDesc:
    """Return a sequence. Raises: UndefinedTable, WrongObjectType."""
    relation = find_relation(catalog, name, search_path)
    if relation is None:
        raise UndefinedTable(f'relation "{name}" does not exist', position=name.position)
    if not isinstance(relation, SequenceDesc):
        raise WrongObjectType(f'"{name.name}" is not a sequence')
    return relation


def find_index(
    catalog: Catalog, name: Name, search_path: Iterable[str]
) -> tuple[TableDesc, IndexDesc] | None:
    """Return an index and its table, None if there is none."""
    schemas = (name.schema,) if name.schema is not None else tuple(search_path)
    ids = [catalog.schemas[schema].id for schema in schemas if schema in catalog.schemas]
    for schema_id in ids:
        for table in catalog.tables():
            if table.schema_id == schema_id:
                for index in visible_indexes(table):
                    if index.name == name.name:
                        return table, index
    return None


def require_column(table: TableDesc, name: str) -> ColumnDesc:
    """Return a column. Raises: UndefinedColumn, ObjectInUse."""
    if (column := table.find_column(name)) is None:
        raise UndefinedColumn(f'column "{name}" of relation "{table.name}" does not exist')
    if column.state is ColumnState.LEAVING:
        raise ObjectInUse(f'column "{name}" of relation "{table.name}" is being dropped')
    if any(other.replaces == column.attnum for other in table.columns):
        raise ObjectInUse(f'column "{name}" of relation "{table.name}" is being altered')
    return column


def visible_indexes(table: TableDesc) -> tuple[IndexDesc, ...]:
    """Return the indexes users see: the primary one only if the table has a primary key."""
    return ((table.primary,) if table.primary.primary else ()) + table.indexes


def relation_names(catalog: Catalog, schema_id: int) -> set[str]:
    """Return every name taken among the relations and indexes of a schema."""
    taken = {name for owner, name in catalog.relations if owner == schema_id}
    for table in catalog.tables():
        if table.schema_id == schema_id:
            taken.update(index.name for index in (*visible_indexes(table), *table.building))
    return taken


def constraint_names(table: TableDesc) -> set[str]:
    """Return the names of a table's constraints."""
    indexes = (*visible_indexes(table), *table.building)
    keys = (index.name for index in indexes if index.constraint)
    checks = (check.name for check in table.checks)
    references = (key.name for key in table.foreign_keys)
    return {*keys, *checks, *references}


def choose_name(first: str, second: str, label: str, taken: Collection[str]) -> str:
    """Return first_second_label, cut to 63 bytes and numbered until it is free.

    >>> choose_name("users", "email", "key", {"users_email_key"})
    'users_email_key1'
    """
    number = 0
    while True:
        candidate = _make_name(first, second, f"{label}{number or ''}")
        if candidate not in taken:
            return candidate
        number += 1


def _make_name(first: str, second: str, label: str) -> str:
    room = NAME_BYTES_MAX - len(label.encode()) - (2 if second else 1)
    while len(first.encode()) + len(second.encode()) > room:
        if len(first.encode()) > len(second.encode()):
            first = first[:-1]
        else:
            second = second[:-1]
    return "_".join(part for part in (first, second, label) if part)


def undefined_constraint(name: str, table: TableDesc) -> UndefinedObject:
    """Return the error for a constraint that a table does not have."""
    return UndefinedObject(f'constraint "{name}" of relation "{table.name}" does not exist')
