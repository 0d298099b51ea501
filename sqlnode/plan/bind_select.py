"""SELECT: from its clauses to a stack of plan nodes.

**Model.** FROM → Filter (WHERE) → Aggregation → Filter (HAVING) → Window → ProjectSet → Project →
Distinct → Sort. ORDER BY expressions that are no output columns are extra columns of the Project,
after the visible ones. LIMIT and locking are added by bind_query.

**Source.** PostgreSQL, analyze.c transformSelectStmt.
"""

from dataclasses import dataclass, field

from pgwire.errors import InvalidColumnReference, SqlSyntaxError
from sqlnode.parse.query_syntax import SelectCore
from sqlnode.parse.syntax import ColumnName, Expr, Literal, SortItem
from sqlnode.plan.bind_from import bind_from_list
from sqlnode.plan.bind_group import Grouping, bind_groups, named_target, ordinal_target
from sqlnode.plan.bind_sort import bind_sort_item, require_equality
from sqlnode.plan.bind_targets import TargetEntry, bind_targets, out_column
from sqlnode.plan.bind_window import name_windows
from sqlnode.plan.coerce import coerce_to_boolean, resolve_unknown
from sqlnode.plan.collector import Collector
from sqlnode.plan.env import Env
from sqlnode.plan.expr import ExprContext, bind
from sqlnode.plan.logical import (
    Distinct,
    Filter,
    OutColumn,
    Plan,
    Project,
    ProjectSet,
    Sort,
    Window,
)
from sqlnode.plan.query_result import QueryResult
from sqlnode.plan.scalar import ColumnRef, Scalar, SortKey
from sqlnode.plan.scope import Scope


@dataclass(slots=True)
class _Select:
    """A SELECT while it is bound."""

    env: Env
    core: SelectCore
    scope: Scope
    collector: Collector
    targets: list[TargetEntry] = field(default_factory=list)
    junk: list[TargetEntry] = field(default_factory=list)
    where: Scalar | None = None
    having: Scalar | None = None
    keys: list[tuple[TargetEntry, SortKey]] = field(default_factory=list)
    on: list[TargetEntry] = field(default_factory=list)
    grouping: Grouping | None = None

    def ctx(self, clause: str) -> ExprContext:
        return ExprContext(self.env, self.scope, clause)

    def entry_for(
        self, scalar: Scalar, position: int, *, may_add: bool = True
    ) -> TargetEntry | None:
        """Find the output column that holds `scalar`, else add a hidden one."""
        for entry in (*self.targets, *self.junk):
            if entry.scalar == scalar:
                return entry
        if not may_add:
            return None
        entry = TargetEntry("", scalar, position=position)
        self.junk.append(entry)
        return entry


def bind_select(
    env: Env,
    core: SelectCore,
    order_by: tuple[SortItem, ...],
    parent: Scope | None,
    *,
    keep_unknown: bool = False,
) -> QueryResult:
    """Bind a SELECT with its ORDER BY. keep_unknown: untyped output columns stay so, for UNION."""
    if core.as_of is not None:
        raise SqlSyntaxError(
            "AS OF SYSTEM TIME must be provided on a top-level statement",
            position=core.as_of.position,
        )
    scope = Scope(parent)
    collector = Collector()
    scope.collector = collector
    select = _Select(env, core, scope, collector)
    source = bind_from_list(env, scope, core.from_)
    name_windows(collector, core.windows)
    select.targets = bind_targets(select.ctx("SELECT"), core.targets)
    _bind_clauses(select, order_by)
    if not keep_unknown or core.distinct is not None:
        for entry in select.targets:
            entry.scalar = resolve_unknown(env, entry.scalar, entry.position)
    return _finish(select, _stack(select, source))


def _bind_clauses(select: _Select, order_by: tuple[SortItem, ...]) -> None:
    core, env = select.core, select.env
    if core.where is not None:
        bound = bind(select.ctx("WHERE"), core.where)
        select.where = coerce_to_boolean(env, bound, "WHERE", getattr(core.where, "position", None))
    if core.having is not None:
        bound = bind(select.ctx("HAVING"), core.having)
        position = getattr(core.having, "position", None)
        select.having = coerce_to_boolean(env, bound, "HAVING", position)
    for item in order_by:
        _bind_order_item(select, item)
    if core.group_by or core.having is not None:
        select.grouping = bind_groups(
            select.ctx("GROUP BY"), core.group_by, select.targets, distinct=core.group_distinct
        )
    if core.distinct:
        _bind_distinct_on(select, core.distinct)
    if select.grouping is None and select.collector.aggregates:
        select.grouping = Grouping(env, select.scope)


def _bind_order_item(select: _Select, item: SortItem) -> None:
    entry = _output_entry(select, item.expr, "ORDER BY")
    if entry is None:
        scalar = resolve_unknown(select.env, bind(select.ctx("ORDER BY"), item.expr))
        is_distinct = select.core.distinct is not None and not select.core.distinct
        entry = select.entry_for(scalar, item.position, may_add=not is_distinct)
        if entry is None:
            raise InvalidColumnReference(
                "for SELECT DISTINCT, ORDER BY expressions must appear in select list",
                position=item.position,
            )
    key = bind_sort_item(select.ctx("ORDER BY"), item, entry.scalar)
    entry.scalar = key.scalar
    if all(known is not entry for known, _ in select.keys):
        select.keys.append((entry, key))


def _output_entry(select: _Select, expr: Expr, clause: str) -> TargetEntry | None:
    """Return the output column an ordinal or a name means."""
    if isinstance(expr, Literal):
        return ordinal_target(select.targets, expr, clause)
    if isinstance(expr, ColumnName) and len(expr.parts) == 1:
        return named_target(select.targets, expr.parts[0], clause, expr.position)
    return None


def _bind_distinct_on(select: _Select, exprs: tuple[Expr, ...]) -> None:
    for expr in exprs:
        entry = _output_entry(select, expr, "DISTINCT ON")
        if entry is None:
            scalar = resolve_unknown(select.env, bind(select.ctx("DISTINCT ON"), expr))
            entry = select.entry_for(scalar, getattr(expr, "position", 0))
        assert entry is not None, "may_add"
        entry.scalar = resolve_unknown(select.env, entry.scalar)
        require_equality(entry.scalar.type, getattr(expr, "position", None))
        if all(known is not entry for known in select.on):
            select.on.append(entry)
    leading = [entry for entry, _ in select.keys[: len(select.on)]]
    if any(all(entry is not on for on in select.on) for entry in leading):
        raise InvalidColumnReference(
            "SELECT DISTINCT ON expressions must match initial ORDER BY expressions",
            position=getattr(exprs[0], "position", None),
        )


def _stack(select: _Select, plan: Plan) -> Plan:
    """Build everything below the Project; lower the targets onto it."""
    collector, grouping = select.collector, select.grouping
    if select.where is not None:
        plan = Filter(plan, select.where)
    if grouping is not None:
        having = grouping.lower(select.having) if select.having is not None else None
        for entry in (*select.targets, *select.junk):
            entry.scalar = grouping.lower(entry.scalar)
        collector.windows = [(c, grouping.lower(call)) for c, call in collector.windows]
        collector.sets = [(c, grouping.lower(call)) for c, call in collector.sets]
        plan = grouping.plan(plan, collector)
        if having is not None:
            plan = Filter(plan, having)
    if collector.windows:
        columns = tuple(column for column, _ in collector.windows)
        plan = Window(plan, columns, tuple(call for _, call in collector.windows))
    if collector.sets:
        plan = _project_set(plan, collector)
    return plan


def _project_set(plan: Plan, collector: Collector) -> Plan:
    kept = plan.columns
    refs: tuple[Scalar, ...] = tuple(ColumnRef(c.id, c.type, c.name) for c in kept)
    columns = (*kept, *(column for column, _ in collector.sets))
    scalars = (*refs, *(call for _, call in collector.sets))
    return ProjectSet(plan, columns, scalars, tuple(range(len(kept), len(columns))))


def _finish(select: _Select, plan: Plan) -> QueryResult:
    env = select.env
    entries = [*select.targets, *select.junk]
    made = [(entry, out_column(env, entry)) for entry in entries]
    columns = tuple(column for _, column in made)
    visible = columns[: len(select.targets)]
    plan = Project(plan, columns, tuple(entry.scalar for entry in entries))
    keys = tuple(
        SortKey(_ref(made, entry), key.descending, key.nulls_first) for entry, key in select.keys
    )
    if select.on:
        plan, keys = _distinct_on(select, plan, made, keys)
    elif select.core.distinct is not None:
        for column, entry in zip(visible, select.targets, strict=True):
            require_equality(column.type, entry.position)
        plan = Distinct(plan)
    if keys:
        plan = Sort(plan, keys)
    return QueryResult(plan, visible)


def _ref(made: list[tuple[TargetEntry, OutColumn]], entry: TargetEntry) -> ColumnRef:
    column = next(column for known, column in made if known is entry)
    return ColumnRef(column.id, column.type, column.name)


def _distinct_on(
    select: _Select,
    plan: Plan,
    made: list[tuple[TargetEntry, OutColumn]],
    keys: tuple[SortKey, ...],
) -> tuple[Plan, tuple[SortKey, ...]]:
    """Keep the first row of each key in the order asked for; other keys are added to it."""
    on = tuple(_ref(made, entry) for entry in select.on)
    sorted_ids = {key.scalar.id for key in keys if isinstance(key.scalar, ColumnRef)}
    order = (*keys, *(SortKey(ref) for ref in on if ref.id not in sorted_ids))
    return Distinct(plan, on, order), keys
