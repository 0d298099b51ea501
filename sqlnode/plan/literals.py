"""Literals to datums: what the text of an untyped constant means once its type is known.

**Model.** The codecs read the text; the reg* types are looked up in the catalog. The session uses
the same function for literals that the plan cache lifted out of a statement.

**Source.** PostgreSQL, coerce_type for unknown constants; regproc.c.
"""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, Final

from pgwire.codecs.registry import text_in
from pgwire.codecs.settings import Settings
from pgwire.errors import (
    AmbiguousFunction,
    InvalidSchemaName,
    NumericValueOutOfRange,
    SqlError,
    UndefinedFunction,
    UndefinedObject,
    UndefinedTable,
)
from sqlnode.catalog.descriptors import TableDesc, ViewDesc
from sqlnode.catalog.snapshot import Catalog
from sqlnode.catalog.system.oids import ROW_TYPE, derived_oid
from sqlnode.catalog.virtual import find_virtual
from sqlnode.parse.lexer import tokenize
from sqlnode.parse.tokens import TokenKind
from sqlnode.parse.type_names import parse_type
from sqlnode.plan.scalar import Const
from sqlnode.types import INT4, INT8, NUMERIC, SqlType

_SYSTEM_NAMESPACES: Final = {
    "pg_catalog": 11,
    "pg_toast": 99,
    "information_schema": 13000,
    "pg_insula": 15000,
}


def number(text: str) -> Const:
    """Type a numeric constant as PostgreSQL does: int4, int8 or numeric by size and form.

    >>> number("42").type.name, number("3000000000").type.name, number("1.50").value
    ('int4', 'int8', Decimal('1.50'))
    """
    if text.lstrip("-").isdecimal():
        value = int(text)
        if -(2**31) <= value < 2**31:
            return Const(value, INT4)
        if -(2**63) <= value < 2**63:
            return Const(value, INT8)
    return Const(_decimal(text), NUMERIC)


def _decimal(text: str) -> Decimal:
    value = Decimal(text)
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and exponent > 0:
        if exponent > 131_072:
            raise NumericValueOutOfRange("value overflows numeric format")
        value = value.quantize(Decimal(1)) if exponent < 20 else Decimal(int(value))
    return value


def literal_datum(
    text: str, type_: SqlType, settings: Settings, catalog: Catalog, search_path: Iterable[str]
) -> Any:
    """Read `text` as a datum of `type_`.

    Raises: the type's input errors (22P02, 22007 …), UndefinedTable and its kin for reg* types.
    """
    if (reader := _REG.get(type_.name)) is not None:
        return reader(text, catalog, tuple(search_path))
    return text_in(type_.oid)(text, settings)


def at_position(error: SqlError, position: int | None) -> SqlError:
    """Add a position to an error that has none yet."""
    if error.position is None and position:
        error.position = position
    return error


def _name_parts(text: str) -> list[str]:
    parts = [t.value for t in tokenize(text) if t.kind in (TokenKind.WORD, TokenKind.QUOTED)]
    return parts or [text]


def _regclass(text: str, catalog: Catalog, search_path: tuple[str, ...]) -> int:
    if text.isdecimal() or text == "-":
        return 0 if text == "-" else int(text)
    parts = _name_parts(text)
    name, schema = parts[-1], parts[-2] if len(parts) > 1 else None
    if (virtual := find_virtual(name, schema, search_path)) is not None:
        return virtual.oid
    if (relation := catalog.find_relation(name, schema, search_path)) is not None:
        return relation.id
    if (oid := _find_index(name, schema, catalog, search_path)) is not None:
        return oid
    raise UndefinedTable(f'relation "{".".join(parts)}" does not exist')


def _find_index(
    name: str, schema: str | None, catalog: Catalog, search_path: tuple[str, ...]
) -> int | None:
    schemas = (schema,) if schema is not None else search_path
    ids = {found.id for s in schemas if s is not None and (found := catalog.schemas.get(s))}
    for table in catalog.tables():
        if table.schema_id in ids:
            for index in (table.primary, *table.indexes):
                if index.name == name:
                    return index.oid
    return None


def _regtype(text: str, catalog: Catalog, search_path: tuple[str, ...]) -> int:
    if text.isdecimal() or text == "-":
        return 0 if text == "-" else int(text)
    try:
        return parse_type(text).oid
    except SqlError:
        parts = _name_parts(text)
        schema = parts[-2] if len(parts) > 1 else None
        relation = catalog.find_relation(parts[-1], schema, search_path)
        if isinstance(relation, TableDesc | ViewDesc):
            return derived_oid(relation.id, ROW_TYPE)
        raise


def _regproc(text: str, catalog: Catalog, search_path: tuple[str, ...]) -> int:
    if text.isdecimal() or text == "-":
        return 0 if text == "-" else int(text)
    from sqlnode.catalog.system.rows_types import function_oids

    found = function_oids(_name_parts(text.partition("(")[0])[-1])
    if not found:
        raise UndefinedFunction(f'function "{text}" does not exist')
    if len(found) > 1:
        raise AmbiguousFunction(f'more than one function named "{text}"')
    return found[0]


def _regnamespace(text: str, catalog: Catalog, search_path: tuple[str, ...]) -> int:
    if text.isdecimal():
        return int(text)
    name = _name_parts(text)[-1]
    if name in _SYSTEM_NAMESPACES:
        return _SYSTEM_NAMESPACES[name]
    if (schema := catalog.schemas.get(name)) is None:
        raise InvalidSchemaName(f'schema "{name}" does not exist')
    return schema.id


def _regrole(text: str, catalog: Catalog, search_path: tuple[str, ...]) -> int:
    if text.isdecimal():
        return int(text)
    name = _name_parts(text)[-1]
    for role in catalog.roles:
        if role.name == name:
            return role.oid
    raise UndefinedObject(f'role "{name}" does not exist')


_REG: Final[dict[str, Callable[[str, Catalog, tuple[str, ...]], int]]] = {
    "regclass": _regclass,
    "regtype": _regtype,
    "regproc": _regproc,
    "regprocedure": _regproc,
    "regnamespace": _regnamespace,
    "regrole": _regrole,
}
