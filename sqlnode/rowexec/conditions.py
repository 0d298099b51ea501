"""Taking conditions apart: conjuncts, the columns they need, columns by their meaning."""

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from functools import cache
from typing import Any, Final

from sqlnode.functions.registry import REGISTRY, Function, Volatility
from sqlnode.plan.scalar import (
    And,
    ArraySubquery,
    Call,
    Cast,
    ColumnRef,
    Exists,
    Scalar,
    ScalarSubquery,
    SubqueryAnyAll,
    walk,
)

COMMUTED: Final = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_INT_WIDTHS: Final = {21: 2, 23: 4, 20: 8}
_TEXTS: Final = frozenset({25, 1043})
SUBQUERIES: Final = (ScalarSubquery, Exists, SubqueryAnyAll, ArraySubquery)


def conjuncts(condition: Scalar | None) -> list[Scalar]:
    """Return what all must hold for `condition` to hold."""
    if condition is None:
        return []
    if isinstance(condition, And):
        return [part for arg in condition.args for part in conjuncts(arg)]
    return [condition]


def conjunction(parts: Iterable[Scalar]) -> Scalar | None:
    """Return the AND of `parts`, None if there are none."""
    parts = tuple(parts)
    if len(parts) < 2:
        return parts[0] if parts else None
    return And(parts)


def column_ids(node: Any) -> set[int]:
    """Return the ids of all columns that stand in a scalar."""
    return {part.id for part in walk(node) if isinstance(part, ColumnRef)}


def has_subquery(node: Any) -> bool:
    """Tell whether a subquery stands in a scalar."""
    return any(isinstance(part, SUBQUERIES) for part in walk(node))


def is_repeatable(node: Any) -> bool:
    """Tell whether evaluating the scalar twice in a statement gives the same datum."""
    return not any(
        isinstance(part, SUBQUERIES)
        or (
            isinstance(part, Call)
            and (part.function.volatility is Volatility.VOLATILE or part.function.is_async)
        )
        for part in walk(node)
    )


def substitute(node: Any, meaning: Mapping[int, Scalar]) -> Any:
    """Return the scalar with every column that `meaning` knows replaced."""
    if isinstance(node, ColumnRef):
        return meaning.get(node.id, node)
    changed = {f.name: _substituted(getattr(node, f.name), meaning) for f in fields(node)}
    return replace(node, **changed)


def _substituted(value: Any, meaning: Mapping[int, Scalar]) -> Any:
    if isinstance(value, Scalar):
        return substitute(value, meaning)
    if type(value) is tuple:  # not SqlType
        return tuple(_substituted(item, meaning) for item in value)
    return value


def without_order_preserving_casts(node: Scalar) -> Scalar:
    """Return what lies under casts that change neither order nor key bytes: int4 → int8."""
    while isinstance(node, Cast):
        source, target = node.rule.source.oid, node.rule.target.oid
        widens = _INT_WIDTHS.get(source, 9) <= _INT_WIDTHS.get(target, 0)
        if not widens and not {source, target} <= _TEXTS:
            break
        node = node.arg
    return node


def key_class(type_oid: int) -> int:
    """Return a number that types share whose equal values have equal key bytes."""
    if type_oid in _INT_WIDTHS:
        return 20
    return 25 if type_oid in _TEXTS else type_oid


@cache
def _symbols() -> dict[tuple[Any, ...], str]:
    return {
        (operator.function.name, operator.function.arguments): symbol
        for symbol in COMMUTED
        for operator in REGISTRY.operators.get(symbol, ())
    }


def comparison_symbol(function: Function) -> str | None:
    """Return the order operator that stands for `function`: = < <= > >=, or None."""
    return _symbols().get((function.name, function.arguments))
