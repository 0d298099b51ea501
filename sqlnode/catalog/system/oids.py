"""OIDs of things that have no descriptor of their own.

Descriptor ids count up from 16,384; what is derived from them (an index's default expression, a
row type) gets an OID in the upper half of the 32 bits, where no descriptor will come.
"""

from typing import Final

from sqlnode.catalog.descriptors import PUBLIC_SCHEMA_ID

PG_CATALOG_OID: Final = 11
INFORMATION_SCHEMA_OID: Final = 13000
PG_INSULA_OID: Final = 15000
SCHEMA_OIDS: Final = {
    "pg_catalog": PG_CATALOG_OID,
    "information_schema": INFORMATION_SCHEMA_OID,
    "pg_insula": PG_INSULA_OID,
    "public": PUBLIC_SCHEMA_ID,
}
BOOTSTRAP_ROLE_OID: Final = 10
PREDEFINED_ROLES: Final = {"pg_database_owner": 6171}
HEAP_AM_OID: Final = 2
BTREE_AM_OID: Final = 403
C_COLLATION_OID: Final = 950
DEFAULT_COLLATION_OID: Final = 100
DEFAULT_TABLESPACE_OID: Final = 1663
CLASS_PG_NAMESPACE: Final = 2615
CLASS_PG_TYPE: Final = 1247
UTF8_ENCODING: Final = 6

ROW_TYPE: Final = 0  # parts of a relation: numbers of derived_oid
VIEW_RULE: Final = 1
ROW_ARRAY_TYPE: Final = 2047

_UPPER: Final = 1 << 31


def derived_oid(owner_oid: int, number: int) -> int:
    """Return the OID of part `number` (below 2,048) of an object."""
    return _UPPER | ((owner_oid << 11 | number & 0x7FF) & (_UPPER - 1))


def owner_and_part(oid: int) -> tuple[int, int] | None:
    """Take a derived OID apart again; None for one that is not derived."""
    if oid < _UPPER:
        return None
    return (oid - _UPPER) >> 11, oid & 0x7FF


def schema_oid(name: str) -> int | None:
    """Return the OID of a built-in schema, None for a user's."""
    return SCHEMA_OIDS.get(name)
