"""Bound scalars to closures: compiled once per plan, run once per row.

**Model.** One rule for each node of plan/scalar.py. NULL is None everywhere, so three-valued logic
is spelled out; conditions count as met only if they are True. Subqueries, set-returning and
asynchronous calls are not for rowexec (async ones are taken out first, see async_calls.py).
"""

import operator
from collections.abc import Callable, Sequence
from functools import singledispatch
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from pgwire.datum import Record
from sqlnode.functions.array_shape import array_of_arrays
from sqlnode.functions.registry import Function
from sqlnode.plan.scalar import (
    And,
    AnyAll,
    ArrayItems,
    BoolTest,
    Call,
    Case,
    Cast,
    Coalesce,
    Coerce,
    ColumnRef,
    Const,
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
)
from sqlnode.rowexec.coercion import coercion
from sqlnode.rowexec.evals import (
    Eval,
    Layout,
    Row,
    column_position,
    compile_function,
    compile_leaf,
    constant,
    constant_value,
    is_constant,
)
from sqlnode.rowexec.not_row_shape import NotRowShape
from sqlnode.types import RECORD

if TYPE_CHECKING:
    from sqlnode.context import ExecContext


@singledispatch
def compile_scalar(node: Any, layout: Layout) -> Eval:
    """Compile a scalar over rows of `layout`. Raises: NotRowShape."""
    raise NotRowShape(type(node).__name__)


def compile_row(
    nodes: Sequence[Scalar], layout: Layout
) -> "Callable[[Row, ExecContext], tuple[Any, ...]]":
    """Compile several scalars to one function that gives their tuple."""
    if nodes and all(isinstance(node, ColumnRef) for node in nodes):
        positions = [column_position(n, layout) for n in nodes if isinstance(n, ColumnRef)]
        if len(positions) == 1:
            (position,) = positions
            return lambda row, _ctx: (row[position],)
        pick = itemgetter(*positions)
        return lambda row, _ctx: pick(row)
    evals = [compile_scalar(node, layout) for node in nodes]
    return lambda row, ctx: tuple([evaluate(row, ctx) for evaluate in evals])


@compile_scalar.register(Const)
@compile_scalar.register(Param)
@compile_scalar.register(ColumnRef)
def _leaf(node: Const | Param | ColumnRef, layout: Layout) -> Eval:
    return compile_leaf(node, layout)


@compile_scalar.register(Call)
def _call(node: Call, layout: Layout) -> Eval:
    return compile_function(node.function, [compile_scalar(arg, layout) for arg in node.args])


@compile_scalar.register(Cast)
def _cast(node: Cast, layout: Layout) -> Eval:
    arg = compile_scalar(node.arg, layout)
    if node.rule.function is None:
        return arg
    return compile_function(node.rule.function, [arg])


@compile_scalar.register(Coerce)
def _coerce(node: Coerce, layout: Layout) -> Eval:
    arg = compile_scalar(node.arg, layout)
    coerce = coercion(node.type, explicit=node.explicit)
    if coerce is None:
        return arg

    def coerced(row: Row, ctx: "ExecContext") -> Any:
        datum = arg(row, ctx)
        return None if datum is None else coerce(datum)

    return coerced


@compile_scalar.register(And)
def _and(node: And, layout: Layout) -> Eval:
    args = [compile_scalar(arg, layout) for arg in node.args]

    def conjunction(row: Row, ctx: "ExecContext") -> bool | None:
        result: bool | None = True
        for arg in args:
            truth = arg(row, ctx)
            if truth is False:
                return False
            if truth is None:
                result = None
        return result

    return conjunction


@compile_scalar.register(Or)
def _or(node: Or, layout: Layout) -> Eval:
    args = [compile_scalar(arg, layout) for arg in node.args]

    def disjunction(row: Row, ctx: "ExecContext") -> bool | None:
        result: bool | None = False
        for arg in args:
            truth = arg(row, ctx)
            if truth is True:
                return True
            if truth is None:
                result = None
        return result

    return disjunction


@compile_scalar.register(Not)
def _not(node: Not, layout: Layout) -> Eval:
    arg = compile_scalar(node.arg, layout)

    def negation(row: Row, ctx: "ExecContext") -> bool | None:
        truth = arg(row, ctx)
        return None if truth is None else not truth

    return negation


@compile_scalar.register(IsNull)
def _is_null(node: IsNull, layout: Layout) -> Eval:
    arg = compile_scalar(node.arg, layout)
    if node.arg.type.oid == RECORD.oid:
        return _record_is_null(arg, node.negated)
    if node.negated:
        return lambda row, ctx: arg(row, ctx) is not None
    return lambda row, ctx: arg(row, ctx) is None


def _record_is_null(arg: Eval, negated: bool) -> Eval:
    """Test a record: IS NULL if every field is, IS NOT NULL if no field is."""

    def test(row: Row, ctx: "ExecContext") -> bool:
        record = arg(row, ctx)
        if record is None:
            return not negated
        return all((field is None) is not negated for field in record)

    return test


@compile_scalar.register(BoolTest)
def _bool_test(node: BoolTest, layout: Layout) -> Eval:
    arg, wanted, negated = compile_scalar(node.arg, layout), node.wanted, node.negated
    return lambda row, ctx: (arg(row, ctx) is wanted) is not negated


@compile_scalar.register(IsDistinct)
def _is_distinct(node: IsDistinct, layout: Layout) -> Eval:
    left, right = compile_scalar(node.left, layout), compile_scalar(node.right, layout)
    equals, negated = _function(node.equals), node.negated

    def is_distinct(row: Row, ctx: "ExecContext") -> bool:
        a, b = left(row, ctx), right(row, ctx)
        if a is None or b is None:
            return (a is not b) is not negated
        return (not equals(a, b)) is not negated

    return is_distinct


@compile_scalar.register(Case)
def _case(node: Case, layout: Layout) -> Eval:
    whens = [
        (compile_scalar(condition, layout), compile_scalar(value, layout))
        for condition, value in node.whens
    ]
    default = compile_scalar(node.default, layout)

    def case(row: Row, ctx: "ExecContext") -> Any:
        for condition, value in whens:
            if condition(row, ctx) is True:
                return value(row, ctx)
        return default(row, ctx)

    return case


@compile_scalar.register(Coalesce)
def _coalesce(node: Coalesce, layout: Layout) -> Eval:
    args = [compile_scalar(arg, layout) for arg in node.args]

    def coalesce(row: Row, ctx: "ExecContext") -> Any:
        for arg in args:
            datum = arg(row, ctx)
            if datum is not None:
                return datum
        return None

    return coalesce


@compile_scalar.register(NullIf)
def _null_if(node: NullIf, layout: Layout) -> Eval:
    left, right = compile_scalar(node.left, layout), compile_scalar(node.right, layout)
    compared, equals = compile_scalar(node.compared_left, layout), _function(node.equals)

    def null_if(row: Row, ctx: "ExecContext") -> Any:
        a, b = compared(row, ctx), right(row, ctx)
        if a is not None and b is not None and equals(a, b):
            return None
        return left(row, ctx)

    return null_if


@compile_scalar.register(MinMax)
def _min_max(node: MinMax, layout: Layout) -> Eval:
    args = [compile_scalar(arg, layout) for arg in node.args]
    less, greatest = _function(node.less), node.greatest

    def min_max(row: Row, ctx: "ExecContext") -> Any:
        best = None
        for arg in args:
            datum = arg(row, ctx)
            if datum is None:
                continue
            if best is None or (less(best, datum) if greatest else less(datum, best)):
                best = datum
        return best

    return min_max


@compile_scalar.register(InList)
def _in_list(node: InList, layout: Layout) -> Eval:
    arg = compile_scalar(node.arg, layout)
    items = [compile_scalar(item, layout) for item in node.items]
    negated = node.negated
    equals = _function(node.equals)
    if equals is operator.eq and all(map(is_constant, items)):
        return _in_constants(arg, [constant_value(item) for item in items], negated)

    def in_list(row: Row, ctx: "ExecContext") -> bool | None:
        datum = arg(row, ctx)
        if datum is None:
            return None
        result: bool | None = negated
        for item in items:
            candidate = item(row, ctx)
            if candidate is None:
                result = None
            elif equals(datum, candidate):
                return not negated
        return result

    return in_list


def _in_constants(arg: Eval, values: list[Any], negated: bool) -> Eval:
    found = frozenset(value for value in values if value is not None)
    missing = None if None in values else negated

    def in_constants(row: Row, ctx: "ExecContext") -> bool | None:
        datum = arg(row, ctx)
        if datum is None:
            return None
        return not negated if datum in found else missing

    return in_constants


@compile_scalar.register(AnyAll)
def _any_all(node: AnyAll, layout: Layout) -> Eval:
    arg, array = compile_scalar(node.arg, layout), compile_scalar(node.array, layout)
    function, decisive = _function(node.function), not node.is_all

    def any_all(row: Row, ctx: "ExecContext") -> bool | None:
        datum, items = arg(row, ctx), array(row, ctx)
        if items is None:
            return None
        result: bool | None = not decisive
        for item in flattened(items):
            if datum is None or item is None:
                result = None
            else:
                truth = function(datum, item)
                if truth is decisive:
                    return decisive
                if truth is None:
                    result = None
        return result

    return any_all


def flattened(array: Sequence[Any]) -> Sequence[Any]:
    """Return the elements of an array of any number of dimensions."""
    if array and isinstance(array[0], list):
        return [item for part in array for item in flattened(part)]
    return array


@compile_scalar.register(ArrayItems)
def _array_items(node: ArrayItems, layout: Layout) -> Eval:
    items = [compile_scalar(item, layout) for item in node.items]
    if any(item.type.info.element_oid for item in node.items):
        return lambda row, ctx: array_of_arrays([item(row, ctx) for item in items])
    if all(map(is_constant, items)):
        return constant([constant_value(item) for item in items])
    return lambda row, ctx: [item(row, ctx) for item in items]


@compile_scalar.register(RowItems)
def _row_items(node: RowItems, layout: Layout) -> Eval:
    items = [compile_scalar(item, layout) for item in node.items]
    oids = tuple(item.type.oid for item in node.items)
    return lambda row, ctx: Record.of([item(row, ctx) for item in items], oids)


def _function(function: Function) -> Callable[..., Any]:
    if function.python is None or function.needs_context:
        raise NotRowShape("comparison without a plain Python form")
    return function.python
