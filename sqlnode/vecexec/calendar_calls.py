"""Arithmetic of dates and timestamps that DuckDB does as PostgreSQL does, infinities included.

The registry leaves these to Python; here are the forms that run at full speed. A property test
compares each with the Python callable.
"""

import re
from collections.abc import Sequence
from typing import Final

from sqlnode.functions.registry import Function
from sqlnode.vecexec.physical import Expr

_DAYS_MAX: Final = 100_000_000  # beyond, the sum may pass for an infinity
_FAR: Final = (
    f"WHEN {{1}} NOT BETWEEN -{_DAYS_MAX} AND {_DAYS_MAX} THEN error('[[22008]]date out of range')"
)
_ADD_DAYS: Final = f"(CASE WHEN isinf({{0}}) THEN {{0}} {_FAR} ELSE {{0}} + {{1}} END)"
_SUBTRACT_DAYS: Final = f"(CASE WHEN isinf({{0}}) THEN {{0}} {_FAR} ELSE {{0}} - {{1}} END)"
_DAYS_BETWEEN: Final = (
    "(CASE WHEN isinf({0}) OR isinf({1}) THEN "
    "error('[[22008]]cannot subtract infinite dates') ELSE CAST({0} - {1} AS INTEGER) END)"
)
TEMPLATES: Final[dict[tuple[str, ...], str]] = {
    ("date_pli", "date", "int4"): _ADD_DAYS,
    ("date_mii", "date", "int4"): _SUBTRACT_DAYS,
    ("date_mi", "date", "date"): _DAYS_BETWEEN,
    ("timestamp_pl_interval", "timestamp", "interval"): "({0} + {1})",
    ("timestamp_mi_interval", "timestamp", "interval"): "({0} - {1})",
    ("timestamp_mi", "timestamp", "timestamp"): "({0} - {1})",
    ("date_pl_interval", "date", "interval"): "({0} + {1})",
    ("date_mi_interval", "date", "interval"): "({0} - {1})",
    ("timestamp", "date"): "CAST({0} AS TIMESTAMP)",
    ("date", "timestamp"): "CAST({0} AS DATE)",
}
for _name, _symbol in (
    ("eq", "="), ("ne", "<>"), ("lt", "<"), ("le", "<="), ("gt", ">"), ("ge", ">="),
):  # fmt: skip
    TEMPLATES[f"date_{_name}_timestamp", "date", "timestamp"] = (
        f"(CAST({{0}} AS TIMESTAMP) {_symbol} {{1}})"
    )
    TEMPLATES[f"timestamp_{_name}_date", "timestamp", "date"] = (
        f"({{0}} {_symbol} CAST({{1}} AS TIMESTAMP))"
    )
_TRUNC_FIELDS: Final = frozenset(
    ("second", "minute", "hour", "day", "week", "month", "quarter", "year")
)
_FIELD: Final = re.compile(r"'(\w+)'::VARCHAR")


def calendar_template(function: Function, args: Sequence[Expr]) -> str | None:
    """Return a template for a call, None if Python has to do it."""
    found = TEMPLATES.get((function.name, *(t.name for t in function.arguments)))
    if found is not None:
        return found if not any(arg.volatile for arg in args) else None
    if function.name == "date_trunc" and len(args) == 2 and args[1].physical.type.oid == 1114:
        field = _FIELD.fullmatch(args[0].text)
        if field is not None and field[1].lower() in _TRUNC_FIELDS:
            return f"date_trunc('{field[1].lower()}', {{1}})"
    return None
