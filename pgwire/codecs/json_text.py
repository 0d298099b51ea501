"""json is kept as written once it is valid; jsonb is rewritten in PostgreSQL's canonical form.

Canonical: one blank after ':' and ',', keys ordered by length and then bytes, the last of equal
keys wins, numbers as numeric prints them.
"""

import json
import re
from decimal import Decimal
from typing import Any, Final

from pgwire.codecs.numerics import numeric_in, numeric_out
from pgwire.codecs.scalars import check_text
from pgwire.codecs.settings import Settings
from pgwire.errors import InvalidTextRepresentation, StatementTooComplex, UntranslatableCharacter

_TOKEN: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[A-Za-z0-9_.+-]+|.', re.DOTALL)


class _Number(str):
    """A number as it was written."""

    __slots__ = ()


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)


_DECODER: Final = json.JSONDecoder(
    parse_float=_Number, parse_int=_Number, parse_constant=_refuse_constant
)
_quote: Final = json.JSONEncoder(ensure_ascii=False).encode


def _parse(text: str) -> Any:
    stripped = text.strip(" \t\n\r")
    try:
        return _DECODER.decode(stripped)
    except json.JSONDecodeError as error:
        raise _invalid(stripped, error.pos) from None
    except RecursionError:
        raise StatementTooComplex("stack depth limit exceeded") from None
    except ValueError as error:
        raise _invalid(stripped, max(stripped.find(str(error)), 0)) from None


def _invalid(text: str, position: int) -> InvalidTextRepresentation:
    match = _TOKEN.match(text, position)
    if match is None:
        detail = "The input string ended unexpectedly."
    else:
        detail = f'Token "{match[0]}" is invalid.'
    line = text.count("\n", 0, position) + 1
    return InvalidTextRepresentation(
        "invalid input syntax for type json",
        detail=detail,
        context=f"JSON data, line {line}: {text[:position][-50:]}{match[0] if match else ''}",
    )


def json_in(text: str, _settings: Settings | None = None) -> str:
    """Check JSON and return it as it is."""
    _parse(check_text(text))
    return text


def jsonb_in(text: str, _settings: Settings | None = None) -> str:
    """Check JSON and return its canonical form.

    >>> jsonb_in('{"bb":1e2, "a" : [true,null,1.50], "bb":"x"}')
    '{"a": [true, null, 1.50], "bb": "x"}'
    """
    parsed = _parse(check_text(text))
    try:
        return jsonb_out_of(parsed)
    except RecursionError:
        raise StatementTooComplex("stack depth limit exceeded") from None


def jsonb_out_of(value: Any) -> str:
    """Write parsed JSON canonically. Numbers may be `int`, `float`, `Decimal`; keys are `str`."""
    if isinstance(value, dict):
        # PostgreSQL orders keys by byte length first, then bytewise.
        items = sorted(((key.encode(), item) for key, item in _checked_keys(value)), key=_key_order)
        inner = ", ".join([f"{_quote(key.decode())}: {jsonb_out_of(item)}" for key, item in items])
        return "{" + inner + "}"
    if isinstance(value, list):
        return "[" + ", ".join([jsonb_out_of(item) for item in value]) + "]"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return _leaf(value)


def _leaf(value: Any) -> str:
    if isinstance(value, _Number):
        return numeric_out(numeric_in(str(value)))
    if isinstance(value, str):
        return _quote(_checked_string(value))
    if isinstance(value, Decimal):
        return numeric_out(value)
    return numeric_out(numeric_in(repr(value)))


def _key_order(item: tuple[bytes, Any]) -> tuple[int, bytes]:
    return len(item[0]), item[0]


def _checked_keys(value: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(_checked_string(key), item) for key, item in value.items()]


def _checked_string(value: str) -> str:
    if "\0" in value:
        raise UntranslatableCharacter(
            "unsupported Unicode escape sequence", detail="\\u0000 cannot be converted to text."
        )
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidTextRepresentation(
            "invalid input syntax for type json",
            detail="Unicode low surrogate must follow a high surrogate.",
        ) from None
    return value
