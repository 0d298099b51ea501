"""A transaction's writes before its commit, with undo for savepoints and failed statements.

Bounded: a transaction that writes more than `bytes_max` is refused with 53400.
"""

from bisect import bisect_left
from typing import Final, NamedTuple

from kvapi.spans import Span
from pgwire.errors import ConfigurationLimitExceeded

WRITES_BYTES_MAX: Final = 512 << 20  # unless configured: [sqlnode] transaction_bytes_max
_ENTRY_BYTES: Final = 100  # of bookkeeping for one write; for `bytes_used`
_Undo = bytes | tuple[bytes, bytes | None]


class BufferMark(NamedTuple):
    """A position to go back to."""

    undo_count: int
    absent_count: int
    bytes_used: int


class WriteBuffer:
    """Puts and deletes by key (None: deleted), and the keys that must not exist at commit.

    **Invariants.** `_undo` holds for every change either the key, if it was not in the buffer
    before, or (key, what the buffer held). `_sorted` plus `_fresh` are the keys of `writes`.
    `bytes_used` counts what `writes` and `_undo` hold; only a single write may exceed `bytes_max`.
    """

    def __init__(self, *, bytes_max: int = WRITES_BYTES_MAX) -> None:
        self.bytes_max = bytes_max
        self.writes: dict[bytes, bytes | None] = {}
        self.absent_keys: list[bytes] = []
        self.bytes_used = 0
        self._undo: list[_Undo] = []
        self._sorted: list[bytes] = []
        self._fresh: list[bytes] = []

    def __bool__(self) -> bool:
        return bool(self.writes or self.absent_keys)

    def set(self, key: bytes, value: bytes | None) -> None:
        """Put, or delete with None. Raises: ConfigurationLimitExceeded."""
        if self.bytes_used > self.bytes_max:
            raise _too_large(self.bytes_max)
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


def _too_large(bytes_max: int) -> ConfigurationLimitExceeded:
    return ConfigurationLimitExceeded(
        f"the transaction writes more than {bytes_max >> 20} MiB",
        detail="A transaction's writes are kept in memory until it commits.",
        hint="Commit in smaller parts, or have the operator raise transaction_bytes_max "
        "in section [sqlnode].",
    )
