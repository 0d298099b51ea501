"""Aggregates as DuckDB text: PostgreSQL's result types, and numeric results exact to the digit.

**Model.** An aggregate becomes one or more native calls (`sum`, `count`) and a finish over their
results. avg of integers is numeric: the exact HUGEINT sum and the count go through one Python
division per group, never per row. Aggregates without an equal in DuckDB collect a list and run the
registry's accumulator over it. The same text serves GROUP BY and OVER: `Call.suffix` is added to
each native call.

Source: numeric.c (numeric_avg, numeric_stddev_internal).
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any, Final

from pgwire.errors import FeatureNotSupported
from sqlnode.functions import decimals
from sqlnode.functions.registry import Aggregate
from sqlnode.plan.scalar import AggregateCall, SortKey
from sqlnode.types import FLOAT8, INT8, NUMERIC, SqlType
from sqlnode.vecexec import numeric_forms
from sqlnode.vecexec.physical import PRECISION_MAX, Expr, Physical, fixed, physical_of, record_of
from sqlnode.vecexec.scalars_render import ScalarRenderer

ORDER_SENSITIVE: Final = frozenset(
    (
        "string_agg",
        "array_agg",
        "json_agg",
        "jsonb_agg",
        "json_object_agg",
        "jsonb_object_agg",
    )
)
_QUOTED: Final = re.compile(r"'(?:[^']|'')*'::VARCHAR")
_SMALL_INTEGERS: Final = frozenset((21, 23))
_FLOATS: Final = frozenset((700, 701))
# A sum of DECIMAL(p, s) has 38 digits: this leaves room for 10**10 rows.
_SUMMABLE_DIGITS: Final = PRECISION_MAX - 10
_HUGE: Final = Physical(SqlType(1700), PRECISION_MAX, 0)
_SPREAD: Final = {
    "variance": (True, False),
    "var_samp": (True, False),
    "var_pop": (False, False),
    "stddev": (True, True),
    "stddev_samp": (True, True),
    "stddev_pop": (False, True),
}


@dataclass(frozen=True, slots=True)
class Native:
    """How native calls of one aggregate are written: modifiers inside, FILTER and OVER behind."""

    distinct: str = ""
    order: str = ""
    suffix: str = ""

    def call(self, name: str, *args: str, order: str | None = None) -> str:
        inside = self.order if order is None else order
        return f"{name}({self.distinct}{', '.join(args)}{inside}){self.suffix}"


class AggregateRenderer:
    """Renders aggregate calls with the scalars of one statement."""

    def __init__(self, scalars: ScalarRenderer) -> None:
        self.scalars = scalars
        self.udfs = scalars.udfs
        self.row_order = ""  # the column that numbers input rows, where render_aggregation made one

    def render(self, call: AggregateCall, over: str = "") -> Expr:
        """Return an aggregate call; `over` is an OVER clause or empty."""
        return self.scalars.settled(self._render(call, over))

    def _render(self, call: AggregateCall, over: str) -> Expr:
        where = f" FILTER (WHERE {self.scalars.condition(call.filter)})" if call.filter else ""
        order = self._order(call, over)
        native = Native("DISTINCT " if call.distinct else "", order, where + over)
        name = call.aggregate.name
        if call.star or (name == "count" and not call.args):
            return Expr(f"count(*){native.suffix}", physical_of(INT8))
        given = call.args
        if call.aggregate.ordered_set:  # the accumulators take the sorted values as well
            given = (*given, *(key.scalar for key in call.order_by))
        args = [self._typed(self.scalars.render(arg), arg) for arg in given]
        own = _OWN.get(name)
        if own is not None and args and (found := own(self, call, args[0], native)):
            return found
        aggregate = call.aggregate
        if aggregate.duck is not None and not any(arg.physical.is_numeric for arg in args):
            return self._template(aggregate, call, args, native)
        return self._collected(call, args, native)

    def _order(self, call: AggregateCall, over: str) -> str:
        """Return ORDER BY: as asked for, or as PostgreSQL happens to collect rows."""
        if call.order_by:
            return f" ORDER BY {self.scalars.sort_keys(call.order_by)}"
        if call.aggregate.name not in ORDER_SENSITIVE or over:
            return ""
        if call.distinct:  # PostgreSQL sorts to find what is distinct
            return f" ORDER BY {self.scalars.sort_key(SortKey(call.args[0]))}"
        return f" ORDER BY {self.row_order}" if self.row_order else ""

    def _typed(self, arg: Expr, node: Any) -> Expr:
        if not arg.physical.is_null:
            return arg
        form = physical_of(node.type)
        return Expr(f"CAST(NULL AS {form.duck})", form)

    def _template(
        self, aggregate: Aggregate, call: AggregateCall, args: Sequence[Expr], native: Native
    ) -> Expr:
        assert aggregate.duck is not None, "checked by the caller"
        text = aggregate.duck.format(
            *[arg.text for arg in args],
            distinct=native.distinct,
            order=native.order,
            filter=native.suffix,
            mods=native.suffix,
        )
        form = physical_of(call.type)
        return Expr(f"CAST({text} AS {form.duck})", form)

    def _collected(self, call: AggregateCall, args: Sequence[Expr], native: Native) -> Expr:
        """Collect the arguments of a group and run the Python accumulator over them."""
        plain = [numeric_forms.to_text(a) if a.physical.is_numeric else a for a in args]
        if len(plain) == 1:
            item, element = plain[0].text, plain[0].physical
        else:
            element = record_of(arg.physical for arg in plain)
            pairs = ", ".join(f"f{i} := {arg.text}" for i, arg in enumerate(plain))
            item = f"struct_pack({pairs})"
        collected = Physical(SqlType(2287), element=element)  # record[]: never shown
        is_deduplicated = call.distinct and any(arg.physical.is_numeric for arg in plain)
        if is_deduplicated:  # texts of equal numerics differ: Python tells
            native = Native("", native.order, native.suffix)
        lists = Expr(native.call("list", item), collected)
        make: Callable[..., Any] = call.aggregate.python
        if call.aggregate.needs_context:
            make = partial(make, self.scalars.ctx)
        if call.type.oid == 2249:
            raise FeatureNotSupported(f"aggregate {call.aggregate.name} of records")
        run = _accumulate(make, is_tuple=len(plain) > 1, is_deduplicated=is_deduplicated)
        key = ("aggregate", id(call.aggregate), len(plain), is_deduplicated)
        return self.udfs.call(run, [lists], physical_of(call.type), key=key, strict=False)

    # The functions below return None where the registry's own rendering does.

    def count(self, _call: AggregateCall, arg: Expr, native: Native) -> Expr | None:
        counted = self.scalars.grouped(arg) if native.distinct else arg.text
        return Expr(native.call("count", counted, order=""), physical_of(INT8))

    def sum(self, call: AggregateCall, arg: Expr, native: Native) -> Expr | None:
        oid, form = arg.physical.type.oid, arg.physical
        if oid in _SMALL_INTEGERS:
            total = native.call("sum", arg.text, order="")
            return Expr(f"CAST({total} AS BIGINT)", physical_of(INT8))
        if oid == INT8.oid:
            return Expr(f"CAST({native.call('sum', arg.text, order='')} AS {_HUGE.duck})", _HUGE)
        if form.is_fixed and form.precision <= _SUMMABLE_DIGITS:
            wide = fixed(PRECISION_MAX, form.scale)
            assert wide is not None, "38 digits are allowed"
            return Expr(f"CAST({native.call('sum', arg.text, order='')} AS {wide.duck})", wide)
        if oid == FLOAT8.oid:  # float4 sums in single precision: the accumulator does
            total = native.call("sum", arg.text, order="")
            return Expr(_checked_sum(total, arg.text, native), physical_of(FLOAT8))
        return None

    def avg(self, call: AggregateCall, arg: Expr, native: Native) -> Expr | None:
        oid = arg.physical.type.oid
        if oid in _FLOATS:
            mean_text = native.call("avg", arg.text, order="")
            return Expr(_checked_sum(mean_text, arg.text, native), physical_of(FLOAT8))
        total = self.sum(call, arg, native) if oid != 1186 else None
        if total is None:
            return None
        if total.physical.type.oid == INT8.oid:  # the sum of int4 need not fit int8 for its mean
            total = Expr(f"CAST({native.call('sum', arg.text, order='')} AS {_HUGE.duck})", _HUGE)
        count = Expr(native.call("count", arg.text, order=""), physical_of(INT8))
        return self.udfs.call(mean, [total, count], numeric_forms.TEXT_FORM)

    def extreme(self, call: AggregateCall, arg: Expr, native: Native) -> Expr | None:
        name, form = call.aggregate.name, arg.physical
        plain = Native("", "", native.suffix)
        if form.is_text_numeric or form.type.oid == 1042:
            key = self.scalars.ordered(arg)
            return Expr(plain.call(f"{name}_by", arg.text, key), form)
        if form.element is not None:
            self.scalars.ordered(arg)
        return Expr(
            plain.call(name, arg.text), physical_of(call.type) if not form.is_fixed else form
        )

    def spread(self, call: AggregateCall, arg: Expr, native: Native) -> Expr | None:
        oid, form = arg.physical.type.oid, arg.physical
        name = call.aggregate.name
        if oid in _FLOATS:
            return None  # DuckDB's algorithm differs in the last digits
        if oid in _SMALL_INTEGERS:
            value, square, scale = f"({arg.text})::BIGINT", "", 0
            square = f"{value}::HUGEINT * {value}"
        elif form.is_fixed and form.precision <= 14:
            value, scale = arg.text, form.scale
            square = f"CAST({value} * {value} AS DECIMAL({2 * form.precision},{2 * scale}))"
        else:
            return None
        total = Physical(NUMERIC, PRECISION_MAX, scale)
        squares = Physical(NUMERIC, PRECISION_MAX, 2 * scale)
        args = [
            Expr(native.call("count", value, order=""), physical_of(INT8)),
            Expr(f"CAST({native.call('sum', value, order='')} AS {total.duck})", total),
            Expr(f"CAST({native.call('sum', square, order='')} AS {squares.duck})", squares),
        ]
        is_sample, is_root = _SPREAD[name]
        run = _spread_of(is_sample=is_sample, is_root=is_root)
        if native.distinct:  # squares of distinct values are distinct only up to sign
            return None
        return self.udfs.call(run, args, numeric_forms.TEXT_FORM, key=("spread", name))

    def percentile(self, call: AggregateCall, fraction: Expr, native: Native) -> Expr | None:
        """Render one constant fraction of float8; others collect a list."""
        value = re.fullmatch(r"'([01](?:\.\d+)?)'::DOUBLE", fraction.text)
        keys = call.order_by
        if value is None or float(value[1]) > 1 or len(keys) != 1:
            return None
        if call.type.oid != FLOAT8.oid or keys[0].descending:
            return None
        plain = Native(suffix=native.suffix)
        text = plain.call("quantile_cont", self.scalars.render(keys[0].scalar).text, value[1])
        return Expr(text, physical_of(FLOAT8))

    def listed(self, call: AggregateCall, arg: Expr, native: Native) -> Expr | None:
        form = physical_of(call.type)
        if native.distinct and arg.physical.is_numeric:
            return None
        if arg.physical.element is not None:
            raise FeatureNotSupported("multidimensional arrays are not supported in this query")
        item = numeric_forms.to_text(arg) if arg.physical.is_numeric else arg
        return Expr(native.call("list", item.text), form)

    def joined(self, call: AggregateCall, arg: Expr, native: Native) -> Expr | None:
        if call.type.oid == 17 or len(call.args) != 2:
            return None
        delimiter = self.scalars.render(call.args[1])
        if not _QUOTED.fullmatch(delimiter.text):  # DuckDB wants a constant
            return None
        return Expr(native.call("string_agg", arg.text, delimiter.text), physical_of(call.type))

    def truth(self, call: AggregateCall, arg: Expr, native: Native) -> Expr | None:
        name = "bool_or" if call.aggregate.name == "bool_or" else "bool_and"
        return Expr(native.call(name, arg.text, order=""), physical_of(call.type))


Own = Callable[[AggregateRenderer, AggregateCall, Expr, Native], Expr | None]
_OWN: Final[dict[str, Own]] = {
    "count": AggregateRenderer.count,
    "sum": AggregateRenderer.sum,
    "avg": AggregateRenderer.avg,
    "min": AggregateRenderer.extreme,
    "max": AggregateRenderer.extreme,
    "percentile_cont": AggregateRenderer.percentile,
    "string_agg": AggregateRenderer.joined,
    "array_agg": AggregateRenderer.listed,
    "bool_and": AggregateRenderer.truth,
    "every": AggregateRenderer.truth,
    "bool_or": AggregateRenderer.truth,
    **dict.fromkeys(_SPREAD, AggregateRenderer.spread),
}


def _checked_sum(total: str, value: str, native: Native) -> str:
    """Return a sum of float8, or 22003 where finite values have an infinite one."""
    special = Native(suffix=native.suffix).call("bool_or", f"isinf({value})")
    return (
        f"(CASE WHEN isinf({total}) AND NOT coalesce({special}, FALSE) "
        f"THEN error('[[22003]]value out of range: overflow') ELSE {total} END)"
    )


def mean(total: Decimal, count: int) -> Decimal | None:
    """Divide a sum by its count as numeric_avg does."""
    return decimals.divide(total, Decimal(count)) if count else None


def _spread_of(*, is_sample: bool, is_root: bool) -> Callable[[int, Decimal, Decimal], Any]:
    def run(count: int, total: Decimal, squares: Decimal) -> Decimal | None:
        if count == 0 or (is_sample and count == 1):
            return None
        return spread(count, total, squares, is_sample=is_sample, is_root=is_root)

    return run


def spread(
    count: int, total: Decimal, squares: Decimal, *, is_sample: bool, is_root: bool
) -> Decimal:
    """Return the variance or standard deviation from N, ΣX and ΣX²: numeric_stddev_internal."""
    n = Decimal(count)
    numerator = decimals.subtract(decimals.multiply(n, squares), decimals.multiply(total, total))
    if numerator <= 0:
        return Decimal(0)
    divisor = decimals.multiply(n, n - 1 if is_sample else n)
    scale = decimals.division_scale(numerator, divisor)
    variance = decimals.quotient(numerator, divisor, scale)
    if not is_root:
        return variance
    digits = max(variance.adjusted(), 0) + scale + 25
    context = decimals.EXACT.copy()
    context.prec = digits
    return decimals.rounded(context.sqrt(variance), scale)


def _accumulate(
    make: Callable[[], Any], *, is_tuple: bool, is_deduplicated: bool
) -> Callable[[Any], Any]:
    def run(rows: list[Any] | None) -> Any:
        accumulator = make()
        step = accumulator.step
        for row in _distinct(rows or ()) if is_deduplicated else rows or ():
            if is_tuple:
                step(*row)
            else:
                step(row)
        return accumulator.final()

    return run


def _distinct(rows: Sequence[Any]) -> list[Any]:
    """Return the first of equal rows; NaN equals itself."""
    return list({_equality_key(row): row for row in reversed(rows)}.values())[::-1]


def _equality_key(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_equality_key, value))
    return "NaN" if isinstance(value, Decimal) and value.is_nan() else value
