"""GROUP BY: which expressions form groups, and what the rest of the query may then refer to.

**Model.** After grouping only group columns and aggregates exist. `Grouping.lower` replaces each
expression equal to a group by the group's column, deep inside subqueries too; any input column
that is left over is PostgreSQL's error 42803, unless the grouped columns hold its table's primary
key.

**Source.** PostgreSQL, parse_clause.c transformGroupClause; parse_agg.c parseCheckAggregates,
check_ungrouped_columns.
"""

from dataclasses import dataclass, field
from itertools import product
from typing import Any

from pgwire.errors import AmbiguousColumn, GroupingError, InvalidColumnReference, SqlSyntaxError
from sqlnode.parse.query_syntax import GroupItem
from sqlnode.parse.syntax import ColumnName, Expr, Literal
from sqlnode.plan.bind_sort import require_equality
from sqlnode.plan.bind_targets import TargetEntry
from sqlnode.plan.coerce import resolve_unknown
from sqlnode.plan.collector import Collector, PendingGrouping
from sqlnode.plan.env import Env
from sqlnode.plan.expr import ExprContext, bind
from sqlnode.plan.logical import Aggregation, OutColumn, Plan
from sqlnode.plan.rewrite import rewrite
from sqlnode.plan.scalar import (
    AggregateCall,
    ArraySubquery,
    ColumnRef,
    Const,
    Exists,
    GroupingCall,
    Scalar,
    ScalarSubquery,
)
from sqlnode.plan.scope import Scope, ScopeItem

GROUPING_SETS_MAX = 4096
_SUBQUERIES = (ScalarSubquery, Exists, ArraySubquery)


@dataclass(slots=True)
class Grouping:
    """The groups of one SELECT."""

    env: Env
    scope: Scope
    groups: list[Scalar] = field(default_factory=list)
    columns: list[OutColumn] = field(default_factory=list)
    sets: tuple[tuple[int, ...], ...] | None = None
    in_subquery: bool = False  # while `lower` is below a subquery

    def index_of(self, scalar: Scalar) -> int:
        """Return the index of a group expression, adding it if it is new."""
        if scalar in self.groups:
            return self.groups.index(scalar)
        name = scalar.name if isinstance(scalar, ColumnRef) else "group"
        self.groups.append(scalar)
        self.columns.append(self.env.new_column(name, scalar.type))
        return len(self.groups) - 1

    def ref(self, index: int) -> ColumnRef:
        column = self.columns[index]
        return ColumnRef(column.id, column.type, column.name)

    def lower(self, node: Any) -> Any:
        """Express `node` over the groups. Raises: GroupingError."""
        return rewrite(node, self._change)

    def _change(self, node: Any) -> Any:
        if isinstance(node, Const):
            return node
        if isinstance(node, Scalar) and node in self.groups:
            return self.ref(self.groups.index(node))
        if isinstance(node, _SUBQUERIES) and not self.in_subquery:
            self.in_subquery = True
            try:
                return rewrite(node, self._change)
            finally:
                self.in_subquery = False
        if not isinstance(node, ColumnRef) or node.id not in self.scope.ids:
            return None
        item = self._item_of(node)
        if item is not None and self._depends_on_key(item):
            return self.ref(self.index_of(node))
        shown = f"{item.alias}.{node.name}" if item is not None and item.alias else node.name
        if self.in_subquery:
            raise GroupingError(
                f'subquery uses ungrouped column "{shown}" from outer query',
                position=self.env.positions.get(node.id),
            )
        raise GroupingError(
            f'column "{shown}" must appear in the GROUP BY clause or be used in an aggregate '
            "function",
            position=self.env.positions.get(node.id),
        )

    def _item_of(self, ref: ColumnRef) -> ScopeItem | None:
        for item in self.scope.items:
            if item.alias is not None and any(
                isinstance(c.scalar, ColumnRef) and c.scalar.id == ref.id for c in item.columns
            ):
                return item
        return None

    def _depends_on_key(self, item: ScopeItem) -> bool:
        """Whether the groups hold the primary key of the item's table."""
        if item.table is None or self.sets is not None:
            return False
        grouped = {g.id for g in self.groups if isinstance(g, ColumnRef)}
        held = {
            c.attnum
            for c in item.columns
            if isinstance(c.scalar, ColumnRef) and c.scalar.id in grouped
        }
        key = {c.attnum for c in item.table.primary.columns}
        return key <= held

    def plan(self, source: Plan, collector: Collector) -> Aggregation:
        """Build the node. Call it last: `lower` may add groups."""
        calls: list[AggregateCall | GroupingCall] = []
        for _, call in collector.aggregates:
            if isinstance(call, PendingGrouping):
                calls.append(self._grouping_call(call))
            else:
                calls.append(call)
        return Aggregation(
            source,
            tuple(self.columns),
            tuple(self.groups),
            tuple(column for column, _ in collector.aggregates),
            tuple(calls),
            self.sets,
        )

    def _grouping_call(self, pending: PendingGrouping) -> GroupingCall:
        for arg in pending.args:
            if arg not in self.groups:
                raise GroupingError(
                    "arguments to GROUPING must be grouping expressions of the associated query "
                    "level",
                    position=pending.position,
                )
        return GroupingCall(tuple(self.groups.index(arg) for arg in pending.args))


def bind_groups(
    ctx: ExprContext, items: tuple[GroupItem, ...], targets: list[TargetEntry], *, distinct: bool
) -> Grouping:
    """Bind GROUP BY."""
    grouping = Grouping(ctx.env, ctx.scope)
    if all(item.kind == "expr" for item in items):
        for item in items:
            for expr in item.exprs[0]:
                grouping.index_of(_group_expr(ctx, expr, targets))
        return grouping
    choices = [_sets_of(ctx, grouping, item, targets) for item in items]
    sets = [_union(combination) for combination in product(*choices)]
    if len(sets) > GROUPING_SETS_MAX:
        raise SqlSyntaxError(f"too many grouping sets present (maximum {GROUPING_SETS_MAX})")
    if distinct:
        sets = list(dict.fromkeys(tuple(sorted(s)) for s in sets))
    grouping.sets = tuple(sets)
    return grouping


def _union(sets: tuple[tuple[int, ...], ...]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(i for one in sets for i in one))


def _sets_of(
    ctx: ExprContext, grouping: Grouping, item: GroupItem, targets: list[TargetEntry]
) -> list[tuple[int, ...]]:
    """Expand one item to the sets it stands for."""
    lists = [
        tuple(grouping.index_of(_group_expr(ctx, e, targets)) for e in exprs)
        for exprs in item.exprs
    ]
    if item.kind == "expr":
        return [lists[0]]
    if item.kind == "empty":
        return [()]
    if item.kind == "rollup":
        return [_union(tuple(lists[:n])) for n in range(len(lists), -1, -1)]
    if item.kind == "cube":
        if len(lists) > 12:
            raise SqlSyntaxError("CUBE is limited to 12 elements", position=item.position)
        masks = range((1 << len(lists)) - 1, -1, -1)
        return [
            _union(tuple(one for i, one in enumerate(lists) if mask >> (len(lists) - 1 - i) & 1))
            for mask in masks
        ]
    return [one for inner in item.items for one in _sets_of(ctx, grouping, inner, targets)]


def _group_expr(ctx: ExprContext, expr: Expr, targets: list[TargetEntry]) -> Scalar:
    scalar = _find_group_expr(ctx, expr, targets)
    scalar = resolve_unknown(ctx.env, scalar)
    require_equality(scalar.type, getattr(expr, "position", None))
    return scalar


def _find_group_expr(ctx: ExprContext, expr: Expr, targets: list[TargetEntry]) -> Scalar:
    """Try an ordinal, an input column, an output name and an expression, in that order."""
    if isinstance(expr, Literal):
        return _group_ordinal(ctx, expr, targets)
    if isinstance(expr, ColumnName) and len(expr.parts) == 1:
        (name,) = expr.parts
        if ctx.scope.own_column(name, expr.position) is None:
            entry = named_target(targets, name, "GROUP BY", expr.position)
            if entry is not None:
                return _target_group(ctx, entry)
    return bind(ctx.inside(clause="GROUP BY"), expr)


def _group_ordinal(ctx: ExprContext, expr: Literal, targets: list[TargetEntry]) -> Scalar:
    return _target_group(ctx, ordinal_target(targets, expr, "GROUP BY"))


def _target_group(ctx: ExprContext, entry: TargetEntry) -> Scalar:
    collector = ctx.scope.collector
    assert isinstance(collector, Collector), "a SELECT has one"
    made = {column.id for column, _ in (*collector.aggregates, *collector.windows)}
    found: list[bool] = []

    def look(node: Any) -> Any:
        if isinstance(node, ColumnRef) and node.id in made:
            found.append(True)

    rewrite(entry.scalar, look)
    if found:
        raise GroupingError(
            "aggregate functions are not allowed in GROUP BY", position=entry.position
        )
    entry.scalar = resolve_unknown(ctx.env, entry.scalar)
    return entry.scalar


def ordinal_target(targets: list[TargetEntry], expr: Literal, clause: str) -> TargetEntry:
    """Return the target a constant in GROUP BY or ORDER BY points at.

    Raises: SqlSyntaxError, InvalidColumnReference.
    """
    if expr.kind != "integer":
        raise SqlSyntaxError(f"non-integer constant in {clause}", position=expr.position)
    index = int(expr.value)
    if not 1 <= index <= len(targets):
        raise InvalidColumnReference(
            f"{clause} position {index} is not in select list", position=expr.position
        )
    return targets[index - 1]


def named_target(
    targets: list[TargetEntry], name: str, clause: str, position: int
) -> TargetEntry | None:
    """Return the target with an output name, or None. Raises: AmbiguousColumn."""
    found: TargetEntry | None = None
    for entry in targets:
        if entry.name == name:
            if found is not None and found.scalar != entry.scalar:
                raise AmbiguousColumn(f'{clause} "{name}" is ambiguous', position=position)
            found = found or entry
    return found
