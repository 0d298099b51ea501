"""How a value of each PostgreSQL type lies in DuckDB and Arrow.

**Model.** A `Physical` is a type as an expression or column has it inside one rendered statement.
Only numeric has a choice: *fixed*, a DECIMAL(precision, scale) whose scale every value displays,
or *text* (precision 0), PostgreSQL's own text, each value with its own display scale. The
precision of a fixed one is always larger than its scale: DuckDB writes DECIMAL(2,2) as `.05`.

Dates and times are counted from 1970 there and from 2000 in datums; `arrow_values` shifts.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

import pyarrow as pa

from pgwire.errors import FeatureNotSupported
from sqlnode.types import SqlType, element_of

PRECISION_MAX: Final = 38
NUMERIC_OID: Final = 1700
RECORD_OID: Final = 2249
JSONB_OID: Final = 3802
JSON_OID: Final = 114
BPCHAR_OID: Final = 1042
VECTOR_OIDS: Final = {22: SqlType(21), 30: SqlType(26)}  # int2vector, oidvector: lists

_TEXT: Final = ("VARCHAR", pa.string())
_WIDE: Final = ("BIGINT", pa.int64())  # unsigned 32 bits fit
_PLAIN: Final[dict[int, tuple[str, pa.DataType]]] = {
    16: ("BOOLEAN", pa.bool_()),
    17: ("BLOB", pa.binary()),
    20: _WIDE,
    21: ("SMALLINT", pa.int16()),
    23: ("INTEGER", pa.int32()),
    24: _WIDE,
    26: _WIDE,
    28: _WIDE,
    29: _WIDE,
    700: ("FLOAT", pa.float32()),
    701: ("DOUBLE", pa.float64()),
    1082: ("DATE", pa.date32()),
    1083: ("TIME", pa.time64("us")),
    1114: ("TIMESTAMP", pa.timestamp("us")),
    1184: ("TIMESTAMP", pa.timestamp("us")),
    1186: ("INTERVAL", pa.month_day_nano_interval()),
    2202: _WIDE,
    2205: _WIDE,
    2206: _WIDE,
    2950: ("UUID", pa.string()),
    4089: _WIDE,
    4096: _WIDE,
    5069: _WIDE,
}
_TEXT_OIDS: Final = frozenset(
    (18, 19, 25, 27, 114, 194, 705, 1033, 1042, 1043, 2275, 2276, 2278, 2283, 3802)
)
TEXT_KIND_OIDS: Final = _TEXT_OIDS


@dataclass(frozen=True, slots=True)
class Physical:
    """A type inside one rendered statement; `precision` 0 is the text form of numeric."""

    type: SqlType
    precision: int = 0
    scale: int = 0
    element: "Physical | None" = None
    fields: tuple["Physical", ...] = ()
    is_null: bool = False  # the expression is the NULL literal, so any form will do

    @property
    def is_numeric(self) -> bool:
        return self.type.oid == NUMERIC_OID

    @property
    def is_fixed(self) -> bool:
        return self.precision > 0

    @property
    def is_text_numeric(self) -> bool:
        return self.type.oid == NUMERIC_OID and self.precision == 0

    @property
    def duck(self) -> str:
        """The DuckDB type's name."""
        if self.is_numeric:
            return f"DECIMAL({self.precision},{self.scale})" if self.is_fixed else "VARCHAR"
        if self.element is not None:
            return f"{self.element.duck}[]"
        if self.fields:
            inner = ", ".join(f"f{i} {field.duck}" for i, field in enumerate(self.fields))
            return f"STRUCT({inner})"
        return _plain(self.type)[0]

    @property
    def arrow(self) -> pa.DataType:
        """The Arrow type in which DuckDB takes and gives it."""
        if self.is_numeric:
            return pa.decimal128(self.precision, self.scale) if self.is_fixed else pa.string()
        if self.element is not None:
            return pa.list_(self.element.arrow)
        if self.fields:
            return pa.struct([(f"f{i}", field.arrow) for i, field in enumerate(self.fields)])
        return _plain(self.type)[1]


def _plain(sql_type: SqlType) -> tuple[str, pa.DataType]:
    if sql_type.oid in _TEXT_OIDS:
        return _TEXT
    found = _PLAIN.get(sql_type.oid)
    if found is None:
        raise FeatureNotSupported(f"type {sql_type} is not supported in this query")
    return found


def physical_of(sql_type: SqlType) -> Physical:
    """Return a type's natural form: numeric as text, arrays of natural elements."""
    bare = sql_type.bare
    if bare.oid == NUMERIC_OID:
        return Physical(bare)
    element = VECTOR_OIDS.get(bare.oid) or element_of(bare)
    if element is not None:
        return Physical(bare, element=physical_of(element))
    if bare.oid == RECORD_OID:
        raise FeatureNotSupported("a record of unknown structure is not supported in this query")
    _plain(bare)
    return Physical(bare)


def fixed(precision: int, scale: int) -> Physical | None:
    """Return DECIMAL(precision, scale) with a digit before the point; None if too wide."""
    precision = max(precision, scale + 1, 1)
    if scale < 0 or precision > PRECISION_MAX:
        return None
    return Physical(SqlType(NUMERIC_OID), precision, scale)


def record_of(fields: Iterable[Physical]) -> Physical:
    """Return a record of `fields`; numeric ones must be in text form."""
    return Physical(SqlType(RECORD_OID), fields=tuple(fields))


def common(forms: Iterable[Physical]) -> Physical:
    """Return the form that holds values of all `forms` (of one type), displayed as they are."""
    given = list(forms)
    wanted = [form for form in given if not form.is_null] or given
    first = wanted[0]
    if not first.is_numeric:
        # NULL among arrays and records takes the structure of the others.
        return replace(first, is_null=all(form.is_null for form in given))
    if all(form.is_fixed and form.scale == first.scale for form in wanted):
        return Physical(first.type, max(form.precision for form in wanted), first.scale)
    return Physical(first.type, is_null=all(form.is_null for form in given))


def comparable(left: Physical, right: Physical) -> Physical | None:
    """Return one DECIMAL that holds both fixed forms exactly, or None."""
    if not (left.is_fixed and right.is_fixed):
        return None
    scale = max(left.scale, right.scale)
    return fixed(max(left.precision - left.scale, right.precision - right.scale) + scale, scale)


class Expr:
    """A rendered scalar: DuckDB text, its form, and whether it must not be evaluated twice."""

    __slots__ = ("physical", "text", "volatile")

    def __init__(self, text: str, physical: Physical, *, volatile: bool = False) -> None:
        self.text = text
        self.physical = physical
        self.volatile = volatile

    def cast(self, physical: Physical) -> "Expr":
        """Return the same value in another form of the same type."""
        if physical == self.physical or physical.duck == self.physical.duck:
            return Expr(self.text, physical, volatile=self.volatile)
        return Expr(f"CAST({self.text} AS {physical.duck})", physical, volatile=self.volatile)

    def __repr__(self) -> str:
        return f"Expr({self.text!r}, {self.physical.duck})"


Datum = Any
