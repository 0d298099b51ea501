"""DuckDB's exceptions as SqlErrors.

`error('[[22012]]division by zero')` in rendered text carries its SQLSTATE; `[[detail]]` parts the
message from the detail. What DuckDB refuses to plan is a feature we do not support.
"""

import re
from collections.abc import Callable
from typing import Final

from pgwire.errors import (
    CardinalityViolation,
    DatetimeFieldOverflow,
    FeatureNotSupported,
    InternalError,
    NumericValueOutOfRange,
    OutOfMemory,
    QueryCanceled,
)
from pgwire.sql_error import SqlError

_MARKED: Final = re.compile(r"\[\[([0-9A-Z]{5})\]\](.*)", re.DOTALL)
_DETAIL: Final = "[[detail]]"
_INTEGER: Final = re.compile(r"\bU?INT(16|32|64|128)\b")
_NAMES: Final = {"16": "smallint", "32": "integer", "64": "bigint"}
_NARROW: Final = re.compile(r"destination type INT(16|32|64)\b")
_CALENDAR_WORDS: Final = (
    ("timestamp", "timestamp out of range"),
    ("date", "date out of range"),
    ("interval", "interval out of range"),
)
_INFINITE: Final = "Cannot subtract infinite timestamps"
_MANY_ROWS: Final = "More than one row returned by a subquery"


def to_sql_error(error: BaseException) -> SqlError:
    """Return the SqlError that an exception of DuckDB, or of its Arrow stream, means."""
    text = str(error)
    if (marked := _MARKED.search(text)) is not None:
        message, _, detail = marked[2].partition(_DETAIL)
        return SqlError(
            _first_line(message), sqlstate=marked[1], detail=_first_line(detail) or None
        )
    for prefix, convert in _BY_PREFIX:
        if prefix in text[:_PREFIX_CHARS]:
            return convert(text)
    if _INFINITE in text:
        return DatetimeFieldOverflow("cannot subtract infinite timestamps")
    if _MANY_ROWS in text:
        return CardinalityViolation(
            "more than one row returned by a subquery used as an expression"
        )
    return InternalError(f"query engine: {_first_line(text)}")


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]


def _out_of_range(text: str) -> SqlError:
    target = _NARROW.search(text)
    if target is not None:
        return NumericValueOutOfRange(f"{_NAMES[target[1]]} out of range")
    if "DECIMAL" in text or "INT128" in text:
        return NumericValueOutOfRange("value overflows numeric format")
    found = _INTEGER.findall(text)
    if found:
        return NumericValueOutOfRange(f"{_NAMES.get(found[-1], 'value')} out of range")
    lower = text.lower()
    for word, message in _CALENDAR_WORDS:
        if word in lower:
            return DatetimeFieldOverflow(message)
    if "double" in lower or "float" in lower:
        return NumericValueOutOfRange("value out of range: overflow")
    said = _first_line(text).partition(":")[2].strip()
    return NumericValueOutOfRange(said or "value out of range")


def _unsupported(text: str) -> SqlError:
    return FeatureNotSupported("this form of query is not supported", detail=_first_line(text))


def _memory(_text: str) -> SqlError:
    return OutOfMemory("out of memory", detail="The query needs more memory than work_mem allows.")


def is_overflow(error: BaseException) -> bool:
    """Tell whether DECIMAL or HUGEINT arithmetic overflowed, which the text form would not."""
    text = str(error)
    if "[[" in text or not any(prefix in text[:_PREFIX_CHARS] for prefix in _OVERFLOWS):
        return False
    is_wide = "DECIMAL" in text or "INT128" in text or "HUGEINT" in text
    return is_wide and _NARROW.search(text) is None


_PREFIX_CHARS: Final = 60  # Arrow puts words of its own in front
_OVERFLOWS: Final = ("Out of Range Error", "Conversion Error")
_BY_PREFIX: Final[tuple[tuple[str, Callable[[str], SqlError]], ...]] = (
    ("Out of Range Error", _out_of_range),
    ("Conversion Error", _out_of_range),
    ("Binder Error", _unsupported),
    ("Not implemented Error", _unsupported),
    ("Catalog Error", _unsupported),
    ("Parser Error", _unsupported),
    ("Out of Memory Error", _memory),
    ("INTERRUPT Error", lambda _: QueryCanceled("canceling statement due to user request")),
)
