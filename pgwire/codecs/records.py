"""Records as text: (a,"b c",).

Source: PostgreSQL's record_out (rowtypes.c).
"""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from pgwire import oids
from pgwire.datum import Datum, Interval, Record

_NEEDS_QUOTES: Final = re.compile(r'["\\(),\s]')
_DOUBLE: Final = re.compile(r'(["\\])')

_BY_PYTHON_TYPE: Final[dict[type, int]] = {
    bool: oids.BOOL,
    int: oids.INT8,
    float: oids.FLOAT8,
    Decimal: oids.NUMERIC,
    str: oids.TEXT,
    bytes: oids.BYTEA,
    Interval: oids.INTERVAL,
    tuple: oids.RECORD,
    Record: oids.RECORD,
}


def _quoted(text: str) -> str:
    if not text or _NEEDS_QUOTES.search(text) is not None:
        return '"' + _DOUBLE.sub(r"\1\1", text) + '"'
    return text


def record_output(text_out: Callable[[int], Callable[[Datum], str]]) -> Callable[[Datum], str]:
    """Return the function that writes a record; `text_out` gives the writer of a type.

    NB: a plain tuple carries no types, so its fields are written by their Python type, in which
    a date is an int. Use `pgwire.datum.Record` wherever the types are known.
    """

    def record_out(value: tuple[Any, ...]) -> str:
        field_oids = value.field_oids if isinstance(value, Record) else ()
        types = field_oids or [_python_oid(item) for item in value]
        fields = [
            "" if item is None else _quoted(text_out(oid)(item))
            for item, oid in zip(value, types, strict=True)
        ]
        return "(" + ",".join(fields) + ")"

    return record_out


def _python_oid(value: Any) -> int:
    if isinstance(value, list):
        item: Any = value
        while isinstance(item, list):
            item = next((element for element in item if element is not None), "")
        return oids.ARRAY_OF[_python_oid(item)]
    return _BY_PYTHON_TYPE.get(type(value), oids.TEXT)
