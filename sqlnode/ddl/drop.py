"""DROP and TRUNCATE: what goes with an object, and what forbids it."""

from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from pgwire.errors import (
    DependentObjectsStillExist,
    FeatureNotSupported,
    InvalidSchemaName,
    SqlError,
    UndefinedObject,
    UndefinedTable,
    WrongObjectType,
)
from sqlnode.catalog.descriptors import (
    PUBLIC_SCHEMA_ID,
    Relation,
    SchemaDesc,
    SequenceDesc,
    TableDesc,
    ViewDesc,
)
from sqlnode.ddl.constraints import drop_references
from sqlnode.ddl.context import DdlContext
from sqlnode.ddl.names import find_index, find_relation, find_table
from sqlnode.ddl.nodes import Drop, Name, Truncate
from sqlnode.ddl.sequences import owned_sequences

_CLASSES: Final[dict[str, type[Any]]] = {
    "table": TableDesc,
    "view": ViewDesc,
    "sequence": SequenceDesc,
}
_HINT: Final = "Use DROP ... CASCADE to drop the dependent objects too."


async def drop(context: DdlContext, node: Drop) -> None:
    """DROP TABLE, VIEW, SEQUENCE, INDEX, SCHEMA.

    Raises: UndefinedTable, WrongObjectType, DependentObjectsStillExist.
    """
    handler: Callable[[DdlContext, Drop, Name], None] = {
        "index": _drop_index,
        "schema": _drop_schema,
    }.get(node.kind, _drop_named)
    for name in node.names:
        handler(context, node, name)


def _drop_named(context: DdlContext, node: Drop, name: Name) -> None:
    try:
        relation = find_relation(context.editor.catalog, name, context.search_path)
    except InvalidSchemaName:
        if not node.if_exists:
            raise
        relation = None
    if relation is None:
        _missing(context, node, name, UndefinedTable(f'{node.kind} "{name}" does not exist'))
        return
    if not isinstance(relation, _CLASSES[node.kind]):
        raise WrongObjectType(
            f'"{name.name}" is not a {node.kind}',
            hint=f"Use DROP {_word(relation).upper()} to remove a {_word(relation)}.",
        )
    context.editor.require_owner(relation, context.user)
    dropping = {
        found.id
        for other in node.names
        if (found := find_relation(context.editor.catalog, other, context.search_path)) is not None
    }
    drop_relation(context, relation, cascade=node.cascade, together=dropping)


def _missing(context: DdlContext, node: Drop, name: Name, error: SqlError) -> None:
    if not node.if_exists:
        raise error
    context.notice(f'{node.kind} "{name.name}" does not exist, skipping')


def _word(relation: Relation) -> str:
    return next(word for word, kind in _CLASSES.items() if isinstance(relation, kind))


def drop_relation(
    context: DdlContext, relation: Relation, *, cascade: bool, together: Iterable[int] = ()
) -> None:
    """Drop one relation and, with `cascade`, what depends on it; `together` go anyway."""
    if relation.id not in context.editor.catalog.by_id:
        return  # an earlier cascade of the same statement took it
    _drop_views_on(context, relation, cascade=cascade, together=set(together))
    match relation:
        case TableDesc():
            _drop_foreign_keys_to(context, relation, cascade=cascade, together=set(together))
            context.editor.remove(*owned_sequences(context, relation), context.table(relation.id))
        case SequenceDesc():
            _detach_sequence(context, relation, cascade=cascade)
            context.editor.remove(relation)
        case ViewDesc():
            context.editor.remove(relation)


def _drop_views_on(
    context: DdlContext, relation: Relation, *, cascade: bool, together: set[int]
) -> None:
    for view in list(context.editor.catalog.by_id.values()):
        if not isinstance(view, ViewDesc) or relation.id not in view.depends_on:
            continue
        if view.id not in together and not cascade:
            kind = _word(relation)
            raise DependentObjectsStillExist(
                f"cannot drop {kind} {relation.name} because other objects depend on it",
                detail=f"view {view.name} depends on {kind} {relation.name}",
                hint=_HINT,
            )
        if view.id not in together:
            context.notice(f"drop cascades to view {view.name}")
        drop_relation(context, view, cascade=cascade, together=together)


def _drop_foreign_keys_to(
    context: DdlContext, table: TableDesc, *, cascade: bool, together: set[int]
) -> None:
    for child in context.editor.catalog.referencing.get(table.id, ()):
        if child.id in together and child.id != table.id:
            kept = tuple(k for k in child.foreign_keys if k.target_table_id != table.id)
            context.editor.put(msgspec.structs.replace(child, foreign_keys=kept))
    drop_references(context, table, None, cascade=cascade)


def _detach_sequence(context: DdlContext, sequence: SequenceDesc, *, cascade: bool) -> None:
    for table in context.editor.catalog.tables():
        for column in table.columns:
            if column.sequence_id != sequence.id:
                continue
            if column.identity:
                raise DependentObjectsStillExist(
                    f"cannot drop sequence {sequence.name} because column {column.name} of table "
                    f"{table.name} requires it",
                    hint=f"You can drop column {column.name} of table {table.name} instead.",
                )
            if not cascade:
                raise DependentObjectsStillExist(
                    f"cannot drop sequence {sequence.name} because other objects depend on it",
                    detail=f"default value for column {column.name} of table {table.name} depends "
                    f"on sequence {sequence.name}",
                    hint=_HINT,
                )
            plain = msgspec.structs.replace(column, default_sql=None, sequence_id=0)
            columns = tuple(plain if c is column else c for c in table.columns)
            context.editor.put(msgspec.structs.replace(table, columns=columns))


def _drop_index(context: DdlContext, node: Drop, name: Name) -> None:
    found = find_index(context.editor.catalog, name, context.search_path)
    if found is None:
        if find_relation(context.editor.catalog, name, context.search_path) is not None:
            raise WrongObjectType(f'"{name.name}" is not an index')
        _missing(context, node, name, UndefinedObject(f'index "{name}" does not exist'))
        return
    table, index = found
    context.editor.require_owner(table, context.user)
    if index.constraint:
        raise DependentObjectsStillExist(
            f"cannot drop index {index.name} because constraint {index.name} on table "
            f"{table.name} requires it",
            hint=f"You can drop constraint {index.name} on table {table.name} instead.",
        )
    kept = tuple(other for other in table.indexes if other.index_id != index.index_id)
    context.editor.discard_index(table.key_id, index.index_id)
    context.editor.put(msgspec.structs.replace(table, indexes=kept))


def _drop_schema(context: DdlContext, node: Drop, name: Name) -> None:
    catalog = context.editor.catalog
    schema = catalog.schemas.get(name.name)
    if schema is None:
        _missing(context, node, name, InvalidSchemaName(f'schema "{name.name}" does not exist'))
        return
    if schema.id == PUBLIC_SCHEMA_ID:
        raise FeatureNotSupported("dropping schema public is not supported")
    inside = [r for (owner, _), r in catalog.relations.items() if owner == schema.id]
    if inside and not node.cascade:
        raise DependentObjectsStillExist(
            f"cannot drop schema {schema.name} because other objects depend on it",
            detail=f"{_word(inside[0])} {schema.name}.{inside[0].name} depends on schema "
            f"{schema.name}",
            hint=_HINT,
        )
    together = {relation.id for relation in inside}
    for relation in inside:
        context.notice(f"drop cascades to {_word(relation)} {schema.name}.{relation.name}")
    for relation in inside:
        if (present := context.editor.catalog.by_id.get(relation.id)) is not None:
            assert not isinstance(present, SchemaDesc), "relations stay relations"
            drop_relation(context, relation, cascade=True, together=together)
    context.editor.remove(schema)


async def truncate(context: DdlContext, node: Truncate) -> None:
    """TRUNCATE: a new, empty key space for each table. Raises: FeatureNotSupported."""
    catalog = context.editor.catalog
    tables = {
        table.id: table
        for name in node.tables
        for table in (find_table(catalog, name, context.search_path),)
    }
    for table in list(tables.values()):
        _add_referencing(context, table, tables, cascade=node.cascade)
    for table in tables.values():
        context.editor.require_owner(table, context.user)
        context.editor.discard_keys(table.key_id)
        fresh = await context.editor.allocate_id()
        context.editor.put(msgspec.structs.replace(table, data_id=fresh))
        if node.restart_identity:
            for sequence in owned_sequences(context, table):
                await context.exec.sequences.setval(sequence.id, sequence.start, False)


def _add_referencing(
    context: DdlContext, table: TableDesc, tables: dict[int, TableDesc], *, cascade: bool
) -> None:
    for child in context.editor.catalog.referencing.get(table.id, ()):
        if child.id in tables:
            continue
        if not cascade:
            raise FeatureNotSupported(
                "cannot truncate a table referenced in a foreign key constraint",
                detail=f'Table "{child.name}" references "{table.name}".',
                hint=f'Truncate table "{child.name}" at the same time, '
                "or use TRUNCATE ... CASCADE.",
            )
        context.notice(f'truncate cascades to table "{child.name}"')
        tables[child.id] = child
        _add_referencing(context, child, tables, cascade=cascade)
