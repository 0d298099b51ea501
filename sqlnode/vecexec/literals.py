"""Datums as DuckDB literals: exact, typed, and safe inside a statement's text."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from pgwire.codecs.numerics import numeric_out
from pgwire.datum import MICROS_PER_SECOND, Record
from sqlnode.types import SqlType
from sqlnode.vecexec.arrow_values import (
    DUCK_DATE_INFINITY,
    DUCK_TIMESTAMP_INFINITY,
    duck_date,
    duck_timestamp,
    uuid_text,
)
from sqlnode.vecexec.physical import (
    RECORD_OID,
    TEXT_KIND_OIDS,
    Expr,
    Physical,
    fixed,
    physical_of,
    record_of,
)


def quote(text: str) -> str:
    r"""Write a string constant.

    >>> quote("it's")
    "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"


def literal(datum: Any, sql_type: SqlType) -> Expr:
    """Return a datum as a typed constant; numeric in fixed form where it has one."""
    if sql_type.oid == RECORD_OID:
        return _record(datum)
    physical = physical_of(sql_type)
    if datum is None:
        null = Physical(physical.type, element=physical.element, is_null=True)
        return Expr(f"NULL::{physical.duck}", null)
    if physical.is_numeric:
        return _numeric(datum, physical)
    return Expr(constant(datum, physical), physical)


def constant(datum: Any, physical: Physical) -> str:
    """Return the text of a datum in a given form."""
    if datum is None:
        return f"NULL::{physical.duck}"
    if physical.element is not None:
        element = physical.element
        items = ", ".join(constant(item, element) for item in datum)
        return f"[{items}]::{physical.duck}"
    if physical.fields:
        pairs = zip(datum, physical.fields, strict=True)
        items = ", ".join(f"'f{i}': {constant(v, p)}" for i, (v, p) in enumerate(pairs))
        return "{" + items + "}::" + physical.duck
    if physical.is_numeric:
        return f"{quote(numeric_out(datum))}::{physical.duck}"
    if physical.type.oid in TEXT_KIND_OIDS:
        return f"{quote(datum)}::VARCHAR"
    return _WRITERS[physical.duck](datum)


def _record(datum: Any) -> Expr:
    if datum is None:
        return Expr("NULL", Physical(SqlType(RECORD_OID), is_null=True))
    oids = datum.field_oids if isinstance(datum, Record) else ()
    physical = record_of(physical_of(SqlType(oid)) for oid in oids)
    return Expr(constant(datum, physical), physical)


def _numeric(value: Decimal, natural: Physical) -> Expr:
    text = numeric_out(value)
    if value.is_finite():
        scale = len(text.partition(".")[2])
        form = fixed(len(text.lstrip("-").replace(".", "")), scale)
        if form is not None:
            return Expr(f"{quote(text)}::{form.duck}", form)
    return Expr(f"{quote(text)}::VARCHAR", natural)


def _integer(duck: str) -> Callable[[int], str]:
    return lambda value: f"({value})::{duck}" if value < 0 else f"{value}::{duck}"


def _float(duck: str) -> Callable[[float], str]:
    return lambda value: f"'{value!r}'::{duck}"


def _date(value: int) -> str:
    days = duck_date(value)
    if abs(days) == DUCK_DATE_INFINITY:
        return f"'{'-' if days < 0 else ''}infinity'::DATE"
    return f"(DATE '1970-01-01' + ({days}))"


def _timestamp(value: int) -> str:
    micros = duck_timestamp(value)
    if abs(micros) == DUCK_TIMESTAMP_INFINITY:
        return f"'{'-' if micros < 0 else ''}infinity'::TIMESTAMP"
    return f"make_timestamp(({micros})::BIGINT)"


def _time(value: int) -> str:
    seconds, micros = divmod(value, MICROS_PER_SECOND)
    clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{micros:06d}"
    return f"'{clock}'::TIME"


def _interval(value: tuple[int, int, int]) -> str:
    months, days, micros = value
    return f"(to_months({months}) + to_days({days}) + to_microseconds(({micros})::BIGINT))"


_WRITERS: Final[dict[str, Callable[[Any], str]]] = {
    "BOOLEAN": lambda value: "TRUE" if value else "FALSE",
    "SMALLINT": _integer("SMALLINT"),
    "INTEGER": _integer("INTEGER"),
    "BIGINT": _integer("BIGINT"),
    "FLOAT": _float("FLOAT"),
    "DOUBLE": _float("DOUBLE"),
    "BLOB": lambda value: f"unhex('{value.hex()}')",
    "DATE": _date,
    "TIMESTAMP": _timestamp,
    "TIME": _time,
    "INTERVAL": _interval,
    "UUID": lambda value: f"'{uuid_text(value)}'::UUID",
}
