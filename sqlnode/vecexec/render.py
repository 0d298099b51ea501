"""Logical plans as DuckDB SQL.

**Model.** Every plan node becomes one SELECT whose columns are named `c<id>`; inputs stand in FROM
as subqueries, which DuckDB flattens. The form of each column (numeric: fixed or text) is known from
below upwards and kept by column id. Sort keys always say where NULLs go.

The text is made anew for each execution: parameters are literals in it, and a numeric literal's
scale decides whether arithmetic on it can be fixed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pgwire.errors import (
    FeatureNotSupported,
    InvalidRowCountInLimitClause,
    InvalidRowCountInResultOffsetClause,
)
from sqlnode.plan.logical import (
    Aggregation,
    Columns,
    CteScan,
    Distinct,
    Filter,
    FunctionScan,
    Join,
    Limit,
    LockRows,
    Plan,
    Project,
    ProjectSet,
    Scan,
    SetOperation,
    SingleRow,
    Sort,
    Values,
    VirtualScan,
    Window,
    With,
)
from sqlnode.plan.scalar import ColumnRef, Scalar
from sqlnode.vecexec.aggregates import AggregateRenderer
from sqlnode.vecexec.fold import NOT_CONSTANT, fold
from sqlnode.vecexec.group_render import render_aggregation
from sqlnode.vecexec.physical import Expr, Physical, common, physical_of
from sqlnode.vecexec.scalars_render import ScalarRenderer
from sqlnode.vecexec.select_text import Relation, names_of, read_relation, unique_ids
from sqlnode.vecexec.set_functions import make_relation, render_function_scan, render_project_set
from sqlnode.vecexec.set_render import distinct_rows, render_set_operation, render_with
from sqlnode.vecexec.udfs import UdfSet
from sqlnode.vecexec.window_render import render_window

if TYPE_CHECKING:
    from sqlnode.context import ExecContext

_JOINS: Final = {
    "inner": "JOIN",
    "left": "LEFT JOIN",
    "right": "RIGHT JOIN",
    "full": "FULL JOIN",
    "cross": "CROSS JOIN",
}
_TABLE_ROWS_MIN: Final = 100  # of VALUES


class PlanRenderer:
    """Renders one statement execution."""

    def __init__(
        self,
        ctx: "ExecContext",
        udfs: UdfSet,
        sources: Mapping[int, Relation],
        *,
        is_text_only: bool = False,
    ) -> None:
        self.ctx = ctx
        self.udfs = udfs
        self.sources = sources  # by identity of the leaf
        self.made: list[Relation] = []  # tables made while rendering; the engine registers them
        self.forms: dict[int, Physical] = {}
        self.cte_forms: dict[int, tuple[Physical, ...]] = {}
        self.scalars = ScalarRenderer(ctx, udfs, self, is_text_only=is_text_only)
        self.aggregates = AggregateRenderer(self.scalars)

    def form(self, column_id: int) -> Physical:
        """Return the form of a column in scope."""
        return self.forms[column_id]

    def select(self, plan: Plan) -> str:
        """Return the SELECT of a plan and note the forms of its columns."""
        return _RENDER[type(plan)](self, plan)

    def output(self, plan: Plan, columns: Columns) -> tuple[str, tuple[Physical, ...]]:
        """Return the statement's text, with exactly `columns` in order, and their forms."""
        text = self.select(plan)
        forms = tuple(self.forms[column.id] for column in columns)
        wanted = [column.id for column in columns]
        if wanted and wanted == unique_ids(plan.columns):
            return text, forms
        names = ", ".join(f"c{column.id} AS o{i}" for i, column in enumerate(columns))
        return f"SELECT {names or '1 AS none'} FROM ({text}) q", forms

    def assign(self, columns: Columns, exprs: Sequence[Expr]) -> list[str]:
        """Return `text AS c<id>` items and note the forms; a column listed twice is made once."""
        items: dict[int, str] = {}
        for column, expr in zip(columns, exprs, strict=True):
            if column.id in items:
                continue
            items[column.id] = f"{expr.text} AS c{column.id}"
            self.note(column.id, expr.physical, column.type)
        return list(items.values()) or ["1 AS none"]

    def note(self, column_id: int, form: Physical, sql_type: Any) -> None:
        """Remember a column's form; a bare NULL becomes an ordinary column of its type."""
        if form.is_null and sql_type.oid != 2249:
            form = physical_of(sql_type)
        self.forms[column_id] = replace(form, is_null=False)

    def made_name(self) -> str:
        """Return the name of the next table made while rendering."""
        return f"m{self.udfs.statement_id}_{len(self.made)}"


def _single_row(_renderer: PlanRenderer, _plan: SingleRow) -> str:
    return "SELECT 1 AS none"


def _scan(renderer: PlanRenderer, plan: Scan | VirtualScan) -> str:
    return read_relation(renderer, plan.columns, renderer.sources[id(plan)])


def _values(renderer: PlanRenderer, plan: Values) -> str:
    if not plan.rows:
        exprs = [
            Expr(f"NULL::{physical_of(c.type).duck}", physical_of(c.type)) for c in plan.columns
        ]
        return f"SELECT {', '.join(renderer.assign(plan.columns, exprs))} WHERE FALSE"
    if not plan.columns:
        rows = ", ".join("(1)" for _ in plan.rows)
        return f"SELECT none FROM (VALUES {rows}) v(none)"
    if len(plan.rows) >= _TABLE_ROWS_MIN and (made := _values_table(renderer, plan)) is not None:
        return made
    rendered = [[renderer.scalars.render(item) for item in row] for row in plan.rows]
    forms = [common([row[i].physical for row in rendered]) for i in range(len(plan.columns))]
    forms = [
        physical_of(column.type) if form.is_null else form
        for form, column in zip(forms, plan.columns, strict=True)
    ]
    texts = [
        f"({', '.join(item.cast(form).text for item, form in zip(row, forms, strict=True))})"
        for row in rendered
    ]
    for column, form in zip(plan.columns, forms, strict=True):
        renderer.note(column.id, form, column.type)
    names = ", ".join(f"c{column.id}" for column in plan.columns)
    return f"SELECT {names} FROM (VALUES {', '.join(texts)}) v({names})"


def _values_table(renderer: PlanRenderer, plan: Values) -> str | None:
    """Read many constant rows as a table: DuckDB's parser is slower than Arrow."""
    rows = [[fold(item, renderer.ctx) for item in row] for row in plan.rows]
    if any(datum is NOT_CONSTANT for row in rows for datum in row):
        return None
    data = list(zip(*rows, strict=True))
    forms = [physical_of(column.type) for column in plan.columns]
    return read_relation(renderer, plan.columns, make_relation(renderer, forms, data))


def _filter(renderer: PlanRenderer, plan: Filter) -> str:
    source = renderer.select(plan.input)
    condition = renderer.scalars.condition(plan.condition)
    return f"SELECT {names_of(plan.columns)} FROM ({source}) q WHERE {condition}"


def _project(renderer: PlanRenderer, plan: Project) -> str:
    # ORDER BY stands in the same SELECT, so that its order is the result's.
    order = ""
    inner = plan.input
    if isinstance(inner, Sort) and not _hides(plan, inner):
        source = renderer.select(inner.input)
        order = f" ORDER BY {renderer.scalars.sort_keys(inner.keys)}"
    else:
        source = renderer.select(inner)
    exprs = [renderer.scalars.render(scalar) for scalar in plan.scalars]
    items = renderer.assign(plan.columns, exprs)
    if isinstance(inner, SingleRow):
        return f"SELECT {', '.join(items)}"
    return f"SELECT {', '.join(items)} FROM ({source}) q{order}"


def _hides(plan: Project, sort: Sort) -> bool:
    """Tell whether a column of the SELECT would take the name of another value of its input."""
    inputs = {column.id for column in sort.columns}
    return any(
        column.id in inputs and not (isinstance(scalar, ColumnRef) and scalar.id == column.id)
        for column, scalar in zip(plan.columns, plan.scalars, strict=True)
    )


def _join(renderer: PlanRenderer, plan: Join) -> str:
    left = renderer.select(plan.left)
    right = renderer.select(plan.right)
    lateral = "LATERAL " if plan.lateral else ""
    join = _JOINS[plan.kind]
    condition = ""
    if plan.kind != "cross":
        text = "TRUE" if plan.condition is None else renderer.scalars.condition(plan.condition)
        condition = f" ON {text}"
    elif plan.condition is not None:
        join, condition = "JOIN", f" ON {renderer.scalars.condition(plan.condition)}"
    names = names_of(plan.columns)
    return f"SELECT {names} FROM ({left}) l {join} {lateral}({right}) r{condition}"


def _sort(renderer: PlanRenderer, plan: Sort) -> str:
    source = renderer.select(plan.input)
    keys = renderer.scalars.sort_keys(plan.keys)
    return f"SELECT {names_of(plan.columns)} FROM ({source}) q ORDER BY {keys}"


def _limit(renderer: PlanRenderer, plan: Limit) -> str:
    source = renderer.select(plan.input)
    count = _row_count(
        renderer, plan.count, InvalidRowCountInLimitClause("LIMIT must not be negative")
    )
    offset = _row_count(
        renderer, plan.offset, InvalidRowCountInResultOffsetClause("OFFSET must not be negative")
    )
    if plan.with_ties and count is not None:
        return _with_ties(renderer, plan, source, count, offset)
    tail = f" LIMIT {count}" if count is not None else ""
    tail += f" OFFSET {offset}" if offset is not None else ""
    return f"{source}{tail}" if _open_ended(plan.input) else f"SELECT * FROM ({source}) q{tail}"


def _open_ended(plan: Plan) -> bool:
    """Tell whether LIMIT may be written directly behind the SELECT of a plan."""
    return isinstance(plan, Sort | Project | Filter | Scan | Join | CteScan)


def _row_count(renderer: PlanRenderer, scalar: Scalar | None, negative: Exception) -> str | None:
    if scalar is None:
        return None
    datum = fold(scalar, renderer.ctx, volatile_too=True)
    if datum is NOT_CONSTANT:
        return f"({renderer.scalars.render(scalar).text})"
    if datum is None:
        return None
    if datum < 0:
        raise negative
    return str(datum)


def _with_ties(
    renderer: PlanRenderer, plan: Limit, source: str, count: str, offset: str | None
) -> str:
    keys = renderer.scalars.sort_keys(plan.with_ties)
    names = names_of(plan.columns)
    skipped = offset or "0"
    numbered = (
        f"SELECT {names}, row_number() OVER (ORDER BY {keys}) AS rn, "
        f"rank() OVER (ORDER BY {keys}) AS rk FROM ({source}) q"
    )
    keep = f"{count} > 0 AND rn > {skipped} AND rk <= {skipped} + {count}"
    return f"SELECT {names} FROM ({numbered}) t WHERE {keep} ORDER BY rn"


def _distinct(renderer: PlanRenderer, plan: Distinct) -> str:
    source = renderer.select(plan.input)
    names = names_of(plan.columns)
    if plan.on:
        keys = ", ".join(
            renderer.scalars.grouped(renderer.scalars.render(scalar)) for scalar in plan.on
        )
        order = f" ORDER BY {renderer.scalars.sort_keys(plan.order)}" if plan.order else ""
        return f"SELECT DISTINCT ON ({keys}) {names} FROM ({source}) q{order}"
    return distinct_rows(renderer, plan.columns, source)


def _cte_scan(renderer: PlanRenderer, plan: CteScan) -> str:
    forms = renderer.cte_forms[plan.cte_id]
    items = []
    for position, column in enumerate(plan.columns):
        renderer.note(column.id, forms[position], column.type)
        items.append(f"k{position} AS c{column.id}")
    return f"SELECT {', '.join(items) or '1 AS none'} FROM cte_{plan.cte_id}"


def _lock_rows(_renderer: PlanRenderer, plan: LockRows) -> str:
    raise FeatureNotSupported(f"FOR {plan.strength.upper()} is not supported in this query")


Render = Callable[[PlanRenderer, Any], str]
_RENDER: Final[dict[type, Render]] = {
    SingleRow: _single_row,
    Scan: _scan,
    VirtualScan: _scan,
    Values: _values,
    Filter: _filter,
    Project: _project,
    ProjectSet: render_project_set,
    Join: _join,
    Aggregation: render_aggregation,
    Window: render_window,
    Sort: _sort,
    Limit: _limit,
    Distinct: _distinct,
    SetOperation: render_set_operation,
    With: render_with,
    CteScan: _cte_scan,
    FunctionScan: render_function_scan,
    LockRows: _lock_rows,
}
