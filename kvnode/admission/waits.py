"""How long requests waited for their turn, in buckets, by kind of work."""

from bisect import bisect_left
from typing import Final

BUCKETS_S: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0,
)  # fmt: skip
KINDS: Final = ("read", "scan", "lock", "write", "elastic", "other")
_KIND_OF: Final = {
    "get": "read",
    "multi_get": "read",
    "scan": "read",  # its start; "scan" are the turns after it
    "lock": "lock",
    "refresh": "write",
    "commit": "write",
    "increment": "write",
    "stage": "elastic",
}


def kind_of(operation: str | None) -> str:
    """Return the kind of a request.

    >>> kind_of("commit"), kind_of("rollback")
    ('write', 'other')
    """
    return _KIND_OF.get(operation or "", "other")


class WaitHistogram:
    """Counts of waits by kind. What ran at once is not in here."""

    def __init__(self) -> None:
        self._counts = {kind: [0] * (len(BUCKETS_S) + 1) for kind in KINDS}
        self._sums = dict.fromkeys(KINDS, 0.0)

    def observe(self, kind: str, wait_s: float, count: int = 1) -> None:
        """Count `count` waits of `wait_s`."""
        self._counts[kind][bisect_left(BUCKETS_S, wait_s)] += count
        self._sums[kind] += wait_s * count

    def buckets(self, kind: str) -> tuple[list[tuple[str, float]], float]:
        """Return (upper bound, waits up to it) as Prometheus wants them, and the sum of seconds."""
        rows: list[tuple[str, float]] = []
        total = 0
        for bound, count in zip((*map(str, BUCKETS_S), "+Inf"), self._counts[kind], strict=True):
            total += count
            rows.append((bound, total))
        return rows, self._sums[kind]
