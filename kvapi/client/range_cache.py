"""What a client remembers of who holds which keys.

**Model.** Sorted spans without overlap, found by bisection; what is not in here is asked of the
home node, which says where to go. Filled from answers to `Ranges`, forgotten piece by piece when a
node says that it does not hold a range any more.

**Invariants.** Whatever changes about a range raises its generation, so where two descriptors hold
the same key the one of the higher generation is right, in whatever order they come.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable
from typing import NamedTuple

from kvapi.spans import Span

ENTRIES_MAX = 10_000


class KnownRange(NamedTuple):
    """One range; `address` is never empty."""

    start: bytes
    end: bytes
    generation: int
    address: str

    @property
    def span(self) -> Span:
        """The keys of the range."""
        return Span(self.start, self.end)


class RangeCache:
    """Known ranges. Owner: the event loop."""

    __slots__ = ("_known", "_size_max")

    def __init__(self, size_max: int = ENTRIES_MAX) -> None:
        self._known: list[KnownRange] = []  # by start
        self._size_max = size_max

    def __len__(self) -> int:
        return len(self._known)

    def find(self, key: bytes) -> KnownRange | None:
        """Return the known range that holds `key`."""
        index = bisect_right(self._known, key, key=_start) - 1
        if index >= 0 and self._known[index].span.contains(key):
            return self._known[index]
        return None

    def find_before(self, end: bytes) -> KnownRange | None:
        """Return the known range that holds the keys right before `end`; empty: the last keys."""
        index = (bisect_left(self._known, end, key=_start) if end else len(self._known)) - 1
        if index < 0:
            return None
        known = self._known[index]
        reaches = not known.end or (bool(end) and end <= known.end)
        return known if reaches else None

    def overlapping(self, span: Span) -> list[KnownRange]:
        """Return the known ranges that hold keys of `span`, in order."""
        first = max(0, bisect_right(self._known, span.start, key=_start) - 1)
        last = bisect_left(self._known, span.end, key=_start) if span.end else len(self._known)
        return [known for known in self._known[first:last] if known.span.overlaps(span)]

    def add(self, ranges: Iterable[KnownRange]) -> None:
        """Remember ranges; older ones that they overlap are forgotten, as is an older newcomer."""
        for newer in ranges:
            old = self.overlapping(newer.span)
            if any(known.generation > newer.generation for known in old):
                continue
            self._remove(old)
            if len(self._known) >= self._size_max:
                self._known.clear()  # it fills again as it is needed
            insort(self._known, newer, key=_start)

    def drop(self, key: bytes) -> None:
        """Forget the range that holds `key`: its node says that it does not."""
        if (known := self.find(key)) is not None:
            self._remove([known])

    def addresses(self) -> set[str]:
        """Return who holds anything that is known."""
        return {known.address for known in self._known}

    def _remove(self, old: Iterable[KnownRange]) -> None:
        for known in old:
            del self._known[bisect_left(self._known, known.start, key=_start)]


def _start(known: KnownRange) -> bytes:
    return known.start
