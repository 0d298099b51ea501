"""Which part of a commit's latency its bytes are the reason for.

**Model.** latency = base + slope · size, by least squares over recent commits: a disk that takes
its time for every sync has a high base, one that is full has a slope. While all commits are of one
size, that cannot be told apart, and the slope is that of the line through the origin: all of the
latency counts as the bytes'. Then less is written, sizes differ, and it can be told.

**Source.** The line through the origin is the prior of a ridge regression.
"""

from typing import Final

_PRIOR: Final = 0.01  # sizes that differ by less than a tenth (its root) are one size


class LatencyFit:
    """Sums of what was measured. Sizes in a unit of the caller's, latencies in seconds."""

    __slots__ = ("_count", "_latency", "_size", "_size_2", "_size_latency")

    def __init__(self) -> None:
        self._count = self._size = self._size_2 = self._latency = self._size_latency = 0.0

    def add(self, size: float, latency_s: float) -> None:
        """Count one commit."""
        self._count += 1
        self._size += size
        self._size_2 += size * size
        self._latency += latency_s
        self._size_latency += size * latency_s

    def merge(self, newer: "LatencyFit", *, kept: float) -> None:
        """Let what is here count for `kept` of what it did, and add what is newer."""
        for name in self.__slots__:
            setattr(self, name, kept * getattr(self, name) + getattr(newer, name))

    def of_size_s(self, size: float) -> float:
        """Return what `size` adds to the latency of a commit.

        >>> fit = LatencyFit()
        >>> fit.add(1, 0.21), fit.add(1, 0.21), round(fit.of_size_s(1), 3)
        (None, None, 0.21)
        >>> fit.add(3, 0.23), fit.add(7, 0.27), round(fit.of_size_s(1), 2)  # 0.2 + 0.01 · size
        (None, None, 0.01)
        """
        if not self._size:
            return 0.0
        mean, latency_s = self._size / self._count, self._latency / self._count
        variance = self._size_2 / self._count - mean * mean
        covariance = self._size_latency / self._count - mean * latency_s
        slope = (covariance + _PRIOR * mean * latency_s) / (variance + _PRIOR * mean * mean)
        return size * min(max(slope, 0.0), latency_s / mean)
