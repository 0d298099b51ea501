"""Operators: from a symbol and operand types to the function behind it.

**Source.** PostgreSQL docs, section 10.2; parse_oper.c oper(), left_oper().
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from pgwire.errors import AmbiguousFunction, DatatypeMismatch, SqlError, UndefinedFunction
from sqlnode.functions.registry import REGISTRY, CastContext, Function, Operator
from sqlnode.plan.coerce import POLYMORPHIC, coerce, resolve_unknown
from sqlnode.plan.env import Env
from sqlnode.plan.resolve import Candidate, matching, polymorphic, select_candidate, substitute
from sqlnode.plan.scalar import Call, Scalar
from sqlnode.types import ANY, UNKNOWN, SqlType, format_type

_HINT = (
    "No operator matches the given name and argument types. You might need to add explicit "
    "type casts."
)
_PREFIX_HINT = (
    "No operator matches the given name and argument type. You might need to add an explicit "
    "type cast."
)
_NO_ARRAYS = frozenset({"textanycat", "anytextcat"})  # they take anynonarray
_AMBIGUOUS_HINT = (
    "Could not choose a best candidate operator. You might need to add explicit type casts."
)


def find_operator(
    symbol: str, left: SqlType | None, right: SqlType, position: int | None = None
) -> Operator:
    """Return what `left symbol right` means. Raises: UndefinedFunction, AmbiguousFunction."""
    found = _find(symbol, left.bare if left is not None else None, right.bare)
    if isinstance(found, Operator):
        return found
    raise _error(found, symbol, left, right, position)


def _error(
    ambiguous: bool, symbol: str, left: SqlType | None, right: SqlType, position: int | None
) -> SqlError:
    shown = f"{symbol} {format_type(right.bare)}"
    hint = _HINT if left is not None else _PREFIX_HINT
    if left is not None:
        shown = f"{format_type(left.bare)} {shown}"
    if ambiguous:
        return AmbiguousFunction(
            f"operator is not unique: {shown}", hint=_AMBIGUOUS_HINT, position=position
        )
    return UndefinedFunction(f"operator does not exist: {shown}", hint=hint, position=position)


@lru_cache(maxsize=4096)
def _find(symbol: str, left: SqlType | None, right: SqlType) -> Operator | bool:
    """Return the operator, or False if none fits, True if several do."""
    entries = [o for o in REGISTRY.operators.get(symbol, ()) if (o.left is None) == (left is None)]
    has_array = any(type_ is not None and type_.info.element_oid for type_ in (left, right))
    if has_array:
        entries = [o for o in entries if o.function.name not in _NO_ARRAYS]
    assumed_left, assumed_right = left, right
    if left is not None and left.oid == UNKNOWN.oid:
        assumed_left = right
    elif left is not None and right.oid == UNKNOWN.oid:
        assumed_right = left
    for entry in entries:
        if entry.left == assumed_left and entry.right == assumed_right:
            return _concrete(entry, [t for t in (assumed_left, assumed_right) if t is not None])
        if has_array and entry.function.name == "array_cat" and UNKNOWN in (left, right):
            return entry  # an untyped literal beside an array is an array
    args = (right,) if left is None else (left, right)
    candidates = [
        Candidate(o, (o.right,) if o.left is None else (o.left, o.right)) for o in entries
    ]
    usable = matching(candidates, args)
    if not usable:
        return False
    chosen = usable[0] if len(usable) == 1 else select_candidate(usable, args)
    if chosen is None:
        return True
    return _concrete(chosen.entry, args)


def _concrete(operator: Operator, args: Sequence[SqlType]) -> Operator:
    """Put in the function for the actual types, where it depends on them.

    Where an untyped literal leaves a type open the function stays general: see call_function.
    """
    specialize = operator.function.specialize
    resolved = substitute(operator.function.arguments, args)
    if specialize is None or resolved is None or any(t.oid in POLYMORPHIC for t in resolved[0]):
        return operator
    return replace(operator, function=specialize(resolved[0]))


def bind_operator(
    env: Env, symbol: str, left: Scalar | None, right: Scalar, position: int | None
) -> Scalar:
    """Build the call that `left symbol right` means."""
    operator = find_operator(symbol, left.type if left is not None else None, right.type, position)
    args = (right,) if left is None else (left, right)
    declared = operator.function.arguments
    return call_function(env, operator.function, args, declared, position)


def call_function(
    env: Env,
    function: Function,
    args: tuple[Scalar, ...],
    declared: tuple[SqlType, ...],
    position: int | None,
) -> Call:
    """Build a call, arguments converted to `declared` with polymorphism resolved."""
    resolved = substitute(declared, [arg.type for arg in args])
    assert resolved is not None, "candidates with contradictions were dropped"
    wanted, element = resolved
    done = tuple(
        coerce(env, arg, target, CastContext.IMPLICIT, position)
        for arg, target in zip(args, wanted, strict=True)
    )
    done = tuple(
        _no_unknown(env, arg, target, position) for arg, target in zip(done, wanted, strict=True)
    )
    if function.specialize is not None:
        function = specialized(function, tuple(arg.type.bare for arg in done))
    return Call(function, done, polymorphic(function.result, element), position)


@lru_cache(maxsize=1024)
def specialized(entry: Any, types: tuple[SqlType, ...]) -> Any:
    """Return the function or aggregate made for its actual argument types, the same each time."""
    return entry.specialize(types)


def _no_unknown(env: Env, arg: Scalar, wanted: SqlType, position: int | None) -> Scalar:
    """Make an untyped literal text where any type will do; refuse it where types depend on it."""
    if arg.type.oid != UNKNOWN.oid:
        return arg
    if wanted.oid != ANY.oid:
        raise DatatypeMismatch(
            "could not determine polymorphic type because input has type unknown",
            position=position,
        )
    return resolve_unknown(env, arg, position)


def equality(left: SqlType, right: SqlType, position: int | None = None) -> Operator:
    """Return the = operator of two types. Raises: UndefinedFunction."""
    return find_operator("=", left, right, position)
