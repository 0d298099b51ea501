"""extract(field from …) and date_part() in DuckDB, for the fields whose results are equal.

extract() gives numeric: whole fields with scale 0, seconds with 6, milliseconds with 3. Infinite
dates have no such form, so they are refused instead of giving NULL.
"""

import re
from collections.abc import Sequence
from typing import Final

from sqlnode.functions.registry import Function
from sqlnode.types import FLOAT8
from sqlnode.vecexec.physical import Expr, Physical, fixed, physical_of

_DATE: Final = 1082
_TIMESTAMP: Final = 1114
_WHOLE: Final = frozenset(
    ("month", "day", "hour", "minute", "quarter", "dow", "doy", "week", "isodow", "year")
)
_DATE_FIELDS: Final = _WHOLE - {"hour", "minute"}
_LITERAL: Final = re.compile(r"'(\w+)'::VARCHAR")


def render_extract(function: Function, args: Sequence[Expr]) -> Expr | None:
    """Render extract or date_part of a date or timestamp; None: leave it to Python."""
    field, source = _LITERAL.fullmatch(args[0].text), args[1]
    oid = source.physical.type.oid
    if field is None or oid not in (_DATE, _TIMESTAMP) or source.volatile:
        return None
    found = _part(field[1].lower(), source.text, is_date=oid == _DATE)
    if found is None:
        return None
    text, form = found
    finite = (
        f"CASE WHEN isinf({source.text}) "
        f"THEN error('[[0A000]]{function.name} of an infinite value is not supported here') "
        f"ELSE {text} END"
    )
    if function.name == "date_part":
        return Expr(f"CAST({finite} AS DOUBLE)", physical_of(FLOAT8))
    return Expr(f"CAST({finite} AS {form.duck})", form)


def _part(field: str, text: str, *, is_date: bool) -> tuple[str, Physical] | None:
    whole = fixed(10, 0)
    assert whole is not None, "ten digits fit"
    if field == "year":  # there is no year 0
        year = f"date_part('year', {text})"
        return f"(CASE WHEN {year} <= 0 THEN {year} - 1 ELSE {year} END)", whole
    if field in (_DATE_FIELDS if is_date else _WHOLE):
        return f"date_part('{field}', {text})", whole
    if is_date:
        return None
    micros = {"second": (8, 6), "milliseconds": (8, 3), "epoch": (20, 6)}.get(field)
    form = fixed(*micros) if micros is not None else None
    if form is None:
        return None
    count = f"epoch_us({text})" if field == "epoch" else f"date_part('microseconds', {text})"
    unit = "0.001::DECIMAL(4,3)" if field == "milliseconds" else "0.000001::DECIMAL(7,6)"
    return f"(CAST({count} AS DECIMAL(19,0)) * {unit})", form
