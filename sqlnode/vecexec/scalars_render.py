"""Bound scalars as DuckDB text, with PostgreSQL's types and results.

**Model.** One rule for each node of plan/scalar.py. What is constant is folded in Python first; a
function is then rendered by our own numeric and date rules, else its registry template, else as a
call of its Python callable (`udfs`). Columns are named `c<id>`; ids are unique in a statement, so a
correlated reference needs nothing but its name.
"""

from collections.abc import Callable, Sequence
from functools import singledispatchmethod
from typing import TYPE_CHECKING, Any, Final, Protocol

from pgwire.errors import FeatureNotSupported
from sqlnode.plan.scalar import (
    And,
    AnyAll,
    ArrayItems,
    ArraySubquery,
    BoolTest,
    Call,
    Case,
    Cast,
    Coalesce,
    Coerce,
    ColumnRef,
    Const,
    Exists,
    InList,
    IsDistinct,
    IsNull,
    MinMax,
    Not,
    NullIf,
    Or,
    Param,
    RowItems,
    Scalar,
    ScalarSubquery,
    SortKey,
    SubqueryAnyAll,
)
from sqlnode.rowexec.coercion import coercion
from sqlnode.types import BOOL, SqlType
from sqlnode.vecexec import numeric_forms
from sqlnode.vecexec.call_render import CallRenderer, boolean
from sqlnode.vecexec.fold import NOT_CONSTANT, fold
from sqlnode.vecexec.literals import literal
from sqlnode.vecexec.physical import (
    BPCHAR_OID,
    JSON_OID,
    JSONB_OID,
    NUMERIC_OID,
    TEXT_KIND_OIDS,
    Expr,
    Physical,
    common,
    physical_of,
    record_of,
)
from sqlnode.vecexec.quantified import (
    NATIVE_EQUAL,
    render_any_all,
    render_subquery_any_all,
)
from sqlnode.vecexec.udfs import UdfSet

if TYPE_CHECKING:
    from sqlnode.context import ExecContext
    from sqlnode.plan.logical import Plan

_LENGTH_FITS: Final = {1043: "<=", BPCHAR_OID: "="}  # varchar, char
_NATIVE_MINMAX: Final = ("({0} < {1})",)


class SubqueryRenderer(Protocol):
    """What scalars need of the plan renderer."""

    def select(self, plan: "Plan") -> str: ...

    def form(self, column_id: int) -> Physical: ...


class ScalarRenderer:
    """Renders the scalars of one statement execution."""

    def __init__(
        self, ctx: "ExecContext", udfs: UdfSet, plans: SubqueryRenderer, *, is_text_only: bool
    ) -> None:
        self.is_text_only = is_text_only  # no fixed numeric at all: after DECIMAL overflowed
        self.ctx = ctx
        self.udfs = udfs
        self.plans = plans
        self.calls = CallRenderer(ctx, udfs)

    def render(self, node: Scalar) -> Expr:
        """Return the text and form of a scalar. Raises: FeatureNotSupported."""
        datum = fold(node, self.ctx)
        known = datum is not NOT_CONSTANT
        return self.settled(literal(datum, node.type) if known else self._render(node))

    def settled(self, expr: Expr) -> Expr:
        """Return an expression in a form that this statement may use."""
        if self.is_text_only and expr.physical.is_fixed:
            return numeric_forms.to_text(expr)
        return expr

    def condition(self, node: Scalar) -> str:
        """Return the text of a boolean."""
        return self.render(node).text

    def sort_key(self, key: SortKey) -> str:
        """Return an ORDER BY item; NULLs always placed."""
        direction = "DESC" if key.descending else "ASC"
        nulls = "FIRST" if key.nulls_first else "LAST"
        return f"{self.ordered(self.render(key.scalar))} {direction} NULLS {nulls}"

    def sort_keys(self, keys: Sequence[SortKey]) -> str:
        """Return the items of ORDER BY."""
        return ", ".join(self.sort_key(key) for key in keys)

    def ordered(self, expr: Expr) -> str:
        """Return text that sorts and compares as the type does."""
        form = expr.physical
        if form.type.oid == JSONB_OID:
            raise FeatureNotSupported("ordering by jsonb is not supported")
        return self.grouped(expr)

    def grouped(self, expr: Expr) -> str:
        """Return text that is equal where the values are equal by the type."""
        form = expr.physical
        if form.is_text_numeric:
            return "NULL::BLOB" if form.is_null else numeric_forms.order_key(expr, self.udfs).text
        if form.type.oid == BPCHAR_OID:
            return f"rtrim({expr.text}, ' ')"
        if form.type.oid == JSON_OID:
            raise FeatureNotSupported("could not identify an equality operator for type json")
        nested = [form.element] if form.element is not None else list(form.fields)
        if any(item is not None and item.is_text_numeric for item in nested):
            raise FeatureNotSupported("comparing arrays or records of numeric is not supported")
        return expr.text

    def as_form(self, node: Scalar, form: Physical) -> str:
        """Return a scalar's text in a wanted form of its type."""
        return self.render(node).cast(form).text

    @singledispatchmethod
    def _render(self, node: Any) -> Expr:
        raise FeatureNotSupported(f"{type(node).__name__} is not supported in this query")

    @_render.register
    def _const(self, node: Const) -> Expr:
        return literal(node.value, node.type)

    @_render.register
    def _param(self, node: Param) -> Expr:
        return literal(self.ctx.params[node.index - 1], node.type)

    @_render.register
    def _column(self, node: ColumnRef) -> Expr:
        return Expr(f"c{node.id}", self.plans.form(node.id))

    @_render.register
    def _call(self, node: Call) -> Expr:
        if node.function.returns_set:
            raise FeatureNotSupported(f"{node.function.name}() returns a set here")
        return self.calls.function(
            node.function, [self.render(arg) for arg in node.args], node.type
        )

    @_render.register
    def _cast(self, node: Cast) -> Expr:
        arg = self.render(node.arg)
        if arg.physical.is_null:
            return literal(None, node.type)
        function = node.rule.function
        if function is None:
            return Expr(arg.text, _relabelled(arg.physical, node.type), volatile=arg.volatile)
        special = None
        if node.type.oid == NUMERIC_OID:
            special = numeric_forms.from_integer(arg)
        elif arg.physical.is_fixed:
            special = numeric_forms.cast_fixed(arg, node.type)
        return special or self.calls.function(function, [arg], node.type)

    @_render.register
    def _coerce(self, node: Coerce) -> Expr:
        arg = self.render(node.arg)
        if arg.physical.is_null:
            return arg
        if (special := numeric_forms.coerce_fixed(arg, node.type)) is not None:
            return special
        fit = coercion(node.type, explicit=node.explicit)
        if fit is None:
            return arg
        key = ("coerce", node.type, node.explicit)
        result = self.udfs.call(fit, [arg], physical_of(node.type), key=key)
        if arg.physical.is_numeric:  # the value now has the scale that its type says
            return result.cast(numeric_forms.column_form(node.type))
        if node.type.oid in _LENGTH_FITS and not arg.volatile:  # Python sees only what does not fit
            fits = f"length({arg.text}) {_LENGTH_FITS[node.type.oid]} {node.type.typmod - 4}"
            text = f"(CASE WHEN {fits} THEN {arg.text} ELSE {result.text} END)"
            return Expr(text, result.physical)
        return result

    @_render.register
    def _and(self, node: And) -> Expr:
        return boolean(" AND ".join(self.condition(arg) for arg in node.args))

    @_render.register
    def _or(self, node: Or) -> Expr:
        return boolean(" OR ".join(self.condition(arg) for arg in node.args))

    @_render.register
    def _not(self, node: Not) -> Expr:
        return boolean(f"NOT {self.condition(node.arg)}")

    @_render.register
    def _is_null(self, node: IsNull) -> Expr:
        arg = self.render(node.arg)
        if arg.physical.fields:  # ROW(…) IS NULL asks every field
            tests = [
                f"({arg.text}).f{i} IS {'NOT ' if node.negated else ''}NULL"
                for i in range(len(arg.physical.fields))
            ]
            return boolean(" AND ".join(tests))
        return boolean(f"{arg.text} IS {'NOT ' if node.negated else ''}NULL")

    @_render.register
    def _bool_test(self, node: BoolTest) -> Expr:
        value = {True: "TRUE", False: "FALSE", None: "NULL"}[node.wanted]
        verb = "IS DISTINCT FROM" if node.negated else "IS NOT DISTINCT FROM"
        return boolean(f"{self.condition(node.arg)} {verb} {value}::BOOLEAN")

    @_render.register
    def _is_distinct(self, node: IsDistinct) -> Expr:
        verb = "IS NOT DISTINCT FROM" if node.negated else "IS DISTINCT FROM"
        left, right = self.render(node.left), self.render(node.right)
        if left.physical.is_numeric and right.physical.is_numeric:
            return boolean(numeric_forms.compare(verb, left, right, self.udfs))
        return boolean(f"{self.grouped(left)} {verb} {self.grouped(right)}")

    @_render.register
    def _case(self, node: Case) -> Expr:
        conditions = [self.condition(when) for when, _ in node.whens]
        values = [self.render(value) for _, value in node.whens]
        default = self.render(node.default)
        form = _typed_form([*values, default], node.type)
        arms = " ".join(
            f"WHEN {condition} THEN {value.cast(form).text}"
            for condition, value in zip(conditions, values, strict=True)
        )
        return Expr(f"(CASE {arms} ELSE {default.cast(form).text} END)", form)

    @_render.register
    def _coalesce(self, node: Coalesce) -> Expr:
        args = [self.render(arg) for arg in node.args]
        form = _typed_form(args, node.type)
        return Expr(f"coalesce({', '.join(arg.cast(form).text for arg in args)})", form)

    @_render.register
    def _null_if(self, node: NullIf) -> Expr:
        left = self.render(node.left)
        compared, right = self.render(node.compared_left), self.render(node.right)
        equal = self.calls.function(node.equals, [compared, right], BOOL).text
        return Expr(
            f"(CASE WHEN {equal} THEN NULL ELSE {left.text} END)",
            left.physical,
            volatile=left.volatile,
        )

    @_render.register
    def _min_max(self, node: MinMax) -> Expr:
        args = [self.render(arg) for arg in node.args]
        form = _typed_form(args, node.type)
        if node.less.duck in _NATIVE_MINMAX or form.is_fixed:
            name = "greatest" if node.greatest else "least"
            return Expr(f"{name}({', '.join(arg.cast(form).text for arg in args)})", form)
        less = node.less.python
        assert less is not None, "comparison functions have a callable"
        pick = _picker(less, node.greatest)
        key = ("minmax", node.less.name, node.greatest)
        return self.udfs.call(pick, args, physical_of(node.type), key=key, strict=False)

    @_render.register
    def _in_list(self, node: InList) -> Expr:
        arg = self.render(node.arg)
        items = [self.render(item) for item in node.items]
        word = "NOT IN" if node.negated else "IN"
        if node.equals.duck == NATIVE_EQUAL and not arg.physical.element:
            return boolean(f"{arg.text} {word} ({', '.join(item.text for item in items)})")
        equal = " OR ".join(
            self.calls.function(node.equals, [arg, item], BOOL).text for item in items
        )
        return boolean(f"{'NOT ' if node.negated else ''}({equal})")

    @_render.register
    def _any_all(self, node: AnyAll) -> Expr:
        return render_any_all(self, node)

    @_render.register
    def _subquery_any_all(self, node: SubqueryAnyAll) -> Expr:
        return render_subquery_any_all(self, node)

    @_render.register
    def _array_items(self, node: ArrayItems) -> Expr:
        form = physical_of(node.type)
        assert form.element is not None, "ARRAY[] has an array type"
        if any(item.type.info.element_oid for item in node.items):
            raise FeatureNotSupported("multidimensional arrays are not supported in this query")
        items = ", ".join(self.as_form(item, form.element) for item in node.items)
        return Expr(f"CAST([{items}] AS {form.duck})", form)

    @_render.register
    def _row_items(self, node: RowItems) -> Expr:
        items = [_as_text_form(self.render(item)) for item in node.items]
        form = record_of(item.physical for item in items)
        pairs = ", ".join(f"f{i} := {item.text}" for i, item in enumerate(items))
        return Expr(f"struct_pack({pairs})", form)

    @_render.register
    def _scalar_subquery(self, node: ScalarSubquery) -> Expr:
        column = node.plan.columns[0]
        text = self.plans.select(node.plan)
        return Expr(f"(SELECT c{column.id} FROM ({text}) q)", self.plans.form(column.id))

    @_render.register
    def _exists(self, node: Exists) -> Expr:
        return boolean(f"EXISTS ({self.plans.select(node.plan)})")

    @_render.register
    def _array_subquery(self, node: ArraySubquery) -> Expr:
        column = node.plan.columns[0]
        text = self.plans.select(node.plan)
        form = physical_of(node.type)
        item = Expr(f"c{column.id}", self.plans.form(column.id))
        assert form.element is not None, "ARRAY() has an array type"
        inner = f"SELECT {item.cast(form.element).text} AS e0 FROM ({text}) q"
        return Expr(f"coalesce(ARRAY({inner}), []::{form.duck})", form)


def _relabelled(form: Physical, target: SqlType) -> Physical:
    """Return the form of a binary-coercible cast's result."""
    if form.is_fixed or form.fields:
        return form
    if form.type.oid in TEXT_KIND_OIDS and target.oid in TEXT_KIND_OIDS:
        return physical_of(target)
    wanted = physical_of(target)
    if wanted.duck != form.duck:
        raise FeatureNotSupported(f"cast from {form.type} to {target} is not supported here")
    return wanted


def _typed_form(args: Sequence[Expr], sql_type: SqlType) -> Physical:
    form = common([arg.physical for arg in args])
    return physical_of(sql_type) if form.is_null and sql_type.oid != 2249 else form


def _as_text_form(expr: Expr) -> Expr:
    return numeric_forms.to_text(expr) if expr.physical.is_numeric else expr


def _picker(less: Callable[[Any, Any], bool], greatest: bool) -> Callable[..., Any]:
    def pick(*datums: Any) -> Any:
        best = None
        for datum in datums:
            if datum is None:
                continue
            if best is None or (less(best, datum) if greatest else less(datum, best)):
                best = datum
        return best

    return pick
