"""Arithmetic of int2, int4, int8 and their mixtures: overflow is 22003, never a wider type."""

import operator as py
from collections.abc import Callable
from typing import Any, Final

from pgwire.errors import DivisionByZero, NumericValueOutOfRange
from sqlnode.functions.define import duck_each, duck_error, function, operator

BITS: Final = {"int2": 16, "int4": 32, "int8": 64}
SQL_NAMES: Final = {"int2": "smallint", "int4": "integer", "int8": "bigint"}
_DUCK_ZERO: Final = duck_error("22012", "division by zero")
_DUCK_DIV: Final = duck_each(f"CASE WHEN v.b = 0 THEN {_DUCK_ZERO} ELSE v.a // v.b END", "a", "b")
_DUCK_MOD: Final = duck_each(
    f"CASE WHEN v.b = 0 THEN {_DUCK_ZERO} WHEN v.b = -1 THEN 0 ELSE v.a % v.b END", "a", "b"
)


def out_of_range(type_name: str) -> NumericValueOutOfRange:
    """Build PostgreSQL's error of a value too large for an integer type."""
    return NumericValueOutOfRange(f"{SQL_NAMES[type_name]} out of range")


def division_by_zero() -> DivisionByZero:
    """Build the error of every division by zero."""
    return DivisionByZero("division by zero")


def checked(compute: Callable[..., int], type_name: str) -> Callable[..., int]:
    """Wrap `compute` so that a result outside the type raises 22003."""
    high = (1 << (BITS[type_name] - 1)) - 1
    low = -high - 1

    def run(*args: Any) -> int:
        value = compute(*args)
        if low <= value <= high:
            return value
        raise out_of_range(type_name)

    return run


def divide(a: int, b: int) -> int:
    """Divide towards zero."""
    if b == 0:
        raise division_by_zero()
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


def modulo(a: int, b: int) -> int:
    """Return the remainder with the dividend's sign."""
    if b == 0:
        raise division_by_zero()
    rest = abs(a) % abs(b)
    return -rest if a < 0 else rest


def _wrapped(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def _gcd(a: int, b: int) -> int:
    while b:
        a, b = b, a % b
    return abs(a)


def _lcm(a: int, b: int) -> int:
    return abs(a * b) // _gcd(a, b) if a and b else 0


def _arithmetic(left: str, right: str, result: str) -> None:
    prefix = left if left == right else f"int{left[3]}{right[3]}"
    for symbol, suffix, compute, duck in (
        ("+", "pl", py.add, "({0} + {1})"),
        ("-", "mi", py.sub, "({0} - {1})"),
        ("*", "mul", py.mul, "({0} * {1})"),
        ("/", "div", divide, _DUCK_DIV),
    ):
        operator(
            symbol,
            f"{prefix}{suffix}({left}, {right}) {result}",
            checked(compute, result),
            duck,
            commutator=symbol if symbol in "+*" else None,
        )


for _left in BITS:
    for _right in BITS:
        _arithmetic(_left, _right, _left if _left >= _right else _right)


def _shift_left(bits: int) -> Callable[[int, int], int]:
    # The machine's own shift: the count wraps at the register width, int2 works in 32 bits.
    mask = 63 if bits == 64 else 31
    return lambda value, count: _wrapped(value << (count & mask), bits)


def _shift_right(bits: int) -> Callable[[int, int], int]:
    mask = 63 if bits == 64 else 31
    return lambda value, count: value >> (count & mask)


def _one_type(name: str) -> None:
    bits = BITS[name]
    both = f"({name}, {name}) {name}"
    one = f"({name}) {name}"
    operator("%", f"{name}mod{both}", modulo, _DUCK_MOD)
    function(f"mod{both}", modulo, _DUCK_MOD)
    operator("&", f"{name}and{both}", py.and_, "({0} & {1})", commutator="&")
    operator("|", f"{name}or{both}", py.or_, "({0} | {1})", commutator="|")
    operator("#", f"{name}xor{both}", py.xor, "xor({0}, {1})", commutator="#")
    operator("~", f"{name}not{one}", py.invert, "(~{0})")
    operator("<<", f"{name}shl({name}, int4) {name}", _shift_left(bits))
    operator(">>", f"{name}shr({name}, int4) {name}", _shift_right(bits))
    operator("-", f"{name}um{one}", checked(py.neg, name), "(-({0}))")
    operator("+", f"{name}up{one}", py.pos, "({0})")
    operator("@", f"{name}abs{one}", checked(abs, name), "abs({0})")
    function(f"abs{one}", checked(abs, name), "abs({0})")
    if name != "int2":
        function(f"gcd{both}", checked(_gcd, name))
        function(f"lcm{both}", checked(_lcm, name))


for _name in BITS:
    _one_type(_name)
