"""UNION, INTERSECT, EXCEPT, DISTINCT and WITH as DuckDB SQL."""

from typing import TYPE_CHECKING

from pgwire.errors import FeatureNotSupported
from sqlnode.plan.logical import Columns, Cte, CteScan, Plan, SetOperation, With
from sqlnode.vecexec import numeric_forms
from sqlnode.vecexec.physical import Expr, Physical, common, physical_of
from sqlnode.vecexec.plan_walk import deep_plans
from sqlnode.vecexec.select_text import names_of, unique_ids

if TYPE_CHECKING:
    from sqlnode.vecexec.render import PlanRenderer


def distinct_rows(renderer: "PlanRenderer", columns: Columns, source: str) -> str:
    """Return the distinct rows of `source`, by the equality of the columns' types."""
    names, keys = names_of(columns), _keys(renderer, columns)
    if keys == [f"c{i}" for i in unique_ids(columns)]:
        return f"SELECT DISTINCT {names} FROM ({source}) q"
    return f"SELECT DISTINCT ON ({', '.join(keys)}) {names} FROM ({source}) q"


def _keys(renderer: "PlanRenderer", columns: Columns) -> list[str]:
    return [renderer.scalars.grouped(Expr(f"c{i}", renderer.forms[i])) for i in unique_ids(columns)]


def render_set_operation(renderer: "PlanRenderer", plan: SetOperation) -> str:
    """Render a set operation; columns that compare by a key go through grouping."""
    texts = [renderer.select(plan.left), renderer.select(plan.right)]
    sides = (plan.left.columns, plan.right.columns)
    forms = _common_forms(renderer, plan)
    sides_text = [
        _side(renderer, columns, forms, plan.columns, text)
        for columns, text in zip(sides, texts, strict=True)
    ]
    for column, form in zip(plan.columns, forms, strict=True):
        renderer.note(column.id, form, column.type)
    verb = f"{plan.kind.upper()}{' ALL' if plan.all else ''}"
    if plan.all and plan.kind == "union":
        return f"{sides_text[0]} {verb} {sides_text[1]}"
    keys = _keys(renderer, plan.columns)
    if keys == [f"c{i}" for i in unique_ids(plan.columns)]:
        return f"{sides_text[0]} {verb} {sides_text[1]}"
    if plan.kind == "union":
        return distinct_rows(renderer, plan.columns, f"{sides_text[0]} UNION ALL {sides_text[1]}")
    if plan.all:
        raise FeatureNotSupported(f"{verb} over numeric of varying scale is not supported")
    return _by_groups(plan, keys, sides_text)


def _common_forms(renderer: "PlanRenderer", plan: SetOperation) -> list[Physical]:
    forms = []
    for column, left, right in zip(
        plan.columns, plan.left.columns, plan.right.columns, strict=True
    ):
        form = common([renderer.forms[left.id], renderer.forms[right.id]])
        forms.append(physical_of(column.type) if form.is_null else form)
    return forms


def _side(
    renderer: "PlanRenderer",
    columns: Columns,
    forms: list[Physical],
    names: Columns,
    text: str,
) -> str:
    items = {
        name.id: f"{Expr(f'c{column.id}', renderer.forms[column.id]).cast(form).text} AS c{name.id}"
        for column, form, name in zip(columns, forms, names, strict=True)
    }
    return f"SELECT {', '.join(items.values()) or '1 AS none'} FROM ({text}) q"


def _by_groups(plan: SetOperation, keys: list[str], sides: list[str]) -> str:
    """INTERSECT and EXCEPT by keys: which sides a group has rows of."""
    names = names_of(plan.columns)
    tagged = " UNION ALL ".join(
        f"SELECT *, {i} AS side FROM ({text}) q" for i, text in enumerate(sides)
    )
    shown = ", ".join(
        f"any_value({name}) FILTER (WHERE side = 0) AS {name}" for name in names.split(", ")
    )
    wanted = "> 0" if plan.kind == "intersect" else "= 0"
    return (
        f"SELECT {shown} FROM ({tagged}) q GROUP BY {', '.join(keys)} "
        f"HAVING count(*) FILTER (WHERE side = 0) > 0 AND count(*) FILTER (WHERE side = 1) {wanted}"
    )


def render_with(renderer: "PlanRenderer", plan: With) -> str:
    """Render WITH: CTE columns are named by position, `k0`, `k1`…."""
    items = [_cte(renderer, cte, plan) for cte in plan.ctes]
    recursive = "RECURSIVE " if any(cte.recursive is not None for cte in plan.ctes) else ""
    return f"WITH {recursive}{', '.join(items)} {_plain_select(renderer, plan.input)}"


def _plain_select(renderer: "PlanRenderer", plan: Plan) -> str:
    text = renderer.select(plan)
    return f"SELECT * FROM ({text}) q" if text.startswith("WITH ") else text


def _cte(renderer: "PlanRenderer", cte: Cte, plan: With) -> str:
    if cte.recursive is not None:
        return _recursive(renderer, cte, cte.recursive)
    text = renderer.select(cte.plan)
    forms = tuple(renderer.forms[column.id] for column in cte.plan.columns)
    renderer.cte_forms[cte.cte_id] = forms
    word = "MATERIALIZED" if _is_materialized(cte, plan) else "NOT MATERIALIZED"
    return f"cte_{cte.cte_id} AS {word} ({_positional(renderer, cte.plan.columns, forms, text)})"


def _is_materialized(cte: Cte, plan: With) -> bool:
    if cte.materialized is not None:
        return cte.materialized
    references = sum(
        1 for item in deep_plans(plan) if isinstance(item, CteScan) and item.cte_id == cte.cte_id
    )
    return references > 1


def _positional(
    renderer: "PlanRenderer", columns: Columns, forms: tuple[Physical, ...], text: str
) -> str:
    items = ", ".join(
        f"{Expr(f'c{column.id}', renderer.forms[column.id]).cast(form).text} AS k{i}"
        for i, (column, form) in enumerate(zip(columns, forms, strict=True))
    )
    return f"SELECT {items or '1 AS none'} FROM ({text}) q"


def _recursive(renderer: "PlanRenderer", cte: Cte, term: Plan) -> str:
    """Numeric columns are text: a later round may have another scale than the first."""
    start = renderer.select(cte.plan)
    forms = tuple(
        numeric_forms.TEXT_FORM if form.is_numeric else form
        for form in (renderer.forms[column.id] for column in cte.plan.columns)
    )
    if not cte.union_all and any(form.is_numeric for form in forms):
        raise FeatureNotSupported("recursive UNION over numeric is not supported; use UNION ALL")
    renderer.cte_forms[cte.cte_id] = forms
    first = _positional(renderer, cte.plan.columns, forms, start)
    later = _positional(renderer, term.columns, forms, renderer.select(term))
    verb = "UNION ALL" if cte.union_all else "UNION"
    return f"cte_{cte.cte_id} AS ({first} {verb} {later})"
