"""Functions that turn SQL values into json and jsonb: to_json, the builders, the aggregates.

What a value becomes depends on its type, so each entry is specialized for the actual types.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

from pgwire.errors import InvalidParameterValue
from sqlnode.functions.define import STABLE, build, parse_signature
from sqlnode.functions.json_read import canonical
from sqlnode.functions.json_write import is_container, json_writer, quote
from sqlnode.functions.registry import REGISTRY, Aggregate, Function
from sqlnode.types import SqlType

_CONTEXT: Final[dict[str, Any]] = {"needs_context": True, "volatility": STABLE}
Types = tuple[SqlType, ...]


def _values(ctx: Any, types: Sequence[SqlType], args: Sequence[Any]) -> list[str]:
    return [
        "null" if arg is None else json_writer(sql_type, ctx.settings)(arg)
        for sql_type, arg in zip(types, args, strict=True)
    ]


def _key(ctx: Any, sql_type: SqlType, value: Any, position: int) -> str:
    if value is None:
        raise InvalidParameterValue(f"argument {position} cannot be null",
                                    hint="Object keys should be text.")  # fmt: skip
    if is_container(sql_type):
        raise InvalidParameterValue("key value must be scalar, not array, composite, or json")
    text = json_writer(sql_type, ctx.settings)(value)
    return text if text.startswith('"') else f'"{text}"'


def _to_json(types: Types) -> Callable[..., Any]:
    return lambda ctx, value: json_writer(types[0], ctx.settings)(value)


def _build_array(types: Types) -> Callable[..., Any]:
    return lambda ctx, *args: "[" + ", ".join(_values(ctx, types, args)) + "]"


def _build_object(types: Types) -> Callable[..., Any]:
    if len(types) % 2:
        raise InvalidParameterValue("argument list must have even number of elements",
            hint="The arguments of json_build_object() must consist of "
                 "alternating keys and values.")  # fmt: skip

    def run(ctx: Any, *args: Any) -> str:
        values = _values(ctx, types[1::2], args[1::2])
        keys = [
            _key(ctx, sql_type, arg, 2 * index + 1)
            for index, (sql_type, arg) in enumerate(zip(types[::2], args[::2], strict=True))
        ]
        return "{" + ", ".join(f"{k} : {v}" for k, v in zip(keys, values, strict=True)) + "}"

    return run


def _binary(make: Callable[[Types], Callable[..., Any]]) -> Callable[[Types], Callable[..., Any]]:
    def of(types: Types) -> Callable[..., Any]:
        text = make(types)
        return lambda *args: canonical(text(*args))

    return of


def specialized(
    signature: str, make: Callable[[Types], Callable[..., Any]], **fields: Any
) -> Function:
    """Register a function whose Python is made by `make` for the actual argument types."""
    base = build(signature, None, **fields)

    @lru_cache(maxsize=1024)
    def specialize(types: Types) -> Function:
        return replace(base, python=make(types), arguments=types, variadic=False, specialize=None)

    return REGISTRY.add_function(replace(base, specialize=specialize))


specialized("to_json(anyelement) json", _to_json, **_CONTEXT)
specialized("to_jsonb(anyelement) jsonb", _binary(_to_json), **_CONTEXT)
specialized("array_to_json(anyarray) json", _to_json, **_CONTEXT)
specialized("row_to_json(record) json", _to_json, **_CONTEXT)
_BUILD: Final[dict[str, Any]] = {**_CONTEXT, "strict": False, "variadic": True}
specialized("json_build_array(any) json", _build_array, **_BUILD)
specialized("jsonb_build_array(any) jsonb", _binary(_build_array), **_BUILD)
specialized("json_build_object(any) json", _build_object, **_BUILD)
specialized("jsonb_build_object(any) jsonb", _binary(_build_object), **_BUILD)
for _name, _text in (("array", "[]"), ("object", "{}")):
    for _type in ("json", "jsonb"):
        REGISTRY.add_function(
            build(f"{_type}_build_{_name}() {_type}", lambda text=_text: text, volatility=STABLE)
        )


def _pairs_of(items: list[Any]) -> list[tuple[Any, Any]]:
    if items and isinstance(items[0], list):
        if any(len(item) != 2 for item in items):
            raise InvalidParameterValue("array must have two columns", sqlstate="2202E")
        return [(key, value) for key, value in items]
    if len(items) % 2:
        raise InvalidParameterValue("array must have even number of elements", sqlstate="2202E")
    return list(zip(items[::2], items[1::2], strict=True))


def _object_of(pairs: list[tuple[Any, Any]]) -> str:
    for key, _ in pairs:
        if key is None:
            raise InvalidParameterValue("null value not allowed for object key", sqlstate="22004")
    shown = [f"{quote(key)} : {'null' if v is None else quote(v)}" for key, v in pairs]
    return "{" + ", ".join(shown) + "}"


def _object_of_two(keys: list[Any], values: list[Any]) -> str:
    if len(keys) != len(values):
        raise InvalidParameterValue("mismatched array dimensions", sqlstate="2202E")
    return _object_of(list(zip(keys, values, strict=True)))


for _type in ("json", "jsonb"):
    _finish: Callable[[str], str] = canonical if _type == "jsonb" else str
    REGISTRY.add_function(
        build(f"{_type}_object(text[]) {_type}",
              lambda items, finish=_finish: finish(_object_of(_pairs_of(items))))
    )  # fmt: skip
    REGISTRY.add_function(
        build(f"{_type}_object(text[], text[]) {_type}",
              lambda keys, values, finish=_finish: finish(_object_of_two(keys, values)))
    )  # fmt: skip


class _Collect:
    """json_agg and json_object_agg: the members, joined at the end."""

    def __init__(self, ctx: Any, types: Types, *, is_binary: bool, is_object: bool) -> None:
        self.ctx, self.types = ctx, types
        self.is_binary, self.is_object = is_binary, is_object
        self.members: list[str] = []

    def step(self, *row: Any) -> None:
        if not self.is_object:
            self.members += _values(self.ctx, self.types, row)
            return
        if row[0] is None:
            raise InvalidParameterValue("field name must not be null")
        key = _key(self.ctx, self.types[0], row[0], 1)
        value = _values(self.ctx, self.types[1:], row[1:])[0]
        self.members.append(f"{key} : {value}")

    def final(self) -> str | None:
        if not self.members:
            return None
        if self.is_object:
            text = "{ " + ", ".join(self.members) + " }"
        else:
            of_lines = self.types[0].name == "record" or self.types[0].info.element_oid
            separator = ", \n " if of_lines else ", "
            text = "[" + separator.join(self.members) + "]"
        return canonical(text) if self.is_binary else text


def _aggregate(signature: str, *, is_object: bool) -> None:
    name, arguments, result = parse_signature(signature)

    @lru_cache(maxsize=1024)
    def specialize(types: Types) -> Aggregate:
        return replace(
            base,
            python=lambda ctx: _Collect(
                ctx, types, is_binary=name.startswith("jsonb"), is_object=is_object
            ),
            arguments=types,
            specialize=None,
        )

    def unspecialized(_ctx: Any) -> Any:
        raise AssertionError(f"{name} must be specialized for its argument types")

    base = Aggregate(
        name, arguments, result, unspecialized, duck_list=True, needs_context=True,
        specialize=specialize,
    )  # fmt: skip
    REGISTRY.add_aggregate(base)


_aggregate("json_agg(anyelement) json", is_object=False)
_aggregate("jsonb_agg(anyelement) jsonb", is_object=False)
_aggregate("json_object_agg(any, any) json", is_object=True)
_aggregate("jsonb_object_agg(any, any) jsonb", is_object=True)
