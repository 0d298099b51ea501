"""What one tenant wrote lately, in memory: the resolver of optimistic validation.

**Model.** As in FoundationDB, commits are checked against recent commits, not against the store: a
dictionary from key to its newest commit answers for single keys, and the log of commits in time
order answers for spans. Both also know commits that are sequenced but not durable yet.

**Invariants.** Complete for every timestamp at or above `low_water`. When the bound on keys is hit,
the oldest durable commits are forgotten and `low_water` rises; below it the store has to be asked,
which does not know the queued ones yet. `low_water` is never above what is durable of the tenant.
What all tenants have here has a bound in bytes (`RecentRoom`): at it, whoever has most forgets.

**Source.** Zhou et al., "FoundationDB", SIGMOD 2021, section 2.4.2.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Final

from kvapi.spans import Span

_FORGET_PART: Final = 64  # of the bound, at once
_FORGET_BYTES_PART: Final = 128
_KEY_BYTES: Final = 160  # of a key's objects and places, beside its own bytes
_COMMIT_BYTES: Final = 120


class RecentRoom:
    """How much memory the recent writes of all tenants have. Owner: the event loop."""

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.total = 0
        self.is_short = False  # the process as a whole has too much: half of it will do
        self._members: dict[RecentWrites, None] = {}

    def add(self, member: RecentWrites, size_bytes: int, *, durable_ts: int) -> None:
        """Count more of `member`, and make room if it is too much."""
        self.total += size_bytes
        self._members[member] = None
        bytes_max = self.bytes_max // 2 if self.is_short else self.bytes_max
        if self.total > bytes_max:
            most = max(self._members, key=lambda other: other.size_bytes)
            most.forget_bytes(bytes_max // _FORGET_BYTES_PART, durable_ts)

    def remove(self, member: RecentWrites, size_bytes: int) -> None:
        """Count less of `member`."""
        self.total -= size_bytes
        if not member.size_bytes:
            self._members.pop(member, None)


class RecentWrites:
    """Recent commits of one tenant. Owner: the event loop."""

    __slots__ = (
        "_key_count",
        "_keys_max",
        "_log_keys",
        "_log_ts",
        "_newest",
        "_room",
        "low_water",
        "size_bytes",
    )

    def __init__(self, *, low_water: int, keys_max: int, room: RecentRoom | None = None) -> None:
        self.low_water = low_water
        self.size_bytes = 0
        self._keys_max = keys_max
        self._room = RecentRoom(1 << 62) if room is None else room
        self._key_count = 0
        self._newest: dict[bytes, int] = {}
        self._log_ts: list[int] = []
        self._log_keys: list[Sequence[bytes]] = []

    def add(self, commit_ts: int, keys: list[bytes], *, durable_ts: int) -> None:
        """Remember a commit. Requires: commit timestamps rise from call to call."""
        keys.sort()
        self._log_ts.append(commit_ts)
        self._log_keys.append(keys)
        self._newest.update(dict.fromkeys(keys, commit_ts))
        self._key_count += len(keys)
        self.size_bytes += (size := _size(keys))
        self._room.add(self, size, durable_ts=durable_ts)
        if self._key_count > self._keys_max:
            self._forget_oldest(durable_ts)

    @property
    def newest_ts(self) -> int:
        """The newest commit that is remembered, 0 if none is."""
        return self._log_ts[-1] if self._log_ts else 0

    def look(
        self, keys: Sequence[bytes], spans: Sequence[Span], *, since_ts: int, probes_max: int
    ) -> tuple[bytes | None, int]:
        """Return a key that was written after `since_ts`, and up to which commit that is known.

        With spans it may take several calls to come to the newest: each costs about `probes_max`.
        Requires: `spans` are sorted and disjoint.
        """
        if not self._log_ts or self._log_ts[-1] <= since_ts:
            return None, since_ts
        newest = self._newest
        for key in keys:
            if newest.get(key, 0) > since_ts:
                return key, since_ts
        if not spans:
            return None, self._log_ts[-1]
        return self._look_in(spans, bisect_right(self._log_ts, since_ts), probes_max)

    def _look_in(
        self, spans: Sequence[Span], first: int, probes_max: int
    ) -> tuple[bytes | None, int]:
        starts = [span.start for span in spans]
        probes, at = 0, first
        while probes < probes_max and at < len(self._log_ts):
            keys = self._log_keys[at]
            changed = _first_inside(spans, starts, keys)
            if changed is not None:
                return changed, self._log_ts[at]
            probes += 1 + min(len(keys), len(spans))
            at += 1
        return None, self._log_ts[at - 1]

    def forget_before(self, ts: int) -> None:
        """Let go of commits before `ts`, to give memory back."""
        count = bisect_right(self._log_ts, ts - 1)
        if count:
            self._drop(count)

    def forget_all(self) -> None:
        """Let go of everything: the tenant is no longer loaded. Requires: all of it is durable."""
        if self._log_ts:
            self._drop(len(self._log_ts))

    def forget_bytes(self, size_bytes: int, durable_ts: int) -> None:
        """Forget about so much of what is durable, the oldest first."""
        count, forgotten = 0, 0
        durable_count = bisect_right(self._log_ts, durable_ts)
        while forgotten < size_bytes and count < durable_count:
            forgotten += _size(self._log_keys[count])
            count += 1
        if count:
            self._drop(count)

    def _forget_oldest(self, durable_ts: int) -> None:
        """Forget some, so that it is not to be done each time, and does not take long."""
        count, kept = 0, self._key_count
        durable_count = bisect_right(self._log_ts, durable_ts)
        wanted = self._keys_max - self._keys_max // _FORGET_PART
        while kept > wanted and count < durable_count:
            kept -= len(self._log_keys[count])
            count += 1
        if count:
            self._drop(count)

    def _drop(self, count: int) -> None:
        self.low_water = self._log_ts[count - 1]
        size = sum(map(_size, self._log_keys[:count]))
        self.size_bytes -= size
        self._room.remove(self, size)
        for ts, keys in zip(self._log_ts[:count], self._log_keys[:count], strict=True):
            self._key_count -= len(keys)
            for key in keys:
                if self._newest.get(key) == ts:
                    del self._newest[key]
        del self._log_ts[:count]
        del self._log_keys[:count]


def _size(keys: Sequence[bytes]) -> int:
    return sum(map(len, keys)) + _KEY_BYTES * len(keys) + _COMMIT_BYTES


def _first_inside(
    spans: Sequence[Span], starts: Sequence[bytes], keys: Sequence[bytes]
) -> bytes | None:
    """Return one of `keys` (sorted) inside one of `spans` (sorted, disjoint), or None."""
    if len(keys) > len(spans):
        for start, end in spans:
            at = bisect_left(keys, start)
            if at < len(keys) and keys[at] < end:
                return keys[at]
        return None
    for key in keys:
        at = bisect_right(starts, key) - 1
        if at >= 0 and key < spans[at].end:
            return key
    return None
