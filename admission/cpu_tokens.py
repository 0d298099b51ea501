"""How much CPU the node may give out: tokens of CPU time, refit each second to what it really used.

**Model.** A token is one second of CPU time as the work itself measures it (thread time). The
process uses more than that: the event loop, the network stack, garbage collection. So each second
the *multiplier* is fitted, CPU of the process over tokens taken, and tokens are given out at

    cores · target / multiplier     per second, for each of two tiers

Tier BURST is for tenants within their share: at high utilisation they still pass while the others
wait, and the room between both targets is theirs alone. Tokens drip in with every tick: each
millisecond under load, four times a second when idle.

A process that cannot use its cores never runs out of tokens: see ADR 8 for where that is so.

**Invariants.** The multiplier is between 1 and `multiplier_max`. It falls quickly, so that capacity
comes back quickly, and rises slowly, so that one odd second costs little. It is not fitted to an
idle node, whose fixed costs would look like a dear price for little work.

**Source.** CockroachDB, pkg/util/admission/cpu_time_token_*.go.
"""

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from admission.tiers import TieredTokens

_MULTIPLIER_RISES: Final = 0.5
_MULTIPLIER_FALLS: Final = 0.8
_LOW_LOAD: Final = 0.25  # of the cores: below it there is nothing to learn
_LOW_LOAD_FALLS: Final = 1.5


class CpuTier(IntEnum):
    """Who asks: a tenant within its share, or any other."""

    BURST = 0
    REGULAR = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class CpuConfig:
    """Targets are parts of all cores."""

    cores: float
    target: float = 0.80
    burst_target: float = 0.95
    multiplier_max: float = 20.0
    burst_s: float = 0.25  # what may be saved up: after a pause the run queue grows by no more
    debt_s: float = 0.05
    refit_s: float = 1.0
    tick_s: float = 0.001
    tick_idle_s: float = 0.25

    def __post_init__(self) -> None:
        if self.cores <= 0 or not 0 < self.target <= self.burst_target <= 1:
            raise ValueError("cores must be > 0 and 0 < target <= burst_target <= 1")


class CpuTokens:
    """The CPU granter. Times are the caller's monotonic seconds."""

    def __init__(self, config: CpuConfig) -> None:
        self._config = config
        self.multiplier = 1.0
        self._tokens = TieredTokens(self._rates(), burst_s=config.burst_s, debt_s=config.debt_s)
        self._refit_at: tuple[float, float, float] | None = None  # time, process CPU, taken
        self._is_loaded = False

    @property
    def levels(self) -> dict[CpuTier, float]:
        """CPU seconds at hand for each tier."""
        return {tier: self._tokens.levels[tier] for tier in CpuTier}

    @property
    def rates(self) -> dict[CpuTier, float]:
        """CPU seconds given out per second, for each tier."""
        return {tier: self._tokens.rates[tier] for tier in CpuTier}

    def tick(self, *, now_s: float, waiting: int, process_cpu_s: float | None = None) -> float:
        """Fill the buckets; return when to tick again, in seconds.

        `process_cpu_s`: CPU time of the whole process so far; asked for by `is_refit_due`.
        """
        self._tokens.fill(now_s)
        if process_cpu_s is not None:
            self._refit(now_s, process_cpu_s)
        is_busy = waiting > 0 or self._is_loaded
        return self._config.tick_s if is_busy else self._config.tick_idle_s

    def is_refit_due(self, now_s: float) -> bool:
        """Tell whether the next tick needs the CPU time of the process."""
        return self._refit_at is None or now_s - self._refit_at[0] >= self._config.refit_s

    def try_take(self, tier: CpuTier, cpu_s: float) -> bool:
        """Take tokens if there are any for `tier`; the estimate may exceed them."""
        if not self._tokens.may_take(tier):
            return False
        self._tokens.take(cpu_s)
        return True

    def take(self, cpu_s: float) -> None:
        """Charge what cannot wait, or a correction once the true cost is known."""
        self._tokens.take(cpu_s)

    def wait_s(self, tier: CpuTier) -> float:
        """Return how long until `tier` has tokens, if nobody takes any."""
        return self._tokens.wait_s(tier)

    def _refit(self, now_s: float, process_cpu_s: float) -> None:
        before, self._refit_at = self._refit_at, (now_s, process_cpu_s, self._tokens.taken)
        if before is None or now_s <= before[0]:
            return
        used_cores = (process_cpu_s - before[1]) / (now_s - before[0])
        taken = self._tokens.taken - before[2]
        self._is_loaded = used_cores >= _LOW_LOAD * self._config.cores
        if self._is_loaded:
            self._fit((process_cpu_s - before[1]) / taken if taken > 0 else math.inf)
        else:
            # What a loaded node could learn at most; a higher one is a relic of odd work.
            plausible = self._config.target / _LOW_LOAD
            if self.multiplier > plausible:
                self.multiplier = max(self.multiplier / _LOW_LOAD_FALLS, plausible)
        self._tokens.set_rates(self._rates())

    def _fit(self, raw: float) -> None:
        raw = min(max(raw, 1.0), self._config.multiplier_max)
        weight = _MULTIPLIER_FALLS if raw < self.multiplier else _MULTIPLIER_RISES
        self.multiplier += weight * (raw - self.multiplier)

    def _rates(self) -> list[float]:
        config = self._config
        targets = (config.burst_target, config.target)
        return [config.cores * target / self.multiplier for target in targets]
