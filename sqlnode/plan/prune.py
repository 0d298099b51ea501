"""Column pruning: scans list only the columns that something refers to.

**Model.** Column ids are unique within a statement, so one look at every reference tells which
scan columns are needed. Projections are pruned first, from the top down, because a column that
nothing reads does not need its inputs either.
"""

from collections import Counter
from dataclasses import replace
from typing import Any

from sqlnode.plan.logical import (
    Columns,
    Distinct,
    Plan,
    Project,
    ProjectSet,
    Scan,
    SetOperation,
    VirtualScan,
)
from sqlnode.plan.null_calls import without_null_calls
from sqlnode.plan.rewrite import every_node, rewrite
from sqlnode.plan.scalar import ColumnRef

_PASSES_MAX = 8


def prune(plan: Plan, kept: Columns, others: tuple[Any, ...] = ()) -> Plan:
    """Drop columns that neither `kept`, nor scalars of `others`, nor the plan itself needs."""
    plan = without_null_calls(plan)
    for _ in range(_PASSES_MAX):
        counts: Counter[int] = Counter()
        fixed = {column.id for column in kept}
        for root in (plan, *others):
            for node in every_node(root):
                _note(node, counts, fixed)
        used = fixed | {i for i, count in counts.items() if count > 0}
        pruned = _prune_once(plan, used)
        if pruned is plan:
            return plan
        plan = pruned
    return plan


def _note(node: Any, counts: Counter[int], fixed: set[int]) -> None:
    kind = type(node)
    if kind is ColumnRef:
        counts[node.id] += 1
    elif kind in (Project, ProjectSet):  # a column that is only handed on is not used by that
        for column, scalar in zip(node.columns, node.scalars, strict=True):
            if type(scalar) is ColumnRef and scalar.id == column.id:
                counts[column.id] -= 1
    elif kind is SetOperation:  # its inputs match by position
        fixed.update(c.id for side in (node.left, node.right) for c in side.columns)
    elif kind is Distinct and not node.on:  # what is compared are all columns
        fixed.update(c.id for c in node.input.columns)
    elif kind.__name__ == "Cte":
        fixed.update(c.id for c in node.plan.columns)
        if node.recursive is not None:
            fixed.update(c.id for c in node.recursive.columns)
    elif kind.__name__ in ("ScalarSubquery", "SubqueryAnyAll", "ArraySubquery"):
        fixed.update(c.id for c in node.plan.columns)


def _prune_set(node: ProjectSet, used: set[int], change: Any) -> Any:
    """Set-returning items stay, because they make the rows."""
    keep = [i for i, c in enumerate(node.columns) if c.id in used or i in node.set_indexes]
    if len(keep) == len(node.columns):
        return None
    sets = tuple(n for n, i in enumerate(keep) if i in node.set_indexes)
    columns = tuple(node.columns[i] for i in keep)
    scalars = tuple(node.scalars[i] for i in keep)
    return rewrite(ProjectSet(node.input, columns, scalars, sets), change)


def _prune_once(plan: Plan, used: set[int]) -> Plan:
    def change(node: Any) -> Any:
        kind = type(node)
        if kind in (Scan, VirtualScan):
            columns = tuple(c for c in node.columns if c.id in used)
            return node if len(columns) == len(node.columns) else replace(node, columns=columns)
        if kind is ProjectSet:
            return _prune_set(node, used, change)
        if kind is Project:
            keep = [i for i, c in enumerate(node.columns) if c.id in used]
            if len(keep) < len(node.columns):
                columns = tuple(node.columns[i] for i in keep)
                scalars = tuple(node.scalars[i] for i in keep)
                return rewrite(Project(node.input, columns, scalars), change)
        return None

    result: Plan = rewrite(plan, change)
    return result
