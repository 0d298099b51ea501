"""How one SQL value looks in Python, and the numbers that dates and times are counted from.

SQL NULL is None; bool, int, float and str are themselves; numeric is decimal.Decimal (its
exponent carries the display scale); bytea and uuid are bytes; date is days and time, timestamp,
timestamptz are microseconds, counted as in PostgreSQL's binary format (from 2000-01-01); interval
is `Interval`; arrays are lists (nested for dimensions), records tuples.
"""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple, Self, TypeAlias


class Interval(NamedTuple):
    """A span of time in the three units that do not convert into each other exactly."""

    months: int
    days: int
    micros: int


class Record(tuple[Any, ...]):
    """A composite value that knows the types of its fields, so that it can be written as text."""

    field_oids: tuple[int, ...] = ()

    @classmethod
    def of(cls, values: Iterable[Any], field_oids: Iterable[int]) -> Self:
        """Build a record of `values` with one type OID for each."""
        record = cls(values)
        record.field_oids = tuple(field_oids)
        return record


Datum: TypeAlias = Any
"""One SQL value; None is NULL. See the module docstring for the Python type of each SQL type."""

MICROS_PER_SECOND: Final = 1_000_000
MICROS_PER_MINUTE: Final = 60 * MICROS_PER_SECOND
MICROS_PER_HOUR: Final = 3_600 * MICROS_PER_SECOND
MICROS_PER_DAY: Final = 86_400 * MICROS_PER_SECOND

UNIX_TO_PG_DAYS: Final = 10_957
"""Days from 1970-01-01 to 2000-01-01."""
UNIX_TO_PG_MICROS: Final = UNIX_TO_PG_DAYS * MICROS_PER_DAY
PG_EPOCH_JULIAN: Final = 2_451_545
"""Julian day number of 2000-01-01."""
PG_EPOCH_ORDINAL: Final = 730_120
"""`datetime.date(2000, 1, 1).toordinal()`."""

DATE_INFINITY: Final = 2**31 - 1
DATE_NEG_INFINITY: Final = -(2**31)
DATE_MIN: Final = -PG_EPOCH_JULIAN
"""4714-11-24 BC."""
DATE_MAX: Final = 2_145_031_948
"""5874897-12-31."""
TIMESTAMP_INFINITY: Final = 2**63 - 1
TIMESTAMP_NEG_INFINITY: Final = -(2**63)
TIMESTAMP_MIN: Final = -211_813_488_000_000_000
"""4714-11-24 00:00:00 BC."""
TIMESTAMP_END: Final = 9_223_371_331_200_000_000
"""294277-01-01 00:00:00; timestamps are below it."""
