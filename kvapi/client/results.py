"""What the futures of the KV client resolve to."""

import enum
import struct
from itertools import pairwise
from typing import NamedTuple

from kvapi.pb import kv_pb2
from kvapi.spans import Span

FOUND, ABSENT, SKIPPED = 1, 0, 2


class Hello(NamedTuple):
    """What the node says on accepting a credential."""

    catalog_version: int
    newest_ts: int
    credit_requests: int
    frame_bytes_max: int
    server_epoch: int


class Got(NamedTuple):
    """One key's value at `read_ts`; None: no such key."""

    value: bytes | None
    commit_ts: int
    read_ts: int


class MultiGot(NamedTuple):
    """Several keys' values in request order; `found` tells ABSENT from SKIPPED (both None)."""

    values: list[bytes | None]
    commit_ts: list[int]
    read_ts: int
    found: bytes


class Counter(NamedTuple):
    """A counter's value, and whether it has been handed out."""

    value: int
    is_called: bool


class RangeInfo(NamedTuple):
    """A range of the tenant; no leaseholder: the node that answered."""

    range_id: int
    start: bytes
    end: bytes
    generation: int
    leaseholder: str


class Limits(NamedTuple):
    """What the operator allows the tenant, in request units; 0: no such limit."""

    rate_ru_per_s: float
    burst_ru_max: float
    month_ru_max: float
    is_used_up: bool  # the month's budget

    @classmethod
    def from_proto(cls, limits: kv_pb2.Limits) -> "Limits | None":
        """Return the limits of a message, None: there are none."""
        if not limits.rate_ru_per_s and not limits.month_ru_max:
            return None
        return cls(
            limits.rate_ru_per_s, limits.burst_ru_max, limits.month_ru_max, limits.is_used_up
        )


class TxnOutcome(enum.IntEnum):
    """What a node knows of a transaction; UNKNOWN promises that it will never commit."""

    UNKNOWN = 0
    COMMITTED = 1
    IN_FLIGHT = 2


class TxnState(NamedTuple):
    """A transaction's outcome; `commit_ts` if COMMITTED."""

    state: TxnOutcome
    commit_ts: int


class Block(NamedTuple):
    """Packed rows: joined keys and values with their end offsets as little-endian uint32 arrays."""

    row_count: int
    keys: bytes
    key_ends: bytes
    values: bytes
    value_ends: bytes
    more: bool
    read_ts: int
    reverse: bool = False
    resume: bytes = b""  # with more: go on here; the rest of the span is another node's

    def rows(self) -> list[tuple[bytes, bytes]]:
        """Return (key, value) of every row, in scan order."""
        return list(zip(self.keys_list(), self.values_list(), strict=True))

    def keys_list(self) -> list[bytes]:
        """Return the keys, in scan order."""
        return _cut(self.keys, self.key_ends)

    def values_list(self) -> list[bytes]:
        """Return the values, in scan order; of a keys_only scan they are empty."""
        if not self.value_ends:
            return [b""] * self.row_count
        return _cut(self.values, self.value_ends)

    def last_key(self) -> bytes:
        """Return the last key in scan order. Requires: rows, and not count_only."""
        if len(self.key_ends) <= 4:
            return self.keys
        (start,) = struct.unpack_from("<I", self.key_ends, len(self.key_ends) - 8)
        return self.keys[start:]

    def resume_span(self, span: Span) -> Span:
        """Return the part of the scanned `span` that comes after this block."""
        if self.resume:
            return Span(span.start, self.resume) if self.reverse else Span(self.resume, span.end)
        if self.reverse:
            return Span(span.start, self.last_key())
        return Span(self.last_key() + b"\x00", span.end)


def _cut(joined: bytes, ends: bytes) -> list[bytes]:
    bounds = (0, *struct.unpack(f"<{len(ends) // 4}I", ends))
    return [joined[start:end] for start, end in pairwise(bounds)]
