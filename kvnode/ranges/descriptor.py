"""What a range is, and how a tenant's ranges are stored.

    SYSTEM  'r' tenant u32 · range id u64   → RangeDescriptor as MessagePack
            'r' tenant u32 · 0 u64          → the next range id, u64

**Model.** The ranges of a tenant cut its keys into neighbours without gap or overlap. A tenant
without stored descriptors has one range, number 1 of generation 1, over everything: ten thousand
tenants that never grew cost nothing.

**Invariants.** Whatever changes about who serves a key raises the generation of the range that
holds it: split, merge, move. So of two descriptors that hold the same key the one of the higher
generation is the newer, and ids are never used again.
"""

import struct
from collections.abc import Iterable
from typing import Final

import msgspec

from kvapi.spans import Span
from kvnode.storage.engine import Snapshot, StoreCorrupt, Table, WriteTxn

FIRST_RANGE_ID: Final = 1
_AREA: Final = b"r"
_U64: Final = struct.Struct(">Q")
_NEXT_ID: Final = 0


class RangeDescriptor(msgspec.Struct, frozen=True, array_like=True):
    """One range; `start` and `end` are the tenant's own keys."""

    range_id: int = FIRST_RANGE_ID
    start: bytes = b""
    end: bytes = b""  # empty: the end of the tenant's keys
    generation: int = 1
    leaseholder: str = ""  # address for clients; empty: whoever holds this store

    @property
    def span(self) -> Span:
        """The keys of the range."""
        return Span(self.start, self.end)


class RangeTable(msgspec.Struct, frozen=True):
    """All ranges of a tenant in key order, and the id that a new one gets."""

    ranges: tuple[RangeDescriptor, ...] = (RangeDescriptor(),)
    next_id: int = FIRST_RANGE_ID + 1


WHOLE: Final = RangeTable()
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(RangeDescriptor)


def area_prefix(prefix: bytes) -> bytes:
    """Return what all stored descriptors of a tenant start with."""
    return _AREA + prefix


def read_ranges(view: Snapshot, prefix: bytes) -> RangeTable:
    """Return a tenant's ranges. Raises: StoreCorrupt."""
    area = area_prefix(prefix)
    next_id = 0
    found: list[RangeDescriptor] = []
    for key, stored in view.rows_from(Table.SYSTEM, area):
        if not key.startswith(area):
            break
        if key == _key(prefix, _NEXT_ID):
            next_id = _U64.unpack(stored)[0]
        else:
            found.append(_decode(stored))
    if not found:
        return WHOLE
    found.sort(key=lambda descriptor: descriptor.start)
    check_ranges(found)
    return RangeTable(tuple(found), next_id)


def write_ranges(txn: WriteTxn, prefix: bytes, old: RangeTable, new: RangeTable) -> None:
    """Store what differs between the two."""
    kept = {descriptor.range_id for descriptor in new.ranges}
    for descriptor in old.ranges:
        if descriptor.range_id not in kept:
            txn.delete(Table.SYSTEM, _key(prefix, descriptor.range_id))
    known = () if old is WHOLE else frozenset(old.ranges)
    for descriptor in new.ranges:
        if descriptor not in known:
            key = _key(prefix, descriptor.range_id)
            txn.put(Table.SYSTEM, key, _encoder.encode(descriptor))
    txn.put(Table.SYSTEM, _key(prefix, _NEXT_ID), _U64.pack(new.next_id))


def check_ranges(ranges: Iterable[RangeDescriptor]) -> None:
    """Refuse ranges that are not neighbours in order. Raises: StoreCorrupt."""
    position, is_ended = b"", False
    for descriptor in ranges:
        is_neighbour = not is_ended and descriptor.start == position
        is_ended = not descriptor.end
        if not is_neighbour or not (is_ended or descriptor.start < descriptor.end):
            raise StoreCorrupt(f"range {descriptor.range_id} does not follow the one before it")
        position = descriptor.end
    if not is_ended:
        raise StoreCorrupt("the last range does not reach the end of the tenant's keys")


def split_table(table: RangeTable, range_id: int, key: bytes) -> RangeTable:
    """Cut a range in two at `key`. Requires: the key lies inside and is not its start."""
    index = _index(table, range_id)
    whole = table.ranges[index]
    assert key > whole.start, "both sides of a cut hold keys"
    assert whole.span.contains(key), "a cut lies inside its range"
    change = {"generation": whole.generation + 1}
    left = msgspec.structs.replace(whole, end=key, **change)
    right = msgspec.structs.replace(whole, start=key, range_id=table.next_id, **change)
    ranges = (*table.ranges[:index], left, right, *table.ranges[index + 1 :])
    return RangeTable(ranges, table.next_id + 1)


def merge_table(table: RangeTable, range_id: int) -> RangeTable:
    """Join a range with its right neighbour. Requires: there is one, with its leaseholder."""
    index = _index(table, range_id)
    left, right = table.ranges[index], table.ranges[index + 1]
    assert left.leaseholder == right.leaseholder, "one node cannot join what another holds"
    generation = max(left.generation, right.generation) + 1
    joined = msgspec.structs.replace(left, end=right.end, generation=generation)
    return RangeTable((*table.ranges[:index], joined, *table.ranges[index + 2 :]), table.next_id)


def _index(table: RangeTable, range_id: int) -> int:
    return next(i for i, found in enumerate(table.ranges) if found.range_id == range_id)


def _key(prefix: bytes, range_id: int) -> bytes:
    return area_prefix(prefix) + _U64.pack(range_id)


def _decode(stored: bytes) -> RangeDescriptor:
    try:
        return _decoder.decode(stored)
    except msgspec.MsgspecError as error:
        raise StoreCorrupt(f"a range's descriptor is damaged: {error}") from error
