"""Short ways to write bound nodes."""

import sqlnode.functions.all  # noqa: F401
from sqlnode.functions.registry import REGISTRY
from sqlnode.plan.scalar import Call, ColumnRef, Const
from sqlnode.types import BOOL, BY_NAME, INT4


def fn(symbol, left, right=None):
    """The function behind an operator, by type names."""
    wanted = (BY_NAME[left], BY_NAME[right or left])
    return next(op.function for op in REGISTRY.operators[symbol] if (op.left, op.right) == wanted)


def col(column_id, sql_type=INT4):
    return ColumnRef(column_id, sql_type)


def i4(value):
    return Const(value, INT4)


def op(symbol, left, right):
    function = fn(symbol, left.type.name, right.type.name)
    return Call(function, (left, right), BOOL)
