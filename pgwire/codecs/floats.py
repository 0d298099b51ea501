"""Text output of float4 and float8: the shortest digits that read back as the same number.

Source: PostgreSQL's src/common/d2s.c and f2s.c for when the exponent form is used.
"""

import math
import struct
from typing import Final

_FLOAT4: Final = struct.Struct("<f")
_FLOAT8_EXPONENT_FROM: Final = 1e15
_FLOAT4_EXPONENT_FROM: Final = 6
_FLT_DIG: Final = 6
_FLOAT4_NORMAL_MIN: Final = 1.1754943508222875e-38


def _special(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _layout(text: str, exponent_from: int) -> str:
    """Turn digits in exponent form into what PostgreSQL prints: fixed while it is short."""
    mantissa, _, exponent_text = text.partition("e")
    exponent = int(exponent_text)
    sign, digits = ("-", mantissa[1:]) if mantissa[0] == "-" else ("", mantissa)
    digits = digits.replace(".", "").rstrip("0") or "0"
    if -4 <= exponent < exponent_from:
        if exponent < 0:
            return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
        whole, fraction = digits[: exponent + 1].ljust(exponent + 1, "0"), digits[exponent + 1 :]
        return f"{sign}{whole}.{fraction}" if fraction else sign + whole
    point = f"{digits[0]}.{digits[1:]}" if len(digits) > 1 else digits
    return f"{sign}{point}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def float8_out(value: float) -> str:
    """Write a double precision number.

    >>> float8_out(1e20), float8_out(1e-5), float8_out(100.0), float8_out(1e15)
    ('1e+20', '1e-05', '100', '1e+15')
    """
    text = repr(value)
    if text.endswith(".0") and -_FLOAT8_EXPONENT_FROM < value < _FLOAT8_EXPONENT_FROM:
        return text[:-2]
    if "e" in text:
        return text
    if math.isfinite(value):
        if -_FLOAT8_EXPONENT_FROM < value < _FLOAT8_EXPONENT_FROM:
            return text
        digits = len(text.removesuffix(".0").lstrip("-").replace(".", ""))
        return _layout(f"{value:.{max(digits - 1, 0)}e}", 15)
    return _special(value)


def float4_out(value: float) -> str:
    """Write a real number.

    >>> float4_out(0.10000000149011612), float4_out(1234567.0), float4_out(123456.0)
    ('0.1', '1.234567e+06', '123456')
    """
    if not math.isfinite(value):
        return _special(value)
    packed = _FLOAT4.pack(value)
    exact: float = _FLOAT4.unpack(packed)[0]
    is_normal = abs(exact) >= _FLOAT4_NORMAL_MIN
    text = ""
    for precision in range(_FLT_DIG if is_normal else 1, 10):
        text = f"{exact:.{precision - 1}e}"
        if _FLOAT4.pack(float(text)) == packed:
            break
    return _layout(text, _FLOAT4_EXPONENT_FROM)


class RoundedOutput:
    """Write a float with a fixed number of significant digits, as printf's %g does."""

    __slots__ = ("digits",)

    def __init__(self, digits: int) -> None:
        self.digits = max(digits, 1)

    def __call__(self, value: float) -> str:
        return f"{value:.{self.digits}g}" if math.isfinite(value) else _special(value)
