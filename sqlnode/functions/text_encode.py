"""encode() and decode(): bytea as hex, base64 or escape text."""

import base64
import binascii
import re
from typing import Final

from pgwire.codecs.byteas import bytea_in
from pgwire.errors import InvalidParameterValue
from sqlnode.functions.define import function

_LINE: Final = 76


def _encode(value: bytes, form: str) -> str:
    lowered = form.lower()
    if lowered == "hex":
        return value.hex()
    if lowered == "base64":
        text = base64.b64encode(value).decode()
        return "\n".join(text[at : at + _LINE] for at in range(0, len(text), _LINE))
    if lowered == "escape":
        # Only zero, bytes with the high bit and the backslash are escaped, unlike bytea output.
        return "".join(
            "\\\\" if b == 0x5C else f"\\{b:03o}" if b == 0 or b > 0x7F else chr(b) for b in value
        )
    raise InvalidParameterValue(f'unrecognized encoding: "{form}"')


def _decode(text: str, form: str) -> bytes:
    lowered = form.lower()
    if lowered == "hex":
        return bytea_in("\\x" + text)
    if lowered == "base64":
        return _decode_base64(text)
    if lowered == "escape":
        return bytea_in("\\134x" + text[2:]) if text.startswith("\\x") else bytea_in(text)
    raise InvalidParameterValue(f'unrecognized encoding: "{form}"')


def _decode_base64(text: str) -> bytes:
    compact = re.sub(r"[ \t\n\r]", "", text)
    bad = re.search(r"[^A-Za-z0-9+/=]", compact)
    if bad is not None:
        raise InvalidParameterValue(
            f'invalid symbol "{bad[0]}" found while decoding base64 sequence'
        )
    try:
        return base64.b64decode(compact, validate=True)
    except binascii.Error:
        raise InvalidParameterValue(
            "invalid base64 end sequence",
            hint="Input data is missing padding, is truncated, or is otherwise corrupted.",
        ) from None


function("encode(bytea, text) text", _encode)
function("decode(text, text) bytea", _decode)
