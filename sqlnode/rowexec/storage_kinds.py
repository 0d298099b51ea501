"""Which storage kind and which key kind each SQL type has.

numeric(p, s) of at most 18 digits is a scaled int64, any other numeric its text. Types that may be
stored but not compared (json, jsonb) have no key kind.
"""

from typing import Final

from kvapi.keys import KeyKind
from kvapi.row_layout import DEC64_DIGITS_MAX, LayoutColumn, StorageKind
from pgwire.errors import FeatureNotSupported, UndefinedObject
from sqlnode import types
from sqlnode.types import SqlType, numeric_precision_scale

BPCHAR_OID: Final = 1042
_REG_OIDS: Final = (24, 26, 2202, 2205, 2206, 4089, 4096)
_TEXT_OIDS: Final = (18, 19, 25, 1042, 1043)

_STORAGE: Final[dict[int, StorageKind]] = {
    16: StorageKind.BOOL,
    17: StorageKind.BYTES,
    20: StorageKind.I8,
    21: StorageKind.I2,
    23: StorageKind.I4,
    700: StorageKind.F4,
    701: StorageKind.F8,
    1082: StorageKind.I4,
    1083: StorageKind.I8,
    1114: StorageKind.I8,
    1184: StorageKind.I8,
    1186: StorageKind.INTERVAL,
    1700: StorageKind.NUMERIC,
    2950: StorageKind.UUID,
    114: StorageKind.TEXT,
    3802: StorageKind.TEXT,
    **dict.fromkeys(_REG_OIDS, StorageKind.I8),  # unsigned, so that four bytes would not do
    **dict.fromkeys(_TEXT_OIDS, StorageKind.TEXT),
}

_KEYS: Final[dict[int, KeyKind]] = {
    16: KeyKind.BOOL,
    17: KeyKind.BYTES,
    700: KeyKind.FLOAT,
    701: KeyKind.FLOAT,
    1186: KeyKind.INTERVAL,
    1700: KeyKind.NUMERIC,
    2950: KeyKind.UUID,
    **dict.fromkeys((20, 21, 23, 1082, 1083, 1114, 1184, *_REG_OIDS), KeyKind.INT),
    **dict.fromkeys(_TEXT_OIDS, KeyKind.TEXT),
}


def layout_column(attnum: int, sql_type: SqlType) -> LayoutColumn:
    """Return how a column is stored. Raises: FeatureNotSupported for types no column can have."""
    kind = _STORAGE.get(sql_type.oid)
    if kind is None:
        raise FeatureNotSupported(f"columns of type {sql_type} are not supported")
    if kind is StorageKind.NUMERIC:
        parts = numeric_precision_scale(sql_type.typmod)
        if parts is not None and parts[0] <= DEC64_DIGITS_MAX and parts[1] >= 0:
            return LayoutColumn(attnum, StorageKind.DEC64, parts[1])
    return LayoutColumn(attnum, kind)


def key_kind(sql_type: SqlType) -> KeyKind:
    """Return how a column is encoded in keys. Raises: UndefinedObject for unordered types."""
    kind = _KEYS.get(sql_type.oid)
    if kind is not None:
        return kind
    if sql_type.oid == types.JSONB.oid:
        raise FeatureNotSupported("indexes on columns of type jsonb are not supported")
    raise UndefinedObject(
        f'data type {sql_type.bare} has no default operator class for access method "btree"',
        hint="You must specify an operator class for the index or define a default operator "
        "class for the data type.",
    )
