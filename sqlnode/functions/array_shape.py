"""The shape of an array: a Python list, nested for dimensions, the same length everywhere."""

from typing import Any

from pgwire.errors import ArraySubscriptError


def array_of_arrays(items: list[Any]) -> list[Any]:
    """Return ARRAY[items] where the items are arrays. Raises: ArraySubscriptError.

    Source: PostgreSQL, execExprInterp.c (ExecEvalArrayExpr): empty and null ones only together.
    """
    sizes = [dimensions(item or []) for item in items]
    if any(size != sizes[0] for size in sizes):
        raise ArraySubscriptError(
            "multidimensional arrays must have array expressions with matching dimensions"
        )
    return items if sizes[0] else []


def dimensions(array: list[Any]) -> list[int]:
    """Return the length of each dimension; an empty array has none."""
    sizes: list[int] = []
    current: Any = array
    while isinstance(current, list) and current:
        sizes.append(len(current))
        current = current[0]
    return sizes
