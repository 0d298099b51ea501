"""Bound statements as text: one line for each plan node, expressions in a SQL-like form.

It shows more than EXPLAIN does: every column's id and type, every resolved function.
"""

from collections.abc import Iterator
from typing import Any

from sqlnode.plan import logical as p
from sqlnode.plan import scalar as s
from sqlnode.plan.statement import Bound, Delete, Insert, Query, Update
from sqlnode.types import format_type


def explain(bound: Bound) -> str:
    """Print a bound statement as an indented tree."""
    return "\n".join(_statement(bound))


def _statement(bound: Bound) -> Iterator[str]:
    match bound:
        case Query():
            yield from explain_plan(bound.plan)
        case Insert():
            attnums = ", ".join(map(str, bound.attnums))
            yield f"Insert {bound.table.name} ({attnums})"
            for attnum, scalar in bound.defaults.items():
                yield f"  default {attnum}: {show(scalar)}"
            yield from _conflict(bound)
            yield from _checks_and_returning(bound)
            yield from explain_plan(bound.source, 1)
        case Update():
            yield f"Update {bound.table.name}"
            for attnum, scalar in bound.assignments:
                yield f"  set {attnum}: {show(scalar)}"
            yield from _checks_and_returning(bound)
            yield from explain_plan(bound.source, 1)
        case Delete():
            yield f"Delete {bound.table.name}"
            yield from _checks_and_returning(bound)
            yield from explain_plan(bound.source, 1)
        case _:
            yield f"Utility {bound.kind}"


def _conflict(bound: Insert) -> Iterator[str]:
    conflict = bound.on_conflict
    if conflict is None:
        return
    action = "update" if conflict.do_update else "nothing"
    yield f"  on conflict {list(conflict.index_ids)} do {action}"
    for attnum, scalar in conflict.assignments:
        yield f"    set {attnum}: {show(scalar)}"
    if conflict.where is not None:
        yield f"    where {show(conflict.where)}"


def _checks_and_returning(bound: Insert | Update | Delete) -> Iterator[str]:
    for name, scalar in getattr(bound, "checks", ()):
        yield f"  check {name}: {show(scalar)}"
    if bound.returning is not None:
        pairs = zip(bound.returning.columns, bound.returning.scalars, strict=True)
        yield "  returning " + ", ".join(f"{_column(c)} = {show(v)}" for c, v in pairs)


def _column(column: p.OutColumn) -> str:
    return f"{column.name}#{column.id} {format_type(column.type)}"


def _columns(columns: p.Columns) -> str:
    return ", ".join(map(_column, columns))


def explain_plan(plan: p.Plan, depth: int = 0) -> Iterator[str]:
    """Yield the lines of a plan."""
    indent = "  " * depth
    yield indent + _node(plan)
    if isinstance(plan, p.With):
        for cte in plan.ctes:
            yield f"{indent}  cte {cte.cte_id} {cte.name}"
            yield from explain_plan(cte.plan, depth + 2)
            if cte.recursive is not None:
                word = "union all" if cte.union_all else "union"
                yield f"{indent}    {word}"
                yield from explain_plan(cte.recursive, depth + 2)
        yield from explain_plan(plan.input, depth + 1)
        return
    for child in p.inputs(plan):
        yield from explain_plan(child, depth + 1)


def _node(plan: p.Plan) -> str:
    name = type(plan).__name__
    match plan:
        case p.Scan():
            return f"Scan {plan.table.name} as {plan.alias} [{_columns(plan.columns)}]"
        case p.VirtualScan():
            return f"VirtualScan {plan.relation} as {plan.alias} [{_columns(plan.columns)}]"
        case p.Values():
            rows = ", ".join(f"({', '.join(map(show, row))})" for row in plan.rows)
            return f"Values [{_columns(plan.columns)}] {rows}"
        case p.Filter():
            return f"Filter {show(plan.condition)}"
        case p.Project() | p.ProjectSet():
            pairs = zip(plan.columns, plan.scalars, strict=True)
            return f"{name} " + ", ".join(f"{_column(c)} = {show(v)}" for c, v in pairs)
        case p.Join():
            lateral = " lateral" if plan.lateral else ""
            on = f" on {show(plan.condition)}" if plan.condition is not None else ""
            return f"Join {plan.kind}{lateral}{on}"
        case p.Sort():
            return f"Sort {_keys(plan.keys)}"
        case p.CteScan():
            return f"CteScan {plan.cte_id} [{_columns(plan.columns)}]"
        case _:
            return _other_node(plan, name)


def _other_node(plan: p.Plan, name: str) -> str:
    match plan:
        case p.Aggregation():
            groups = zip(plan.group_columns, plan.groups, strict=True)
            calls = zip(plan.aggregate_columns, plan.aggregates, strict=True)
            shown = [f"{_column(c)} = {show(v)}" for c, v in (*groups, *calls)]
            sets = f" sets {list(map(list, plan.grouping_sets))}" if plan.grouping_sets else ""
            return f"Aggregation{sets} " + ", ".join(shown)
        case p.Window():
            pairs = zip(plan.call_columns, plan.calls, strict=True)
            return "Window " + ", ".join(f"{_column(c)} = {show(v)}" for c, v in pairs)
        case p.Limit():
            count = show(plan.count) if plan.count is not None else "all"
            offset = f" offset {show(plan.offset)}" if plan.offset is not None else ""
            return f"Limit {count}{offset}" + (" with ties" if plan.with_ties else "")
        case p.Distinct():
            on = f" on {', '.join(map(show, plan.on))} order {_keys(plan.order)}" if plan.on else ""
            return f"Distinct{on}"
        case p.SetOperation():
            return (
                f"{plan.kind.capitalize()}{' all' if plan.all else ''} [{_columns(plan.columns)}]"
            )
        case p.FunctionScan():
            args = ", ".join(map(show, plan.args))
            extra = " with ordinality" if plan.with_ordinality else ""
            return f"FunctionScan {plan.function.name}({args}){extra} [{_columns(plan.columns)}]"
        case p.LockRows():
            tables = f" of {', '.join(plan.tables)}" if plan.tables else ""
            return f"LockRows {plan.strength} {plan.wait}{tables}"
        case _:
            return name


def _keys(keys: tuple[s.SortKey, ...]) -> str:
    return ", ".join(map(show, keys))


def show(node: Any) -> str:
    """Print a scalar, call or sort key."""
    match node:
        case s.Const():
            return f"{node.value!r}::{format_type(node.type)}"
        case s.Param():
            return f"${node.index}::{format_type(node.type)}"
        case s.ColumnRef():
            return f"{node.name}#{node.id}"
        case s.Call():
            return f"{node.function.name}({', '.join(map(show, node.args))})"
        case s.Cast():
            return f"cast({show(node.arg)} as {format_type(node.type)})"
        case s.Coerce():
            word = "explicitly" if node.explicit else "assigned"
            return f"coerce({show(node.arg)} {word} to {format_type(node.type)})"
        case s.And() | s.Or():
            word = f" {type(node).__name__.lower()} "
            return f"({word.join(map(show, node.args))})"
        case s.SortKey():
            nulls = "" if node.nulls_first == node.descending else " nulls first"
            nulls = " nulls last" if node.descending and not node.nulls_first else nulls
            return show(node.scalar) + (" desc" if node.descending else "") + nulls
        case s.AggregateCall():
            return _aggregate(node)
        case _:
            return _generic(node)


def _aggregate(node: s.AggregateCall) -> str:
    args = "*" if node.star else ", ".join(map(show, node.args))
    distinct = "distinct " if node.distinct else ""
    order = f" order by {_keys(node.order_by)}" if node.order_by else ""
    condition = f" filter {show(node.filter)}" if node.filter is not None else ""
    return f"{node.aggregate.name}({distinct}{args}{order}){condition}"


def _generic(node: Any) -> str:
    """Class name and operands; a subquery's plan in braces, on one line."""
    parts = []
    for name in type(node).__dataclass_fields__:
        value = getattr(node, name)
        if name == "plan":
            lines = (line.strip() for line in explain_plan(value))
            parts.append("{" + " < ".join(lines) + "}")
        elif isinstance(value, s.Scalar | s.AggregateCall):
            parts.append(show(value))
        elif isinstance(value, bool):
            parts.append(name if value else "")
        elif isinstance(value, tuple) and name not in ("type", "functions"):
            parts.append(", ".join(map(_item, value)))
        elif hasattr(value, "name") and name in ("function", "equals", "less"):
            parts.append(value.name)
    return f"{type(node).__name__}({'; '.join(part for part in parts if part)})"


def _item(value: Any) -> str:
    if isinstance(value, tuple):
        return " -> ".join(map(show, value))
    return show(value) if isinstance(value, s.Scalar | s.SortKey) else str(value)
