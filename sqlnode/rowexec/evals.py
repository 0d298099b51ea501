"""What a compiled scalar is: a function of a row and the statement's context.

A closure that always gives the same datum carries it, so that whatever is built on it can be
computed while compiling.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from sqlnode.functions.registry import Function, Volatility
from sqlnode.plan.scalar import ColumnRef, Const, Param
from sqlnode.rowexec.not_row_shape import NotRowShape

if TYPE_CHECKING:
    from sqlnode.context import ExecContext

Row: TypeAlias = Sequence[Any]
Eval: TypeAlias = "Callable[[Row, ExecContext], Any]"
Layout: TypeAlias = Mapping[int, int]
"""Column id → position in the row."""

_VARIABLE: Final = object()


def constant(value: Any) -> Eval:
    """Return a closure that always gives `value` and says so."""

    def give(_row: Row, _ctx: "ExecContext") -> Any:
        return value

    give.constant = value  # type: ignore[attr-defined] # functions take attributes
    return give


def is_constant(evaluate: Eval) -> bool:
    """Tell whether `evaluate` came from `constant`."""
    return getattr(evaluate, "constant", _VARIABLE) is not _VARIABLE


def constant_value(evaluate: Eval) -> Any:
    """Return what a constant closure gives. Requires: is_constant."""
    return evaluate.constant  # type: ignore[attr-defined] # is_constant says that it is there


def column_position(node: ColumnRef, layout: Layout) -> int:
    """Return where a column lies. Raises: NotRowShape for a column of an outer query."""
    position = layout.get(node.id)
    if position is None:
        raise NotRowShape("correlated column")
    return position


def compile_leaf(node: Const | Param | ColumnRef, layout: Layout) -> Eval:
    """Compile a node without operands."""
    if isinstance(node, Const):
        return constant(node.value)
    if isinstance(node, Param):
        param_index = node.index - 1
        return lambda _row, ctx: ctx.params[param_index]
    position = column_position(node, layout)
    return lambda row, _ctx: row[position]


def compile_function(function: Function, args: Sequence[Eval]) -> Eval:
    """Return a closure that calls `function`; folded if it is immutable and its arguments constant.

    An argument error stays where it is: a constant call that fails raises each time it is run.
    """
    python = function.python
    if python is None or function.returns_set or function.is_async:
        raise NotRowShape(f"function {function.name} in a scalar")
    call = _context_call(python, args, function.strict)
    if not function.needs_context:
        call = _plain_call(python, args, function.strict)
        if function.volatility is Volatility.IMMUTABLE and all(map(is_constant, args)):
            return _folded(call)
    return call


def _folded(call: Eval) -> Eval:
    try:
        return constant(call((), None))  # type: ignore[arg-type] # constants look at neither
    except Exception:  # an error belongs to the rows that reach it, perhaps none
        return call


def _plain_call(python: Callable[..., Any], args: Sequence[Eval], strict: bool) -> Eval:
    if not strict:
        return lambda row, ctx: python(*[arg(row, ctx) for arg in args])
    if len(args) == 1:
        return _strict_unary(python, args[0])
    if len(args) == 2:
        return _strict_binary(python, args[0], args[1])

    def strict_call(row: Row, ctx: "ExecContext") -> Any:
        datums = [arg(row, ctx) for arg in args]
        return None if None in datums else python(*datums)

    return strict_call


def _strict_unary(python: Callable[..., Any], arg: Eval) -> Eval:
    def unary(row: Row, ctx: "ExecContext") -> Any:
        datum = arg(row, ctx)
        return None if datum is None else python(datum)

    return unary


def _strict_binary(python: Callable[..., Any], left: Eval, right: Eval) -> Eval:
    if is_constant(right):
        fixed = constant_value(right)
        if fixed is None:
            return lambda row, ctx: (left(row, ctx), None)[1]  # its errors still show

        def binary_with_constant(row: Row, ctx: "ExecContext") -> Any:
            a = left(row, ctx)
            return None if a is None else python(a, fixed)

        return binary_with_constant

    def binary(row: Row, ctx: "ExecContext") -> Any:
        a = left(row, ctx)
        b = right(row, ctx)
        return None if a is None or b is None else python(a, b)

    return binary


def _context_call(python: Callable[..., Any], args: Sequence[Eval], strict: bool) -> Eval:
    def context_call(row: Row, ctx: "ExecContext") -> Any:
        datums = [arg(row, ctx) for arg in args]
        if strict and None in datums:
            return None
        return python(ctx, *datums)

    return context_call
