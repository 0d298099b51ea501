"""Rebuilding bound trees: replace nodes anywhere in scalars and plans, subqueries included."""

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any, Final

from sqlnode.plan import logical, scalar

_SKIPPED: Final = (logical.OutColumn,)
_NODES: Final[dict[type, tuple[str, ...]]] = {
    cls: tuple(f.name for f in fields(cls))
    for module in (scalar, logical)
    for cls in vars(module).values()
    if isinstance(cls, type)
    and is_dataclass(cls)
    and cls.__module__ == module.__name__
    and cls not in _SKIPPED
}
Replace = Callable[[Any], Any]


def rewrite(node: Any, change: Replace) -> Any:
    """Return `node` with each sub-node replaced for which `change` gives something, top down.

    `change` returns None to go on below a node. What it returns is not visited again.
    """
    changed = change(node)
    if changed is not None:
        return changed
    changes = {}
    for name in _NODES[type(node)]:
        value = getattr(node, name)
        new = _rewrite_value(value, change)
        if new is not value:
            changes[name] = new
    return replace(node, **changes) if changes else node


def _rewrite_value(value: Any, change: Replace) -> Any:
    kind = type(value)
    if kind in _NODES:
        return rewrite(value, change)
    if kind is tuple and value:
        new = tuple(_rewrite_value(item, change) for item in value)
        return new if any(a is not b for a, b in zip(new, value, strict=True)) else value
    return value


def every_node(node: Any) -> Iterator[Any]:
    """Yield `node` and all scalars, calls and plans below it, subqueries included."""
    yield node
    for name in _NODES[type(node)]:
        yield from _nodes_in(getattr(node, name))


def _nodes_in(value: Any) -> Iterator[Any]:
    kind = type(value)
    if kind in _NODES:
        yield from every_node(value)
    elif kind is tuple:
        for item in value:
            yield from _nodes_in(item)


def referenced_ids(node: Any) -> set[int]:
    """Return the ids of all columns that scalars below `node` name."""
    return {n.id for n in every_node(node) if type(n) is scalar.ColumnRef}
