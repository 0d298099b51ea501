"""CPU for elastic work: as much as leaves the scheduling latency alone.

**Model.** Backfills, garbage collection, ANALYZE, bulk loads, exports may use a `limit` of the
cores they run on, beside what is not elastic. Every `adjust_s` the limit is steered by the p99 of
scheduling latency, how long something ready to run had to wait: it falls twice as quickly as it
rises, rises only if it is used, and sinks to a low resting place when nobody uses it, so that a
night's work starts gently.

**Invariants.** `limit_min` ≤ limit ≤ `limit_max`. Debt is forgotten every `forgive_s`: a queue that
long would help nobody.

**Source.** CockroachDB, pkg/util/admission/elastic_cpu_granter.go, scheduler_latency_listener.go.
"""

from dataclasses import dataclass
from typing import Final

from admission.tiers import TieredTokens

_LATENCY_WEIGHT: Final = 0.3  # of the newest measurement
_USED: Final = 0.9  # of the limit: who uses less does not need a higher one


@dataclass(frozen=True, kw_only=True, slots=True)
class ElasticConfig:
    """Limits are parts of all cores."""

    cores: float
    latency_max_s: float = 0.001
    limit_min: float = 0.05
    limit_rest: float = 0.12
    limit_max: float = 0.75
    step_per_s: float = 0.001  # up; twice that down
    adjust_s: float = 2.5
    forgive_s: float = 15.0

    def __post_init__(self) -> None:
        if self.cores <= 0 or not 0 < self.limit_min <= self.limit_rest <= self.limit_max <= 1:
            raise ValueError("cores must be > 0, 0 < limit_min <= limit_rest <= limit_max <= 1")


class ElasticCpu:
    """The granter of elastic work. Times are the caller's monotonic seconds."""

    def __init__(self, config: ElasticConfig, *, now_s: float) -> None:
        self._config = config
        self.limit = config.limit_rest
        self.latency_s = 0.0  # smoothed
        self._tokens = self._full()
        self._tokens.fill(now_s)
        self._adjusted_s = self._forgiven_s = now_s
        self._taken = 0.0  # since the last adjustment

    @property
    def level(self) -> float:
        """CPU seconds at hand; negative is debt."""
        return self._tokens.levels[0]

    def try_take(self, cpu_s: float, *, now_s: float) -> bool:
        """Take a slice of CPU time if there are tokens at all."""
        self._tokens.fill(now_s)
        if not self._tokens.may_take(0):
            return False
        self.take(cpu_s)
        return True

    def take(self, cpu_s: float) -> None:
        """Charge a correction once the true cost is known."""
        self._tokens.take(cpu_s)
        self._taken += cpu_s

    def wait_s(self) -> float:
        """Return how long until there are tokens."""
        return self._tokens.wait_s(0)

    def is_adjustment_due(self, now_s: float) -> bool:
        """Tell whether `adjust` wants to be called."""
        return now_s - self._adjusted_s >= self._config.adjust_s

    def adjust(self, *, now_s: float, latency_p99_s: float) -> None:
        """Steer the limit by the scheduling latency since the last call."""
        config = self._config
        elapsed_s, self._adjusted_s = now_s - self._adjusted_s, now_s
        used, self._taken = self._taken, 0.0
        self.latency_s += _LATENCY_WEIGHT * (latency_p99_s - self.latency_s)
        step = config.step_per_s * elapsed_s
        if self.latency_s > config.latency_max_s:
            self.limit -= 2 * step
        elif used >= _USED * self.limit * config.cores * elapsed_s:
            self.limit += step
        elif used <= 0 and self.limit > config.limit_rest:
            self.limit = max(self.limit - step, config.limit_rest)
        self.limit = min(max(self.limit, config.limit_min), config.limit_max)
        self._tokens.fill(now_s)
        self._tokens.set_rates([self.limit * config.cores])
        if now_s - self._forgiven_s >= config.forgive_s:
            self._forgiven_s = now_s
            if self.level < 0:
                self._tokens.take(self.level)

    def _full(self) -> TieredTokens:
        rate = self.limit * self._config.cores
        return TieredTokens([rate], burst_s=1.0, debt_s=self._config.forgive_s)
