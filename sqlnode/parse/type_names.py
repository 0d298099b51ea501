"""Type names: their grammar, and what SqlType they mean.

**Model.** The grammar keeps the name as written (key-word types in pg_catalog spelling) and the
modifiers as integers; `resolve_type` turns that into an OID and a typmod. SERIAL types are no
types; only CREATE TABLE knows them, so they are kept by name here and refused by `resolve_type`.

**Source.** gram.y `Typename`, `SimpleTypename`; typmodin functions of each type.
"""

from typing import Final

from pgwire.errors import FeatureNotSupported, InvalidParameterValue, SqlError, UndefinedObject
from sqlnode.parse.cursor import TokenCursor
from sqlnode.parse.keywords import TYPE_KEYWORDS
from sqlnode.parse.syntax import TypeName
from sqlnode.parse.tokens import TokenKind
from sqlnode.types import BY_NAME, TYPES, SqlType, numeric_typmod

SERIAL_TYPES: Final = {
    "serial": "int4",
    "serial4": "int4",
    "bigserial": "int8",
    "serial8": "int8",
    "smallserial": "int2",
    "serial2": "int2",
}
_SIMPLE: Final = {
    "int": "int4",
    "integer": "int4",
    "smallint": "int2",
    "bigint": "int8",
    "real": "float4",
    "boolean": "bool",
    "dec": "numeric",
    "decimal": "numeric",
    "numeric": "numeric",
}
_INTERVAL_UNITS: Final = ("year", "month", "day", "hour", "minute", "second")
_KNOWN_UNSUPPORTED: Final = frozenset(
    [
        "bit",
        "varbit",
        "money",
        "timetz",
        "point",
        "line",
        "lseg",
        "box",
        "path",
        "polygon",
        "circle",
        "cidr",
        "inet",
        "macaddr",
        "macaddr8",
        "tsvector",
        "tsquery",
        "xml",
        "int4range",
        "int8range",
        "numrange",
        "tsrange",
        "tstzrange",
        "daterange",
        "jsonpath",
        "pg_lsn",
        "txid_snapshot",
        "pg_snapshot",
    ]
)


class TypeNameParser(TokenCursor):
    """Adds type names to the cursor."""

    def type_name(self) -> TypeName:
        """Take a type name. Raises: SqlSyntaxError, FeatureNotSupported."""
        position = self.position
        is_set = self.accept("setof")
        names, typmods = self._simple_type()
        dimensions = self._array_bounds()
        return TypeName(names, typmods, dimensions, is_set, position)

    def peek_type_keyword(self) -> bool:
        """Say whether a type with grammar of its own comes next (they may not name functions)."""
        return self.token.kind is TokenKind.WORD and self.token.value in TYPE_KEYWORDS

    def _array_bounds(self) -> int:
        if self.accept("array"):
            if self.accept_symbol("["):
                self.integer()
                self.expect_symbol("]")
            return 1
        dimensions = 0
        while self.accept_symbol("["):
            if not self.peek_symbol("]"):
                self.integer()
            self.expect_symbol("]")
            dimensions += 1
        return dimensions

    def _simple_type(self) -> tuple[tuple[str, ...], tuple[int, ...]]:
        if not self.peek_type_keyword():
            return self._generic_type()
        word = self.advance().value
        if word in _SIMPLE:
            modifiers = self._typmods() if _SIMPLE[word] == "numeric" else ()
            return ("pg_catalog", _SIMPLE[word]), modifiers
        if word == "double":  # not a key word of its own class, but never reached otherwise
            raise self.error()
        return _KEYWORD_TYPES[word](self)

    def _generic_type(self) -> tuple[tuple[str, ...], tuple[int, ...]]:
        if self.accept("double", "precision"):
            return ("pg_catalog", "float8"), ()
        parts = [self.function_name()]
        while self.accept_symbol("."):
            parts.append(self.label())
        return tuple(parts), self._typmods()

    def _typmods(self) -> tuple[int, ...]:
        if not self.accept_symbol("("):
            return ()
        values = [self.integer()]
        while self.accept_symbol(","):
            values.append(self.integer())
        self.expect_symbol(")")
        return tuple(values)

    def _float(self) -> tuple[tuple[str, ...], tuple[int, ...]]:
        position = self.position
        bits = self._typmods()
        if bits and bits[0] < 1:
            raise InvalidParameterValue(
                "precision for type float must be at least 1 bit", position=position
            )
        if bits and bits[0] > 53:
            raise InvalidParameterValue(
                "precision for type float must be less than 54 bits", position=position
            )
        return ("pg_catalog", "float4" if bits and bits[0] <= 24 else "float8"), ()

    def _character(self) -> tuple[tuple[str, ...], tuple[int, ...]]:
        varying = self.accept("varying")
        modifiers = self._typmods()
        if varying:
            return ("pg_catalog", "varchar"), modifiers
        return ("pg_catalog", "bpchar"), modifiers or (1,)

    def _varchar(self) -> tuple[tuple[str, ...], tuple[int, ...]]:
        return ("pg_catalog", "varchar"), self._typmods()

    def _national(self) -> tuple[tuple[str, ...], tuple[int, ...]]:
        self.expect_any("character", "char")
        return self._character()

    def _time(self) -> tuple[tuple[str, ...], tuple[int, ...]]:
        return self._date_time("time", "timetz")

    def _timestamp(self) -> tuple[tuple[str, ...], tuple[int, ...]]:
        return self._date_time("timestamp", "timestamptz")

    def _date_time(self, plain: str, zoned: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
        modifiers = self._typmods()
        if self.accept("with", "time", "zone"):
            return ("pg_catalog", zoned), modifiers
        self.accept("without", "time", "zone")
        return ("pg_catalog", plain), modifiers

    def _interval(self) -> tuple[tuple[str, ...], tuple[int, ...]]:
        if self.peek_any(*_INTERVAL_UNITS):
            raise self.unsupported("interval with a field restriction")
        return ("pg_catalog", "interval"), self._typmods()

    def _bit(self) -> tuple[tuple[str, ...], tuple[int, ...]]:
        raise self.unsupported("type bit")


_KEYWORD_TYPES: Final = {
    "float": TypeNameParser._float,
    "char": TypeNameParser._character,
    "character": TypeNameParser._character,
    "nchar": TypeNameParser._character,
    "varchar": TypeNameParser._varchar,
    "national": TypeNameParser._national,
    "time": TypeNameParser._time,
    "timestamp": TypeNameParser._timestamp,
    "interval": TypeNameParser._interval,
    "bit": TypeNameParser._bit,
}


def parse_type(text: str) -> SqlType:
    """Return the type a text names, as `'varchar(20)'::regtype` would read it.

    Raises: SqlSyntaxError, UndefinedObject, FeatureNotSupported.

    >>> parse_type("numeric(10,2)").typmod, parse_type("timestamp(3) with time zone").name
    (655366, 'timestamptz')
    """
    parser = TypeNameParser(text)
    name = parser.type_name()
    parser.expect_end()
    return resolve_type(name)


def resolve_type(name: TypeName) -> SqlType:
    """Turn a parsed type name into a SqlType.

    Raises: UndefinedObject, FeatureNotSupported, InvalidParameterValue.
    """
    written = name.names[-1]
    found = BY_NAME.get(written)
    if len(name.names) > 1 and name.names[0] != "pg_catalog":
        found = None
    if found is None or written == "unknown":
        raise _no_type(name, written)
    if found.info.element_oid and name.dimensions == 0 and not name.typmods:
        return found
    result = SqlType(found.oid, _typmod(written, name))
    if name.dimensions:
        if not TYPES[found.oid].array_oid:
            raise UndefinedObject(
                f"could not find array type for data type {written}", position=name.position
            )
        result = SqlType(TYPES[found.oid].array_oid, result.typmod)
    return result


def _no_type(name: TypeName, written: str) -> SqlError:
    dotted = ".".join(part for part in name.names if part != "pg_catalog") + "[]" * min(
        name.dimensions, 1
    )
    if written in _KNOWN_UNSUPPORTED and name.names[0] in (written, "pg_catalog"):
        return FeatureNotSupported(f"type {written} is not supported", position=name.position)
    return UndefinedObject(f'type "{dotted}" does not exist', position=name.position)


def _typmod(written: str, name: TypeName) -> int:
    modifiers = name.typmods
    if not modifiers:
        return -1
    if written == "numeric":
        return _numeric_typmod(modifiers, name.position)
    if len(modifiers) > 1:
        raise InvalidParameterValue("invalid type modifier", position=name.position)
    (value,) = modifiers
    if written in ("bpchar", "varchar"):
        return _length_typmod(written, value, name.position)
    if written in ("time", "timestamp", "timestamptz", "interval"):
        if value < 0:
            raise InvalidParameterValue(
                f"{written.upper()}({value}) precision must not be negative", position=name.position
            )
        precision = min(value, 6)
        return precision | (0x7FFF << 16) if written == "interval" else precision
    raise InvalidParameterValue(
        f'type modifier is not allowed for type "{written}"',
        position=name.position,
        sqlstate="42601",
    )


def _numeric_typmod(modifiers: tuple[int, ...], position: int) -> int:
    precision, scale = (*modifiers, 0)[:2]
    if len(modifiers) > 2:
        raise InvalidParameterValue("invalid NUMERIC type modifier", position=position)
    if not 1 <= precision <= 1000:
        raise InvalidParameterValue(
            f"NUMERIC precision {precision} must be between 1 and 1000", position=position
        )
    if not -1000 <= scale <= 1000:
        raise InvalidParameterValue(
            f"NUMERIC scale {scale} must be between -1000 and 1000", position=position
        )
    return numeric_typmod(precision, scale)


def _length_typmod(written: str, length: int, position: int) -> int:
    shown = "varchar" if written == "varchar" else "char"
    if length < 1:
        raise InvalidParameterValue(
            f"length for type {shown} must be at least 1", position=position
        )
    if length > 10_485_760:
        raise InvalidParameterValue(
            f"length for type {shown} cannot exceed 10485760", position=position
        )
    return length + 4
