"""Set-returning functions: in FROM (FunctionScan) and in the select list (ProjectSet).

**Model.** A call becomes a LIST, which DuckDB unnests; several in one select list are expanded in
step and padded with NULL, as in PostgreSQL. A call with constant arguments in FROM is evaluated
once in Python and read as a table.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from pgwire.errors import FeatureNotSupported
from sqlnode.functions.registry import Function
from sqlnode.plan.logical import FunctionScan, ProjectSet
from sqlnode.plan.scalar import Call, Scalar
from sqlnode.types import INT8, SqlType
from sqlnode.vecexec.arrow_values import to_arrow
from sqlnode.vecexec.call_render import with_context
from sqlnode.vecexec.fold import NOT_CONSTANT, fold
from sqlnode.vecexec.physical import Expr, Physical, physical_of, record_of
from sqlnode.vecexec.select_text import Relation, read_relation

if TYPE_CHECKING:
    from sqlnode.vecexec.render import PlanRenderer

_SERIES_OIDS: Final = frozenset((20, 23))
_ANY_LIST: Final = SqlType(2277)


def render_project_set(renderer: "PlanRenderer", plan: ProjectSet) -> str:
    """Render the select list with unnest() at the set-returning items."""
    source = renderer.select(plan.input)
    exprs = []
    for index, scalar in enumerate(plan.scalars):
        if index not in plan.set_indexes:
            exprs.append(renderer.scalars.render(scalar))
            continue
        assert isinstance(scalar, Call), "set_indexes are set-returning calls"
        element = element_form(scalar.function, scalar.type)
        items = list_of(renderer, scalar.function, scalar.args, element)
        assert items.physical.element is not None, "a list has elements"
        exprs.append(Expr(f"unnest({items.text})", items.physical.element))
    return f"SELECT {', '.join(renderer.assign(plan.columns, exprs))} FROM ({source}) q"


def element_form(function: Function, result: SqlType) -> Physical:
    """Return the form of one item that a set-returning function gives."""
    if function.out_types and result.oid == 2249:
        return record_of(physical_of(out) for out in function.out_types)
    return physical_of(result)


def list_of(
    renderer: "PlanRenderer", function: Function, args: Sequence[Scalar], element: Physical
) -> Expr:
    """Return the rows of a call as a LIST."""
    rendered = [renderer.scalars.render(arg) for arg in args]
    form = Physical(_ANY_LIST, element=element)
    if function.name == "unnest" and len(rendered) == 1 and rendered[0].physical.element:
        return rendered[0]
    if (series := _series(function, rendered, element)) is not None:
        return Expr(series, form)
    python = function.python
    if python is None or function.is_async:
        raise FeatureNotSupported(f"function {function.name} is not supported in this query")
    if function.needs_context:
        python = with_context(python, renderer.ctx)
    return renderer.udfs.call(
        _listing(python), rendered, form, key=("list", id(function)), strict=function.strict
    )


def _series(function: Function, args: Sequence[Expr], element: Physical) -> str | None:
    """Return integer generate_series over rows as DuckDB's; the step must be a known non-zero."""
    if not _is_series(function, element):
        return None
    if len(args) == 3 and args[2].text.strip("(-)").partition(")")[0].partition(":")[0] in (
        "",
        "0",
    ):
        return None
    if len(args) == 3 and "::" not in args[2].text:
        return None
    texts = ", ".join(arg.text for arg in args)
    return f"CAST(generate_series({texts}) AS {element.duck}[])"


def _is_series(function: Function, element: Physical) -> bool:
    return function.name == "generate_series" and element.type.oid in _SERIES_OIDS


def _listing(python: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args: list(python(*args) or ())


def render_function_scan(renderer: "PlanRenderer", plan: FunctionScan) -> str:
    """Render a function in FROM."""
    function = plan.function
    value_columns = plan.columns[:-1] if plan.with_ordinality else plan.columns
    is_record = bool(function.out_types)
    if is_record:
        element = record_of(physical_of(out) for out in function.out_types)
    else:
        element = physical_of(value_columns[0].type)
    args = [fold(arg, renderer.ctx, volatile_too=True) for arg in plan.args]
    if NOT_CONSTANT not in args and function.python is not None and not function.is_async:
        return _constant_scan(renderer, plan, args, element)
    if function.returns_set:
        rows = list_of(renderer, function, plan.args, element)
    else:
        rendered = [renderer.scalars.render(arg) for arg in plan.args]
        one = renderer.scalars.calls.function(function, rendered, element.type)
        rows = Expr(f"[{one.text}]", Physical(_ANY_LIST, element=one.physical))
    assert rows.physical.element is not None, "a list has elements"
    element = rows.physical.element
    inner = (
        f"SELECT unnest(l) AS e, unnest(range(1, len(l) + 1)) AS n FROM (SELECT {rows.text} AS l) q"
    )
    if is_record:
        exprs = [Expr(f"e.f{i}", form) for i, form in enumerate(element.fields)]
        exprs = exprs[: len(value_columns)]
    else:
        exprs = [Expr("e", element)]
    if plan.with_ordinality:
        exprs.append(Expr("n", physical_of(INT8)))
    return f"SELECT {', '.join(renderer.assign(plan.columns, exprs))} FROM ({inner}) q"


def _constant_scan(
    renderer: "PlanRenderer", plan: FunctionScan, args: list[Any], element: Physical
) -> str:
    if _is_series(plan.function, element) and None not in args and args[2:] != [0]:
        return _constant_series(renderer, plan, args, element)
    rows = _evaluate(renderer, plan.function, args)
    forms = list(element.fields) or [element]
    if plan.function.out_types:
        data = [[row[i] for row in rows] for i in range(len(forms))]
    else:
        data = [rows]
    if plan.with_ordinality:
        forms.append(physical_of(INT8))
        data.append(list(range(1, len(rows) + 1)))
    return read_relation(renderer, plan.columns, make_relation(renderer, forms, data))


def _constant_series(
    renderer: "PlanRenderer", plan: FunctionScan, args: list[Any], element: Physical
) -> str:
    """Read integers from DuckDB's own series: it makes them as they are wanted."""
    exprs = [Expr(f"CAST(g AS {element.duck})", element)]
    if plan.with_ordinality:
        exprs.append(Expr("row_number() OVER ()", physical_of(INT8)))
    bounds = ", ".join(f"({arg})::BIGINT" for arg in args)
    items = ", ".join(renderer.assign(plan.columns, exprs))
    return f"SELECT {items} FROM generate_series({bounds}) s(g)"


def _evaluate(renderer: "PlanRenderer", function: Function, args: list[Any]) -> list[Any]:
    assert function.python is not None, "checked by the caller"
    if function.strict and None in args:
        return [] if function.returns_set else [None]
    given = (renderer.ctx, *args) if function.needs_context else tuple(args)
    result = function.python(*given)
    return list(result or ()) if function.returns_set else [result]


def make_relation(
    renderer: "PlanRenderer", forms: Sequence[Physical], data: Sequence[Sequence[Any]]
) -> Relation:
    """Keep columns of datums as a table that the engine registers before the statement runs."""
    names = tuple(f"a{i}" for i in range(len(forms)))
    arrays = [to_arrow(column, form) for column, form in zip(data, forms, strict=True)]
    table = pa.table(dict(zip(names, arrays, strict=True)))
    relation = Relation(renderer.made_name(), names, tuple(forms), table)
    renderer.made.append(relation)
    return relation
