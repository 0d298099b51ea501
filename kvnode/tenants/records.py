"""What the store knows about its tenants and itself: formats of the SYSTEM table.

    'm' name              → a setting of the store (newest commit timestamp, next tenant id)
    't' tenant u32        → TenantRecord as JSON
    'n' name              → tenant u32
    'c' tenant u32        → catalog version u64
    's' tenant u32        → live bytes i64 · history bytes i64 · key count i64
    'g' tenant u32        → garbage collection threshold u64
    'r' tenant u32 …      → range descriptors, see ranges/descriptor.py
    'b' tenant u32        → limits and token bucket, see bucket_row.py; none: unlimited
    'u' tenant u32 …      → what it is billed, see usage.py

Integers are big-endian.
"""

import struct
from typing import Final

import msgspec

from kvnode.mvcc.apply import Sizes
from kvnode.storage.engine import Snapshot, StoreCorrupt, Table, WriteTxn

NEWEST_TS: Final = b"mnewest_ts"
NEXT_TENANT_ID: Final = b"mnext_tenant_id"
TENANT_RECORDS: Final = b"t"
_SIZES: Final = struct.Struct(">qqq")
_U64: Final = struct.Struct(">Q")


class TenantRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The durable part of a tenant."""

    id: int
    name: str
    created_unix_ms: int
    suspended: bool = False
    is_dropping: bool = False
    gc_ttl_s: float
    weight: float = 1.0  # share of the node for each 1 of others


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(TenantRecord)


def record_key(prefix: bytes) -> bytes:
    """Return the key of a tenant's record."""
    return TENANT_RECORDS + prefix


def name_key(name: str) -> bytes:
    """Return the key of a tenant's name."""
    return b"n" + name.encode()


def catalog_key(prefix: bytes) -> bytes:
    """Return the key of a tenant's catalog version."""
    return b"c" + prefix


def sizes_key(prefix: bytes) -> bytes:
    """Return the key of a tenant's sizes."""
    return b"s" + prefix


def threshold_key(prefix: bytes) -> bytes:
    """Return the key of a tenant's garbage collection threshold."""
    return b"g" + prefix


def encode_record(record: TenantRecord) -> bytes:
    """Return the bytes to store."""
    return _encoder.encode(record)


def decode_record(stored: bytes) -> TenantRecord:
    """Return a stored record. Raises: StoreCorrupt."""
    try:
        return _decoder.decode(stored)
    except msgspec.MsgspecError as error:
        raise StoreCorrupt(f"a tenant's record is damaged: {error}") from error


def read_u64(view: Snapshot, key: bytes) -> int:
    """Return a stored number, 0 if there is none."""
    stored = view.get(Table.SYSTEM, key)
    return _U64.unpack(stored)[0] if stored is not None else 0


def write_u64(txn: WriteTxn, key: bytes, number: int) -> None:
    """Store a number."""
    txn.put(Table.SYSTEM, key, _U64.pack(number))


def read_sizes(view: Snapshot, prefix: bytes) -> Sizes:
    """Return what a tenant stores."""
    stored = view.get(Table.SYSTEM, sizes_key(prefix))
    return Sizes(*_SIZES.unpack(stored)) if stored is not None else Sizes()


def change_sizes(txn: WriteTxn, prefix: bytes, change: Sizes) -> None:
    """Add to what a tenant stores."""
    sizes = read_sizes(txn, prefix)
    sizes.add(change)
    packed = _SIZES.pack(sizes.live_bytes, sizes.history_bytes, sizes.key_count)
    txn.put(Table.SYSTEM, sizes_key(prefix), packed)
