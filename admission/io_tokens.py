"""How much may be written: tokens of bytes, refit every 15 seconds to how the disk is doing.

**Model.** A token is one byte that reaches the disk. A commit of n bytes writes more than that,
since LMDB writes whole pages and the path to them: (n + `PATH_BYTES`) times the *amplification*,
which is fitted from pages and bytes. The path counts, or the estimates of large commits would be
those of small ones, of which each byte costs a hundred.

What the disk can do is seen in the latency of commits, and in the bytes per second (`rate`) that it
really took lately. A score is a latency over `latency_max_s`, smoothed:

    score < 0.5       no limit
    0.5 ≤ score < 1   (3 − 2·score) · rate      from twice down to once what it took
    1 ≤ score < 2     (3 − score) / 2 · rate    from once down to half
    2 ≤ score         rate / 2

There are two, for two kinds of writes. Elastic ones go to the disk in batches of their own, and a
commit waits for the sync of such a batch, however small it is: they are limited by the whole
latency. Regular ones share their syncs with the other commits. They are limited by what their bytes
add to it (`latency_fit.py`): on a disk whose every sync is slow, less of them makes nobody quicker.

Every write is taken from both buckets, and that of elastic writes fills at `elastic_part` of its
limit: they wait first, and beside a few others get at most that part. While nobody else writes
(`set_alone`), no commit waits for their syncs, and their bucket fills like the other. A write
reserves tokens by its size when it begins, and is settled when it is known what reached the disk.

**Invariants.** Regular writes are limited later than elastic ones, and less. No limit falls below
`bytes_per_s_min`, that of regular writes not below `regular_bytes_per_s_min`. New limits go in
half-way, so that two odd intervals do not swing it. Nothing is given back that was not taken.

**Source.** CockroachDB, pkg/util/admission/io_load_listener.go; there the score is the number of
files in LSM level 0, which LMDB does not have.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from admission.latency_fit import LatencyFit
from admission.tiers import TieredTokens

_SMOOTH: Final = 0.5
_AMPLIFICATION: Final = (0.01, 100.0)
PATH_BYTES: Final = 16 << 10  # of an operation, beside its rows: four pages, shared in a batch


class IoTier(IntEnum):
    """Who writes."""

    REGULAR = 0
    ELASTIC = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class IoConfig:
    """Sizes in bytes."""

    latency_max_s: float = 0.020  # mean latency of a commit at which the disk counts as full
    bytes_per_s_min: float = 1 << 20
    regular_bytes_per_s_min: float = 4 << 20  # a tenth of what any disk can take
    elastic_part: float = 0.5
    page_bytes: int = 4096
    refit_s: float = 15.0
    burst_s: float = 0.25
    debt_s: float = 0.5

    def __post_init__(self) -> None:
        if min(self.latency_max_s, self.bytes_per_s_min) <= 0 or not 0 < self.elastic_part <= 1:
            raise ValueError("latency_max_s, bytes_per_s_min > 0 and 0 < elastic_part <= 1")


@dataclass(slots=True)
class IoSample:
    """What the writer did since the last refit."""

    commit_count: int = 0
    latency_sum_s: float = 0.0
    operation_count: int = 0
    bytes: int = 0  # of keys and values
    pages: int = 0  # written to disk
    fit: LatencyFit = field(default_factory=LatencyFit)  # over pages

    def add(
        self, *, latency_s: float, size_bytes: int, pages: int, operation_count: int = 1
    ) -> None:
        """Count one commit of the store."""
        self.commit_count += 1
        self.operation_count += operation_count
        self.latency_sum_s += latency_s
        self.bytes += size_bytes
        self.pages += pages
        self.fit.add(pages, latency_s)


class IoTokens:
    """The granter of writes. Times are the caller's monotonic seconds."""

    def __init__(self, config: IoConfig, *, now_s: float) -> None:
        self._config = config
        self.score = 0.0
        self.regular_score = 0.0  # of what bytes add to the latency
        self._fit = LatencyFit()
        self.amplification = 1.0
        self._rate = 0.0  # bytes per second that reached the disk, smoothed
        self._limit = self._regular_limit = math.inf
        self._is_alone = False
        self._tokens = TieredTokens(
            [math.inf, math.inf], burst_s=config.burst_s, debt_s=config.debt_s
        )
        self._tokens.fill(now_s)
        self._refit_s = now_s

    @property
    def limit(self) -> float:
        """Bytes per second of which elastic writes get a part; infinite while there is room."""
        return self._limit

    @property
    def regular_limit(self) -> float:
        """Bytes per second that commits may write."""
        return self._tokens.rates[IoTier.REGULAR]

    @property
    def levels(self) -> dict[IoTier, float]:
        """Bytes that may be written now; negative: taken ahead."""
        return {tier: self._tokens.levels[tier] for tier in IoTier}

    def may_take(self, tier: IoTier, *, now_s: float) -> bool:
        """Tell whether there are tokens for `tier`."""
        self._tokens.fill(now_s)
        return self._tokens.may_take(tier)

    def estimate(self, size_bytes: int) -> float:
        """Return the tokens that a write of `size_bytes` is likely to cost.

        No more than may be owed: nobody waits longer for what may turn out to be less.
        """
        likely = (size_bytes + PATH_BYTES) * self.amplification
        return min(likely, self._config.debt_s * self.regular_limit)

    def reserve(self, tokens: float, *, now_s: float) -> list[float]:
        """Take tokens for a write that begins; return what there was, for `settle`."""
        self._tokens.fill(now_s)
        return self._tokens.reserve(tokens)

    def settle(self, given: Sequence[float], written_bytes: float, *, now_s: float) -> None:
        """Charge bytes that reached the disk, for which `given` was taken before."""
        self._tokens.fill(now_s)
        self._tokens.settle(given, written_bytes)

    def wait_s(self, tier: IoTier) -> float:
        """Return how long until `tier` has tokens, if nobody takes any."""
        return self._tokens.wait_s(tier)

    def set_alone(self, is_alone: bool, *, now_s: float) -> None:
        """Say whether only elastic writes are there: then they may have what others leave."""
        if is_alone != self._is_alone:
            self._is_alone = is_alone
            self._set_rates(now_s)

    def is_refit_due(self, now_s: float) -> bool:
        """Tell whether `refit` wants to be called."""
        return now_s - self._refit_s >= self._config.refit_s

    def refit(self, sample: IoSample, *, now_s: float) -> None:
        """Fit limit and amplification to what happened since the last refit."""
        elapsed_s, self._refit_s = now_s - self._refit_s, now_s
        if elapsed_s <= 0:
            return
        config = self._config
        count = max(1, sample.commit_count)
        latency_s = sample.latency_sum_s / count
        self._fit.merge(sample.fit, kept=_SMOOTH)
        of_bytes_s = min(latency_s, self._fit.of_size_s(sample.pages / count))
        self.score = _smooth(self.score, latency_s / config.latency_max_s)
        self.regular_score = _smooth(self.regular_score, of_bytes_s / config.latency_max_s)
        written = sample.pages * config.page_bytes
        if sample.bytes:
            low, high = _AMPLIFICATION
            raw = written / (sample.bytes + PATH_BYTES * sample.operation_count)
            self.amplification = _smooth(self.amplification, min(max(raw, low), high))
        self._rate = _smooth(self._rate, written / elapsed_s)
        self._limit = self._next(self._limit, self.score, config.bytes_per_s_min)
        self._regular_limit = max(
            self._limit,
            self._next(self._regular_limit, self.regular_score, config.regular_bytes_per_s_min),
        )
        self._set_rates(now_s)

    def _set_rates(self, now_s: float) -> None:
        elastic = self._limit * self._config.elastic_part
        self._tokens.fill(now_s)
        self._tokens.set_rates(
            [self._regular_limit, self._regular_limit if self._is_alone else elastic]
        )

    def _next(self, limit: float, score: float, least: float) -> float:
        if score < 0.5:
            return math.inf
        part = 3 - 2 * score if score < 1 else max(0.5, (3 - score) / 2)
        wanted = part * self._rate
        if limit != math.inf:
            wanted = _smooth(limit, wanted)
        return max(wanted, least)


def _smooth(old: float, new: float) -> float:
    return old + _SMOOTH * (new - old)
