"""Tokens with several levels of privilege: the less privileged run dry first.

**Model.** One bucket for each tier, all filled continuously, the more privileged ones faster.
Whatever is taken is taken from every bucket; one may take as long as the bucket of one's own tier
is not empty. So a tier can use what is left below it, never the other way round.

**Invariants.** A more privileged bucket never holds less. At most `burst_s` seconds of refill are
saved, and `debt_s` owed: neither idleness nor one dear piece of work is remembered for long.
"""

import math
from collections.abc import Sequence
from itertools import pairwise


class TieredTokens:
    """Buckets by tier, 0 being the most privileged. Times are the caller's monotonic seconds."""

    def __init__(self, rates: Sequence[float], *, burst_s: float, debt_s: float) -> None:
        assert burst_s > 0, "an empty bucket lets nobody pass"
        assert debt_s > 0, "what work really cost is known too late to allow no debt"
        self._burst_s = burst_s
        self._debt_s = debt_s
        self._filled_s: float | None = None
        self._rates: list[float] = []
        self._caps: list[float] = []
        self._floor = -math.inf  # the same for all tiers, or privilege could turn round
        self.levels = [math.inf] * len(rates)
        self.set_rates(rates)  # starts full
        self.taken = 0.0  # in all, ever

    @property
    def rates(self) -> Sequence[float]:
        """Tokens per second of each tier; infinite where there is no limit."""
        return self._rates

    def set_rates(self, rates: Sequence[float]) -> None:
        """Change the refill from now on."""
        assert len(rates) == len(self.levels), "one rate for each tier"
        assert all(low <= high for high, low in pairwise(rates)), "privilege is a higher rate"
        assert rates[-1] > 0, "a tier without refill never passes again"
        self._rates = list(rates)
        self._caps = [self._burst_s * rate for rate in rates]
        limited = [rate for rate in rates if rate != math.inf]
        self._floor = -self._debt_s * max(limited, default=math.inf)
        self.levels = [
            min(max(level, self._floor), cap)
            for level, cap in zip(self.levels, self._caps, strict=True)
        ]

    def fill(self, now_s: float) -> None:
        """Add what has dripped in since the last call."""
        if self._filled_s is not None and (elapsed_s := now_s - self._filled_s) > 0:
            levels, caps = self.levels, self._caps
            for tier, rate in enumerate(self._rates):
                level = levels[tier] + rate * elapsed_s
                levels[tier] = level if level < caps[tier] else caps[tier]
        self._filled_s = now_s

    def may_take(self, tier: int) -> bool:
        """Tell whether work of `tier` may go now."""
        return self.levels[tier] > 0

    def take(self, amount: float) -> None:
        """Charge `amount`, which may be negative: a correction."""
        self.taken += amount
        levels, caps, floor = self.levels, self._caps, self._floor
        for tier, cap in enumerate(caps):
            level = levels[tier] - amount
            levels[tier] = floor if level < floor else cap if level > cap else level

    def reserve(self, amount: float) -> list[float]:
        """Take what will be known later; return what each bucket gave, for `settle`.

        A bucket that owes what may be owed gives nothing, and so has nothing to get back.
        """
        before = self.levels[:]
        self.take(amount)
        given = [
            was - level if level != math.inf else 0.0
            for was, level in zip(before, self.levels, strict=True)
        ]
        self.taken += given[0] - amount
        return given

    def settle(self, given: Sequence[float], amount: float) -> None:
        """Take `amount` instead of what the buckets gave."""
        self.taken += amount - given[0]
        self.levels = [
            min(max(level + part - amount, self._floor), cap)
            for level, part, cap in zip(self.levels, given, self._caps, strict=True)
        ]

    def wait_s(self, tier: int) -> float:
        """Return how long until work of `tier` may go, if nothing else goes before."""
        return 0.0 if self.levels[tier] > 0 else -self.levels[tier] / self._rates[tier]
