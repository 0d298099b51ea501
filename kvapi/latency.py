"""Durations counted in buckets whose bounds grow by half a power of two.

Bucket 0 holds what is shorter than FIRST_S, bucket i what is shorter than FIRST_S · 2^(i/2), the
last one everything longer. *Fine* buckets are a quarter of that, in the logarithm: their bounds
grow by 9 %.
"""

from collections.abc import Sequence
from math import log2
from typing import Final

FIRST_S: Final = 0.0001
BUCKETS: Final = 44  # the last bound is about four minutes
_FINE: Final = 4  # fine buckets in a bucket
FINE_BUCKETS: Final = _FINE * (BUCKETS - 1) + 1


def bucket_of(seconds: float) -> int:
    """Return the bucket of a duration.

    >>> bucket_of(0.0), bucket_of(0.0001), bucket_of(0.00015), bucket_of(1e9)
    (0, 1, 2, 43)
    """
    return bucket_of_fine(fine_bucket_of(seconds))


def fine_bucket_of(seconds: float) -> int:
    """Return the fine bucket of a duration.

    >>> fine_bucket_of(0.0), fine_bucket_of(0.0001), fine_bucket_of(0.0004), fine_bucket_of(1e9)
    (0, 1, 17, 172)
    """
    if seconds < FIRST_S:
        return 0
    return min(int(2 * _FINE * log2(seconds / FIRST_S)) + 1, FINE_BUCKETS - 1)


def bucket_of_fine(fine: int) -> int:
    """Return the bucket that a fine one is in.

    >>> [bucket_of_fine(fine) for fine in (0, 1, 4, 5, 172)]
    [0, 1, 1, 2, 43]
    """
    return (fine + _FINE - 1) // _FINE


def fine_bound_s(fine: int) -> float:
    """Return what everything in a fine bucket is shorter than, but for the last one.

    >>> fine_bucket_of(0.003) == 1 + max(n for n in range(FINE_BUCKETS) if fine_bound_s(n) <= 0.003)
    True
    """
    return float(FIRST_S * 2 ** (fine / (2 * _FINE)))


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
