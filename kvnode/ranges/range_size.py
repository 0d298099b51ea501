"""How large a range is: counted by a walk over its live rows, then carried on by what is written.

**Model.** The walk takes about a millisecond a step and leaves marks: keys that lie evenly in the
range's bytes. Where it splits is then a lookup. Writes since the walk are added to its result; when
they could have changed the picture (a quarter of the range) one walks again, some seconds after
they came: a walk sees only what is durable.

Only the newest versions count: history goes by itself.
"""

from bisect import bisect_left
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, NamedTuple

from kvapi.spans import Span
from kvnode.mvcc.formats import TENANT_BYTES, TS_BYTES
from kvnode.storage.engine import Snapshot, Table

_ROWS_PER_STEP: Final = 1024
_STEP_BYTES: Final = 1 << 20
_STALE_SHARE: Final = 4  # a quarter of the range was written


class Mark(NamedTuple):
    """`size_bytes` and `key_count` of the rows before `key`."""

    key: bytes
    size_bytes: int
    key_count: int


@dataclass(slots=True)
class RangeSize:
    """A measured range, and what was written since."""

    size_bytes: int = 0
    key_count: int = 0
    marks: list[Mark] = field(default_factory=list)
    walk_no: int = 0  # later walks have higher ones
    written_bytes: int = 0  # since the walk, deletions taken off
    settled_bytes: int = 0  # written since the walk and surely durable, deletions added
    recent_bytes: tuple[int, int] = (0, 0)  # the same of the last two periods: perhaps not durable

    @property
    def estimate(self) -> int:
        """Bytes of keys and values now."""
        return max(0, self.size_bytes + self.written_bytes)

    def note_writes(self, put_bytes: int, delete_count: int) -> None:
        """Add what a commit wrote; a deleted row counts with the average."""
        deleted = delete_count * (self.size_bytes // self.key_count if self.key_count else 0)
        self.written_bytes += put_bytes - deleted
        now, before = self.recent_bytes
        self.recent_bytes = now + put_bytes + deleted, before

    def settle(self) -> None:
        """Begin a new period: what was written before the last one can be measured now."""
        now, before = self.recent_bytes
        self.settled_bytes += before
        self.recent_bytes = 0, now

    def is_stale(self, least_bytes: int) -> bool:
        """Tell whether to measure again."""
        return self.settled_bytes > max(self.size_bytes // _STALE_SHARE, least_bytes)

    def is_exact(self) -> bool:
        """Tell whether nothing was written since the walk."""
        return not self.settled_bytes and self.recent_bytes == (0, 0)

    def middle(self, start: bytes) -> Mark | None:
        """Return the mark nearest to the middle of the bytes, above `start`."""
        marks = [mark for mark in self.marks if mark.key > start]
        if not marks:
            return None
        return min(marks, key=lambda mark: abs(2 * mark.size_bytes - self.size_bytes))

    def cut(self, key: bytes) -> "tuple[RangeSize, RangeSize]":
        """Return the sizes of the two sides of `key`, by the marks."""
        at = bisect_left(self.marks, key, key=lambda mark: mark.key)
        mark = self.marks[at] if at < len(self.marks) else None
        size, count = (mark[1:]) if mark is not None else (self.size_bytes, self.key_count)
        left = RangeSize(size, count, self.marks[:at], self.walk_no)
        right_marks = [
            Mark(m.key, m.size_bytes - size, m.key_count - count) for m in self.marks[at:]
        ]
        right_bytes, right_count = self.size_bytes - size, self.key_count - count
        right = RangeSize(right_bytes, right_count, right_marks, self.walk_no)
        return left, right

    def joined(self, right: "RangeSize") -> "RangeSize":
        """Return the size of this range and its right neighbour together."""
        size, count = self.size_bytes, self.key_count
        marks = [
            *self.marks,
            *(Mark(m.key, m.size_bytes + size, m.key_count + count) for m in right.marks),
        ]
        return RangeSize(
            size + right.size_bytes,
            count + right.key_count,
            marks,
            min(self.walk_no, right.walk_no),
            self.written_bytes + right.written_bytes,
            self.settled_bytes + right.settled_bytes,
            (
                self.recent_bytes[0] + right.recent_bytes[0],
                self.recent_bytes[1] + right.recent_bytes[1],
            ),
        )


class SizeWalk:
    """Measures a span of the store's keys. Call `step` until it tells True; then see `size`."""

    def __init__(self, span: Span, *, mark_bytes: int) -> None:
        self._position, self._end = span
        self._mark_bytes = mark_bytes
        self._next_mark = mark_bytes
        self.size = RangeSize()

    def step(self, snapshot: Snapshot) -> bool:
        """Walk on for about a millisecond; tell whether that was all."""
        rows = snapshot.rows_from(Table.LIVE, self._position)
        size = self.size
        before, stop_bytes = size.key_count, size.size_bytes + _STEP_BYTES
        for key, stored in islice(rows, _ROWS_PER_STEP):
            if key >= self._end:
                return True
            if size.size_bytes >= self._next_mark:
                size.marks.append(Mark(key[TENANT_BYTES:], size.size_bytes, size.key_count))
                self._next_mark = size.size_bytes + self._mark_bytes
            size.size_bytes += len(key) + len(stored) - TS_BYTES
            size.key_count += 1
            self._position = key + b"\x00"
            if size.size_bytes >= stop_bytes:
                return False
        return size.key_count - before < _ROWS_PER_STEP
