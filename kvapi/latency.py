"""Durations counted in buckets whose bounds grow by half a power of two.

Bucket 0 holds what is shorter than FIRST_S, bucket i what is shorter than FIRST_S · 2^(i/2), the
last one everything longer.
"""

from collections.abc import Sequence
from math import log2
from typing import Final

FIRST_S: Final = 0.0001
BUCKETS: Final = 44  # the last bound is about four minutes


def bucket_of(seconds: float) -> int:
    """Return the bucket of a duration.

    >>> bucket_of(0.0), bucket_of(0.0001), bucket_of(0.00015), bucket_of(1e9)
    (0, 1, 2, 43)
    """
    if seconds < FIRST_S:
        return 0
    return min(int(2 * log2(seconds / FIRST_S)) + 1, BUCKETS - 1)


def percentile_s(counts: Sequence[int], part: float) -> float:
    """Return the upper bound of the bucket in which `part` of all durations end; 0 without any.

    >>> percentile_s([0, 99, 0, 0, 1], 0.99) < percentile_s([0, 99, 0, 0, 1], 0.999)
    True
    """
    total = sum(counts)
    seen = 0
    for index, count in enumerate(counts):
        seen += count
        if seen and seen >= part * total:
            return float(FIRST_S * 2 ** (index / 2))
    return 0.0
