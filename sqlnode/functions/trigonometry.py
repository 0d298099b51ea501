"""Trigonometry in degrees: exact at multiples of 30 and 45 degrees, as PostgreSQL promises.

Source: src/backend/utils/adt/float.c (dsind, dcosd, dtand, dasind…).
"""

import math
from collections.abc import Callable
from typing import Final

from pgwire.errors import NumericValueOutOfRange
from sqlnode.functions.define import function

RADIANS_PER_DEGREE: Final = 0.0174532925199432957692
_SIN_30: Final = math.sin(30 * RADIANS_PER_DEGREE)
_ONE_MINUS_COS_60: Final = 1.0 - math.cos(60 * RADIANS_PER_DEGREE)
_ASIN_HALF: Final = math.asin(0.5)
_ACOS_HALF: Final = math.acos(0.5)
_ATAN_ONE: Final = math.atan(1.0)


def _small_sine(x: float) -> float:
    return (math.sin(x * RADIANS_PER_DEGREE) / _SIN_30) / 2.0


def _small_cosine(x: float) -> float:
    return 1.0 - ((1.0 - math.cos(x * RADIANS_PER_DEGREE)) / _ONE_MINUS_COS_60) / 2.0


def _sine(x: float) -> float:
    """Return the sine of 0 to 90 degrees."""
    return _small_sine(x) if x <= 30.0 else _small_cosine(90.0 - x)


def _cosine(x: float) -> float:
    """Return the cosine of 0 to 90 degrees."""
    return _small_cosine(x) if x <= 60.0 else _small_sine(90.0 - x)


_TAN_45: Final = _sine(45.0) / _cosine(45.0)
_COT_45: Final = _cosine(45.0) / _sine(45.0)


def _reduced(x: float) -> tuple[float, float, float]:
    """Return the angle in 0 to 90 degrees, and the signs of its sine and cosine."""
    if math.isinf(x):
        raise NumericValueOutOfRange("input is out of range")
    x = math.fmod(x, 360.0)
    sine = cosine = 1.0
    if x < 0:
        x, sine = -x, -sine
    if x > 180.0:
        x, sine = 360.0 - x, -sine
    if x > 90.0:
        x, cosine = 180.0 - x, -cosine
    return x, sine, cosine


def _sind(x: float) -> float:
    if x != x:
        return x
    angle, sign, _ = _reduced(x)
    return sign * _sine(angle)


def _cosd(x: float) -> float:
    if x != x:
        return x
    angle, _, sign = _reduced(x)
    return sign * _cosine(angle)


def _ratio(top: float, bottom: float) -> float:
    return top / bottom if bottom else math.copysign(math.inf, top)


def _tand(x: float) -> float:
    if x != x:
        return x
    angle, sine, cosine = _reduced(x)
    result = sine * cosine * (_ratio(_sine(angle), _cosine(angle)) / _TAN_45)
    return 0.0 if result == 0.0 else result


def _cotd(x: float) -> float:
    if x != x:
        return x
    angle, sine, cosine = _reduced(x)
    result = sine * cosine * (_ratio(_cosine(angle), _sine(angle)) / _COT_45)
    return 0.0 if result == 0.0 else result


def _in_domain(compute: Callable[[float], float]) -> Callable[[float], float]:
    def run(x: float) -> float:
        if x != x:
            return x
        if not -1.0 <= x <= 1.0:
            raise NumericValueOutOfRange("input is out of range")
        return compute(x)

    return run


def _positive_asind(x: float) -> float:
    if x <= 0.5:
        return (math.asin(x) / _ASIN_HALF) * 30.0
    return 90.0 - (math.acos(x) / _ACOS_HALF) * 60.0


def _positive_acosd(x: float) -> float:
    if x <= 0.5:
        return 90.0 - (math.asin(x) / _ASIN_HALF) * 30.0
    return (math.acos(x) / _ACOS_HALF) * 60.0


def _asind(x: float) -> float:
    return _positive_asind(x) if x >= 0.0 else -_positive_asind(-x)


def _acosd(x: float) -> float:
    return _positive_acosd(x) if x >= 0.0 else 90.0 + _positive_asind(-x)


for _name, _compute in (
    ("sind", _sind),
    ("cosd", _cosd),
    ("tand", _tand),
    ("cotd", _cotd),
    ("asind", _in_domain(_asind)),
    ("acosd", _in_domain(_acosd)),
    ("atand", lambda x: (math.atan(x) / _ATAN_ONE) * 45.0),
):
    function(f"{_name}(float8) float8", _compute)
function("atan2d(float8, float8) float8", lambda y, x: (math.atan2(y, x) / _ATAN_ONE) * 45.0)
