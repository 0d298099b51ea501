"""How the tables of this package are written: signatures as text, one call for each entry.

`function("int4pl(int4, int4) int4", …)` registers a function; `operator("+", …)` a function and
the operator in front of it. The types are pg_type names, `[]` makes an array.
"""

import re
from collections.abc import Callable
from typing import Any, Final

from sqlnode.functions.registry import REGISTRY, Function, Operator, Volatility
from sqlnode.types import BY_NAME, SqlType, array_of

IMMUTABLE: Final = Volatility.IMMUTABLE
STABLE: Final = Volatility.STABLE
VOLATILE: Final = Volatility.VOLATILE

_SIGNATURE: Final = re.compile(r"(\w+)\((.*)\) (\S+)")


def type_named(text: str) -> SqlType:
    """Return the type a table names: int4, text[].

    >>> str(type_named("int4[]"))
    'integer[]'
    """
    if text.endswith("[]"):
        return array_of(BY_NAME[text[:-2]])
    return BY_NAME[text]


def types_named(text: str) -> tuple[SqlType, ...]:
    """Return the types of a comma-separated list."""
    return tuple(type_named(part.strip()) for part in text.split(",") if part.strip())


def parse_signature(text: str) -> tuple[str, tuple[SqlType, ...], SqlType]:
    """Return name, argument types and result type of `name(type, …) type`."""
    match = _SIGNATURE.fullmatch(text)
    assert match, text
    return match[1], types_named(match[2]), type_named(match[3])


def build(
    signature: str, python: Callable[..., Any] | None, duck: str | None = None, **fields: Any
) -> Function:
    """Make an entry without registering it: for casts and for specialized functions."""
    name, arguments, result = parse_signature(signature)
    return Function(name, arguments, result, python, duck, **fields)


def function(
    signature: str, python: Callable[..., Any] | None, duck: str | None = None, **fields: Any
) -> Function:
    """Register a function; `fields` are those of `Function`."""
    return REGISTRY.add_function(build(signature, python, duck, **fields))


def operator(
    symbol: str,
    signature: str,
    python: Callable[..., Any] | None,
    duck: str | None = None,
    *,
    commutator: str | None = None,
    negator: str | None = None,
    **fields: Any,
) -> Function:
    """Register a function of one or two arguments and the operator in front of it."""
    entry = function(signature, python, duck, **fields)
    operator_for(symbol, entry, commutator=commutator, negator=negator)
    return entry


def operator_for(
    symbol: str, entry: Function, *, commutator: str | None = None, negator: str | None = None
) -> None:
    """Register one more operator for a function that is registered already."""
    left = entry.arguments[0] if len(entry.arguments) == 2 else None
    REGISTRY.add_operator(Operator(symbol, left, entry.arguments[-1], entry, commutator, negator))


def duck_each(expression: str, *names: str) -> str:
    """Return a template that evaluates each argument once, however often `expression` names it.

    DuckDB has no LET; a one-element list and a lambda are one. Arguments appear as v.a, v.b….

    >>> duck_each("v.a + v.a", "a")
    'list_transform([struct_pack(a := {0})], lambda v: v.a + v.a)[1]'
    """
    packed = ", ".join(f"{name} := {{{index}}}" for index, name in enumerate(names))
    return f"list_transform([struct_pack({packed})], lambda v: {expression})[1]"


def duck_error(sqlstate: str, message: str) -> str:
    """Return DuckDB text that raises; vecexec turns it into the SqlError."""
    return f"error('[[{sqlstate}]]{message}')"
