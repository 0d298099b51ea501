"""Select lists and RETURNING: stars expanded, expressions bound, columns named.

**Source.** PostgreSQL, parse_target.c transformTargetList, ExpandColumnRefStar.
"""

from dataclasses import dataclass

from pgwire.errors import SqlSyntaxError
from sqlnode.parse.query_syntax import Target
from sqlnode.parse.syntax import Star
from sqlnode.plan.env import Env
from sqlnode.plan.expr import ExprContext, bind
from sqlnode.plan.logical import OutColumn
from sqlnode.plan.output_names import output_name
from sqlnode.plan.scalar import ColumnRef, Scalar
from sqlnode.plan.scope import ScopeColumn


@dataclass(slots=True)
class TargetEntry:
    """One output column before the plan is built."""

    name: str
    scalar: Scalar
    table_oid: int = 0
    attnum: int = 0
    position: int = 0


def bind_targets(ctx: ExprContext, targets: tuple[Target, ...]) -> list[TargetEntry]:
    """Bind a select list."""
    entries: list[TargetEntry] = []
    for target in targets:
        if isinstance(target.expr, Star):
            entries.extend(_expand(ctx, target.expr))
            continue
        scalar = bind(ctx, target.expr)
        name = target.alias or output_name(target.expr)
        oid, attnum = _origin(ctx, scalar)
        entries.append(TargetEntry(name, scalar, oid, attnum, target.position))
    return entries


def _expand(ctx: ExprContext, star: Star) -> list[TargetEntry]:
    if not star.parts:
        if not ctx.scope.items:
            raise SqlSyntaxError(
                "SELECT * with no tables specified is not valid", position=star.position
            )
        columns: list[ScopeColumn] = ctx.scope.star
    else:
        schema = star.parts[-2] if len(star.parts) > 1 else None
        item = ctx.scope.item(star.parts[-1], schema, star.position)
        if item is None:
            raise ctx.scope.missing_item(star.parts[-1], star.position)
        columns = item.columns
    for column in columns:
        if isinstance(column.scalar, ColumnRef):
            ctx.env.positions.setdefault(column.scalar.id, star.position)
    return [TargetEntry(c.name, c.scalar, c.table_oid, c.attnum, star.position) for c in columns]


def _origin(ctx: ExprContext, scalar: Scalar) -> tuple[int, int]:
    """Return (table oid, attnum) of a plain column, for RowDescription."""
    if isinstance(scalar, ColumnRef):
        for item in ctx.scope.items:
            for column in item.columns:
                if column.scalar == scalar:
                    return column.table_oid, column.attnum
    return 0, 0


def out_column(env: Env, entry: TargetEntry) -> OutColumn:
    """Make the output column of an entry."""
    return env.new_column(entry.name, entry.scalar.type, entry.table_oid, entry.attnum)
