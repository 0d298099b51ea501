"""json and jsonb: operators, accessors, builders and the set-returning functions over them."""

import json as stdlib_json
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, Final

from pgwire.errors import (
    ArraySubscriptError,
    FeatureNotSupported,
    InvalidParameterValue,
    InvalidTextRepresentation,
)
from sqlnode.functions import json_read as read
from sqlnode.functions.casts import EXPLICIT, cast, numeric_to_float4, numeric_to_float8
from sqlnode.functions.casts import numeric_to_integer as to_integer
from sqlnode.functions.comparison import compare_with, keyed
from sqlnode.functions.define import build, function, operator, operator_for, types_named

compare_with("jsonb_%", "jsonb", "jsonb", keyed(read.sort_key), None)


def _jsonb_element_text(text: str, index: int) -> str | None:
    return read.as_text(_jsonb_element(text, index))


def _field_text(text: str, key: str) -> str | None:
    return read.as_text(read.field(text, key))


def _jsonb_element(text: str, index: int) -> str | None:
    """Return an element; a scalar is an array of one here, a trait of jsonb's storage."""
    if index in (0, -1) and read.kind(text) not in ("array", "object"):
        return text
    return read.element(text, index)


def _element_text(text: str, index: int) -> str | None:
    return read.as_text(read.element(text, index))


def flat(items: list[Any]) -> list[Any]:
    """Return the elements of an array of any dimension in order."""
    if any(isinstance(item, list) for item in items):
        return [leaf for item in items for leaf in flat(item)]
    return items


def _one_dimension(items: list[Any]) -> list[Any]:
    if any(isinstance(item, list) for item in items):
        raise ArraySubscriptError("wrong number of array subscripts")
    return items


def _at_path(text: str, path: list[Any]) -> str | None:
    return read.at_path(text, flat(path))


def _path_text(text: str, path: list[Any]) -> str | None:
    return read.as_text(read.at_path(text, flat(path)))


def _extract_path(text: str, *path: str) -> str | None:
    return read.at_path(text, path)


def _extract_path_text(text: str, *path: str) -> str | None:
    return read.as_text(read.at_path(text, path))


def _require(text: str, wanted: str, function_name: str) -> None:
    found = read.kind(text)
    if found == wanted:
        return
    is_scalar = found not in ("object", "array")
    if function_name.endswith("array_length"):
        shown = "a scalar" if is_scalar else "a non-array"
        raise InvalidParameterValue(f"cannot get array length of {shown}")
    if "elements" in function_name:
        shown = "a scalar" if is_scalar else "an object"
        if function_name.startswith("json_"):
            shown = "a scalar" if is_scalar else "a non-array"
            raise InvalidParameterValue(f"cannot call {function_name} on {shown}")
        raise InvalidParameterValue(f"cannot extract elements from {shown}")
    shown = "a scalar" if is_scalar else "an array"
    if "keys" in function_name:
        raise InvalidParameterValue(f"cannot call {function_name} on {shown}")
    raise InvalidParameterValue(f"cannot call {function_name} on a non-object")


def _accessors(name: str) -> None:
    def length(text: str) -> int:
        _require(text, "array", f"{name}_array_length")
        return len(read.elements(text))

    def items(text: str) -> list[str]:
        _require(text, "array", f"{name}_array_elements")
        return read.elements(text)

    def items_text(text: str) -> list[str | None]:
        _require(text, "array", f"{name}_array_elements_text")
        return [read.as_text(item) for item in read.elements(text)]

    def keys(text: str) -> list[str]:
        _require(text, "object", f"{name}_object_keys")
        return [key for key, _ in read.pairs(text)]

    def each(text: str) -> Iterator[tuple[str, str]]:
        _require(text, "object", f"{name}_each")
        return iter(read.pairs(text))

    def each_text(text: str) -> Iterator[tuple[str, str | None]]:
        _require(text, "object", f"{name}_each_text")
        return ((key, read.as_text(value)) for key, value in read.pairs(text))

    operator("->", f"{name}_object_field({name}, text) {name}", read.field)
    is_binary = name == "jsonb"
    one = _jsonb_element if is_binary else read.element
    one_text = _jsonb_element_text if is_binary else _element_text
    operator("->", f"{name}_array_element({name}, int4) {name}", one)
    operator("->>", f"{name}_object_field_text({name}, text) text", _field_text)
    operator("->>", f"{name}_array_element_text({name}, int4) text", one_text)
    operator_for("#>", build(f"{name}_extract_path({name}, text[]) {name}", _at_path))
    operator_for("#>>", build(f"{name}_extract_path_text({name}, text[]) text", _path_text))
    function(f"{name}_extract_path({name}, text) {name}", _extract_path, variadic=True)
    function(f"{name}_extract_path_text({name}, text) text", _extract_path_text, variadic=True)
    function(f"{name}_array_length({name}) int4", length)
    function(f"{name}_typeof({name}) text", read.kind)
    function(f"{name}_object_keys({name}) text", keys, returns_set=True)
    function(f"{name}_array_elements({name}) {name}", items, returns_set=True,
             out_names=("value",), out_types=types_named(name))  # fmt: skip
    function(f"{name}_array_elements_text({name}) text", items_text, returns_set=True,
             out_names=("value",), out_types=types_named("text"))  # fmt: skip
    for suffix, compute, kind in (("each", each, name), ("each_text", each_text, "text")):
        types = types_named(f"text, {kind}")
        function(f"{name}_{suffix}({name}) record", compute,
                 returns_set=True, out_names=("key", "value"), out_types=types)  # fmt: skip


_accessors("json")
_accessors("jsonb")


def _exists(text: str, key: str) -> bool:
    value = read.load(text)
    if isinstance(value, list):
        return any(isinstance(item, str) and item == key for item in value)
    if isinstance(value, dict):
        return key in value
    return isinstance(value, str) and value == key


def _exists_any(text: str, keys: list[Any]) -> bool:
    return any(key is not None and _exists(text, key) for key in flat(keys))


def _exists_all(text: str, keys: list[Any]) -> bool:
    return all(key is None or _exists(text, key) for key in flat(keys))


def _contains(outer: str, inner: str) -> bool:
    a, b = read.load(outer), read.load(inner)
    return read.contains(a, b)


operator("@>", "jsonb_contains(jsonb, jsonb) bool", _contains, commutator="<@")
operator("<@", "jsonb_contained(jsonb, jsonb) bool", lambda a, b: _contains(b, a), commutator="@>")
operator("?", "jsonb_exists(jsonb, text) bool", _exists)
operator("?|", "jsonb_exists_any(jsonb, text[]) bool", _exists_any)
operator("?&", "jsonb_exists_all(jsonb, text[]) bool", _exists_all)


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _concat(left: str, right: str) -> str:
    a, b = read.load(left), read.load(right)
    if isinstance(a, dict) and isinstance(b, dict):
        return read.dump({**a, **b})
    return read.dump(_as_list(a) + _as_list(b))


def _delete_keys(text: str, keys: list[Any]) -> str:
    value = read.load(text)
    dropped = {key for key in _one_dimension(keys) if key is not None}
    if isinstance(value, dict):
        return read.dump({k: v for k, v in value.items() if k not in dropped})
    if isinstance(value, list):
        return read.dump([v for v in value if not (isinstance(v, str) and v in dropped)])
    raise InvalidParameterValue("cannot delete from scalar")


def _delete_index(text: str, index: int) -> str:
    value = read.load(text)
    if isinstance(value, dict):
        raise InvalidParameterValue("cannot delete from object using integer index")
    if not isinstance(value, list):
        raise InvalidParameterValue("cannot delete from scalar")
    if -len(value) <= index < len(value):
        del value[index]
    return read.dump(value)


operator("||", "jsonb_concat(jsonb, jsonb) jsonb", _concat)
operator("-", "jsonb_delete(jsonb, text) jsonb", lambda text, key: _delete_keys(text, [key]))
operator("-", "jsonb_delete(jsonb, int4) jsonb", _delete_index)
operator("-", "jsonb_delete(jsonb, text[]) jsonb", _delete_keys)


class _Path:
    """One change at a path: jsonb_set, jsonb_insert and #- differ only in what happens there."""

    def __init__(
        self,
        path: list[Any],
        change: Callable[[Any, Any, bool], None],
        *,
        creates: bool = True,
    ) -> None:
        self.creates = creates
        self.path, self.change = _one_dimension(path), change

    def apply(self, text: str, what: str) -> str:
        value = read.load(text)
        if not isinstance(value, dict | list):
            raise InvalidParameterValue(f"cannot {what} in scalar" if what != "delete path"
                                        else "cannot delete path in scalar")  # fmt: skip
        if self.path and (value or self.creates):
            self._walk(value, 0)
        return read.dump(value)

    def _walk(self, container: Any, depth: int) -> None:
        step = self.path[depth]
        if step is None:
            raise InvalidTextRepresentation(
                f"path element at position {depth + 1} is null", sqlstate="22004"
            )
        key: Any = step
        if isinstance(container, list):
            key = read.path_index(step)
            if key is None:
                raise InvalidTextRepresentation(
                    f'path element at position {depth + 1} is not an integer: "{step}"'
                )
            exists = -len(container) <= key < len(container)
        else:
            exists = key in container
        if depth == len(self.path) - 1:
            self.change(container, key, exists)
        elif exists and isinstance(container[key], dict | list):
            self._walk(container[key], depth + 1)


def _set(text: str, path: list[Any], new: str, create: bool = True) -> str:
    value = read.load(new)

    def change(container: Any, key: Any, exists: bool) -> None:
        if exists or (create and isinstance(container, dict)):
            container[key] = value
        elif create:
            container.insert(0 if key < 0 else len(container), value)

    return _Path(path, change, creates=create).apply(text, "set path")


def _set_lax(
    text: str | None,
    path: list[Any] | None,
    new: str | None,
    create: bool | None = True,
    treatment: str | None = "use_json_null",
) -> str | None:
    if text is None or path is None or create is None:
        return None
    if new is not None:
        return _set(text, path, new, create)
    if treatment == "raise_exception":
        raise InvalidParameterValue("JSON value must not be null", sqlstate="22004")
    if treatment == "use_json_null":
        return _set(text, path, "null", create)
    if treatment == "delete_key":
        return _delete_path(text, path)
    if treatment == "return_target":
        return text
    raise InvalidParameterValue(
        'null_value_treatment must be "delete_key", "return_target", "use_json_null", '
        'or "raise_exception"'
    )


def _insert(text: str, path: list[Any], new: str, after: bool = False) -> str:
    value = read.load(new)

    def change(container: Any, key: Any, exists: bool) -> None:
        if isinstance(container, dict):
            if exists:
                raise InvalidParameterValue(
                    "cannot replace existing key",
                    hint="Try using the function jsonb_set to replace key value.",
                )
            container[key] = value
            return
        if not exists:
            container.insert(0 if key < 0 else len(container), value)
            return
        index = key + len(container) if key < 0 else key
        container.insert(index + after, value)

    return _Path(path, change).apply(text, "set path")


def _delete_path(text: str, path: list[Any]) -> str:
    def change(container: Any, key: Any, exists: bool) -> None:
        if exists:
            del container[key]

    return _Path(path, change, creates=False).apply(text, "delete path")


function("jsonb_set(jsonb, text[], jsonb, bool) jsonb", _set, defaults=1)
function("jsonb_set_lax(jsonb, text[], jsonb, bool, text) jsonb", _set_lax, defaults=2,
         strict=False)  # fmt: skip
function("jsonb_insert(jsonb, text[], jsonb, bool) jsonb", _insert, defaults=1)
operator("#-", "jsonb_delete_path(jsonb, text[]) jsonb", _delete_path)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _strip_json(text: str) -> str:
    what = read.kind(text)
    if what == "object":
        kept = [(k, v) for k, v in read.pairs(text) if v != "null"]
        quote = stdlib_json.JSONEncoder(ensure_ascii=False).encode
        return "{" + ",".join(f"{quote(k)}:{_strip_json(v)}" for k, v in kept) + "}"
    if what == "array":
        return "[" + ",".join(map(_strip_json, read.elements(text))) + "]"
    return text.strip()


def _pretty(value: Any, indent: int = 0) -> str:
    pad, inner = " " * (4 * indent), " " * (4 * indent + 4)
    if isinstance(value, dict):
        quote = stdlib_json.JSONEncoder(ensure_ascii=False).encode
        items = sorted(value.items(), key=lambda item: (len(item[0].encode()), item[0]))
        body = [f"{inner}{quote(key)}: {_pretty(item, indent + 1)}" for key, item in items]
        return "{\n" + ",\n".join(body) + f"\n{pad}}}" if body else "{\n" + pad + "}"
    if isinstance(value, list):
        body = [inner + _pretty(item, indent + 1) for item in value]
        return "[\n" + ",\n".join(body) + f"\n{pad}]" if body else "[\n" + pad + "]"
    return read.dump(value)


function("jsonb_strip_nulls(jsonb) jsonb",
         lambda text: read.dump(_without_nulls(read.load(text))))  # fmt: skip
function("json_strip_nulls(json) json", _strip_json)
function("jsonb_pretty(jsonb) text", lambda text: _pretty(read.load(text)))

_KIND_NAMES: Final = {"array": "array", "object": "object", "string": "string",
                      "number": "numeric", "boolean": "boolean", "null": "null"}  # fmt: skip


def _scalar_cast(target: str, wanted: str, convert: Callable[[Any], Any], shown: str) -> None:
    def run(text: str) -> Any:
        found = read.kind(text)
        if found != wanted:
            raise InvalidParameterValue(f"cannot cast jsonb {_KIND_NAMES[found]} to type {shown}")
        return convert(read.load(text))

    cast("jsonb", target, EXPLICIT, run)


def _as_is(value: Decimal) -> Decimal:
    return value


_scalar_cast("bool", "boolean", bool, "boolean")
_scalar_cast("numeric", "number", _as_is, "numeric")
for _name, _sql in (("int2", "smallint"), ("int4", "integer"), ("int8", "bigint")):
    _scalar_cast(_name, "number", to_integer(_name), _sql)
_scalar_cast("float4", "number", numeric_to_float4, "real")
_scalar_cast("float8", "number", numeric_to_float8, "double precision")


def _unsupported(name: str) -> Callable[..., Any]:
    def refuse(*_args: Any) -> Any:
        raise FeatureNotSupported(f"{name} is not supported")

    return refuse


for _name in ("populate_record", "populate_recordset"):
    for _type in ("json", "jsonb"):
        function(f"{_type}_{_name}(anyelement, {_type}) anyelement",
                 _unsupported(f"{_type}_{_name}"), strict=False)  # fmt: skip
