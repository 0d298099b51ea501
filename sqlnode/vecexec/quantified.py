"""ANY and ALL over arrays and subqueries, with SQL's three-valued result.

`= ANY (subquery)` becomes IN, which DuckDB runs as a semi-join. Everything else aggregates the
comparison over the rows.
"""

from typing import TYPE_CHECKING, Any, Final

from pgwire.errors import FeatureNotSupported
from sqlnode.plan.scalar import AnyAll, SubqueryAnyAll
from sqlnode.types import BOOL
from sqlnode.vecexec import numeric_forms
from sqlnode.vecexec.call_render import boolean
from sqlnode.vecexec.fold import NOT_CONSTANT, fold
from sqlnode.vecexec.literals import literal
from sqlnode.vecexec.physical import Expr, comparable

if TYPE_CHECKING:
    from sqlnode.vecexec.scalars_render import ScalarRenderer

NATIVE_EQUAL: Final = "({0} = {1})"


def render_any_all(scalars: "ScalarRenderer", node: AnyAll) -> Expr:
    """Render `arg op ANY | ALL (array)`."""
    array = fold(node.array, scalars.ctx)
    if array is not NOT_CONSTANT:
        return _over_constant(scalars, node, array)
    rendered = scalars.render(node.array)
    element = rendered.physical.element
    if element is None:
        raise FeatureNotSupported("ANY or ALL over this array is not supported")
    source = f"SELECT unnest({rendered.text}) AS e0"
    args = [scalars.render(node.arg), Expr("e0", element)]
    test = scalars.calls.function(node.function, args, BOOL)
    found = _quantified(source, test.text, is_all=node.is_all)
    return boolean(f"CASE WHEN {rendered.text} IS NULL THEN NULL ELSE {found} END")


def _over_constant(scalars: "ScalarRenderer", node: AnyAll, array: Any) -> Expr:
    if array is None or not array:
        return literal(None if array is None else node.is_all, BOOL)
    element = node.function.arguments[-1]
    arg = scalars.render(node.arg)
    items = [scalars.settled(literal(item, element)) for item in _flat(array)]
    if node.function.duck == NATIVE_EQUAL and not node.is_all:
        return boolean(f"{arg.text} IN ({', '.join(item.text for item in items)})")
    tests = [scalars.calls.function(node.function, [arg, item], BOOL).text for item in items]
    return boolean((" AND " if node.is_all else " OR ").join(tests))


def render_subquery_any_all(scalars: "ScalarRenderer", node: SubqueryAnyAll) -> Expr:
    """Render `(args) op ANY | ALL (SELECT …)`."""
    text = scalars.plans.select(node.plan)
    args = [scalars.render(arg) for arg in node.args]
    columns = [
        scalars.settled(Expr(f"c{column.id}", scalars.plans.form(column.id)))
        for column in node.plan.columns[: len(args)]
    ]
    if len(args) == 1 and (native := _native_in(scalars, node, args[0], columns[0], text)):
        return native
    tests = [
        scalars.calls.function(function, [arg, column], BOOL).text
        for function, arg, column in zip(node.functions, args, columns, strict=True)
    ]
    source = f"SELECT * FROM ({text}) q"
    return boolean(_quantified(source, f"({' AND '.join(tests)})", is_all=node.is_all))


def _native_in(
    scalars: "ScalarRenderer", node: SubqueryAnyAll, arg: Expr, column: Expr, text: str
) -> Expr | None:
    function = node.functions[0]
    if node.is_all:
        return None
    if function.name == "numeric_eq":
        left, right = arg.text, column.text
        if comparable(arg.physical, column.physical) is None:
            left = numeric_forms.order_key(arg, scalars.udfs).text
            right = numeric_forms.order_key(column, scalars.udfs).text
        return boolean(f"{left} IN (SELECT {right} FROM ({text}) q)")
    if function.duck != NATIVE_EQUAL:
        return None
    return boolean(f"{arg.text} IN (SELECT {column.text} FROM ({text}) q)")


def _flat(array: list[Any]) -> list[Any]:
    out: list[Any] = []
    for item in array:
        out.extend(_flat(item) if isinstance(item, list) else [item])
    return out


def _quantified(source: str, test: str, *, is_all: bool) -> str:
    """Return three-valued ANY or ALL of `test` over the rows of `source`."""
    stop = f"NOT {test}" if is_all else test
    found, otherwise = ("FALSE", "TRUE") if is_all else ("TRUE", "FALSE")
    return (
        f"(SELECT CASE WHEN coalesce(bool_or({stop}), FALSE) THEN {found} "
        f"WHEN coalesce(bool_or(({test}) IS NULL), FALSE) THEN NULL ELSE {otherwise} END "
        f"FROM ({source}) s)"
    )
