"""Looking whether the rows of a table meet a constraint, inside the statement's transaction."""

from pgwire.errors import CheckViolation, ForeignKeyViolation, NotNullViolation
from sqlnode.catalog.descriptors import CheckDesc, ForeignKeyDesc, TableDesc
from sqlnode.ddl.context import DdlContext, qualified, quote_identifier


async def require_met(
    context: DdlContext, table: TableDesc, part: CheckDesc | ForeignKeyDesc
) -> None:
    """Look at every row. Raises: CheckViolation, ForeignKeyViolation."""
    context.begin_scan()
    if isinstance(part, CheckDesc):
        await _require_check(context, table, part)
    else:
        await _require_references(context, table, part)


async def require_no_nulls(context: DdlContext, table: TableDesc, column_name: str) -> None:
    """Raise NotNullViolation if a stored row has NULL in the column."""
    context.begin_scan()
    if await _any_row(context, table, f"{quote_identifier(column_name)} IS NULL"):
        raise contains_nulls(table, column_name)


def contains_nulls(table: TableDesc, column_name: str) -> NotNullViolation:
    """Return the error for rows that a NOT NULL column refuses."""
    return NotNullViolation(
        f'column "{column_name}" of relation "{table.name}" contains null values',
        table_name=table.name,
        column_name=column_name,
    )


async def _any_row(context: DdlContext, table: TableDesc, condition: str) -> bool:
    sql = f"SELECT 1 FROM {qualified(context, table)} WHERE {condition} LIMIT 1"
    return bool(await context.inner.query(sql, context.editor.catalog))


async def _require_check(context: DdlContext, table: TableDesc, check: CheckDesc) -> None:
    if await _any_row(context, table, f"NOT ({check.sql})"):
        raise CheckViolation(
            f'check constraint "{check.name}" of relation "{table.name}" is violated by some row',
            table_name=table.name,
            constraint_name=check.name,
        )


async def _require_references(context: DdlContext, table: TableDesc, key: ForeignKeyDesc) -> None:
    target = context.table(key.target_table_id)
    pairs = [
        (quote_identifier(table.column(a).name), quote_identifier(target.column(b).name))
        for a, b in zip(key.columns, key.target_columns, strict=True)
    ]
    # MATCH FULL: a row with some of the values refers to nothing either.
    joint = " OR " if key.match_full else " AND "
    filled = joint.join(f"c.{left} IS NOT NULL" for left, _ in pairs)
    matches = " AND ".join(f"p.{right} = c.{left}" for left, right in pairs)
    orphans = await context.inner.query(
        f"SELECT {', '.join(f'c.{left}::text' for left, _ in pairs)} "
        f"FROM {qualified(context, table)} c WHERE ({filled}) AND NOT EXISTS "
        f"(SELECT 1 FROM {qualified(context, target)} p WHERE {matches}) LIMIT 1",
        context.editor.catalog,
    )
    if orphans:
        raise ForeignKeyViolation(
            f'insert or update on table "{table.name}" violates foreign key constraint '
            f'"{key.name}"',
            detail=_orphan_detail(table, target, key, orphans[0]),
            table_name=table.name,
            constraint_name=key.name,
        )


def _orphan_detail(
    table: TableDesc, target: TableDesc, key: ForeignKeyDesc, values: tuple[str | None, ...]
) -> str:
    if None in values:
        return "MATCH FULL does not allow mixing of null and nonnull key values."
    names = ", ".join(table.column(attnum).name for attnum in key.columns)
    shown = ", ".join(value or "" for value in values)
    return f'Key ({names})=({shown}) is not present in table "{target.name}".'
