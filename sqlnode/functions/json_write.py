"""Datums as JSON text: to_json for every type, with the spacing PostgreSQL's builders use."""

import json
import math
from collections.abc import Callable
from typing import Any, Final

from pgwire.codecs.settings import Settings
from pgwire.datum import TIMESTAMP_INFINITY, TIMESTAMP_NEG_INFINITY
from sqlnode.functions.text_io import writer
from sqlnode.types import TYPES, SqlType

JsonWriter = Callable[[Any], str]

quote: Final = json.JSONEncoder(ensure_ascii=False).encode
_NUMBERS: Final = frozenset({"int2", "int4", "int8", "numeric"})
_FLOATS: Final = frozenset({"float4", "float8"})


def json_writer(sql_type: SqlType, settings: Settings) -> JsonWriter:
    """Return the function that writes a non-NULL datum of the type as JSON."""
    name = sql_type.name
    if name == "bool":
        return lambda value: "true" if value else "false"
    if name in ("json", "jsonb"):
        return str
    if name in _NUMBERS or name in _FLOATS:
        return _number_writer(writer(sql_type, settings))
    if name == "timestamp":
        out = writer(sql_type, settings)
        return lambda value: f'"{_with_t(out(value))}"'
    if name == "timestamptz":
        return _instant_writer(sql_type, settings)
    if name == "record":
        return _record_writer(settings)
    if sql_type.info.element_oid:
        return _array_writer(json_writer(SqlType(sql_type.info.element_oid), settings))
    out = writer(sql_type, settings)
    return lambda value: quote(out(value))


def _number_writer(out: JsonWriter) -> JsonWriter:
    def write(value: Any) -> str:
        text = out(value)
        return text if math.isfinite(value) else quote(text)

    return write


def _with_t(text: str) -> str:
    day, _, rest = text.partition(" ")
    return f"{day}T{rest}" if rest else day


def _instant_writer(sql_type: SqlType, settings: Settings) -> JsonWriter:
    out, zone = writer(sql_type, settings), settings.zone

    def write(value: int) -> str:
        text = _with_t(out(value))
        if value in (TIMESTAMP_INFINITY, TIMESTAMP_NEG_INFINITY):
            return f'"{text}"'
        body, _, era = text.partition(" ")
        if zone.offset_s_at(value) % 3_600 == 0:  # ISO 8601 wants the minutes, text output not
            body += ":00"
        return f'"{body} {era}"' if era else f'"{body}"'

    return write


def _array_writer(item: JsonWriter) -> JsonWriter:
    def write(value: list[Any]) -> str:
        return (
            "["
            + ",".join(
                "null" if v is None else write(v) if isinstance(v, list) else item(v) for v in value
            )
            + "]"
        )

    return write


def field_names(value: Any) -> list[str]:
    """Return the names of a record's fields: f1, f2… where it has none of its own."""
    names = getattr(value, "field_names", None)
    return list(names) if names else [f"f{index + 1}" for index in range(len(value))]


def _record_writer(settings: Settings) -> JsonWriter:
    def write(value: Any) -> str:
        oids = getattr(value, "field_oids", None) or [_guess(item) for item in value]
        pairs = [
            f"{quote(name)}:{'null' if item is None else json_writer(SqlType(oid), settings)(item)}"
            for name, item, oid in zip(field_names(value), value, oids, strict=True)
        ]
        return "{" + ",".join(pairs) + "}"

    return write


def _guess(value: Any) -> int:
    """Return a type for a field of a record that does not know its types."""
    if isinstance(value, bool):
        return 16
    if isinstance(value, int):
        return 20
    return 701 if isinstance(value, float) else 25


def is_container(sql_type: SqlType) -> bool:
    """Whether values of the type may not be an object's key."""
    return sql_type.name in ("json", "jsonb", "record") or bool(TYPES[sql_type.oid].element_oid)
