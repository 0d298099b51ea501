"""Aggregates: PostgreSQL's signatures and result types over the accumulators.

Templates are given where DuckDB's answer is equal; numeric and the other cases collect a list.
"""

import math
import operator as py
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any, Final

from pgwire.errors import NumericValueOutOfRange
from sqlnode.functions import accumulators as acc
from sqlnode.functions import decimals
from sqlnode.functions.comparison import FLOAT, INTERVAL, NUMERIC, PLAIN, Compare
from sqlnode.functions.define import parse_signature
from sqlnode.functions.floats import overflow, single
from sqlnode.functions.integers import checked
from sqlnode.functions.intervals import add_intervals, divide_interval, interpolate_interval
from sqlnode.functions.registry import REGISTRY, Aggregate
from sqlnode.types import SqlType


def aggregate(
    signature: str, python: Callable[[], Any], duck: str | None = None, **fields: Any
) -> Aggregate:
    """Register an aggregate; without a template vecexec collects a list."""
    name, arguments, result = parse_signature(signature)
    entry = Aggregate(name, arguments, result, python, duck, duck_list=duck is None, **fields)
    REGISTRY.add_aggregate(entry)
    return entry


aggregate("count() int8", acc.CountRows, "count(*){filter}")
aggregate("count(any) int8", acc.CountValues, "count({distinct}{0}){filter}")


def _float_sum(a: float, b: float) -> float:
    total = a + b
    if math.isinf(total) and not (math.isinf(a) or math.isinf(b)):
        raise overflow()
    return total


def _single_sum(a: float, b: float) -> float:
    total = single(a + b)
    if math.isinf(total) and not (math.isinf(a) or math.isinf(b)):
        raise overflow()
    return total


def _fold(combine: Callable[[Any, Any], Any]) -> Callable[[], Any]:
    return lambda: acc.Fold(combine)


class _IntegerSum(acc.Fold):
    """sum of int8: an integer of any size, numeric at the end."""

    def final(self) -> Decimal | None:
        return None if self.value is None else Decimal(self.value)


_SUM: Final = "sum({distinct}{0}){filter}"
for _name in ("int2", "int4"):
    aggregate(f"sum({_name}) int8", _fold(checked(py.add, "int8")), f"CAST({_SUM} AS BIGINT)")
aggregate("sum(int8) numeric", lambda: _IntegerSum(py.add))
aggregate("sum(numeric) numeric", _fold(decimals.add))
aggregate("sum(float4) float4", _fold(_single_sum))
aggregate("sum(float8) float8", _fold(_float_sum))
aggregate("sum(interval) interval", _fold(add_intervals))


def _numeric_mean(total: Any, count: int) -> Decimal:
    return decimals.divide(Decimal(total), Decimal(count))


for _name in ("int2", "int4", "int8"):
    aggregate(f"avg({_name}) numeric", lambda: acc.Mean(py.add, _numeric_mean))
aggregate("avg(numeric) numeric", lambda: acc.Mean(decimals.add, _numeric_mean))
for _name in ("float4", "float8"):
    aggregate(f"avg({_name}) float8", lambda: acc.Mean(_float_sum, py.truediv))
aggregate("avg(interval) interval", lambda: acc.Mean(add_intervals, divide_interval))


def _extreme(less: Compare, *, is_max: bool) -> Callable[[], Any]:
    if is_max:
        return _fold(lambda a, b: b if less(a, b) else a)
    return _fold(lambda a, b: b if less(b, a) else a)


def _bpchar_less(a: str, b: str) -> bool:
    return a.rstrip(" ") < b.rstrip(" ")


_LESS: Final[dict[str, Compare]] = {
    **dict.fromkeys(
        ("int2", "int4", "int8", "oid", "text", "date", "time", "timestamp", "timestamptz"),
        PLAIN["<"],
    ),
    "float4": FLOAT["<"],
    "float8": FLOAT["<"],
    "numeric": NUMERIC["<"],
    "interval": INTERVAL["<"],
    "bpchar": _bpchar_less,
}
for _name, _less in _LESS.items():
    _is_plain = _name not in ("numeric", "bpchar", "interval")
    for _function in ("min", "max"):
        aggregate(
            f"{_function}({_name}) {_name}",
            _extreme(_less, is_max=_function == "max"),
            f"{_function}({{0}}){{filter}}" if _is_plain else None,
        )

_AND: Final = "bool_and({distinct}{0}){filter}"
aggregate("bool_and(bool) bool", _fold(py.and_), _AND)
aggregate("every(bool) bool", _fold(py.and_), _AND)
aggregate("bool_or(bool) bool", _fold(py.or_), "bool_or({distinct}{0}){filter}")
for _name in ("int2", "int4", "int8"):
    for _function, _combine in (("and", py.and_), ("or", py.or_), ("xor", py.xor)):
        aggregate(
            f"bit_{_function}({_name}) {_name}",
            _fold(_combine),
            f"bit_{_function}({{distinct}}{{0}}){{filter}}",
        )
aggregate("string_agg(text, text) text", acc.StringJoin)
aggregate("string_agg(bytea, bytea) bytea", acc.StringJoin)


@lru_cache(maxsize=1024)
def _same_array(types: tuple[SqlType, ...]) -> Aggregate:
    """array_agg over arrays makes an array of one more dimension, of the same type."""
    is_array = bool(types[0].info.element_oid)
    return replace(_ARRAY_AGG, result=types[0] if is_array else _ARRAY_AGG.result, specialize=None)


_ARRAY_AGG: Final = Aggregate(
    "array_agg", *parse_signature("array_agg(anyelement) anyarray")[1:], acc.Collect,
    "list({distinct}{0}{order}){filter}", specialize=_same_array,
)  # fmt: skip
REGISTRY.add_aggregate(_ARRAY_AGG)

for _name, _is_sample, _is_root in (
    ("var_pop", False, False),
    ("var_samp", True, False),
    ("variance", True, False),
    ("stddev_pop", False, True),
    ("stddev_samp", True, True),
    ("stddev", True, True),
):
    for _type in ("int2", "int4", "int8", "numeric"):
        aggregate(
            f"{_name}({_type}) numeric",
            partial(acc.NumericSpread, is_sample=_is_sample, is_root=_is_root),
        )
    for _type in ("float4", "float8"):
        aggregate(
            f"{_name}({_type}) float8",
            partial(acc.FloatSpread, is_sample=_is_sample, is_root=_is_root),
        )

Sums = acc.Regression


def _per_count(value: float, count: int) -> float | None:
    return value / count if count > 0 else None


def _correlation(r: Sums) -> float | None:
    if r.count < 1 or r.sxx == 0 or r.syy == 0:
        return None
    return r.sxy / math.sqrt(r.sxx * r.syy)


def _slope(r: Sums) -> float | None:
    return None if r.count < 1 or r.sxx == 0 else r.sxy / r.sxx


def _intercept(r: Sums) -> float | None:
    if r.count < 1 or r.sxx == 0:
        return None
    return (r.sum_y - r.sum_x * r.sxy / r.sxx) / r.count


def _r2(r: Sums) -> float | None:
    if r.count < 1 or r.sxx == 0:
        return None
    return 1.0 if r.syy == 0 else (r.sxy * r.sxy) / (r.sxx * r.syy)


for _name, _finish in (
    ("corr", _correlation),
    ("covar_pop", lambda r: _per_count(r.sxy, r.count)),
    ("covar_samp", lambda r: _per_count(r.sxy, r.count - 1)),
    ("regr_avgx", lambda r: _per_count(r.sum_x, r.count)),
    ("regr_avgy", lambda r: _per_count(r.sum_y, r.count)),
    ("regr_intercept", _intercept),
    ("regr_r2", _r2),
    ("regr_slope", _slope),
    ("regr_sxx", lambda r: r.sxx if r.count else None),
    ("regr_sxy", lambda r: r.sxy if r.count else None),
    ("regr_syy", lambda r: r.syy if r.count else None),
):
    aggregate(f"{_name}(float8, float8) float8", partial(acc.Regression, _finish))
aggregate("regr_count(float8, float8) int8", acc.CountPairs)


def _check_fraction(fraction: float) -> None:
    if not 0 <= fraction <= 1:
        raise NumericValueOutOfRange(f"percentile value {fraction:g} is not between 0 and 1")


def _discrete(values: list[Any], fraction: float) -> Any:
    _check_fraction(fraction)
    return values[max(math.ceil(fraction * len(values)), 1) - 1]


def _continuous(between: Callable[[Any, Any, float], Any]) -> Callable[[list[Any], float], Any]:
    def pick(values: list[Any], fraction: float) -> Any:
        _check_fraction(fraction)
        position = fraction * (len(values) - 1)
        first, second = math.floor(position), math.ceil(position)
        if first == second:
            return values[first]
        return between(values[first], values[second], position - first)

    return pick


def _between(low: float, high: float, share: float) -> float:
    return low + share * (high - low)


def _percentile(signature: str, pick: Callable[[list[Any], float], Any], *, is_many: bool) -> None:
    aggregate(signature, lambda: acc.Percentile(pick, is_many=is_many), ordered_set=True)


for _fraction, _suffix in (("float8", ""), ("float8[]", "[]")):
    _many = bool(_suffix)
    _percentile(f"percentile_cont({_fraction}, float8) float8{_suffix}",
                _continuous(_between), is_many=_many)  # fmt: skip
    _percentile(f"percentile_cont({_fraction}, interval) interval{_suffix}",
                _continuous(interpolate_interval), is_many=_many)  # fmt: skip
_percentile("percentile_disc(float8, anyelement) anyelement", _discrete, is_many=False)
_percentile("percentile_disc(float8[], anyelement) anyarray", _discrete, is_many=True)
aggregate("mode(anyelement) anyelement", acc.Mode, ordered_set=True)
