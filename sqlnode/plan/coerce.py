"""Conversions between types: which may happen where, and the scalars that do them.

**Model.** `coerce` makes `node` a value of a type, or raises; `can_coerce` only asks. An untyped
literal is read by the target's input function, an untyped parameter takes the target's type. Type
modifiers are applied by `coerce_to_column` and casts, as a separate `Coerce`, and never by
function calls.

**Source.** PostgreSQL, parse_coerce.c: coerce_to_target_type, coerce_type, find_coercion_pathway.
"""

from functools import lru_cache
from typing import Any, Final

from pgwire.codecs.registry import text_in, text_out
from pgwire.errors import CannotCoerce, DatatypeMismatch, SqlError
from sqlnode.functions.registry import REGISTRY, CastContext, CastRule, Function, Volatility
from sqlnode.plan.array_access import element_type
from sqlnode.plan.env import Env
from sqlnode.plan.literals import at_position, literal_datum
from sqlnode.plan.scalar import (
    ArrayItems,
    Cast,
    Coerce,
    ColumnRef,
    Const,
    Param,
    RowItems,
    Scalar,
)
from sqlnode.types import (
    ANY,
    ANYARRAY,
    ANYELEMENT,
    INTERVAL,
    NUMERIC,
    TEXT,
    UNKNOWN,
    SqlType,
    element_of,
    format_type,
)

POLYMORPHIC: Final = (ANY.oid, ANYARRAY.oid, ANYELEMENT.oid)
_STRINGS: Final = "S"
_MODIFIED: Final = frozenset({1042, 1043, NUMERIC.oid, 1083, 1114, 1184, INTERVAL.oid})


def find_cast(source: SqlType, target: SqlType, context: CastContext) -> CastRule | None:
    """Return how `source` becomes `target` in `context`, or None."""
    rule = REGISTRY.casts.get((source.oid, target.oid))
    if rule is not None:
        return rule if rule.context >= context else None
    source_element, target_element = element_type(source), element_of(target)
    if source_element is not None and target_element is not None:
        if source_element.oid == target_element.oid:
            return CastRule(source, target, CastContext.IMPLICIT, None)  # a vector as an array
        inner = find_cast(source_element.bare, target_element.bare, context)
        return None if inner is None else _array_cast(source.oid, target.oid, inner)
    if target.info.category == _STRINGS and context <= CastContext.ASSIGNMENT:
        return _io_cast(source.oid, target.oid)
    if source.info.category == _STRINGS and context == CastContext.EXPLICIT:
        return _io_cast(source.oid, target.oid)
    return None


@lru_cache(maxsize=1024)
def _io_cast(source_oid: int, target_oid: int) -> CastRule:
    """Build a cast by way of text, for pairs without a rule: CoerceViaIO."""
    source, target = SqlType(source_oid), SqlType(target_oid)

    def convert(ctx: Any, datum: Any) -> Any:
        text = datum if isinstance(datum, str) else text_out(source_oid)(datum, ctx.settings)
        return text_in(target_oid)(text, ctx.settings)

    function = Function(
        f"{source.name}_to_{target.name}",
        (source,),
        target,
        convert,
        volatility=Volatility.STABLE,
        needs_context=True,
    )
    return CastRule(source, target, CastContext.ASSIGNMENT, function)


@lru_cache(maxsize=1024)
def _array_cast(source_oid: int, target_oid: int, inner: CastRule) -> CastRule:
    """Build a cast of each element."""
    source, target, one = SqlType(source_oid), SqlType(target_oid), inner.function
    if one is None or one.python is None:
        return CastRule(source, target, inner.context, None)
    python = one.python

    def each(*args: Any) -> Any:
        *context, array = args
        return [
            each(*context, item)
            if isinstance(item, list)
            else None
            if item is None
            else python(*context, item)
            for item in array
        ]

    function = Function(
        f"{source.name}_to_{target.name}",
        (source,),
        target,
        each,
        volatility=one.volatility,
        needs_context=one.needs_context,
    )
    return CastRule(source, target, inner.context, function)


def can_coerce(source: SqlType, target: SqlType, context: CastContext) -> bool:
    """Say whether a value of `source` may become `target`; resolve.py checks polymorphism."""
    if source.oid == target.oid or target.oid == ANY.oid or target.oid == ANYELEMENT.oid:
        return True
    if source.oid == UNKNOWN.oid:
        return True
    if target.oid == ANYARRAY.oid:
        return element_type(source) is not None
    return find_cast(source, target, context) is not None


def coerce(
    env: Env,
    node: Scalar,
    target: SqlType,
    context: CastContext,
    position: int | None = None,
) -> Scalar:
    """Return `node` as a value of `target`'s type, its typmod aside. Raises: CannotCoerce."""
    source = node.type
    if source.oid == target.oid or target.oid in POLYMORPHIC:
        return node
    if source.oid == UNKNOWN.oid:
        return coerce_unknown(env, node, target, position)
    if isinstance(node, ArrayItems) and context == CastContext.EXPLICIT:
        element = element_of(target)
        if element is not None:
            items = tuple(coerce(env, item, element.bare, context, position) for item in node.items)
            return ArrayItems(items, target.bare)
    rule = find_cast(source, target, context)
    if rule is None:
        raise CannotCoerce(
            f"cannot cast type {format_type(source.bare)} to {format_type(target.bare)}",
            position=position,
        )
    return Cast(node, rule, target.bare, context == CastContext.EXPLICIT)


def coerce_unknown(env: Env, node: Scalar, target: SqlType, position: int | None) -> Scalar:
    """Give an untyped literal or parameter its type."""
    if isinstance(node, Param):
        try:
            return env.params.infer(node.index, target)
        except SqlError as error:
            raise at_position(error, position) from None
    assert isinstance(node, Const), f"unknown-typed {type(node).__name__}"
    return read_literal(env, node, target, position)


def read_literal(env: Env, node: Const, target: SqlType, position: int | None) -> Const:
    """Read an untyped literal with the target's input function."""
    if node.value is None:
        return Const(None, target.bare)
    try:
        datum = literal_datum(
            node.value, target, env.session.settings, env.catalog, env.search_path
        )
    except SqlError as error:
        raise at_position(error, env.literal_position(node) or position) from None
    return Const(datum, target.bare)


def resolve_unknown(env: Env, node: Scalar, position: int | None = None) -> Scalar:
    """Make what is still untyped text, as for an output column."""
    if node.type.oid == UNKNOWN.oid:
        return coerce_unknown(env, node, TEXT, position)
    return node


def apply_typmod(node: Scalar, target: SqlType, *, explicit: bool) -> Scalar:
    """Apply `target`'s modifier where it changes anything."""
    base = target.info.element_oid or target.oid
    if target.typmod < 0 or base not in _MODIFIED:
        return node
    if node.type == target and isinstance(node, ColumnRef | Coerce):
        return node
    if isinstance(node, Const) and node.value is None:
        return Const(None, target)
    return Coerce(node, target, explicit)


def cast_explicitly(env: Env, node: Scalar, target: SqlType, position: int | None) -> Scalar:
    """Build `node::target`."""
    done = coerce(env, node, target, CastContext.EXPLICIT, position)
    if isinstance(done, Const) and done.value is None:
        return Const(None, target)
    return apply_typmod(done, target, explicit=True)


def coerce_to_column(
    env: Env, node: Scalar, column: tuple[str, SqlType], position: int | None
) -> Scalar:
    """Convert for assignment to a column (name, type). Raises: DatatypeMismatch."""
    name, target = column
    source = node.type
    if isinstance(node, RowItems) or not can_coerce(source, target, CastContext.ASSIGNMENT):
        raise DatatypeMismatch(
            f'column "{name}" is of type {format_type(target.bare)} but expression is of type '
            f"{format_type(source.bare)}",
            hint="You will need to rewrite or cast the expression.",
            position=position,
        )
    done = coerce(env, node, target, CastContext.ASSIGNMENT, position)
    return apply_typmod(done, target, explicit=False)


def coerce_to_boolean(env: Env, node: Scalar, clause: str, position: int | None) -> Scalar:
    """Require a condition. Raises: DatatypeMismatch."""
    return _coerce_argument(env, node, SqlType(16), clause, position)


def coerce_to_bigint(env: Env, node: Scalar, clause: str, position: int | None) -> Scalar:
    """Require a row count, for LIMIT and OFFSET. Raises: DatatypeMismatch."""
    return _coerce_argument(env, node, SqlType(20), clause, position)


def _coerce_argument(
    env: Env, node: Scalar, wanted: SqlType, clause: str, position: int | None
) -> Scalar:
    if not can_coerce(node.type, wanted, CastContext.ASSIGNMENT):
        raise DatatypeMismatch(
            f"argument of {clause} must be type {format_type(wanted)}, not type "
            f"{format_type(node.type.bare)}",
            position=position,
        )
    return coerce(env, node, wanted, CastContext.ASSIGNMENT, position)
