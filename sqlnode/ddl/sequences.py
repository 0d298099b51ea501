"""Sequences: options to descriptors, and the sequences behind SERIAL and IDENTITY columns.

Source: PostgreSQL, src/backend/commands/sequence.c (init_params).
"""

from dataclasses import replace as replace_options
from typing import Final

import msgspec

from pgwire.errors import (
    DuplicateTable,
    FeatureNotSupported,
    InvalidParameterValue,
    UndefinedTable,
)
from sqlnode.catalog.descriptors import SchemaDesc, SequenceDesc, TableDesc
from sqlnode.ddl.context import DdlContext
from sqlnode.ddl.names import (
    choose_name,
    creation_schema,
    find_relation,
    find_sequence,
    find_table,
    relation_names,
    require_column,
)
from sqlnode.ddl.nodes import AlterSequence, CreateSequence, SequenceOptions
from sqlnode.types import INT2, INT4, INT8, SqlType

_RANGES: Final = {
    INT2.oid: (-(2**15), 2**15 - 1),
    INT4.oid: (-(2**31), 2**31 - 1),
    INT8.oid: (-(2**63), 2**63 - 1),
}


async def create_sequence(context: DdlContext, node: CreateSequence) -> None:
    """CREATE SEQUENCE. Raises: DuplicateTable, InvalidParameterValue."""
    schema = creation_schema(context.editor.catalog, node.name, context.search_path)
    if node.name.name in relation_names(context.editor.catalog, schema.id):
        if node.if_not_exists:
            context.notice(f'relation "{node.name.name}" already exists, skipping')
            return
        raise DuplicateTable(f'relation "{node.name.name}" already exists')
    fresh = SequenceDesc(
        await context.editor.allocate_id(), schema.id, node.name.name, context.user
    )
    context.editor.put(_with_options(context, fresh, node.options, is_new=True))


async def alter_sequence(context: DdlContext, node: AlterSequence) -> None:
    """ALTER SEQUENCE with options. Raises: UndefinedTable, InvalidParameterValue."""
    if find_relation(context.editor.catalog, node.name, context.search_path) is None:
        if node.if_exists:
            context.notice(f'relation "{node.name}" does not exist, skipping')
            return
        raise UndefinedTable(f'relation "{node.name}" does not exist')
    sequence = find_sequence(context.editor.catalog, node.name, context.search_path)
    context.editor.require_owner(sequence, context.user)
    changed = _with_options(context, sequence, node.options, is_new=False)
    context.editor.put(changed)
    if node.options.has_restart or node.options.restart is not None:
        start = changed.start if node.options.restart is None else node.options.restart
        await context.exec.sequences.setval(changed.id, start, False)


async def create_owned_sequence(
    context: DdlContext,
    table: TableDesc,
    column_name: str,
    sql_type: SqlType,
    options: SequenceOptions,
    attnum: int,
) -> SequenceDesc:
    """Make the sequence of a SERIAL or IDENTITY column; the caller links the column to it."""
    taken = relation_names(context.editor.catalog, table.schema_id) | {table.name}
    sequence = SequenceDesc(
        await context.editor.allocate_id(),
        table.schema_id,
        choose_name(table.name, column_name, "seq", taken),
        table.owner,
        owned_by=(table.id, attnum),
    )
    if sql_type.oid not in _RANGES:
        raise InvalidParameterValue("identity column type must be smallint, integer, or bigint")
    chosen = options if options.type is not None else replace_options(options, type=sql_type)
    sequence = _with_options(context, sequence, chosen, is_new=True)
    context.editor.put(sequence)
    return sequence


def default_of_sequence(sequence: SequenceDesc, schema: SchemaDesc | None = None) -> str:
    """Return the default expression that draws from a sequence, as pg_get_expr prints it."""
    name = _quote_if_needed(sequence.name)
    if schema is not None and schema.name != "public":
        name = f"{_quote_if_needed(schema.name)}.{name}"
    return f"nextval('{name.replace(chr(39), chr(39) * 2)}'::regclass)"


def _quote_if_needed(name: str) -> str:
    plain = name.replace("_", "a")
    if plain.isascii() and plain.isalnum() and plain.islower() and not plain[0].isdigit():
        return name
    return '"' + name.replace('"', '""') + '"'


def _with_options(
    context: DdlContext, sequence: SequenceDesc, options: SequenceOptions, *, is_new: bool
) -> SequenceDesc:
    type_oid = options.type.oid if options.type is not None else sequence.type_oid
    if type_oid not in _RANGES:
        raise InvalidParameterValue("sequence type must be smallint, integer, or bigint")
    increment = sequence.increment if options.increment is None else options.increment
    if increment == 0:
        raise InvalidParameterValue("INCREMENT must not be zero")
    resets = is_new or options.type is not None
    low, high = _bounds(sequence, options, _RANGES[type_oid], increment, resets)
    default_start = (low if increment > 0 else high) if is_new else sequence.start
    start = default_start if options.start is None else options.start
    _check(low, high, start, options)
    return msgspec.structs.replace(
        sequence,
        type_oid=type_oid,
        start=start,
        increment=increment,
        min_value=low,
        max_value=high,
        cycle=sequence.cycle if options.cycle is None else options.cycle,
        cache=sequence.cache if options.cache is None else options.cache,
        owned_by=_owner(context, sequence, options),
    )


def _bounds(
    sequence: SequenceDesc,
    options: SequenceOptions,
    type_range: tuple[int, int],
    increment: int,
    resets: bool,
) -> tuple[int, int]:
    ascending = increment > 0
    low, high = sequence.min_value, sequence.max_value
    if resets or options.no_min:
        low = 1 if ascending else type_range[0]
    if resets or options.no_max:
        high = type_range[1] if ascending else -1
    return (
        low if options.min_value is None else options.min_value,
        high if options.max_value is None else options.max_value,
    )


def _check(low: int, high: int, start: int, options: SequenceOptions) -> None:
    if low >= high:
        raise InvalidParameterValue(f"MINVALUE ({low}) must be less than MAXVALUE ({high})")
    if start < low:
        raise InvalidParameterValue(f"START value ({start}) cannot be less than MINVALUE ({low})")
    if start > high:
        raise InvalidParameterValue(
            f"START value ({start}) cannot be greater than MAXVALUE ({high})"
        )
    if options.cache is not None and options.cache < 1:
        raise InvalidParameterValue(f"CACHE ({options.cache}) must be greater than zero")


def _owner(
    context: DdlContext, sequence: SequenceDesc, options: SequenceOptions
) -> tuple[int, int] | None:
    if options.owned_by_none:
        return None
    if options.owned_by is None:
        return sequence.owned_by
    table_name, column_name = options.owned_by
    table = find_table(context.editor.catalog, table_name, context.search_path)
    if table.schema_id != sequence.schema_id:
        raise FeatureNotSupported("sequence must be in same schema as table it is linked to")
    return table.id, require_column(table, column_name).attnum


def rename_default(table: TableDesc, sequence: SequenceDesc, schema: SchemaDesc) -> TableDesc:
    """Return the table with defaults that draw from `sequence` spelled with its present name."""
    columns = tuple(
        msgspec.structs.replace(column, default_sql=default_of_sequence(sequence, schema))
        if column.sequence_id == sequence.id and column.default_sql is not None
        else column
        for column in table.columns
    )
    return msgspec.structs.replace(table, columns=columns)


def owned_sequences(context: DdlContext, table: TableDesc) -> list[SequenceDesc]:
    """Return the sequences that live and die with a table's columns."""
    return [
        found
        for found in context.editor.catalog.by_id.values()
        if isinstance(found, SequenceDesc)
        and found.owned_by is not None
        and found.owned_by[0] == table.id
    ]
