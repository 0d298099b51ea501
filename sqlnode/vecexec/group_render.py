"""GROUP BY, grouping sets and HAVING-free aggregation as DuckDB SQL."""

from typing import TYPE_CHECKING

from sqlnode.plan.logical import Aggregation
from sqlnode.plan.scalar import AggregateCall, ColumnRef, GroupingCall
from sqlnode.types import INT4
from sqlnode.vecexec.aggregates import ORDER_SENSITIVE
from sqlnode.vecexec.physical import Expr, physical_of

if TYPE_CHECKING:
    from sqlnode.vecexec.render import PlanRenderer


def render_aggregation(renderer: "PlanRenderer", plan: Aggregation) -> str:
    """Render an Aggregation. Group expressions are computed below it, so that they have names."""
    source = renderer.select(plan.input)
    names: list[Expr] = []
    computed: list[str] = []
    for index, group in enumerate(plan.groups):
        expr = renderer.scalars.render(group)
        if not isinstance(group, ColumnRef):
            form = physical_of(group.type) if expr.physical.is_null else expr.physical
            computed.append(f"{expr.text} AS g{index}")
            expr = Expr(f"g{index}", form)
        names.append(expr)
    if computed:
        source = f"SELECT *, {', '.join(computed)} FROM ({source}) q"
    keys = [renderer.scalars.grouped(name) for name in names]
    if plan.grouping_sets is not None and any(
        key != name.text for key, name in zip(keys, names, strict=True)
    ):  # GROUPING() wants names, not expressions
        named = ", ".join(f"{key} AS gk{index}" for index, key in enumerate(keys))
        source = f"SELECT *, {named} FROM ({source}) q"
        keys = [f"gk{index}" for index in range(len(keys))]
    outer_order, renderer.aggregates.row_order = renderer.aggregates.row_order, ""
    if any(_wants_row_order(call) for call in plan.aggregates):
        source = f"SELECT *, row_number() OVER () AS rn FROM ({source}) q"
        renderer.aggregates.row_order = "rn"
    groups = [
        _group_value(name, key, has_sets=plan.grouping_sets is not None)
        for name, key in zip(names, keys, strict=True)
    ]
    aggregates = [_aggregate(renderer, plan, call, keys) for call in plan.aggregates]
    renderer.aggregates.row_order = outer_order
    items = renderer.assign(plan.columns, [*groups, *aggregates])
    if not plan.columns:
        items = ["count(*) AS none"] if not plan.groups else items
    return f"SELECT {', '.join(items)} FROM ({source}) q{_group_by(plan, keys)}"


def _wants_row_order(call: object) -> bool:
    return (
        isinstance(call, AggregateCall)
        and call.aggregate.name in ORDER_SENSITIVE
        and not call.order_by
        and not call.distinct
    )


def _group_value(name: Expr, key: str, *, has_sets: bool) -> Expr:
    """Return the group's shown value: any of those that are equal by the key."""
    if key == name.text:
        return name
    value = f"any_value({name.text})"
    if has_sets:
        value = f"CASE WHEN GROUPING({key}) = 0 THEN {value} END"
    return Expr(value, name.physical)


def _aggregate(renderer: "PlanRenderer", plan: Aggregation, call: object, keys: list[str]) -> Expr:
    if not isinstance(call, GroupingCall):
        return renderer.aggregates.render(call)  # type: ignore[arg-type] # the other member of the union
    if plan.grouping_sets is None:
        return Expr("0::INTEGER", physical_of(INT4))
    listed = ", ".join(keys[index] for index in call.group_indexes)
    return Expr(f"CAST(GROUPING({listed}) AS INTEGER)", physical_of(INT4))


def _group_by(plan: Aggregation, keys: list[str]) -> str:
    if plan.grouping_sets is not None:
        sets = ", ".join(
            f"({', '.join(keys[index] for index in chosen)})" for chosen in plan.grouping_sets
        )
        return f" GROUP BY GROUPING SETS ({sets})"
    return f" GROUP BY {', '.join(keys)}" if keys else ""
