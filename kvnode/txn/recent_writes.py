"""What one tenant wrote lately, in memory: the resolver of optimistic validation.

**Model.** As in FoundationDB, commits are checked against recent commits, not against the store: a
dictionary from key to its newest commit answers for single keys, and the log of commits in time
order answers for spans. Both also know commits that are sequenced but not durable yet.

**Invariants.** Complete for every timestamp at or above `low_water`. When the bound on keys is hit,
the oldest durable commits are forgotten and `low_water` rises; below it the store has to be asked,
which does not know the queued ones yet.

**Source.** Zhou et al., "FoundationDB", SIGMOD 2021, section 2.4.2.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from kvapi.spans import Span, merged


class RecentWrites:
    """Recent commits of one tenant. Owner: the event loop."""

    __slots__ = ("_key_count", "_keys_max", "_log_keys", "_log_ts", "_newest", "low_water")

    def __init__(self, *, low_water: int, keys_max: int) -> None:
        self.low_water = low_water
        self._keys_max = keys_max
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
        if self._key_count > self._keys_max:
            self._forget_oldest(durable_ts)

    def changed_key(
        self, keys: Sequence[bytes], spans: Sequence[Span], *, since_ts: int
    ) -> bytes | None:
        """Return a key of `keys` or `spans` that was written after `since_ts`, or None."""
        if not self._log_ts or self._log_ts[-1] <= since_ts:
            return None
        newest = self._newest
        for key in keys:
            if newest.get(key, 0) > since_ts:
                return key
        if spans:
            first = bisect_right(self._log_ts, since_ts)
            return _first_inside(merged(list(spans)), self._log_keys[first:])
        return None

    def forget_before(self, ts: int) -> None:
        """Let go of commits before `ts`, to give memory back."""
        count = bisect_right(self._log_ts, ts - 1)
        if count:
            self._drop(count)

    def _forget_oldest(self, durable_ts: int) -> None:
        """Forget down to half the bound, so that forgetting is rare."""
        count, kept = 0, self._key_count
        durable_count = bisect_right(self._log_ts, durable_ts)
        while kept > self._keys_max // 2 and count < durable_count:
            kept -= len(self._log_keys[count])
            count += 1
        if count:
            self._drop(count)

    def _drop(self, count: int) -> None:
        self.low_water = self._log_ts[count - 1]
        for ts, keys in zip(self._log_ts[:count], self._log_keys[:count], strict=True):
            self._key_count -= len(keys)
            for key in keys:
                if self._newest.get(key) == ts:
                    del self._newest[key]
        del self._log_ts[:count]
        del self._log_keys[:count]


def _first_inside(spans: Sequence[Span], commits: Sequence[Sequence[bytes]]) -> bytes | None:
    """Return a key of `commits` (each sorted) inside one of `spans` (sorted, disjoint), or None."""
    starts = [span.start for span in spans]
    for keys in commits:
        if len(keys) > len(spans):
            for start, end in spans:
                at = bisect_left(keys, start)
                if at < len(keys) and keys[at] < end:
                    return keys[at]
        else:
            for key in keys:
                at = bisect_right(starts, key) - 1
                if at >= 0 and key < spans[at].end:
                    return key
    return None
