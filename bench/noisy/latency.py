"""Latencies of one kind of request, alone and beside noise: of the client, and of the server.

The client's are single times. The server's are counts in buckets that grow by 9 %, from
`pg_insula.statement_latencies`: from when the SQL process begins to execute a statement until its
answer is ready, commit and all waiting included. What they leave out is the client's own time, the
network, and the time until the SQL process gets a CPU to look at the request.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import inf
from statistics import median
from typing import Any, Final

from bench.load import summarize

Counts = Counter[float]  # upper bound in milliseconds → calls
FIGURES: Final = ("alone_p50_ms", "alone_p99_ms", "p50_ms", "p99_ms", "p50_ratio", "p99_ratio")
_STEP: Final = 2 ** (1 / 8)  # between bounds


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Of one kind of request; milliseconds. Alone: before and after the noise, as one."""

    alone_p50_ms: float
    alone_p99_ms: float
    p50_ms: float
    p99_ms: float
    count: int
    drift: float = 1.0  # p50 alone after the noise, over p50 alone before it

    @property
    def p50_ratio(self) -> float:
        return self.p50_ms / self.alone_p50_ms

    @property
    def p99_ratio(self) -> float:
        return self.p99_ms / self.alone_p99_ms

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        figures = {name: getattr(self, name) for name in FIGURES}
        return {**figures, "count": self.count, "drift": self.drift}


def client_latency(
    before_ns: Sequence[int], beside_ns: Sequence[int], after_ns: Sequence[int]
) -> Latency:
    """Return the latency that a client saw. Requires: there is one of each."""
    alone_p50_ms, alone_p99_ms, _ = summarize([*before_ns, *after_ns])
    p50_ms, p99_ms, _ = summarize(list(beside_ns))
    return Latency(
        alone_p50_ms=alone_p50_ms,
        alone_p99_ms=alone_p99_ms,
        p50_ms=p50_ms,
        p99_ms=p99_ms,
        count=len(beside_ns),
        drift=median(after_ns) / median(before_ns),
    )


def server_latency(before: Counts, beside: Counts, after: Counts) -> Latency | None:
    """Return what the server took; None where it does not tell."""
    if not (before and beside and after):
        return None
    alone = before + after
    return Latency(
        alone_p50_ms=percentile_ms(alone, 0.5),
        alone_p99_ms=percentile_ms(alone, 0.99),
        p50_ms=percentile_ms(beside, 0.5),
        p99_ms=percentile_ms(beside, 0.99),
        count=beside.total(),
        drift=percentile_ms(after, 0.5) / percentile_ms(before, 0.5),
    )


def percentile_ms(counts: Mapping[float, int], part: float) -> float:
    """Return a percentile, as if those in a bucket were spread evenly in the logarithm.

    >>> counts = Counter({1.0: 98, 4.0: 2})
    >>> percentile_ms(counts, 0.98), round(percentile_ms(counts, 0.99) / 4 * 2 ** (1 / 16), 6)
    (1.0, 1.0)
    """
    bounds = sorted(bound for bound, count in counts.items() if count)
    if not bounds:
        return 0.0
    sums = list(accumulate(counts[bound] for bound in bounds))
    rank = part * sums[-1]
    index = min(bisect_left(sums, rank), len(bounds) - 1)
    bound, count = bounds[index], counts[bounds[index]]
    if bound == inf:
        return inf
    return float(bound / _STEP ** ((sums[index] - rank) / count))


def medians(latencies: Sequence[Latency]) -> dict[str, float]:
    """Return the median of each figure over the rounds."""
    return {name: median(getattr(one, name) for one in latencies) for name in FIGURES}
