"""How long the event loop was held up each time, in buckets: differences of them are of a time."""

from bisect import bisect_left
from typing import Final

BOUNDS_S: Final = (0.005, 0.007, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 1.0)


class Stalls:
    """Counts of stretches longer than the first bound."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS_S) + 1)
        self.sum_s = 0.0

    def observe(self, stretch_s: float) -> None:
        """Count a stretch, if it is one that counts."""
        if stretch_s > BOUNDS_S[0]:
            self._counts[bisect_left(BOUNDS_S, stretch_s)] += 1
            self.sum_s += stretch_s

    def buckets(self) -> list[tuple[str, float]]:
        """Return (upper bound, stretches up to it), as Prometheus wants them."""
        rows: list[tuple[str, float]] = []
        total = 0
        for bound, count in zip((*map(str, BOUNDS_S), "+Inf"), self._counts, strict=True):
            total += count
            rows.append((bound, total))
        return rows
