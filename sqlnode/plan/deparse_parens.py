"""Where a pretty-printed operand can stand without parentheses.

Source: PostgreSQL, src/backend/utils/adt/ruleutils.c (isSimpleNode).
"""

from typing import Any, Final

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
    InList,
    IsDistinct,
    IsNull,
    MinMax,
    Not,
    NullIf,
    Or,
    RowItems,
)

_SYNTAX_FUNCTIONS: Final = frozenset({"extract", "timezone"})
_SEPARATED: Final = (ArrayItems, RowItems, Coalesce, MinMax, NullIf, Case)
_BOOLEAN: Final = (And, Or, Not)


def is_simple(node: Any, parent: Any) -> bool:
    """Say whether `node` needs no parentheses as an operand of `parent`."""
    match node:
        case Cast():
            return _is_call_cast(node) or is_simple(node.arg, node)
        case Call() if _is_operator(node):
            if isinstance(parent, Call) and _is_operator(parent):
                return _binds_tighter(node, parent)
            return _is_separated_by(parent)
        case IsNull() | BoolTest() | IsDistinct():
            return _is_separated_by(parent)
        case And() | Or() | Not():
            if isinstance(parent, _BOOLEAN):
                return isinstance(parent, Or) or (
                    isinstance(parent, And) and not isinstance(node, Or)
                )
            return _is_separated_by(parent)
        case AnyAll() | InList():
            return False
    return True


def _is_separated_by(parent: Any) -> bool:
    if isinstance(parent, Cast | Coerce):
        return False
    if isinstance(parent, Call):
        return not _is_operator(parent) and parent.function.name not in _SYNTAX_FUNCTIONS
    return isinstance(parent, _BOOLEAN + _SEPARATED)


def _is_call_cast(node: Cast) -> bool:
    """Say if a cast is a call to PostgreSQL; relabelling, or going by way of text, is none."""
    categories = {node.type.info.category, node.arg.type.info.category}
    return node.rule.function is not None and "S" not in categories


def _is_operator(node: Call) -> bool:
    return _symbol(node) is not None


def _symbol(node: Call) -> str | None:
    from sqlnode.plan.deparse import operator_symbol

    return operator_symbol(node.function)


def _binds_tighter(node: Call, parent: Call) -> bool:
    """Know (a - b) - c and a - b * c from a - (b - c); only + - * / % count."""
    symbol, outer = _symbol(node), _symbol(parent)
    is_known = len(node.args) == len(parent.args) == 2 and bool(symbol) and bool(outer)
    if not is_known or symbol not in "+-*/%" or outer not in "+-*/%":  # type: ignore[operator] # is_known
        return False
    is_high, is_outer_high = symbol in "*/%", outer in "*/%"  # type: ignore[operator] # is_known
    if is_high != is_outer_high:
        return is_high
    return node is parent.args[0]
