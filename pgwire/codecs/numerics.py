"""numeric: text keeps the display scale and never uses an exponent; binary is base 10,000.

Source: PostgreSQL's src/backend/utils/adt/numeric.c.
"""

import re
import struct
from decimal import Decimal
from typing import Final

from pgwire.codecs.scalars import SPACE, invalid_syntax
from pgwire.codecs.settings import Settings
from pgwire.errors import InvalidBinaryRepresentation, NumericValueOutOfRange

_NUMERIC: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE]([+-]?[0-9]+))?")
_SPECIAL: Final = {
    "nan": Decimal("NaN"),
    "inf": Decimal("Infinity"),
    "+inf": Decimal("Infinity"),
    "infinity": Decimal("Infinity"),
    "+infinity": Decimal("Infinity"),
    "-inf": Decimal("-Infinity"),
    "-infinity": Decimal("-Infinity"),
}
INTEGER_DIGITS_MAX: Final = 131_072
SCALE_MAX: Final = 16_383
_HEADER: Final = struct.Struct("!HhHH")
_POSITIVE: Final = 0x0000
_NEGATIVE: Final = 0x4000
_NAN: Final = 0xC000
_POSITIVE_INFINITY: Final = 0xD000
_NEGATIVE_INFINITY: Final = 0xF000
_INFINITY_SCALE: Final = 0x20
"""What PostgreSQL happens to send there; nobody reads it."""


def _overflow() -> NumericValueOutOfRange:
    return NumericValueOutOfRange("value overflows numeric format")


def _checked(value: Decimal) -> Decimal:
    """Return `value` with exponent <= 0, no negative zero, and within numeric's limits."""
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    if not value:
        scale = max(0, -exponent)
        if scale > SCALE_MAX:
            raise _overflow()
        return Decimal((0, (0,), -scale))
    if len(digits) + exponent > INTEGER_DIGITS_MAX or -exponent > SCALE_MAX:
        raise _overflow()
    if exponent > 0:
        return Decimal((sign, digits + (0,) * exponent, 0))
    return value


def numeric_in(text: str, _settings: Settings | None = None) -> Decimal:
    """Read a numeric; the number of digits after the point becomes its scale."""
    stripped = text.strip(SPACE)
    match = _NUMERIC.fullmatch(stripped)
    if match is None:
        special = _SPECIAL.get(stripped.lower())
        if special is None:
            raise invalid_syntax("numeric", text)
        return special
    if match[1] is not None and (len(match[1]) > 12 or abs(int(match[1])) > 2**31 // 2):
        raise invalid_syntax("numeric", text)
    return _checked(Decimal(stripped))


def numeric_out(value: Decimal) -> str:
    """Write a numeric.

    >>> numeric_out(Decimal("1.500")), numeric_out(Decimal("1E+3")), numeric_out(Decimal("-0.0"))
    ('1.500', '1000', '0.0')
    """
    if value:
        return format(value, "f")
    return format(value.copy_abs(), "f")


def numeric_binary_out(value: Decimal) -> bytes:
    """Encode a numeric: digit count, weight, sign, display scale, base-10,000 digits."""
    if not value.is_finite():
        flag = _NAN if value.is_nan() else _NEGATIVE_INFINITY if value < 0 else _POSITIVE_INFINITY
        return _HEADER.pack(0, 0, flag, 0 if value.is_nan() else _INFINITY_SCALE)
    sign, _, _ = value.as_tuple()
    whole, _, fraction = format(value.copy_abs(), "f").partition(".")
    scale = len(fraction)
    whole = whole.lstrip("0")
    whole = whole.rjust(-(-len(whole) // 4) * 4, "0")
    fraction = fraction.ljust(-(-scale // 4) * 4, "0")
    weight = len(whole) // 4 - 1
    text = whole + fraction
    groups = [int(text[i : i + 4]) for i in range(0, len(text), 4)]
    while groups and groups[-1] == 0:
        groups.pop()
    start = 0
    while start < len(groups) and groups[start] == 0:
        start += 1
    groups = groups[start:]
    if not groups:
        return _HEADER.pack(0, 0, _POSITIVE, scale)
    header = _HEADER.pack(len(groups), weight - start, _NEGATIVE if sign else _POSITIVE, scale)
    return header + struct.pack(f"!{len(groups)}H", *groups)


def numeric_binary_in(data: bytes, _settings: Settings | None = None) -> Decimal:
    """Decode a numeric. Raises: InvalidBinaryRepresentation, NumericValueOutOfRange."""
    if len(data) < 8:
        raise InvalidBinaryRepresentation("insufficient data left in message")
    count, weight, sign, scale = _HEADER.unpack_from(data)
    if sign == _NAN:
        return Decimal("NaN")
    if sign in (_POSITIVE_INFINITY, _NEGATIVE_INFINITY):
        return Decimal("Infinity") if sign == _POSITIVE_INFINITY else Decimal("-Infinity")
    if sign not in (_POSITIVE, _NEGATIVE):
        raise InvalidBinaryRepresentation('invalid sign in external "numeric" value')
    if scale > SCALE_MAX:
        raise InvalidBinaryRepresentation('invalid scale in external "numeric" value')
    if len(data) != 8 + 2 * count:
        raise InvalidBinaryRepresentation("incorrect binary data format")
    groups = struct.unpack_from(f"!{count}H", data, 8)
    if any(group > 9_999 for group in groups):
        raise InvalidBinaryRepresentation('invalid digit in external "numeric" value')
    if count and weight * 4 > INTEGER_DIGITS_MAX:
        raise _overflow()
    return _from_groups(groups, weight, scale, is_negative=sign == _NEGATIVE)


def _from_groups(groups: tuple[int, ...], weight: int, scale: int, *, is_negative: bool) -> Decimal:
    digits = "".join([f"{group:04d}" for group in groups])
    point = (weight + 1) * 4
    if point <= 0:
        whole, fraction = "0", "0" * min(-point, SCALE_MAX + 4) + digits
    else:
        whole, fraction = digits[:point].ljust(point, "0"), digits[point:]
    fraction = fraction[:scale].ljust(scale, "0")
    text = f"{'-' if is_negative else ''}{whole or '0'}.{fraction}" if scale else whole
    if not scale and is_negative:
        text = "-" + whole
    value = Decimal(text)
    return value if value else value.copy_abs()
