"""Snapshots that garbage collection has to leave alone although they are older than `gc_ttl`.

**Model.** A reader that takes long (a cursor, a report to a slow client) protects its snapshot.
The tenant's threshold does not rise above the oldest protected one until its owner gives it up, its
stream ends, or it has been held for longer than an operator allows (`[kvnode] protect_s_max`).

**Concurrency.** Owner: the event loop. The threshold rises in one turn of it (maintenance.py), and
so does a protection begin: a snapshot is either refused as too old or kept whole.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Protection:
    """One protected snapshot; `since_s` is monotonic."""

    read_ts: int
    since_s: float


class Protections:
    """The protected snapshots of one tenant, one for each owner."""

    def __init__(self) -> None:
        self._held: dict[object, Protection] = {}

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, owner: object, read_ts: int, *, now_s: float) -> None:
        """Protect a snapshot instead of what the owner protected before.

        An older one than before counts as held since then: moving back and forth gains no time.
        """
        before = self._held.get(owner)
        is_newer = before is None or read_ts > before.read_ts
        since_s = now_s if is_newer or before is None else before.since_s
        self._held[owner] = Protection(read_ts, since_s)

    def drop(self, owner: object) -> None:
        """Give up what an owner protected, if anything."""
        self._held.pop(owner, None)

    def lapse(self, *, until_s: float) -> int:
        """Drop what has been held since `until_s` or longer; return how many that were."""
        lapsed = [owner for owner, held in self._held.items() if held.since_s <= until_s]
        for owner in lapsed:
            del self._held[owner]
        return len(lapsed)

    def oldest_ts(self, default: int) -> int:
        """Return the oldest protected snapshot."""
        return min((held.read_ts for held in self._held.values()), default=default)

    def oldest_since_s(self, default: float) -> float:
        """Return since when the one held longest is held."""
        return min((held.since_s for held in self._held.values()), default=default)
