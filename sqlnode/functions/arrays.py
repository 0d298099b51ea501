"""Arrays: Python lists, nested for dimensions; the lower bound of each dimension is 1.

Elements compare by their type's own operators, NULLs as equal and greatest, so the entries that
compare are specialized for the element type.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final

from pgwire.errors import (
    ArraySubscriptError,
    FeatureNotSupported,
    InvalidParameterValue,
    UndefinedFunction,
)
from sqlnode.functions.array_shape import dimensions
from sqlnode.functions.define import STABLE, function, operator, operator_for
from sqlnode.functions.json_build import Types, specialized
from sqlnode.functions.registry import REGISTRY
from sqlnode.functions.text_io import writer
from sqlnode.types import INT2, OID, SqlType, element_of, format_type


def flat(array: list[Any]) -> Iterator[Any]:
    """Yield the elements in storage order."""
    for item in array:
        if isinstance(item, list):
            yield from flat(item)
        else:
            yield item


@lru_cache(maxsize=256)
def _less_of(element: SqlType) -> Callable[..., bool]:
    """Return the `<` of an element type; varchar compares as text."""
    wanted = {"varchar": "text", "name": "name"}.get(element.name, element.name)
    for entry in REGISTRY.operators["<"]:
        if entry.left is not None and entry.left.name == entry.right.name == wanted:
            python = entry.function.python
            assert python is not None, "comparisons have an implementation"
            return python
    raise UndefinedFunction(
        f"could not identify a comparison function for type {format_type(element)}"
    )


@lru_cache(maxsize=256)
def _equal_of(element: SqlType) -> Callable[..., bool]:
    wanted = {"varchar": "text"}.get(element.name, element.name)
    for entry in REGISTRY.operators["="]:
        if entry.left is not None and entry.left.name == entry.right.name == wanted:
            python = entry.function.python
            assert python is not None, "comparisons have an implementation"
            return python
    raise UndefinedFunction(
        f"could not identify an equality operator for type {format_type(element)}"
    )


_VECTORS: Final = {22: INT2, 30: OID}  # int2vector and oidvector count from 0


def _element(array_type: SqlType) -> SqlType:
    element = _VECTORS.get(array_type.oid) or element_of(array_type.bare)
    assert element is not None, "the binder passes arrays where anyarray stands"
    return element.bare


def _same(element: SqlType) -> Callable[[Any, Any], bool]:
    equal = _equal_of(element)

    def same(a: Any, b: Any) -> bool:
        if a is None or b is None:
            return a is b
        return equal(a, b)

    return same


def compare_arrays(element: SqlType) -> Callable[[list[Any], list[Any]], int]:
    """Return a three-way comparison: elements first, then their number, then the dimensions."""
    less = _less_of(element)

    def compare(a: list[Any], b: list[Any]) -> int:
        left, right = list(flat(a)), list(flat(b))
        for x, y in zip(left, right, strict=False):
            if x is None or y is None:
                if x is not y:
                    return 1 if x is None else -1
            elif less(x, y):
                return -1
            elif less(y, x):
                return 1
        sizes_a, sizes_b = dimensions(a), dimensions(b)
        key_a = (len(left), len(sizes_a), sizes_a)
        key_b = (len(right), len(sizes_b), sizes_b)
        return (key_a > key_b) - (key_a < key_b)

    return compare


_COMPARISONS: Final = (
    ("=", "eq", "=", "<>", lambda c: c == 0),
    ("<>", "ne", "<>", "=", lambda c: c != 0),
    ("<", "lt", ">", ">=", lambda c: c < 0),
    ("<=", "le", ">=", ">", lambda c: c <= 0),
    (">", "gt", "<", "<=", lambda c: c > 0),
    (">=", "ge", "<=", "<", lambda c: c >= 0),
)


def _comparison(decide: Callable[[int], bool]) -> Callable[[Types], Callable[..., bool]]:
    def make(types: Types) -> Callable[..., bool]:
        compare = compare_arrays(_element(types[0]))
        return lambda a, b: decide(compare(a, b))

    return make


for _symbol, _suffix, _commutator, _negator, _decide in _COMPARISONS:
    operator_for(
        _symbol,
        specialized(f"array_{_suffix}(anyarray, anyarray) bool", _comparison(_decide)),
        commutator=_commutator,
        negator=_negator,
    )


def _contains(types: Types) -> Callable[..., bool]:
    equal = _equal_of(_element(types[0]))

    def contains(outer: list[Any], inner: list[Any]) -> bool:
        held = [item for item in flat(outer) if item is not None]
        return all(
            item is not None and any(equal(item, other) for other in held) for item in flat(inner)
        )

    return contains


def _contained(types: Types) -> Callable[..., bool]:
    contains = _contains(types)
    return lambda inner, outer: contains(outer, inner)


def _overlap(types: Types) -> Callable[..., bool]:
    equal = _equal_of(_element(types[0]))

    def overlap(a: list[Any], b: list[Any]) -> bool:
        held = [item for item in flat(b) if item is not None]
        return any(
            item is not None and any(equal(item, other) for other in held) for item in flat(a)
        )

    return overlap


_BOTH: Final = "(anyarray, anyarray) bool"
operator_for("@>", specialized(f"arraycontains{_BOTH}", _contains), commutator="<@")
operator_for("<@", specialized(f"arraycontained{_BOTH}", _contained), commutator="@>")
operator_for("&&", specialized(f"arrayoverlap{_BOTH}", _overlap), commutator="&&")


def _append(array: list[Any] | None, item: Any) -> list[Any]:
    if len(dimensions(array or [])) > 1:
        raise InvalidParameterValue("argument must be empty or one-dimensional array",
                                    sqlstate="22000")  # fmt: skip
    return [*(array or []), item]


def _prepend(item: Any, array: list[Any] | None) -> list[Any]:
    _append(array, item)
    return [item, *(array or [])]


def _concatenate(a: list[Any] | None, b: list[Any] | None) -> list[Any] | None:
    if a is None or b is None:
        return b if a is None else a
    if not a or not b:
        return a or b
    sizes_a, sizes_b = dimensions(a), dimensions(b)
    if len(sizes_a) == len(sizes_b) and sizes_a[1:] == sizes_b[1:]:
        return a + b
    if len(sizes_a) == len(sizes_b) + 1 and sizes_a[1:] == sizes_b:
        return [*a, b]
    if len(sizes_b) == len(sizes_a) + 1 and sizes_b[1:] == sizes_a:
        return [a, *b]
    raise ArraySubscriptError("cannot concatenate incompatible arrays")


operator("||", "array_append(anyarray, anyelement) anyarray", _append, strict=False)
operator("||", "array_prepend(anyelement, anyarray) anyarray", _prepend, strict=False)
operator("||", "array_cat(anyarray, anyarray) anyarray", _concatenate, strict=False)


def _length(array: list[Any], dimension: int) -> int | None:
    sizes = dimensions(array)
    return sizes[dimension - 1] if 1 <= dimension <= len(sizes) else None


def _first(types: Types) -> int:
    return 0 if types[0].oid in _VECTORS else 1


def _lower(types: Types) -> Callable[[list[Any], int], int | None]:
    first = _first(types)
    return lambda array, dimension: first if _length(array, dimension) is not None else None


def _upper(types: Types) -> Callable[[list[Any], int], int | None]:
    first = _first(types)

    def upper(array: list[Any], dimension: int) -> int | None:
        length = _length(array, dimension)
        return None if length is None else length - 1 + first

    return upper


def _dims(array: list[Any]) -> str | None:
    return "".join(f"[1:{size}]" for size in dimensions(array)) or None


function("array_length(anyarray, int4) int4", _length)
specialized("array_upper(anyarray, int4) int4", _upper)
specialized("array_lower(anyarray, int4) int4", _lower)
function("array_ndims(anyarray) int4", lambda array: len(dimensions(array)) or None)
function("array_dims(anyarray) text", _dims)
function("cardinality(anyarray) int4", lambda array: sum(1 for _ in flat(array)))


def _one_dimension(array: list[Any], message: str) -> None:
    if len(dimensions(array)) > 1:
        raise FeatureNotSupported(message)


_SEARCH: Final = "searching for elements in multidimensional arrays is not supported"
_REMOVE: Final = "removing elements from multidimensional arrays is not supported"


def _position(types: Types) -> Callable[..., Any]:
    same = _same(_element(types[0]))

    def position(array: list[Any] | None, wanted: Any, *start: Any) -> int | None:
        if array is None:
            return None
        _one_dimension(array, _SEARCH)
        if start and start[0] is None:
            raise InvalidParameterValue("initial position must not be null", sqlstate="22004")
        first = max(start[0] if start else 1, 1)
        for index in range(first - 1, len(array)):
            if same(array[index], wanted):
                return index + 1
        return None

    return position


def _positions(types: Types) -> Callable[..., Any]:
    same = _same(_element(types[0]))

    def positions(array: list[Any] | None, wanted: Any) -> list[int] | None:
        if array is None:
            return None
        _one_dimension(array, _SEARCH)
        return [index + 1 for index, item in enumerate(array) if same(item, wanted)]

    return positions


def _removing(types: Types) -> Callable[..., Any]:
    same = _same(_element(types[0]))

    def remove(array: list[Any] | None, unwanted: Any) -> list[Any] | None:
        if array is None:
            return None
        _one_dimension(array, _REMOVE)
        return [item for item in array if not same(item, unwanted)]

    return remove


def _replacing(types: Types) -> Callable[..., Any]:
    same = _same(_element(types[0]))

    def swap(array: list[Any] | None, old: Any, new: Any) -> list[Any] | None:
        if array is None:
            return None
        return [
            swap(item, old, new) if isinstance(item, list) else new if same(item, old) else item
            for item in array
        ]

    return swap


_LAX: Final[dict[str, Any]] = {"strict": False}
specialized("array_position(anyarray, anyelement) int4", _position, **_LAX)
specialized("array_position(anyarray, anyelement, int4) int4", _position, **_LAX)
specialized("array_positions(anyarray, anyelement) int4[]", _positions, **_LAX)
specialized("array_remove(anyarray, anyelement) anyarray", _removing, **_LAX)
specialized("array_replace(anyarray, anyelement, anyelement) anyarray", _replacing, **_LAX)


def _trim(array: list[Any], count: int) -> list[Any]:
    if not 0 <= count <= len(array):
        raise ArraySubscriptError(f"number of elements to trim must be between 0 and {len(array)}")
    return array[: len(array) - count]


def _fill(value: Any, sizes: list[Any] | None) -> list[Any]:
    if sizes is None or any(size is None for size in sizes):
        raise InvalidParameterValue("dimension array or low bound array cannot be null",
                                    sqlstate="22004")  # fmt: skip
    if any(size <= 0 for size in sizes) or not sizes:
        return []
    result: Any = value
    for size in reversed(sizes):
        result = [result] * size
    return list(result)


function("trim_array(anyarray, int4) anyarray", _trim)
function("array_fill(anyelement, int4[]) anyarray", _fill, strict=False)


def _to_string(types: Types) -> Callable[..., Any]:
    element = _element(types[0])

    def join(
        ctx: Any, array: list[Any] | None, separator: str | None, null_text: str | None = None
    ) -> str | None:
        if array is None or separator is None:
            return None
        out = writer(element, ctx.settings)
        texts = (null_text if item is None else out(item) for item in flat(array))
        return separator.join(text for text in texts if text is not None)

    return join


_CONTEXT: Final[dict[str, Any]] = {"needs_context": True, "volatility": STABLE, "strict": False}
specialized("array_to_string(anyarray, text) text", _to_string, **_CONTEXT)
specialized("array_to_string(anyarray, text, text) text", _to_string, **_CONTEXT)


def _from_string(
    text: str | None, separator: str | None, null_text: str | None = None
) -> list[Any] | None:
    if text is None:
        return None
    if text == "":
        return []
    if separator is None:
        parts: list[str] = list(text)
    else:
        parts = text.split(separator) if separator else [text]
    return [None if null_text is not None and part == null_text else part for part in parts]


def _table_from_string(*args: Any) -> list[Any]:
    return _from_string(*args) or []


for _rest in ("", ", text"):
    function(f"string_to_array(text, text{_rest}) text[]", _from_string, strict=False)
    function(f"string_to_table(text, text{_rest}) text", _table_from_string, strict=False,
             returns_set=True)  # fmt: skip
function("unnest(anyarray) anyelement", lambda array: list(flat(array)), returns_set=True,
         out_names=("unnest",))  # fmt: skip


def _subscripts(types: Types) -> Callable[..., list[int]]:
    first = _first(types)

    def subscripts(array: list[Any], dimension: int, reverse: bool = False) -> list[int]:
        size = _length(array, dimension) or 0
        numbers = list(range(first, first + size))
        return numbers[::-1] if reverse else numbers

    return subscripts


specialized("generate_subscripts(anyarray, int4, bool) int4", _subscripts, returns_set=True,
            defaults=1)  # fmt: skip
