"""Calls that wait (nextval and its kin), taken out of scalars so that the rest stays synchronous.

**Model.** Each such call becomes one more column of the row, computed before the row's scalars run.
Where SQL might not reach the call (inside CASE, COALESCE, AND, OR) this would be wrong: no row
shape.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from pgwire.errors import ReadOnlySqlTransaction
from sqlnode.functions.registry import Function
from sqlnode.plan.scalar import And, Call, Case, Coalesce, ColumnRef, Or, Scalar, walk
from sqlnode.rowexec.evals import Eval, Row, constant_value, is_constant
from sqlnode.rowexec.not_row_shape import NotRowShape
from sqlnode.rowexec.scalars import compile_scalar

if TYPE_CHECKING:
    from sqlnode.context import ExecContext

_WRITING = ("nextval", "setval")
_CONDITIONAL = (And, Or, Case, Coalesce)


def has_async_call(node: Any) -> bool:
    """Tell whether a call that waits stands in the scalar."""
    return any(isinstance(part, Call) and part.function.is_async for part in walk(node))


class AsyncCalls:
    """Collects the async calls of several scalars over one row layout.

    `layout` grows by one column for each call taken; rows grow by `extend`.
    """

    def __init__(self, layout: dict[int, int], width: int) -> None:
        self.layout = dict(layout)
        self._width = width
        self._calls: list[tuple[Function, list[Eval]]] = []

    def __bool__(self) -> bool:
        return bool(self._calls)

    def take(self, node: Any) -> Any:
        """Return the scalar with its async calls as columns. Raises: NotRowShape."""
        if not has_async_call(node):
            return node
        if isinstance(node, _CONDITIONAL):
            called = next(p for p in walk(node) if isinstance(p, Call) and p.function.is_async)
            raise NotRowShape(f"function {called.function.name} in a conditional expression")
        changed = {
            f.name: self._take_value(getattr(node, f.name))
            for f in fields(node)
            if f.name not in ("type", "function", "rule")
        }
        node = replace(node, **changed)
        if not (isinstance(node, Call) and node.function.is_async):
            return node
        args = [compile_scalar(arg, self.layout) for arg in node.args]
        column_id = -1_000_000 - len(self._calls)  # the binder counts upwards from zero
        self.layout[column_id] = self._width + len(self._calls)
        self._calls.append((node.function, args))
        return ColumnRef(column_id, node.type)

    def _take_value(self, value: Any) -> Any:
        if isinstance(value, Scalar):
            return self.take(value)
        if type(value) is tuple:
            return tuple(self._take_value(item) for item in value)
        return value

    async def extend(self, rows: Sequence[Row], ctx: "ExecContext") -> list[Row]:
        """Return the rows with the calls' results appended."""
        extended = [tuple(row) for row in rows]
        for function, args in self._calls:
            results = await _results(function, args, extended, ctx)
            extended = [(*row, result) for row, result in zip(extended, results, strict=True)]
        return list(extended)


async def _results(
    function: Function, args: list[Eval], rows: list[tuple[Any, ...]], ctx: "ExecContext"
) -> list[Any]:
    if function.name in _WRITING and ctx.session.variables.get("transaction_read_only") == "on":
        raise ReadOnlySqlTransaction(f"cannot execute {function.name}() in a read-only transaction")
    if function.name == "nextval" and is_constant(args[0]) and constant_value(args[0]) is not None:
        return await ctx.sequences.nextvals(constant_value(args[0]), len(rows))
    python: Callable[..., Any] | None = function.python
    assert python is not None, "an async function is a Python function"
    results = []
    for row in rows:
        datums = [arg(row, ctx) for arg in args]
        missing = function.strict and None in datums
        context = (ctx,) if function.needs_context else ()
        results.append(None if missing else await python(*context, *datums))
    return results
