"""Logical plans to operators: conditions sink to the tables they are about, orders to the indexes.

**Model.** `compile` takes a plan together with the conjuncts that stand above it and the order that
is wanted of it. Whatever a shape cannot take stays above as an operator of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from sqlnode.plan.logical import (
    Aggregation,
    Distinct,
    Filter,
    FunctionScan,
    Join,
    Limit,
    LockRows,
    OutColumn,
    Plan,
    Project,
    Scan,
    SingleRow,
    Sort,
    Values,
    VirtualScan,
)
from sqlnode.plan.scalar import ColumnRef, Scalar, SortKey
from sqlnode.rowexec.aggregates import AggregateRows
from sqlnode.rowexec.conditions import (
    column_ids,
    conjunction,
    conjuncts,
    is_repeatable,
    substitute,
)
from sqlnode.rowexec.index_join import IndexJoin
from sqlnode.rowexec.locked_join import LockedJoin
from sqlnode.rowexec.node import Node
from sqlnode.rowexec.not_row_shape import NotRowShape
from sqlnode.rowexec.operators import DistinctRows, FilterRows, LimitRows, ProjectRows, SortRows
from sqlnode.rowexec.plan_parts import parted
from sqlnode.rowexec.row_locks import (
    LockedRows,
    PointLocks,
    RowLockMode,
    is_lockable_point,
    lock_mode,
    strongest_lock,
)
from sqlnode.rowexec.sources import FunctionRows, TableScan, ValuesRows, VirtualRows

_OWN_COLUMNS: Final = -1  # ids below are added here, for table columns the plan does not list


@dataclass(frozen=True, slots=True)
class Wanted:
    """What stands above a plan: conjuncts, order, whether few rows are taken."""

    condition: tuple[Scalar, ...] = ()
    order: tuple[SortKey, ...] = ()
    has_limit: bool = False


NOTHING: Final = Wanted()


@dataclass(frozen=True, slots=True)
class Compiled:
    """An operator, and whether it already gives the wanted order."""

    node: Node
    is_ordered: bool = False


def compile_plan(plan: Plan, wanted: Wanted = NOTHING) -> Compiled:
    """Compile a plan. Raises: NotRowShape."""
    match plan:
        case Filter():
            condition = (*wanted.condition, *conjuncts(plan.condition))
            return compile_plan(plan.input, replace(wanted, condition=condition))
        case Project():
            return _project(plan, wanted)
        case Scan():
            scan = TableScan(plan, wanted.condition, wanted.order, has_limit=wanted.has_limit)
            return Compiled(scan, scan.is_ordered)
        case Join():
            return _join(plan, wanted)
        case Sort():
            return _sort(plan, wanted)
        case LockRows():
            return _lock(plan, wanted)
        case _:
            return _filtered(_other(plan), wanted)


def _other(plan: Plan) -> Node:
    """Compile the shapes that take no conditions from above."""
    match plan:
        case Limit():
            return LimitRows(compile_plan(plan.input, Wanted(has_limit=True)).node, plan)
        case Aggregation():
            return AggregateRows(compile_plan(plan.input).node, plan)
        case Distinct():
            ordered = Sort(plan.input, plan.order) if plan.on and plan.order else plan.input
            keys = plan.on or column_refs(plan.input.columns)
            return DistinctRows(compile_plan(ordered).node, keys)
        case SingleRow():
            return ValuesRows(None)
        case Values():
            return ValuesRows(plan)
        case FunctionScan():
            return FunctionRows(plan)
        case VirtualScan():
            return VirtualRows(plan)
    raise NotRowShape(type(plan).__name__)


def _filtered(node: Node, wanted: Wanted) -> Compiled:
    condition = conjunction(wanted.condition)
    return Compiled(node if condition is None else FilterRows(node, condition))


def _project(plan: Project, wanted: Wanted) -> Compiled:
    meaning = {c.id: s for c, s in zip(plan.columns, plan.scalars, strict=True)}
    below: list[Scalar] = []
    above: list[Scalar] = []
    for part in wanted.condition:
        used = [meaning[column_id] for column_id in column_ids(part) if column_id in meaning]
        (below if all(map(is_repeatable, used)) else above).append(part)
    order = tuple(
        replace(key, scalar=substitute(key.scalar, meaning)) for key in wanted.order if not above
    )
    inner = Wanted(
        tuple(substitute(part, meaning) for part in below), order, wanted.has_limit and not above
    )
    source = compile_plan(plan.input, inner)
    node = ProjectRows(source.node, plan)
    return Compiled(_filtered(node, Wanted(tuple(above))).node, source.is_ordered and bool(order))


def _sort(plan: Sort, wanted: Wanted) -> Compiled:
    source = compile_plan(plan.input, Wanted(wanted.condition, plan.keys, wanted.has_limit))
    if source.is_ordered:
        return Compiled(source.node, wanted.order == plan.keys)
    return Compiled(SortRows(source.node, plan.keys), wanted.order == plan.keys)


def _join(plan: Join, wanted: Wanted) -> Compiled:
    if plan.lateral or plan.kind not in ("inner", "cross", "left"):
        raise NotRowShape(f"{plan.kind} join")
    on = tuple(conjuncts(plan.condition))
    if plan.kind == "left":
        outer_part, rest = _of_columns(wanted.condition, plan.left)
        left = compile_plan(plan.left, Wanted(outer_part)).node
        inner_table, own = _table_of(plan.right)
        node: Node = IndexJoin(left, inner_table, (*on, *own), is_left=True)
        return _filtered(node, Wanted(rest))
    condition = (*wanted.condition, *on)
    nodes = []
    refusal = NotRowShape("join")
    for outer, inner_side in ((plan.left, plan.right), (plan.right, plan.left)):
        try:
            nodes.append(_inner_join(outer, inner_side, condition))
        except NotRowShape as error:
            refusal = error
    if not nodes:
        raise refusal
    return Compiled(max(nodes, key=lambda n: (n.is_bounded, not n.is_full_scan)))


def _inner_join(outer: Plan, inner: Plan, condition: tuple[Scalar, ...]) -> Node:
    outer_part, rest = _of_columns(condition, outer)
    scan, own = _table_of(inner)
    node = compile_plan(outer, Wanted(outer_part)).node
    return IndexJoin(node, scan, (*rest, *own), is_left=False)


def _of_columns(
    condition: Sequence[Scalar], plan: Plan
) -> tuple[tuple[Scalar, ...], tuple[Scalar, ...]]:
    """Split a condition into what only needs the columns of `plan`, and the rest."""
    own = {column.id for column in plan.columns}
    inside = tuple(part for part in condition if column_ids(part) <= own and is_repeatable(part))
    return inside, tuple(part for part in condition if part not in inside)


def _table_of(plan: Plan) -> tuple[Scan, tuple[Scalar, ...]]:
    """Return the table of an inner side and the condition on it. Raises: NotRowShape."""
    condition: tuple[Scalar, ...] = ()
    while isinstance(plan, Filter):
        condition += tuple(conjuncts(plan.condition))
        plan = plan.input
    if not isinstance(plan, Scan):
        raise NotRowShape("inner side of a join is no table")
    return plan, condition


def _lock(plan: LockRows, wanted: Wanted) -> Compiled:
    """Lock above filter and sort, below projection and limit, wherever the clauses were written."""
    clauses = [plan]
    while isinstance(below := clauses[-1].input, LockRows):
        clauses.append(below)

    def locking(source: Plan) -> Plan:
        for clause in reversed(clauses):
            source = replace(clause, input=source)
        return source

    match below:
        case Limit():
            return _filtered(_other(replace(below, input=locking(below.input))), wanted)
        case Project():
            return _project(replace(below, input=locking(below.input)), wanted)
        case Sort(input=Project() as project):
            meaning = dict(zip((c.id for c in project.columns), project.scalars, strict=True))
            inner = Sort(
                project.input,
                tuple(replace(k, scalar=substitute(k.scalar, meaning)) for k in below.keys),
            )
            return _project(replace(project, input=locking(inner)), wanted)
    keys: tuple[SortKey, ...] = ()
    source: Plan = below
    if isinstance(source, Sort):
        keys, source = source.keys, source.input
    if _is_table(source):
        return _lock_table(_table_of(source), keys, strongest_lock(clauses), wanted)
    return _lock_join(clauses, source, keys, wanted)


def _is_table(plan: Plan) -> bool:
    while isinstance(plan, Filter):
        plan = plan.input
    return isinstance(plan, Scan)


def _lock_table(
    table: tuple[Scan, tuple[Scalar, ...]],
    keys: tuple[SortKey, ...],
    mode: RowLockMode,
    wanted: Wanted,
) -> Compiled:
    scan, condition = with_all_columns(table[0]), (*wanted.condition, *table[1])
    if is_lockable_point(scan, condition):
        node: Node = PointLocks(scan, condition, mode)
        return Compiled(SortRows(node, keys) if keys else node)
    found = TableScan(scan, condition, keys or wanted.order, has_limit=wanted.has_limit)
    source: Node = SortRows(found, keys) if keys and not found.is_ordered else found
    return Compiled(LockedRows(source, scan, condition, mode), found.is_ordered and not keys)


def _lock_join(
    clauses: Sequence[LockRows], source: Plan, keys: tuple[SortKey, ...], wanted: Wanted
) -> Compiled:
    """Lock the rows of some tables of a join, the first clause's first."""
    locked: list[Scan] = []

    def widened(node: Plan) -> Plan:
        if isinstance(node, Filter):
            return replace(node, input=widened(node.input))
        if isinstance(node, Join):
            return replace(node, left=widened(node.left), right=widened(node.right))
        if isinstance(node, Scan) and any(_is_locked_by(clause, node) for clause in clauses):
            wide = with_all_columns(node, _OWN_COLUMNS - 2000 * len(locked))
            locked.append(wide)
            return wide
        return node

    condition = conjunction(wanted.condition)
    wide = parted(widened(source if condition is None else Filter(source, condition)))
    node = compile_plan(wide.plan).node
    if keys:
        node = SortRows(node, keys)
    modes = [
        (scan, lock_mode(clause.strength, clause.wait))
        for clause in reversed(clauses)
        for scan in locked
        if _is_locked_by(clause, scan)
    ]
    return Compiled(LockedJoin(node, modes, wide))


def _is_locked_by(clause: LockRows, scan: Scan) -> bool:
    return not clause.tables or scan.alias in clause.tables


def with_all_columns(scan: Scan, first_id: int = _OWN_COLUMNS) -> Scan:
    """Return the scan with every column of the table, in its order: full rows."""
    listed = {column.attnum: column for column in scan.columns}
    columns = tuple(
        listed.get(c.attnum) or OutColumn(first_id - n, c.name, c.type, 0, c.attnum)
        for n, c in enumerate(scan.table.columns)
    )
    return replace(scan, columns=columns)


def column_refs(columns: Sequence[OutColumn]) -> list[Scalar]:
    """Return references to columns."""
    return [ColumnRef(column.id, column.type) for column in columns]
