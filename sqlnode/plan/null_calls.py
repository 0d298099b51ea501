"""Calls that can only give NULL: a strict function with a NULL among its arguments.

PostgreSQL does not compute the other arguments then, so errors in them do not come up
(eval_const_expressions). Arguments without columns it has computed before, so those stay.
"""

from typing import Any

from sqlnode.plan.logical import Plan
from sqlnode.plan.rewrite import rewrite
from sqlnode.plan.scalar import Call, Cast, Coerce, ColumnRef, Const, Scalar, walk


def without_null_calls(plan: Plan) -> Plan:
    """Return the plan with such calls replaced by NULL."""
    done: Plan = rewrite(plan, _null_instead)
    return done


def _null_instead(node: Any) -> Const | None:
    if (
        type(node) is Call
        and _is_null(node)
        and any(isinstance(part, ColumnRef) for part in walk(node))
    ):
        return Const(None, node.type)
    return None


def _is_null(node: Scalar) -> bool:
    match node:
        case Const():
            return node.value is None
        case Cast() | Coerce():
            return _is_null(node.arg)
        case Call() if node.function.strict and not node.function.returns_set:
            return any(map(_is_null, node.args))
    return False
