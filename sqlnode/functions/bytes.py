"""Functions over bytea, and between bytea and text in some encoding."""

import re
from collections.abc import Callable

from pgwire.errors import FeatureNotSupported, InvalidParameterValue
from sqlnode.functions.define import function


def _bytea_trim(value: bytes, characters: bytes) -> bytes:
    return value.strip(characters) if characters else value


def _get_byte(value: bytes, index: int) -> int:
    if not 0 <= index < len(value):
        raise InvalidParameterValue(
            f"index {index} out of valid range, 0..{len(value) - 1}", sqlstate="2202E"
        )
    return value[index]


def _set_byte(value: bytes, index: int, new: int) -> bytes:
    _get_byte(value, index)
    return value[:index] + bytes((new & 0xFF,)) + value[index + 1 :]


def _encoding(name: str) -> str:
    lowered = re.sub(r"[^a-z0-9]", "", name.lower())
    known = {"utf8": "utf-8", "unicode": "utf-8", "latin1": "latin-1", "sqlascii": "ascii"}
    if lowered not in known:
        raise FeatureNotSupported(f'encoding "{name}" is not supported')
    return known[lowered]


def _decoder(name: str) -> Callable[[bytes], str]:
    encoding = _encoding(name)

    def decode(value: bytes) -> str:
        try:
            return value.decode(encoding)
        except UnicodeDecodeError as error:
            raise InvalidParameterValue(
                f'invalid byte sequence for encoding "UTF8": 0x{value[error.start]:02x}',
                sqlstate="22021",
            ) from None

    return decode


function("btrim(bytea, bytea) bytea", _bytea_trim)
function("get_byte(bytea, int4) int4", _get_byte)
function("set_byte(bytea, int4, int4) bytea", _set_byte)
function("convert_from(bytea, name) text", lambda value, name: _decoder(name)(value))
function("convert_to(text, name) bytea", lambda text, name: text.encode(_encoding(name)))
