"""bytea as text: hex and the older escape format, both ways.

Source: PostgreSQL docs, "Binary Data Types".
"""

import re
from typing import Final

from pgwire.codecs.scalars import SPACE
from pgwire.codecs.settings import Settings
from pgwire.errors import InvalidParameterValue, InvalidTextRepresentation

_ESCAPED: Final = re.compile(rb"\\(\\|[0-3][0-7][0-7])|\\")
_ESCAPES: Final = [
    "\\\\" if byte == 0x5C else chr(byte) if 0x20 <= byte <= 0x7E else f"\\{byte:03o}"
    for byte in range(256)
]


def _hex_in(text: str) -> bytes:
    digits = text[2:]
    try:
        return bytes.fromhex(digits)
    except ValueError:
        pass
    count = 0
    for character in digits:
        if character in SPACE:
            continue
        if character not in "0123456789abcdefABCDEF":
            raise InvalidParameterValue(f'invalid hexadecimal digit: "{character}"')
        count += 1
    if count % 2:
        raise InvalidParameterValue("invalid hexadecimal data: odd number of digits")
    raise InvalidParameterValue("invalid hexadecimal data")


def bytea_in(text: str, _settings: Settings | None = None) -> bytes:
    r"""Read a bytea: \x and hex digits, or text with \\ and \ooo escapes."""
    if text.startswith("\\x"):
        return _hex_in(text)
    raw = text.encode()
    if b"\\" not in raw:
        return raw

    def unescape(match: re.Match[bytes]) -> bytes:
        escape = match[1]
        if escape is None:
            raise InvalidTextRepresentation("invalid input syntax for type bytea")
        return b"\\" if escape == b"\\" else bytes((int(escape, 8),))

    return _ESCAPED.sub(unescape, raw)


def bytea_hex_out(value: bytes) -> str:
    r"""Write a bytea as \x and hex digits."""
    return "\\x" + value.hex()


def bytea_escape_out(value: bytes) -> str:
    r"""Write a bytea as text with \\ and \ooo escapes."""
    return "".join([_ESCAPES[byte] for byte in value])
