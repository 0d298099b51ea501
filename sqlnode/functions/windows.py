"""Pure window functions. They run in DuckDB, where they mean the same."""

from sqlnode.functions.define import duck_error, parse_signature
from sqlnode.functions.registry import REGISTRY, WindowFunction

_NTILE = duck_error("22014", "argument of ntile must be greater than zero")
_NTH = duck_error("22016", "argument of nth_value must be greater than zero")

for _signature, _duck in (
    ("row_number() int8", "row_number()"),
    ("rank() int8", "rank()"),
    ("dense_rank() int8", "dense_rank()"),
    ("percent_rank() float8", "percent_rank()"),
    ("cume_dist() float8", "cume_dist()"),
    ("ntile(int4) int4", f"ntile(CASE WHEN {{0}} <= 0 THEN {_NTILE} ELSE {{0}} END)"),
    ("lag(anyelement) anyelement", "lag({0})"),
    ("lag(anyelement, int4) anyelement", "lag({0}, {1})"),
    ("lag(anyelement, int4, anyelement) anyelement", "lag({0}, {1}, {2})"),
    ("lead(anyelement) anyelement", "lead({0})"),
    ("lead(anyelement, int4) anyelement", "lead({0}, {1})"),
    ("lead(anyelement, int4, anyelement) anyelement", "lead({0}, {1}, {2})"),
    ("first_value(anyelement) anyelement", "first_value({0})"),
    ("last_value(anyelement) anyelement", "last_value({0})"),
    ("nth_value(anyelement, int4) anyelement",
     f"nth_value({{0}}, CASE WHEN {{1}} <= 0 THEN {_NTH} ELSE {{1}} END)"),
):  # fmt: skip
    _name, _arguments, _result = parse_signature(_signature)
    REGISTRY.add_window_function(WindowFunction(_name, _arguments, _result, _duck))
