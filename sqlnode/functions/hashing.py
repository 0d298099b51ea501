"""PostgreSQL's hash functions: the same numbers, because programs name advisory locks by them.

    select pg_advisory_xact_lock(hashtext('import'))

**Model.** Bob Jenkins' lookup3, read in little-endian words of 32 bits, three at a time into the
state (a, b, c). The seed of the 64-bit forms is mixed in first; their result is (b, c).

Source: PostgreSQL 15, src/common/hashfn.c (hash_bytes, hash_bytes_extended, hash_bytes_uint32),
src/backend/access/hash/hashfunc.c.
"""

import struct
from typing import Final

from sqlnode.functions.define import function

_MASK: Final = 0xFFFFFFFF
_START: Final = 0x9E3779B9 + 3923095
_MIX: Final = (4, 6, 8, 16, 19, 4)
_FINAL: Final = (14, 11, 25, 16, 4, 14, 24)
_BLOCK: Final = struct.Struct("<III")
_ROUND_BYTES: Final = 12

State = tuple[int, int, int]


def _rotated(value: int, bits: int) -> int:
    return ((value << bits) | (value >> (32 - bits))) & _MASK


def _mixed(a: int, b: int, c: int) -> State:
    for bits in _MIX:
        a = ((a - c) & _MASK) ^ _rotated(c, bits)
        c = (c + b) & _MASK
        a, b, c = b, c, a  # the next step does the same to the next word
    return a, b, c


def _finished(a: int, b: int, c: int) -> State:
    for bits in _FINAL:
        c = ((c ^ b) - _rotated(b, bits)) & _MASK
        a, b, c = b, c, a
    return c, a, b  # seven steps turn the words once too often


def _seeded(length: int, seed: int) -> State:
    start = (_START + length) & _MASK
    if not seed:
        return start, start, start
    return _mixed((start + (seed >> 32)) & _MASK, (start + (seed & _MASK)) & _MASK, start)


def _hashed(data: bytes, seed: int) -> State:
    a, b, c = _seeded(len(data), seed)
    whole = len(data) - len(data) % _ROUND_BYTES
    for x, y, z in _BLOCK.iter_unpack(data[:whole]):
        a, b, c = _mixed((a + x) & _MASK, (b + y) & _MASK, (c + z) & _MASK)
    rest = data[whole:]
    # The lowest byte of c is left to the length.
    x, y, z = _BLOCK.unpack((rest[:8].ljust(8, b"\0") + b"\0" + rest[8:]).ljust(12, b"\0"))
    return _finished((a + x) & _MASK, (b + y) & _MASK, (c + z) & _MASK)


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value


def hash_bytes(data: bytes) -> int:
    """Return hash_any as int4.

    >>> hash_bytes(b"")
    -1477818771
    """
    return _signed(_hashed(data, 0)[2], 32)


def hash_bytes_extended(data: bytes, seed: int) -> int:
    """Return hash_any_extended as int8."""
    _, b, c = _hashed(data, seed % (1 << 64))
    return _signed(b << 32 | c, 64)


def hash_word(word: int) -> int:
    """Return hash_uint32 as int4."""
    start = _START + 4
    return _signed(_finished((start + word) & _MASK, start & _MASK, start & _MASK)[2], 32)


def hash_word_extended(word: int, seed: int) -> int:
    """Return hash_uint32_extended as int8."""
    a, b, c = _seeded(4, seed % (1 << 64))
    _, b, c = _finished((a + word) & _MASK, b, c)
    return _signed(b << 32 | c, 64)


def _folded(value: int) -> int:
    """Fold an int8 so that numbers which fit int4 hash as they do there."""
    low, high = value & _MASK, (value >> 32) & _MASK
    return low ^ (high if value >= 0 else ~high & _MASK)


function("hashtext(text) int4", lambda text: hash_bytes(text.encode()))
function(
    "hashtextextended(text, int8) int8",
    lambda text, seed: hash_bytes_extended(text.encode(), seed),
)
for _type in ("int2", "int4", "int8"):
    function(f"hash{_type}({_type}) int4", lambda value: hash_word(_folded(value)))
    function(
        f"hash{_type}extended({_type}, int8) int8",
        lambda value, seed: hash_word_extended(_folded(value), seed),
    )
