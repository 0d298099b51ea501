"""Looking into JSON text: children as slices of the text, so that json keeps its spelling.

The text is valid: json and jsonb were checked when they were read. jsonb is canonical text, so the
same slices are canonical too.
"""

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from pgwire.codecs.json_text import jsonb_in, jsonb_out_of

_SPACE: Final = " \t\n\r"
_scan: Final = json.JSONDecoder(parse_float=str, parse_int=str, strict=True).raw_decode
_load: Final = json.JSONDecoder(parse_float=Decimal, parse_int=Decimal).decode


def load(text: str) -> Any:
    """Parse to dict, list, str, Decimal, bool and None."""
    return _load(text)


def dump(value: Any) -> str:
    """Write a parsed value as canonical jsonb."""
    return jsonb_out_of(value)


def canonical(text: str) -> str:
    """Turn JSON text into jsonb."""
    return jsonb_in(text)


def kind(text: str) -> str:
    """Return object, array, string, number, boolean or null."""
    first = text.lstrip(_SPACE)[0]
    return {
        "{": "object", "[": "array", '"': "string", "t": "boolean", "f": "boolean", "n": "null",
    }.get(first, "number")  # fmt: skip


def _skip(text: str, at: int) -> int:
    while text[at] in _SPACE:
        at += 1
    return at


def elements(text: str) -> list[str]:
    """Return the texts of an array's elements."""
    at = _skip(text, _skip(text, 0) + 1)
    items = []
    while text[at] != "]":
        _, end = _scan(text, at)
        items.append(text[at:end])
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return items


def pairs(text: str) -> list[tuple[str, str]]:
    """Return an object's keys and the texts of their values, in the order written."""
    at = _skip(text, _skip(text, 0) + 1)
    items = []
    while text[at] != "}":
        key, end = _scan(text, at)
        at = _skip(text, _skip(text, end) + 1)
        _, end = _scan(text, at)
        items.append((key, text[at:end]))
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return items


def field(text: str, key: str) -> str | None:
    """Return the value of a key, the last one of equals; None if `text` is no object."""
    if kind(text) != "object":
        return None
    found = None
    for name, value in pairs(text):
        if name == key:
            found = value
    return found


def element(text: str, index: int) -> str | None:
    """Return an array's element; negative counts from the end."""
    if kind(text) != "array":
        return None
    items = elements(text)
    if -len(items) <= index < len(items):
        return items[index]
    return None


def as_text(text: str | None) -> str | None:
    """Return a JSON value as SQL text: a string without quotes, null as NULL."""
    if text is None:
        return None
    stripped = text.strip(_SPACE)
    if stripped == "null":
        return None
    return str(json.loads(stripped)) if stripped[0] == '"' else stripped


def path_index(step: str) -> int | None:
    """Return a path step as an array index, or None."""
    try:
        return int(step) if step.strip() and "_" not in step else None
    except ValueError:
        return None


def at_path(text: str, path: Sequence[Any]) -> str | None:
    """Follow a text[] path."""
    current: str | None = text.strip(_SPACE)
    for step in path:
        if current is None or step is None:
            return None
        what = kind(current)
        if what == "object":
            current = field(current, step)
        elif what == "array" and (index := path_index(step)) is not None:
            current = element(current, index)
        else:
            return None
    return current


def sort_key(text: str) -> tuple[Any, ...]:
    """Return what jsonb compares by. An empty array at the top sorts first, as in PostgreSQL."""
    return (-1,) if text == "[]" else _key(load(text))


def _key(value: Any) -> tuple[Any, ...]:
    if value is None:
        return (0,)
    if isinstance(value, bool):
        return (3, value)
    if isinstance(value, str):
        return (1, value)
    if isinstance(value, list):
        return (4, len(value), [_key(item) for item in value])
    if isinstance(value, dict):
        items = sorted(value.items(), key=lambda item: (len(item[0].encode()), item[0]))
        return (5, len(items), [(key, _key(item)) for key, item in items])
    return (2, value)


def equal(a: Any, b: Any) -> bool:
    """Compare parsed values; true is not 1."""
    return _key(a) == _key(b)


def contains(outer: Any, inner: Any) -> bool:
    """Answer outer @> inner."""
    if isinstance(outer, dict) and isinstance(inner, dict):
        return all(key in outer and _holds(outer[key], value) for key, value in inner.items())
    if isinstance(outer, list):
        if isinstance(inner, list):
            return all(any(_holds(item, wanted) for item in outer) for wanted in inner)
        if not isinstance(inner, dict):  # an array contains a primitive, at the top only
            return any(equal(item, inner) for item in outer)
        return False
    return not isinstance(inner, dict | list) and equal(outer, inner)


def _holds(outer: Any, inner: Any) -> bool:
    if isinstance(outer, list) != isinstance(inner, list):
        return False
    return contains(outer, inner)
