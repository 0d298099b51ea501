"""Comparison operators of every type, and the cross-type ones PostgreSQL lists.

NaN equals itself and is greater than every number. Text compares by code point, which is the byte
order of UTF-8. char(n) ignores trailing blanks.
"""

import operator as py
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from pgwire.datum import MICROS_PER_DAY, Interval
from sqlnode.functions.define import operator

Compare = Callable[[Any, Any], bool]

# symbol: (suffix in function names, commutator, negator, duck)
_SYMBOLS: Final = {
    "=": ("eq", "=", "<>", "({0} = {1})"),
    "<>": ("ne", "<>", "=", "({0} <> {1})"),
    "<": ("lt", ">", ">=", "({0} < {1})"),
    "<=": ("le", ">=", ">", "({0} <= {1})"),
    ">": ("gt", "<", "<=", "({0} > {1})"),
    ">=": ("ge", "<=", "<", "({0} >= {1})"),
}
PLAIN: Final[dict[str, Compare]] = {
    "=": py.eq,
    "<>": py.ne,
    "<": py.lt,
    "<=": py.le,
    ">": py.gt,
    ">=": py.ge,
}


def keyed(key: Callable[[Any], Any]) -> dict[str, Compare]:
    """Return the six comparisons of values that compare by `key`."""

    def of(compare: Compare) -> Compare:
        return lambda a, b: compare(key(a), key(b))

    return {symbol: of(compare) for symbol, compare in PLAIN.items()}


def _float_less(a: float, b: float) -> bool:
    return a < b or (b != b and a == a)


def _float_equal(a: float, b: float) -> bool:
    return a == b or (a != a and b != b)


def _numeric_less(a: Decimal, b: Decimal) -> bool:
    if a.is_nan():
        return False
    return b.is_nan() or a < b


def _numeric_equal(a: Decimal, b: Decimal) -> bool:
    return a == b or (a.is_nan() and b.is_nan())


def _from_less(equal: Compare, less: Compare) -> dict[str, Compare]:
    return {
        "=": equal,
        "<>": lambda a, b: not equal(a, b),
        "<": less,
        "<=": lambda a, b: not less(b, a),
        ">": lambda a, b: less(b, a),
        ">=": lambda a, b: not less(a, b),
    }


def interval_span(value: Interval) -> int:
    """Return the length that intervals compare by: 30 days to the month, 24 hours to the day."""
    return (value.months * 30 + value.days) * MICROS_PER_DAY + value.micros


FLOAT: Final = _from_less(_float_equal, _float_less)
NUMERIC: Final = _from_less(_numeric_equal, _numeric_less)
INTERVAL: Final = keyed(interval_span)
BPCHAR: Final = keyed(lambda text: text.rstrip(" "))
CHAR: Final = keyed(lambda text: text.encode("latin-1", "replace"))


def compare_with(
    names: str, left: str, right: str, compares: dict[str, Compare], duck: str | None = ""
) -> None:
    """Register the six operators; `names` holds `%` where eq, ne… stands, duck '' the plain one."""
    for symbol, (suffix, commutator, negator, plain) in _SYMBOLS.items():
        operator(
            symbol,
            f"{names.replace('%', suffix)}({left}, {right}) bool",
            compares[symbol],
            plain if duck == "" else duck and duck.replace("%", symbol),
            commutator=commutator,
            negator=negator,
        )


_TRIMMED: Final = "(rtrim({0}, ' ') % rtrim({1}, ' '))"

for _names, _left, _right in (
    ("bool%", "bool", "bool"),
    ("int2%", "int2", "int2"),
    ("int4%", "int4", "int4"),
    ("int8%", "int8", "int8"),
    ("int24%", "int2", "int4"),
    ("int42%", "int4", "int2"),
    ("int28%", "int2", "int8"),
    ("int82%", "int8", "int2"),
    ("int48%", "int4", "int8"),
    ("int84%", "int8", "int4"),
    ("oid%", "oid", "oid"),
    ("text%", "text", "text"),
    ("text_%", "text", "text"),
    ("name%", "name", "name"),
    ("name%text", "name", "text"),
    ("text%name", "text", "name"),
    ("bytea%", "bytea", "bytea"),
    ("uuid_%", "uuid", "uuid"),
    ("date_%", "date", "date"),
    ("time_%", "time", "time"),
    ("timestamp_%", "timestamp", "timestamp"),
    ("timestamptz_%", "timestamptz", "timestamptz"),
    ("xid8%", "xid8", "xid8"),
):
    if _names not in ("text%", "text_%"):
        compare_with(_names, _left, _right, PLAIN)

for _symbol, (_suffix, _commutator, _negator, _duck) in _SYMBOLS.items():
    _name = f"text{_suffix}" if _symbol in ("=", "<>") else f"text_{_suffix}"
    operator(
        _symbol,
        f"{_name}(text, text) bool",
        PLAIN[_symbol],
        _duck,
        commutator=_commutator,
        negator=_negator,
    )

compare_with("float4%", "float4", "float4", FLOAT)
compare_with("float8%", "float8", "float8", FLOAT)
compare_with("float48%", "float4", "float8", FLOAT)
compare_with("float84%", "float8", "float4", FLOAT)
compare_with("numeric_%", "numeric", "numeric", NUMERIC, None)
compare_with("interval_%", "interval", "interval", INTERVAL)
compare_with("bpchar%", "bpchar", "bpchar", BPCHAR, _TRIMMED)
compare_with("char%", "char", "char", CHAR, None)

operator("=", "xideq(xid, xid) bool", py.eq, "({0} = {1})", commutator="=", negator="<>")
operator("<>", "xidneq(xid, xid) bool", py.ne, "({0} <> {1})", commutator="<>", negator="=")
operator("=", "xideqint4(xid, int4) bool", lambda a, b: a == b % 2**32, negator="<>")
operator("<>", "xidneqint4(xid, int4) bool", lambda a, b: a != b % 2**32, negator="=")
operator("=", "tideq(tid, tid) bool", py.eq, commutator="=", negator="<>")
operator("<>", "tidne(tid, tid) bool", py.ne, commutator="<>", negator="=")
