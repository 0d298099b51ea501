"""Text input of bool, integers, floats, text, bytea and uuid; messages are PostgreSQL's own."""

import math
import re
import struct
from typing import Final

from pgwire.codecs.settings import Settings
from pgwire.errors import (
    CharacterNotInRepertoire,
    InvalidTextRepresentation,
    NumericValueOutOfRange,
    SqlError,
)

SPACE: Final = " \t\n\v\f\r"
"""What PostgreSQL's isspace() skips; Python's strip() would also take Unicode spaces."""

_INTEGER: Final = re.compile(r"[+-]?[0-9]+")
_FLOAT: Final = re.compile(
    r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|(inf|infinity|nan))", re.IGNORECASE
)
_HEX_FLOAT: Final = re.compile(
    r"[+-]?0x(?:[0-9a-f]+\.?[0-9a-f]*|\.[0-9a-f]+)(?:p[+-]?[0-9]+)?", re.IGNORECASE
)
_UUID: Final = re.compile(
    r"\{[0-9a-f]{4}(?:-?[0-9a-f]{4}){7}\}|[0-9a-f]{4}(?:-?[0-9a-f]{4}){7}", re.IGNORECASE
)
_BOOL_WORDS: Final = {
    word[:n]: value
    for word, value, shortest in (
        ("true", True, 1),
        ("false", False, 1),
        ("yes", True, 1),
        ("no", False, 1),
        ("on", True, 2),
        ("off", False, 2),
        ("1", True, 1),
        ("0", False, 1),
    )
    for n in range(shortest, len(word) + 1)
}
_INT_DIGITS_MAX: Final = 40
_FLOAT4: Final = struct.Struct("<f")


def invalid_syntax(type_name: str, text: str) -> SqlError:
    """Build the error of every input function: invalid input syntax for type x: "text"."""
    return InvalidTextRepresentation(f'invalid input syntax for type {type_name}: "{text}"')


def check_text(text: str) -> str:
    """Return `text` unless it holds the one character text cannot hold.

    Raises: CharacterNotInRepertoire.
    """
    if "\0" in text:
        raise CharacterNotInRepertoire('invalid byte sequence for encoding "UTF8": 0x00')
    return text


def decode_utf8(data: bytes) -> str:
    """Decode client bytes to text. Raises: CharacterNotInRepertoire."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        bad = data[error.start : max(error.end, error.start + 1)]
        shown = " ".join(f"0x{byte:02x}" for byte in bad[:4])
        raise CharacterNotInRepertoire(
            f'invalid byte sequence for encoding "UTF8": {shown}'
        ) from None
    if "\0" in text:
        raise CharacterNotInRepertoire('invalid byte sequence for encoding "UTF8": 0x00')
    return text


def bool_in(text: str, _settings: Settings | None = None) -> bool:
    """Read a boolean: any unambiguous prefix of true, false, yes, no, on, off, 1, 0."""
    value = _BOOL_WORDS.get(text.strip(SPACE).lower())
    if value is None:
        raise invalid_syntax("boolean", text)
    return value


class IntegerInput:
    """Text input of one integer type."""

    __slots__ = ("high", "low", "type_name")

    def __init__(self, type_name: str, bits: int) -> None:
        self.type_name = type_name
        self.low = -(1 << (bits - 1))
        self.high = (1 << (bits - 1)) - 1

    def __call__(self, text: str, _settings: Settings | None = None) -> int:
        stripped = text.strip(SPACE)
        if _INTEGER.fullmatch(stripped) is None:
            raise invalid_syntax(self.type_name, text)
        if len(stripped) > _INT_DIGITS_MAX:
            sign = "-" if stripped[0] == "-" else ""
            stripped = sign + (stripped.lstrip("+-").lstrip("0")[:_INT_DIGITS_MAX] or "0")
        value = int(stripped)
        if not self.low <= value <= self.high:
            raise NumericValueOutOfRange(
                f'value "{text}" is out of range for type {self.type_name}'
            )
        return value


int2_in: Final = IntegerInput("smallint", 16)
int4_in: Final = IntegerInput("integer", 32)
int8_in: Final = IntegerInput("bigint", 64)


def oid_in(text: str, _settings: Settings | None = None) -> int:
    """Read an OID: 32 bits; negative numbers wrap round as in PostgreSQL."""
    stripped = text.strip(SPACE)
    if _INTEGER.fullmatch(stripped) is None:
        raise invalid_syntax("oid", text)
    if len(stripped) > _INT_DIGITS_MAX or not -(2**31) <= int(stripped) < 2**32:
        raise NumericValueOutOfRange(f'value "{text}" is out of range for type oid')
    return int(stripped) % 2**32


def _parse_float(text: str, type_name: str) -> float:
    stripped = text.strip(SPACE)
    match = _FLOAT.fullmatch(stripped)
    if match is None:
        if _HEX_FLOAT.fullmatch(stripped) is None:
            raise invalid_syntax(type_name, text)
        try:
            return float.fromhex(stripped)
        except OverflowError:
            raise float_out_of_range(stripped, type_name) from None
    value = float(stripped)
    if match[1] is None:
        mantissa = stripped.lower().partition("e")[0]
        if math.isinf(value) or (value == 0.0 and mantissa.strip("+-0.")):
            raise float_out_of_range(stripped, type_name)
    return value


def float_out_of_range(text: str, type_name: str) -> SqlError:
    """Build the error of a number that overflows or underflows a float type."""
    return NumericValueOutOfRange(f'"{text}" is out of range for type {type_name}')


def float8_in(text: str, _settings: Settings | None = None) -> float:
    """Read a double precision number."""
    return _parse_float(text, "double precision")


def float4_in(text: str, _settings: Settings | None = None) -> float:
    """Read a real number, rounded to 32 bits."""
    wide = _parse_float(text, "real")
    try:
        narrow: float = _FLOAT4.unpack(_FLOAT4.pack(wide))[0]
    except OverflowError:
        raise float_out_of_range(text.strip(SPACE), "real") from None
    if narrow == 0.0 and wide != 0.0:
        raise float_out_of_range(text.strip(SPACE), "real")
    return narrow


def text_in(text: str, _settings: Settings | None = None) -> str:
    """Read text: itself, but never with a NUL character."""
    return check_text(text)


def name_in(text: str, _settings: Settings | None = None) -> str:
    """Read a name: cut to 63 bytes on a character boundary."""
    return check_text(text).encode()[:63].decode(errors="ignore")


def char_in(text: str, _settings: Settings | None = None) -> str:
    r"""Read a "char": the first byte, or an octal escape such as \351."""
    if len(text) == 4 and text[0] == "\\" and all(c in "01234567" for c in text[1:]):
        return chr(int(text[1:], 8) & 0xFF)
    return check_text(text).encode()[:1].decode("latin-1")


def char_out(value: str) -> str:
    r"""Write a "char": a byte above 127 as an octal escape."""
    return value if value.isascii() else f"\\{ord(value[0]) & 0xFF:03o}"


def uuid_in(text: str, _settings: Settings | None = None) -> bytes:
    """Read a UUID: hyphens optional after any four digits, braces optional."""
    if _UUID.fullmatch(text) is None:
        raise invalid_syntax("uuid", text)
    return bytes.fromhex(text.strip("{}").replace("-", ""))


def void_in(_text: str, _settings: Settings | None = None) -> str:
    """Read a void: the empty string whatever it was."""
    return ""
