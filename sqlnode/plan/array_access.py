"""Array subscripts and slices as functions: `a[i]`, `a[i][j]`, `a[m:n]`.

**Model.** Arrays count from 1, the vectors of the system catalogs from 0. Outside the bounds a
subscript is NULL.

**Source.** PostgreSQL, arrayfuncs.c array_get_element, array_get_slice.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import zip_longest
from typing import Any, Final

from sqlnode.functions.registry import Function
from sqlnode.types import INT2, INT4, OID, RECORD, SqlType, element_of

_VECTORS: Final = {22: INT2, 30: OID}


def element_type(array: SqlType) -> SqlType | None:
    """Return the element type of an array or vector, None of anything else."""
    return _VECTORS.get(array.oid) or element_of(array)


@lru_cache(maxsize=512)
def unnest_together(arrays: tuple[SqlType, ...]) -> Function | None:
    """Return unnest(a, b, …) of FROM: a column for each array, short ones padded with NULL."""
    elements = tuple(element_type(array) for array in arrays)
    if len(arrays) < 2 or None in elements:
        return None
    return Function(
        "unnest",
        arrays,
        RECORD,
        lambda *values: list(zip_longest(*(_flat(value) for value in values))),
        strict=False,
        returns_set=True,
        out_names=("unnest",) * len(arrays),
        out_types=tuple(element for element in elements if element is not None),
    )


def _flat(array: Sequence[Any] | None) -> Iterator[Any]:
    for item in array or ():
        if isinstance(item, list):
            yield from _flat(item)
        else:
            yield item


def is_vector(type_: SqlType) -> bool:
    """Say whether a type is int2vector or oidvector, which pass for arrays as they are."""
    return type_.oid in _VECTORS


def subscript_function(array: SqlType, depth: int, *, is_slice: bool) -> Function | None:
    """Return the function of `depth` subscripts (or one slice) of `array`; None for no array."""
    return _subscript_function(array.bare, depth, is_slice)


@lru_cache(maxsize=512)
def _subscript_function(array: SqlType, depth: int, is_slice: bool) -> Function | None:
    element = element_type(array)
    if element is None:
        return None
    first = 0 if array.oid in _VECTORS else 1
    if is_slice:
        duck = (
            "list_slice({0}, greatest(coalesce({1}, 1), 1), greatest(coalesce({2}, len({0})), 0))"
        )
        return Function(
            "array_slice", (array, INT4, INT4), array, _slicer(first), duck, strict=False
        )
    duck_one = f"CASE WHEN {{1}} >= {first} THEN ({{0}})[{{1}} + {1 - first}] END"
    return Function(
        "array_subscript",
        (array, *[INT4] * depth),
        element,
        _getter(first),
        duck_one if depth == 1 else None,
    )


def _getter(first: int) -> Callable[..., Any]:
    def get(array: Any, *subscripts: int) -> Any:
        for subscript in subscripts:
            at = subscript - first
            if not isinstance(array, list) or not 0 <= at < len(array):
                return None
            array = array[at]
        return None if isinstance(array, list) else array

    return get


def _slicer(first: int) -> Callable[..., Any]:
    def cut(array: Any, lower: int | None, upper: int | None) -> Any:
        if array is None:
            return None
        start = 0 if lower is None else max(lower - first, 0)
        end = len(array) if upper is None else max(upper - first + 1, 0)
        return array[start:end]

    return cut
