"""How versions are stored: the byte formats of all tables that hold tenants' data.

All keys start with the tenant (4 bytes). Timestamps are 8 bytes big-endian; "inverted" means
subtracted from 2**64-1, so that the newest comes first.

    LIVE      key                                        → commit_ts · value
    HISTORY   escape(key) 00 00 · inverted commit_ts     → 00 (tombstone)  or  01 · value
    GARBAGE   tenant · commit_ts · part u32              → (length u16 · key)*, superseded by it
    TXNS      tenant · 'i' · txn_id                      → commit_ts
              tenant · 'e' · commit_ts                   → txn_id
    INTENTS   layer (tenant · layer_no u64) · key        → 00 (delete)  or  01 · value
    LAYERS    tenant · 'l' · layer_no                    → txn_no u64 · is_dropped u8 · bytes u64
              tenant · 't' · txn_no                      → commit_ts, of a committed transaction
    COUNTERS  key                                        → value i64 · is_called u8

**Invariants.** The escape (00 → 00 FF) keeps order and makes no history key a prefix of another
key's, so that all versions of a key are neighbours. The tenant's four bytes are not escaped: they
have a fixed width.
"""

import struct
from collections.abc import Mapping
from typing import Final

TENANT_BYTES: Final = 4
TS_BYTES: Final = 8
TOMBSTONE: Final = b"\x00"
VALUE: Final = b"\x01"
VERSION_MARK_BYTES: Final = 1
_END: Final = b"\x00\x00"
_AFTER_VERSIONS: Final = b"\x00\x01"  # after every version of a key, before every longer key
_MAX_U64: Final = (1 << 64) - 1
GARBAGE_KEYS_MAX: Final = 1000  # in one part, so that a quantum can be one part
GARBAGE_PART_MAX: Final = (1 << 32) - 1
_GARBAGE: Final = struct.Struct(">QI")
_LENGTH: Final = struct.Struct(">H")
_COUNTER: Final = struct.Struct(">qB")
_SUFFIX_BYTES: Final = len(_END) + TS_BYTES
HISTORY_OVERHEAD_BYTES: Final = _SUFFIX_BYTES
_LAYER_NO: Final = struct.Struct(">Q")
_LAYER_RECORD: Final = struct.Struct(">QBQ")
LAYER_RECORD_BYTES: Final = _LAYER_RECORD.size
LAYER_BYTES: Final = TENANT_BYTES + _LAYER_NO.size  # fewer than the history adds: every key fits
LAYER_RECORDS: Final = b"l"
TXN_RECORDS: Final = b"t"


def ts_bytes(ts: int) -> bytes:
    """Return a timestamp as stored."""
    return ts.to_bytes(TS_BYTES, "big")


def history_stem(key: bytes) -> bytes:
    """Return what the history keys of all versions of `key` start with."""
    return key[:TENANT_BYTES] + key[TENANT_BYTES:].replace(b"\x00", b"\x00\xff") + _END


def history_key(key: bytes, ts: int) -> bytes:
    """Return the history key of the version of `key` written at `ts`.

    >>> history_key(b"TTTTa", 2) < history_key(b"TTTTa", 1) < history_key(b"TTTTa" + bytes(1), 9)
    True
    """
    return history_stem(key) + (_MAX_U64 - ts).to_bytes(TS_BYTES, "big")


def history_rows(tenant: bytes, live: Mapping[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    """Return live rows of one tenant as rows of the history; made for thousands of them."""
    ends = {
        stamp: _END + (_MAX_U64 - int.from_bytes(stamp, "big")).to_bytes(TS_BYTES, "big")
        for stamp in {stored[:TS_BYTES] for stored in live.values()}
    }
    return [
        (
            tenant + key[TENANT_BYTES:].replace(b"\x00", b"\x00\xff") + ends[stored[:TS_BYTES]],
            VALUE + stored[TS_BYTES:],
        )
        for key, stored in live.items()
    ]


def history_bound(key: bytes) -> bytes:
    """Return the first possible history key of any user key ≥ `key`."""
    if len(key) <= TENANT_BYTES:
        return key
    return history_stem(key)


def after_versions(key: bytes) -> bytes:
    """Return a history key after every version of `key` and before those of any later key."""
    return history_stem(key)[: -len(_END)] + _AFTER_VERSIONS


def split_history_key(stored: bytes) -> tuple[bytes, int]:
    """Return (key, timestamp) of a history key."""
    body = stored[TENANT_BYTES:-_SUFFIX_BYTES].replace(b"\x00\xff", b"\x00")
    return stored[:TENANT_BYTES] + body, _MAX_U64 - int.from_bytes(stored[-TS_BYTES:], "big")


def stored_key_bytes(key: bytes) -> int:
    """Return the length of the longest stored key that `key` leads to: its history key."""
    return len(key) + key.count(0, TENANT_BYTES) + HISTORY_OVERHEAD_BYTES


def garbage_key(tenant: bytes, ts: int, part: int) -> bytes:
    """Return the key of one part of the list of what the commit at `ts` superseded."""
    return tenant + _GARBAGE.pack(ts, part)


def pack_keys(keys: list[bytes]) -> bytes:
    """Return keys as a GARBAGE value."""
    return b"".join([part for key in keys for part in (_LENGTH.pack(len(key)), key)])


def unpack_keys(packed: bytes) -> list[bytes]:
    """Return the keys of a GARBAGE value.

    >>> unpack_keys(pack_keys([b"a", b"", b"bc"]))
    [b'a', b'', b'bc']
    """
    keys, position = [], 0
    while position < len(packed):
        (length,) = _LENGTH.unpack_from(packed, position)
        position += _LENGTH.size
        keys.append(packed[position : position + length])
        position += length
    return keys


def txn_key(tenant: bytes, txn_id: bytes) -> bytes:
    """Return the key of a transaction's outcome."""
    return tenant + b"i" + txn_id


def txn_expiry_key(tenant: bytes, ts: int) -> bytes:
    """Return the key by which old outcomes are found."""
    return tenant + b"e" + ts_bytes(ts)


def pack_counter(value: int, *, is_called: bool) -> bytes:
    """Return a COUNTERS value."""
    return _COUNTER.pack(value, is_called)


def unpack_counter(stored: bytes) -> tuple[int, bool]:
    """Return (value, is_called) of a COUNTERS value."""
    value, is_called = _COUNTER.unpack(stored)
    return value, bool(is_called)


def layer_prefix(tenant: bytes, layer_no: int) -> bytes:
    """Return what the keys of all intents of a layer start with."""
    return tenant + _LAYER_NO.pack(layer_no)


def layer_key(tenant: bytes, layer_no: int) -> bytes:
    """Return the key of a layer's record."""
    return tenant + LAYER_RECORDS + _LAYER_NO.pack(layer_no)


def txn_record_key(tenant: bytes, txn_no: int) -> bytes:
    """Return the key of the record of a transaction that had layers when it committed."""
    return tenant + TXN_RECORDS + _LAYER_NO.pack(txn_no)


def split_record_key(stored: bytes) -> tuple[bytes, int]:
    """Return (kind, number) of a key of LAYERS."""
    return stored[TENANT_BYTES : TENANT_BYTES + 1], _LAYER_NO.unpack_from(stored, TENANT_BYTES + 1)[
        0
    ]


def pack_layer(txn_no: int, *, is_dropped: bool, size_bytes: int) -> bytes:
    """Return a layer's record."""
    return _LAYER_RECORD.pack(txn_no, is_dropped, size_bytes)


def unpack_layer(stored: bytes) -> tuple[int, bool, int]:
    """Return (txn_no, is_dropped, bytes) of a layer's record."""
    txn_no, is_dropped, size_bytes = _LAYER_RECORD.unpack(stored)
    return txn_no, bool(is_dropped), size_bytes
