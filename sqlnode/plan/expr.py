"""Binding of expressions: the context they are bound in, and the dispatch by syntax node.

**Model.** One function for each syntax node, registered with `@binds`. The modules bind_values,
bind_tests, bind_calls and bind_subquery hold them; `bind` is the one entry.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from pgwire.errors import FeatureNotSupported
from sqlnode.parse.syntax import Expr, Node
from sqlnode.plan.env import Env
from sqlnode.plan.scalar import Scalar
from sqlnode.plan.scope import Scope


@dataclass(frozen=True, slots=True)
class ExprContext:
    """Where an expression stands. `clause` is as error messages name it: WHERE, VALUES."""

    env: Env
    scope: Scope
    clause: str
    in_aggregate: bool = False
    in_window: bool = False

    def inside(self, **changes: Any) -> "ExprContext":
        """Return the context of an operand."""
        return replace(self, **changes)


Binder = Callable[[ExprContext, Any], Scalar]
_BINDERS: Final[dict[type[Node], Binder]] = {}
_F = TypeVar("_F", bound=Binder)


def binds(*nodes: type[Node]) -> Callable[[_F], _F]:
    """Register a function as the binder of syntax nodes."""

    def register(function: _F) -> _F:
        for node in nodes:
            _BINDERS[node] = function
        return function

    return register


def bind(ctx: ExprContext, node: Expr) -> Scalar:
    """Bind an expression. Its type may still be unknown: an untyped literal or parameter."""
    binder = _BINDERS.get(type(node))
    if binder is None:
        raise FeatureNotSupported(f"{type(node).__name__} is not supported in {ctx.clause}")
    return binder(ctx, node)
