"""Scalars back to SQL, as PostgreSQL's pg_get_expr prints them.

**Model.** Used for what the catalog shows and stores: defaults and CHECK conditions. Implicit casts
are left out, constants carry their type unless it is plain from their spelling, operators stand in
parentheses. The text binds to an equal scalar again.

Source: PostgreSQL, src/backend/utils/adt/ruleutils.c (get_rule_expr, get_const_expr).
"""

from functools import singledispatch
from typing import Any, Final

from pgwire.codecs.registry import text_out
from pgwire.errors import FeatureNotSupported
from sqlnode.functions.registry import REGISTRY, CastContext, Function
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
)
from sqlnode.types import BOOL, INT4, NUMERIC, UNKNOWN, format_type

_BARE_IDENTIFIER: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_")
# Functions that SQL spells as key words, and that pg_get_expr prints so.
_KEYWORD_FUNCTIONS: Final = frozenset(
    {"current_timestamp", "current_date", "current_time", "localtime", "localtimestamp"}
    | {"current_user", "session_user", "current_role", "current_catalog", "current_schema", "user"}
)


@singledispatch
def deparse(node: Any) -> str:
    """Return the SQL text of a bound scalar. Raises: FeatureNotSupported."""
    raise FeatureNotSupported(f"{type(node).__name__} in a stored expression is not supported")


@deparse.register
def _const(node: Const) -> str:
    shown = format_type(node.type)
    if node.value is None:
        return "NULL" if node.type.oid == UNKNOWN.oid else f"NULL::{shown}"
    if node.type.oid == BOOL.oid:
        return "true" if node.value else "false"
    text = text_out(node.type.oid)(node.value, None)
    if node.type.oid in (INT4.oid, NUMERIC.oid) and text[0] in "0123456789":
        is_plain = node.type.oid == INT4.oid or (
            not set(text) - set("0123456789.") and "." in text and node.type.typmod < 0
        )
        return text if is_plain else f"{text}::{shown}"
    quoted = quote_literal(text)
    return quoted if node.type.oid == UNKNOWN.oid else f"{quoted}::{shown}"


def quote_literal(text: str) -> str:
    """Quote a string constant.

    >>> quote_literal("it's")
    "'it''s'"
    """
    doubled = text.replace("'", "''")
    return f"E'{doubled}'".replace("\\", "\\\\") if "\\" in text else f"'{doubled}'"


def quote_name(name: str) -> str:
    """Quote an identifier if it needs it.

    >>> quote_name("plain"), quote_name("Not Plain")
    ('plain', '"Not Plain"')
    """
    if name and not set(name) - _BARE_IDENTIFIER and not name[0].isdigit():
        return name
    return '"' + name.replace('"', '""') + '"'


@deparse.register
def _column(node: ColumnRef) -> str:
    return quote_name(node.name)


@deparse.register
def _call(node: Call) -> str:
    args = [deparse(arg) for arg in node.args]
    symbol = _operator_symbol(node.function)
    if symbol is not None and len(args) == 2:
        return f"({args[0]} {symbol} {args[1]})"
    if symbol is not None and len(args) == 1:
        return f"({symbol} {args[0]})"
    if node.function.name in _KEYWORD_FUNCTIONS and not args:
        return node.function.name.upper()
    return f"{quote_name(node.function.name)}({', '.join(args)})"


def _operator_symbol(function: Function) -> str | None:
    for symbol, operators in REGISTRY.operators.items():
        if any(operator.function is function for operator in operators):
            return symbol
    return None


@deparse.register
def _cast(node: Cast) -> str:
    inner = deparse(node.arg)
    if not node.explicit and node.rule.context is not CastContext.EXPLICIT:
        return inner
    return f"({inner})::{format_type(node.type)}"


@deparse.register
def _coerce(node: Coerce) -> str:
    inner = deparse(node.arg)
    return f"({inner})::{format_type(node.type)}" if node.explicit else inner


@deparse.register
def _and(node: And) -> str:
    return "(" + " AND ".join(deparse(arg) for arg in node.args) + ")"


@deparse.register
def _or(node: Or) -> str:
    return "(" + " OR ".join(deparse(arg) for arg in node.args) + ")"


@deparse.register
def _not(node: Not) -> str:
    return f"(NOT {deparse(node.arg)})"


@deparse.register
def _is_null(node: IsNull) -> str:
    return f"({deparse(node.arg)} IS {'NOT ' if node.negated else ''}NULL)"


@deparse.register
def _bool_test(node: BoolTest) -> str:
    word = {True: "TRUE", False: "FALSE", None: "UNKNOWN"}[node.wanted]
    return f"({deparse(node.arg)} IS {'NOT ' if node.negated else ''}{word})"


@deparse.register
def _is_distinct(node: IsDistinct) -> str:
    middle = "IS NOT DISTINCT FROM" if node.negated else "IS DISTINCT FROM"
    return f"({deparse(node.left)} {middle} {deparse(node.right)})"


@deparse.register
def _case(node: Case) -> str:
    whens = " ".join(f"WHEN {deparse(c)} THEN {deparse(r)}" for c, r in node.whens)
    return f"CASE {whens} ELSE {deparse(node.default)} END"


@deparse.register
def _coalesce(node: Coalesce) -> str:
    return f"COALESCE({', '.join(deparse(arg) for arg in node.args)})"


@deparse.register
def _null_if(node: NullIf) -> str:
    return f"NULLIF({deparse(node.left)}, {deparse(node.right)})"


@deparse.register
def _min_max(node: MinMax) -> str:
    name = "GREATEST" if node.greatest else "LEAST"
    return f"{name}({', '.join(deparse(arg) for arg in node.args)})"


@deparse.register
def _in_list(node: InList) -> str:
    """PostgreSQL stores IN as = ANY over an array, NOT IN as <> ALL."""
    items = ", ".join(deparse(item) for item in node.items)
    middle = "<> ALL" if node.negated else "= ANY"
    return f"({deparse(node.arg)} {middle} (ARRAY[{items}]))"


@deparse.register
def _any_all(node: AnyAll) -> str:
    symbol = _operator_symbol(node.function)
    word = "ALL" if node.is_all else "ANY"
    return f"({deparse(node.arg)} {symbol} {word} ({deparse(node.array)}))"


@deparse.register
def _array(node: ArrayItems) -> str:
    return f"ARRAY[{', '.join(deparse(item) for item in node.items)}]"
