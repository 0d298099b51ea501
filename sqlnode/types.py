"""PostgreSQL types as values: what an expression has, what a column stores.

**Model.** A `SqlType` is an OID and a type modifier; everything else about a type is one row of
`TYPES`, keyed by OID. Datums follow the units of PostgreSQL's binary format (see
`pgwire/datum.py`).

Source: PostgreSQL, src/include/catalog/pg_type.dat.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple


class SqlType(NamedTuple):
    """A type and its modifier: numeric(10,2) is (1700, (10 << 16 | 2) + 4); -1 means none."""

    oid: int
    typmod: int = -1

    @property
    def info(self) -> "TypeInfo":
        return TYPES[self.oid]

    @property
    def name(self) -> str:
        return TYPES[self.oid].name

    @property
    def bare(self) -> "SqlType":
        """The same type without its modifier."""
        return self if self.typmod == -1 else SqlType(self.oid)

    def __str__(self) -> str:
        return format_type(self)


@dataclass(frozen=True, slots=True)
class TypeInfo:
    """One row of pg_type that the planner and the codecs need."""

    oid: int
    name: str  # internal, as in pg_type.typname: int4
    sql_name: str  # as format_type prints it: integer
    category: str  # typcategory, steers operator and function resolution
    preferred: bool = False
    length: int = -1  # typlen: bytes, -1 varlena, -2 cstring
    array_oid: int = 0
    element_oid: int = 0  # of arrays


def _type(row: str) -> TypeInfo:
    oid, name, sql_name, category, length, array_oid = row.split("|")
    return TypeInfo(
        int(oid), name, sql_name, category[0], len(category) > 1, int(length), int(array_oid)
    )


# oid | typname | SQL name | category (+ if preferred) | typlen | array oid
_BASE: Final = """
16|bool|boolean|B+|1|1000
17|bytea|bytea|U|-1|1001
18|char|"char"|Z|1|1002
19|name|name|S|64|1003
20|int8|bigint|N|8|1016
21|int2|smallint|N|2|1005
22|int2vector|int2vector|A|-1|1006
23|int4|integer|N|4|1007
24|regproc|regproc|N|4|1008
25|text|text|S+|-1|1009
26|oid|oid|N+|4|1028
27|tid|tid|U|6|1010
28|xid|xid|U|4|1011
29|cid|cid|U|4|1012
30|oidvector|oidvector|A|-1|1013
114|json|json|U|-1|199
194|pg_node_tree|pg_node_tree|Z|-1|0
700|float4|real|N|4|1021
701|float8|double precision|N+|8|1022
705|unknown|unknown|X|-2|0
1033|aclitem|aclitem|U|12|1034
1042|bpchar|character|S|-1|1014
1043|varchar|character varying|S|-1|1015
1082|date|date|D|4|1182
1083|time|time without time zone|D|8|1183
1114|timestamp|timestamp without time zone|D|8|1115
1184|timestamptz|timestamp with time zone|D+|8|1185
1186|interval|interval|T+|16|1187
1700|numeric|numeric|N|-1|1231
2202|regprocedure|regprocedure|N|4|2207
2205|regclass|regclass|N|4|2210
2206|regtype|regtype|N|4|2211
2249|record|record|P|-1|2287
2275|cstring|cstring|P|-2|1263
2276|any|"any"|P|4|0
2277|anyarray|anyarray|P|-1|0
2278|void|void|P|4|0
2283|anyelement|anyelement|P|4|0
2950|uuid|uuid|U|16|2951
3802|jsonb|jsonb|U|-1|3807
4089|regnamespace|regnamespace|N|4|4090
4096|regrole|regrole|N|4|4097
5069|xid8|xid8|U|8|271
"""


def _all_types() -> dict[int, TypeInfo]:
    types = {}
    for row in _BASE.strip().splitlines():
        info = _type(row)
        types[info.oid] = info
        if info.array_oid:
            types[info.array_oid] = TypeInfo(
                info.array_oid,
                "_" + info.name,
                info.sql_name + "[]",
                "A",
                element_oid=info.oid,
            )
    return types


TYPES: Final[dict[int, TypeInfo]] = _all_types()
BY_NAME: Final[dict[str, SqlType]] = {info.name: SqlType(info.oid) for info in TYPES.values()}

BOOL: Final = SqlType(16)
BYTEA: Final = SqlType(17)
CHAR: Final = SqlType(18)
NAME: Final = SqlType(19)
INT8: Final = SqlType(20)
INT2: Final = SqlType(21)
INT4: Final = SqlType(23)
REGPROC: Final = SqlType(24)
TEXT: Final = SqlType(25)
OID: Final = SqlType(26)
JSON: Final = SqlType(114)
FLOAT4: Final = SqlType(700)
FLOAT8: Final = SqlType(701)
UNKNOWN: Final = SqlType(705)  # an untyped literal or parameter, before the binder gives it a type
BPCHAR: Final = SqlType(1042)
VARCHAR: Final = SqlType(1043)
DATE: Final = SqlType(1082)
TIME: Final = SqlType(1083)
TIMESTAMP: Final = SqlType(1114)
TIMESTAMPTZ: Final = SqlType(1184)
INTERVAL: Final = SqlType(1186)
NUMERIC: Final = SqlType(1700)
REGCLASS: Final = SqlType(2205)
REGTYPE: Final = SqlType(2206)
RECORD: Final = SqlType(2249)
ANY: Final = SqlType(2276)
ANYARRAY: Final = SqlType(2277)
VOID: Final = SqlType(2278)
ANYELEMENT: Final = SqlType(2283)
UUID: Final = SqlType(2950)
JSONB: Final = SqlType(3802)


def array_of(element: SqlType) -> SqlType:
    """Return the array type of `element`; KeyError if it has none."""
    oid = TYPES[element.oid].array_oid
    if not oid:
        raise KeyError(element)
    return SqlType(oid, element.typmod)


def element_of(array: SqlType) -> SqlType | None:
    """Return an array's element type, or None where `array` is no array."""
    oid = TYPES[array.oid].element_oid
    return SqlType(oid, array.typmod) if oid else None


def numeric_typmod(precision: int, scale: int) -> int:
    """Pack numeric(precision, scale); scale may be negative (PostgreSQL 15).

    >>> numeric_typmod(10, 2)
    655366
    """
    return ((precision << 16) | (scale & 0x7FF)) + 4


def numeric_precision_scale(typmod: int) -> tuple[int, int] | None:
    """Unpack a numeric typmod to (precision, scale), or None without one.

    >>> numeric_precision_scale(655366)
    (10, 2)
    """
    if typmod < 4:
        return None
    packed = typmod - 4
    scale = packed & 0x7FF
    return packed >> 16, scale - 0x800 if scale & 0x400 else scale


def format_type(sql_type: SqlType) -> str:
    """Print a type as PostgreSQL's format_type does.

    >>> format_type(SqlType(1043, 24)), format_type(SqlType(1700, 655366)),
    format_type(SqlType(1007)) ('character varying(20)', 'numeric(10,2)', 'integer[]')
    """
    info, typmod = TYPES[sql_type.oid], sql_type.typmod
    if info.element_oid:
        return format_type(SqlType(info.element_oid, typmod)) + "[]"
    if typmod < 0:
        return info.sql_name
    if info.oid in (1042, 1043):
        return f"{info.sql_name}({typmod - 4})"
    if info.oid == 1700 and (parts := numeric_precision_scale(typmod)):
        return f"numeric({parts[0]},{parts[1]})"
    if info.oid in (1083, 1114, 1184):
        head, _, tail = info.sql_name.partition(" ")
        return f"{head}({typmod}) {tail}"
    return info.sql_name


def format_stored_type(sql_type: SqlType) -> str:
    """Print the type of a column or constant: character without a length is bpchar.

    >>> format_stored_type(SqlType(1042)), format_stored_type(SqlType(1042, 9))
    ('bpchar', 'character(5)')
    """
    if sql_type.typmod < 0 and sql_type.oid in (BPCHAR.oid, 1014):
        return "bpchar" if sql_type.oid == BPCHAR.oid else "bpchar[]"
    return format_type(sql_type)
