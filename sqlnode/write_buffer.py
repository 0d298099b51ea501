"""The newest of a transaction's writes, with undo for savepoints and failed statements.

What grows beyond a few MiB moves to the KV node: see own_writes.py.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final, NamedTuple

from kvapi.spans import Span

_ENTRY_BYTES: Final = 100  # of bookkeeping for one write; for `bytes_used`
_Undo = bytes | tuple[bytes, bytes | None]


class BufferMark(NamedTuple):
    """A position to go back to."""

    undo_count: int
    absent_count: int
    bytes_used: int


class Segment(NamedTuple):
    """What was written between two marks, the last value of each key; which must be new keys."""

    writes: dict[bytes, bytes | None]
    absent_keys: list[bytes]


class WriteBuffer:
    """Puts and deletes by key (None: deleted), and the keys that must not exist at commit.

    **Invariants.** `_undo` holds for every change either the key, if it was not in the buffer
    before, or (key, what the buffer held). `_sorted` plus `_fresh` are the keys of `writes`.
    `bytes_used` counts what `writes` and `_undo` hold.
    """

    def __init__(self) -> None:
        self.writes: dict[bytes, bytes | None] = {}
        self.absent_keys: list[bytes] = []
        self.bytes_used = 0
        self._undo: list[_Undo] = []
        self._sorted: list[bytes] = []
        self._fresh: list[bytes] = []

    def __bool__(self) -> bool:
        return bool(self.writes or self.absent_keys)

    def set(self, key: bytes, value: bytes | None) -> None:
        """Put, or delete with None."""
        writes = self.writes
        if key in writes:
            self._undo.append((key, writes[key]))
        else:
            self._undo.append(key)
            self._fresh.append(key)
        self.bytes_used += len(key) + _ENTRY_BYTES + (0 if value is None else len(value))
        writes[key] = value

    def mark(self) -> BufferMark:
        """Return the present position."""
        return BufferMark(len(self._undo), len(self.absent_keys), self.bytes_used)

    def undo_to(self, mark: BufferMark) -> None:
        """Take back everything since `mark`."""
        undo = self._undo
        if len(undo) > mark.undo_count:
            for entry in reversed(undo[mark.undo_count :]):
                if isinstance(entry, bytes):
                    del self.writes[entry]
                else:
                    self.writes[entry[0]] = entry[1]
            del undo[mark.undo_count :]
            self._sorted, self._fresh = [], list(self.writes)
        del self.absent_keys[mark.absent_count :]
        self.bytes_used = mark.bytes_used

    def segments(self, marks: Sequence[BufferMark]) -> list[Segment]:
        """Return what was written before, between and after `marks`, which are in order."""
        bounds = [mark.undo_count for mark in marks]
        segments = [Segment({}, []) for _ in range(len(marks) + 1)]
        number, newer = len(marks), dict(self.writes)
        for index in range(len(self._undo) - 1, -1, -1):
            while number and index < bounds[number - 1]:
                number -= 1
            entry = self._undo[index]
            key, older = (entry, None) if isinstance(entry, bytes) else entry
            segments[number].writes.setdefault(key, newer[key])
            newer[key] = older
        starts = [0, *(mark.absent_count for mark in marks)]
        ends = [*(mark.absent_count for mark in marks), len(self.absent_keys)]
        for segment, start, end in zip(segments, starts, ends, strict=True):
            segment.absent_keys.extend(self.absent_keys[start:end])
        return segments

    @classmethod
    def of(cls, writes: dict[bytes, bytes | None]) -> "WriteBuffer":
        """Return a buffer of these writes, for reading only."""
        made = cls()
        made.writes, made._fresh = writes, list(writes)
        return made

    def copy(self) -> "WriteBuffer":
        """Return what is written now, for reading only."""
        made = WriteBuffer()
        made.writes = dict(self.writes)
        made._sorted, made._fresh = list(self._sorted), list(self._fresh)
        return made

    def keys_in(self, span: Span) -> list[bytes]:
        """Return the written and deleted keys inside `span`, in order."""
        if not self.writes:
            return []
        if self._fresh:
            self._sorted += self._fresh
            self._sorted.sort()  # two sorted runs at most times: nearly linear
            self._fresh = []
        keys = self._sorted
        start = bisect_left(keys, span.start)
        end = bisect_left(keys, span.end) if span.end else len(keys)
        return keys[start:end]
