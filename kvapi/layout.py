r"""The tenant's own keyspace: which key holds what (the KV node prefixes the tenant id).

Layout, one area for each first byte; integers are big-endian:

    \x01 \x00 name                       catalog: settings of the catalog itself
    \x01 \x01 kind:u8 id:u32             catalog: descriptor of one object
    \x01 \x02 name                       catalog: role (kvapi/role_record.py)
    \x01 \x03 parent:u32 name            catalog: name of an object in a schema → its id
    \x01 \x04 id:u32                     catalog: job of an online schema change
    \x02 table:u32 index:u16 columns     rows (index 1 is the primary) and index entries
    \x03 id:u32                          counters: sequences, row ids; id 0: descriptor ids
    \x04 table:u32                       statistics
"""

import struct
from typing import Final

from kvapi.spans import Span, prefix_span

_META: Final = b"\x01\x00"
_DESCRIPTOR: Final = b"\x01\x01"
_ROLE: Final = b"\x01\x02"
_NAME: Final = b"\x01\x03"
_JOB: Final = b"\x01\x04"
_TABLE: Final = b"\x02"
_COUNTER: Final = b"\x03"
_STATS: Final = b"\x04"

PRIMARY_INDEX_ID: Final = 1
CATALOG_SPAN: Final = prefix_span(b"\x01")
DESCRIPTORS_SPAN: Final = prefix_span(_DESCRIPTOR)
ROLES_SPAN: Final = prefix_span(_ROLE)
JOBS_SPAN: Final = prefix_span(_JOB)

_U32 = struct.Struct(">I")
_KIND_ID = struct.Struct(">BI")
_INDEX = struct.Struct(">cIH")
INDEX_PREFIX_BYTES: Final = _INDEX.size


def meta_key(name: str) -> bytes:
    """Return the key of one setting of the catalog."""
    return _META + name.encode()


CATALOG_CHANGED_KEY: Final = meta_key("changed")
"""Written by each schema change: what it is as of some time tells the catalog's version then."""


def descriptor_key(kind: int, descriptor_id: int) -> bytes:
    """Return the key of an object's descriptor.

    >>> descriptor_key(1, 2).hex()
    '01010100000002'
    """
    return _DESCRIPTOR + _KIND_ID.pack(kind, descriptor_id)


def parse_descriptor_key(key: bytes) -> tuple[int, int]:
    """Return (kind, id) of a key that `descriptor_key` made."""
    kind, descriptor_id = _KIND_ID.unpack_from(key, len(_DESCRIPTOR))
    return kind, descriptor_id


def role_key(name: str) -> bytes:
    """Return the key of a role's record."""
    return _ROLE + name.encode()


def name_key(parent_id: int, name: str) -> bytes:
    """Return the key that reserves an object's name within its parent."""
    return _NAME + _U32.pack(parent_id) + name.encode()


def job_key(job_id: int) -> bytes:
    """Return the key of a job's record (sqlnode/jobs/record.py)."""
    return _JOB + _U32.pack(job_id)


def table_prefix(table_id: int) -> bytes:
    """Return the prefix of everything stored for a table: rows and all indexes."""
    return _TABLE + _U32.pack(table_id)


def index_prefix(table_id: int, index_id: int) -> bytes:
    """Return the prefix of one index; the primary has id 1."""
    return _INDEX.pack(_TABLE, table_id, index_id)


def parse_index_prefix(key: bytes) -> tuple[int, int] | None:
    """Return (table id, index id) of a row's or an index entry's key, None for any other key."""
    if len(key) < INDEX_PREFIX_BYTES or key[:1] != _TABLE:
        return None
    _, table_id, index_id = _INDEX.unpack_from(key)
    return table_id, index_id


def table_span(table_id: int) -> Span:
    """Return the span of everything stored for a table."""
    return prefix_span(table_prefix(table_id))


def sequence_key(counter_id: int) -> bytes:
    """Return the key of a counter: a sequence, or a table's hidden row ids, by descriptor id."""
    return _COUNTER + _U32.pack(counter_id)


DESCRIPTOR_ID_COUNTER: Final = sequence_key(0)


def stats_key(table_id: int) -> bytes:
    """Return the key of a table's statistics."""
    return _STATS + _U32.pack(table_id)


def describe_key(key: bytes) -> str:
    r"""Return a key in words for operators; key columns stay hex.

    >>> describe_key(index_prefix(12, 1) + b"\x01\x80")
    'table 12 / index 1 / 0180'
    >>> describe_key(sequence_key(7)), describe_key(table_prefix(12))
    ('counter 7', 'table 12')
    """
    area, rest = key[:1], key[1:]
    if area == _TABLE and len(rest) >= _U32.size:
        return " / ".join(_table_parts(key))
    if area in (_COUNTER, _STATS) and len(rest) == _U32.size:
        what = "counter" if area == _COUNTER else "statistics of table"
        return f"{what} {_U32.unpack(rest)[0]}"
    if area == b"\x01":
        return f"catalog / {rest.hex()}"
    return key.hex()


def _table_parts(key: bytes) -> list[str]:
    parts = [f"table {_U32.unpack_from(key, 1)[0]}"]
    found = parse_index_prefix(key)
    if found is not None:
        parts.append(f"index {found[1]}")
        if columns := key[INDEX_PREFIX_BYTES:]:
            parts.append(columns.hex())
    return parts
