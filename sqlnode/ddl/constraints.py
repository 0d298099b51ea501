"""Constraints: adding them, on empty tables and on full ones, and dropping them."""

from collections.abc import Sequence
from typing import Final, TypeVar

import msgspec

from pgwire.errors import (
    DatatypeMismatch,
    DependentObjectsStillExist,
    DuplicateObject,
    DuplicateTable,
    InvalidForeignKey,
    InvalidTableDefinition,
    ObjectInUse,
    UndefinedColumn,
    WrongObjectType,
)
from sqlnode.catalog.descriptors import (
    CheckDesc,
    ColumnDesc,
    ForeignKeyDesc,
    IndexColumn,
    IndexDesc,
    TableDesc,
)
from sqlnode.catalog.table_parts import with_part
from sqlnode.ddl.context import DdlContext, OnlineChange
from sqlnode.ddl.expressions import comparable, normal_check
from sqlnode.ddl.indexes import add_index
from sqlnode.ddl.names import (
    choose_name,
    constraint_names,
    find_table,
    relation_names,
    require_column,
    undefined_constraint,
    visible_indexes,
)
from sqlnode.ddl.nodes import CheckDef, Constraint, ForeignKeyDef, KeyDef
from sqlnode.ddl.rewrite import drop_primary_key, rekey
from sqlnode.ddl.row_checks import require_met, require_no_nulls
from sqlnode.jobs.record import JobKind

Named = TypeVar("Named", CheckDesc, ForeignKeyDesc)
_ENFORCED: Final = "enforced"  # the first step of a constraint's job


async def add_constraint(
    context: DdlContext, table_id: int, constraint: Constraint, *, is_empty: bool
) -> None:
    """Add one constraint; rows already there are checked unless `is_empty`."""
    table = context.table(table_id)
    if constraint.name is not None and constraint.name in constraint_names(table):
        raise DuplicateObject(
            f'constraint "{constraint.name}" for relation "{table.name}" already exists'
        )
    match constraint:
        case CheckDef():
            await _add_check(context, table, constraint, is_empty=is_empty)
        case KeyDef(primary=True):
            await _add_primary_key(context, table, constraint, is_empty=is_empty)
        case KeyDef():
            await _add_unique(context, table, constraint, is_empty=is_empty)
        case ForeignKeyDef():
            await _add_foreign_key(context, table, constraint, is_empty=is_empty)


async def _add_check(
    context: DdlContext, table: TableDesc, definition: CheckDef, *, is_empty: bool
) -> None:
    sql, attnums = normal_check(context, table, definition.sql)
    names = [table.column(attnum).name for attnum in attnums]
    only_column = names[0] if len(names) == 1 else ""
    name = definition.name or choose_name(table.name, only_column, "check", constraint_names(table))
    check = CheckDesc(await context.editor.allocate_id(), name, sql, attnums)
    if not is_empty:
        kind, not_valid = JobKind.ADD_CHECK, definition.not_valid
        check = await _begun(context, table, check, kind, not_valid=not_valid)
    context.editor.put(msgspec.structs.replace(table, checks=(*table.checks, check)))


async def _begun(
    context: DdlContext, table: TableDesc, part: Named, kind: JobKind, *, not_valid: bool
) -> Named:
    """Return a constraint as it begins on rows: left to a job, not valid, or looked at."""
    if await context.goes_online(table):
        kind = JobKind.ADD_NOT_VALID if not_valid else kind
        context.change = OnlineChange(kind, table.id, part.oid, _ENFORCED)
        return msgspec.structs.replace(part, validated=False, in_job=True)
    if not_valid:
        return msgspec.structs.replace(part, validated=False)
    await require_met(context, table, part)
    return part


async def validate_constraint(context: DdlContext, table: TableDesc, name: str) -> None:
    """VALIDATE CONSTRAINT. Raises: UndefinedObject, WrongObjectType, ObjectInUse, violations."""
    part = next((p for p in table.row_constraints if p.name == name), None)
    if part is None:
        if name not in constraint_names(table):
            raise undefined_constraint(name, table)
        raise WrongObjectType(
            f'constraint "{name}" of relation "{table.name}" is not a foreign key or check '
            "constraint"
        )
    if part.in_job:
        raise ObjectInUse(
            f'constraint "{name}" of relation "{table.name}" is being validated',
            hint="Wait for the job that SHOW JOBS reports.",
        )
    if part.validated:
        return
    if await context.goes_online(table):
        context.change = OnlineChange(JobKind.VALIDATE_CONSTRAINT, table.id, part.oid, _ENFORCED)
        after = msgspec.structs.replace(part, in_job=True)
    else:
        await require_met(context, table, part)
        after = msgspec.structs.replace(part, validated=True)
    context.editor.put(with_part(table, part, after))


async def begin_not_null(context: DdlContext, table: TableDesc, column: ColumnDesc) -> bool:
    """Leave SET NOT NULL to a job if there is something to look at; tell whether it was left."""
    if column.not_null or not await context.goes_online(table):
        return False
    begun = msgspec.structs.replace(column, refuses_null=True)
    columns = tuple(begun if c is column else c for c in table.columns)
    context.editor.put(msgspec.structs.replace(table, columns=columns))
    context.change = OnlineChange(JobKind.SET_NOT_NULL, table.id, column.attnum, _ENFORCED)
    return True


async def _add_primary_key(
    context: DdlContext, table: TableDesc, definition: KeyDef, *, is_empty: bool
) -> None:
    if table.primary.primary:
        raise InvalidTableDefinition(
            f'multiple primary keys for table "{table.name}" are not allowed'
        )
    columns = _key_columns(table, definition.columns)
    name = _key_name(context, table, definition)
    for column in columns:
        found = table.column(column.attnum)
        if not is_empty and not found.not_null:
            await require_no_nulls(context, table, found.name)
    primary = IndexDesc(
        1,
        await context.editor.allocate_id(),
        name,
        columns,
        unique=True,
        primary=True,
        constraint=True,
        constraint_oid=await context.editor.allocate_id(),
    )
    await rekey(context, table, primary, is_empty=is_empty)


async def _add_unique(
    context: DdlContext, table: TableDesc, definition: KeyDef, *, is_empty: bool
) -> None:
    index = IndexDesc(
        table.next_index_id,
        await context.editor.allocate_id(),
        _key_name(context, table, definition),
        _key_columns(table, definition.columns),
        unique=True,
        constraint=True,
        constraint_oid=await context.editor.allocate_id(),
    )
    await add_index(context, table, index, is_empty=is_empty)


def _key_columns(table: TableDesc, names: Sequence[str]) -> tuple[IndexColumn, ...]:
    columns: list[IndexColumn] = []
    for name in names:
        if (column := table.find_column(name)) is None:
            raise UndefinedColumn(f'column "{name}" named in key does not exist')
        comparable(column)
        if any(column.attnum == other.attnum for other in columns):
            raise InvalidTableDefinition(f'column "{name}" appears twice in a key constraint')
        columns.append(IndexColumn(column.attnum))
    return tuple(columns)


def _key_name(context: DdlContext, table: TableDesc, definition: KeyDef) -> str:
    taken = relation_names(context.editor.catalog, table.schema_id)
    if definition.name is not None:
        if definition.name in taken:
            raise DuplicateTable(f'relation "{definition.name}" already exists')
        return definition.name
    if definition.primary:
        return choose_name(table.name, "", "pkey", taken)
    return choose_name(table.name, "_".join(definition.columns), "key", taken)


async def _add_foreign_key(
    context: DdlContext, table: TableDesc, definition: ForeignKeyDef, *, is_empty: bool
) -> None:
    target = find_table(context.editor.catalog, definition.target, context.search_path)
    columns = tuple(_fk_column(table, name) for name in definition.columns)
    target_columns = _target_columns(target, definition)
    if len(columns) != len(target_columns):
        raise InvalidForeignKey(
            "number of referencing and referenced columns for foreign key disagree"
        )
    name = definition.name or choose_name(
        table.name, "_".join(definition.columns), "fkey", constraint_names(table)
    )
    check_fk_types(table, columns, target, target_columns, name)
    key = ForeignKeyDesc(
        await context.editor.allocate_id(),
        name,
        columns,
        target.id,
        target_columns,
        definition.on_update,
        definition.on_delete,
        definition.match_full,
        definition.deferrable,
        definition.deferred,
    )
    if not is_empty:
        kind, not_valid = JobKind.ADD_FOREIGN_KEY, definition.not_valid
        key = await _begun(context, table, key, kind, not_valid=not_valid)
    context.editor.put(msgspec.structs.replace(table, foreign_keys=(*table.foreign_keys, key)))


def _fk_column(table: TableDesc, name: str) -> int:
    if (column := table.find_column(name)) is None:
        raise UndefinedColumn(
            f'column "{name}" referenced in foreign key constraint does not exist'
        )
    return column.attnum


def _target_columns(target: TableDesc, definition: ForeignKeyDef) -> tuple[int, ...]:
    if not definition.target_columns:
        if not target.primary.primary:
            raise InvalidTableDefinition(
                f'there is no primary key for referenced table "{target.name}"',
                sqlstate="42704",
            )
        return tuple(column.attnum for column in target.primary.columns)
    attnums = tuple(_fk_column(target, name) for name in definition.target_columns)
    for index in (target.primary, *target.indexes):
        if index.unique and {c.attnum for c in index.columns} == set(attnums):
            return attnums
    raise InvalidForeignKey(
        f'there is no unique constraint matching given keys for referenced table "{target.name}"'
    )


def check_fk_types(
    table: TableDesc,
    columns: tuple[int, ...],
    target: TableDesc,
    target_columns: tuple[int, ...],
    name: str,
) -> None:
    """Require that keys and what they refer to can be compared. Raises: DatatypeMismatch."""
    for attnum, target_attnum in zip(columns, target_columns, strict=True):
        left, right = table.column(attnum), target.column(target_attnum)
        # A lookup encodes the child's datum with the parent's key codec: both must store alike.
        if left.type.bare != right.type.bare and not (
            {left.type_oid, right.type_oid} <= {20, 21, 23}
            or {left.type_oid, right.type_oid} <= {25, 1043}
        ):
            raise DatatypeMismatch(
                f'foreign key constraint "{name}" cannot be implemented',
                detail=f'Key columns "{left.name}" and "{right.name}" are of incompatible types: '
                f"{left.type.bare} and {right.type.bare}.",
            )


async def drop_constraint(
    context: DdlContext, table: TableDesc, name: str, *, if_exists: bool, cascade: bool
) -> None:
    """ALTER TABLE DROP CONSTRAINT. Raises: UndefinedObject, DependentObjectsStillExist."""
    for index in visible_indexes(table):
        if index.constraint and index.name == name:
            await _drop_key(context, table, index, cascade=cascade)
            return
    checks = tuple(check for check in table.checks if check.name != name)
    keys = tuple(key for key in table.foreign_keys if key.name != name)
    if len(checks) == len(table.checks) and len(keys) == len(table.foreign_keys):
        if not if_exists:
            raise undefined_constraint(name, table)
        context.notice(f'constraint "{name}" of relation "{table.name}" does not exist, skipping')
        return
    context.editor.put(msgspec.structs.replace(table, checks=checks, foreign_keys=keys))


async def _drop_key(
    context: DdlContext, table: TableDesc, index: IndexDesc, *, cascade: bool
) -> None:
    drop_references(context, table, index, cascade=cascade)
    table = context.table(table.id)
    if index.primary:
        await drop_primary_key(context, table)
        return
    kept = tuple(other for other in table.indexes if other.index_id != index.index_id)
    context.editor.discard_index(table.key_id, index.index_id)
    context.editor.put(msgspec.structs.replace(table, indexes=kept))


def drop_references(
    context: DdlContext, target: TableDesc, index: IndexDesc | None, *, cascade: bool
) -> None:
    """Drop the foreign keys that rely on `index` of `target`, or on all of it if None.

    Raises: DependentObjectsStillExist if there are any and not `cascade`.
    """
    needed = None if index is None else {column.attnum for column in index.columns}
    for child in context.editor.catalog.referencing.get(target.id, ()):
        if index is None and child.id == target.id:
            continue
        relying = [
            key
            for key in child.foreign_keys
            if key.target_table_id == target.id
            and (needed is None or set(key.target_columns) == needed)
        ]
        if not relying:
            continue
        what = f"constraint {relying[0].name} on table {child.name}"
        if not cascade:
            on = (
                f"table {target.name}"
                if index is None
                else (f"constraint {index.name} on table {target.name}")
            )
            raise DependentObjectsStillExist(
                f"cannot drop {on} because other objects depend on it",
                detail=f"{what} depends on {on if index is None else f'index {index.name}'}",
                hint="Use DROP ... CASCADE to drop the dependent objects too.",
            )
        context.notice(f"drop cascades to {what}")
        kept = tuple(key for key in child.foreign_keys if key not in relying)
        context.editor.put(msgspec.structs.replace(child, foreign_keys=kept))


def set_not_null(table: TableDesc, column_name: str, not_null: bool) -> TableDesc:
    """Return the table with a column's NOT NULL changed. Raises: InvalidTableDefinition."""
    column = require_column(table, column_name)
    if not not_null and column.identity:
        raise InvalidTableDefinition(
            f'column "{column_name}" of relation "{table.name}" is an identity column'
        )
    key = table.primary.columns if table.primary.primary else ()
    if not not_null and any(part.attnum == column.attnum for part in key):
        raise InvalidTableDefinition(f'column "{column_name}" is in a primary key')
    columns = tuple(
        msgspec.structs.replace(c, not_null=not_null) if c.attnum == column.attnum else c
        for c in table.columns
    )
    return msgspec.structs.replace(table, columns=columns)
