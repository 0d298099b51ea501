"""A tenant's budget of request units per second: the half in each SQL process.

**Model.** Work is charged when it is over, since only then its cost is known; so the local balance
may become negative, and then the next statement waits until it no longer is. Tokens come with
grants: some at once, some as a trickle.

    next_request ──► (KV node: TokenBucket) ──► granted
         ▲ low, trickle ends soon, report due

- It asks *ahead of need*: when what is left would not last, or just before the trickle ends.
- One request at a time; without an answer the same one is sent again. After an answer that brought
  less than was wanted it leaves a moment, longer each time if nothing came at all.
- Demand is smoothed over seconds. A process that is new, or woke up, has none to show yet: it says
  what it used and who waits *so far*, and asks for short periods until it has measured a second.
- If tokens are low and the answer is late, it goes on at the fallback rate of the last grant. What
  was used that way is reported as borrowed, as are the tokens it starts with.

**Invariants.** An idle process asks nothing and reports nothing. What is reported as consumed over
all requests is what was charged, once.

**Source.** CockroachDB, pkg/ccl/multitenantccl/tenantcostclient.
"""

import math
from dataclasses import dataclass
from typing import Final

from admission.token_bucket import TokenGrant, TokenRequest

_SMOOTH_PER_S: Final = 0.5  # of demand: what is a second old counts half
_MEASURE_S: Final = 1.0
_REST_PERIODS: Final = 2.0  # without work: what it needed before tells nothing any more


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenClientConfig:
    """When to ask for how much."""

    period_s: float = 2.0
    fresh_period_s: float = 0.5  # until demand is measured
    interval_s: float = 0.1  # to the next request, after a grant that was less than wanted
    interval_s_max: float = 1.0  # it doubles up to that while nothing comes
    initial_ru: float = 100.0  # to start with, before the first answer
    cushion_ru: float = 100.0  # wanted beyond one period of demand
    low_part: float = 0.1  # of the last grant: below it more is asked for
    lead_s: float = 0.25  # before a trickle ends
    retry_s: float = 1.0  # without an answer: send again, and go on at the fallback rate
    report_ru_min: float = 100.0  # consumed: else it is reported every fourth period

    def __post_init__(self) -> None:
        times = (self.period_s, self.fresh_period_s, self.interval_s, self.retry_s)
        if min(*times, self.cushion_ru) <= 0 or self.initial_ru < 0:
            raise ValueError("times and cushion_ru must be > 0 and initial_ru >= 0")
        if self.interval_s_max < self.interval_s:
            raise ValueError("interval_s_max must not be below interval_s")


class TokenClient:
    """The local bucket. Times are the caller's monotonic seconds."""

    def __init__(self, client_id: int, config: TokenClientConfig, *, now_s: float) -> None:
        self._id = client_id
        self._config = config
        self._available_ru = config.initial_ru
        self._borrowed_ru = config.initial_ru  # not reported yet
        self._fill_ru_per_s = 0.0
        self._fill_until_s = now_s
        self._is_borrowing = False
        self._fallback_ru_per_s = 0.0
        self._low_ru = config.cushion_ru / 2
        self._filled_s = self._measured_s = self._asked_s = now_s
        self._charged_ru = 0.0  # since demand was measured
        self._charged_s = self._busy_s = -math.inf  # busy: charged, waiting or in debt
        self._is_fresh = True  # demand is not measured yet
        self._interval_s = 0.0
        self._unreported_ru = 0.0
        self._unreported_since_s = now_s
        self._demand_ru_per_s = 0.0
        self._waiting = 0.0
        self._waiting_s = 0.0  # of all that waited, since demand was measured
        self._looked_s = now_s
        self._waiting_then = 0  # at that look
        self._throttled_s = 0.0  # not reported yet
        self._is_pressed = False
        self._in_flight: TokenRequest | None = None
        self._sequence = 0

    def available_ru(self, *, now_s: float) -> float:
        """Return what may be used now; negative is debt."""
        self._advance(now_s)
        return self._available_ru

    def charge(self, ru: float, *, now_s: float) -> None:
        """Take what work did cost."""
        self._advance(now_s)
        self._begin_if_rested(now_s)
        self._available_ru -= ru
        self._charged_ru += ru
        if not self._unreported_ru:
            self._unreported_since_s = now_s
        self._unreported_ru += ru
        self._charged_s = now_s

    def waited(self, seconds: float) -> None:
        """Take note of how long a statement waited for tokens, for the next report."""
        self._throttled_s += seconds

    def ask_soon(self) -> None:
        """Ask at the next moment whatever is left: the limits have changed."""
        self._is_pressed = True

    @property
    def is_at_rest(self) -> bool:
        """Tell whether nothing is to be reported, asked or paid back."""
        is_owing = self._unreported_ru > 0 or self._available_ru < 0
        return not (is_owing or self._is_pressed or self._in_flight is not None)

    def wait_s(self, *, now_s: float) -> float:
        """Return how long work has to wait: 0 to go on, infinite if only a grant can help."""
        self._advance(now_s)
        if self._available_ru >= 0:
            return 0.0
        if self._fill_ru_per_s <= 0:
            return math.inf
        wait_s = -self._available_ru / self._fill_ru_per_s
        return wait_s if now_s + wait_s <= self._fill_until_s else math.inf

    def next_request(self, *, now_s: float, waiting: int = 0) -> TokenRequest | None:
        """Return what is to be sent to the KV node now, if anything.

        `waiting`: statements that wait for tokens.
        """
        self._advance(now_s)
        if waiting:
            self._begin_if_rested(now_s)
        elif self._available_ru < 0:
            self._busy_s = now_s
        self._measure(now_s, waiting)
        if self._in_flight is not None:
            if now_s - self._asked_s < self._config.retry_s:
                return None
            if self._is_low():
                self._borrow(now_s)
            self._asked_s = now_s
            return self._in_flight
        if not self._is_pressed and not self._should_ask(now_s, waiting):
            return None
        self._is_pressed = False
        return self._request(
            now_s,
            wanted_ru=self._wanted_ru(waiting),
            demand_ru_per_s=self._demand_now() if self._is_fresh else self._demand_ru_per_s,
            waiting=max(self._waiting, waiting) if self._is_fresh else self._waiting,
            period_s=self._config.fresh_period_s if self._is_fresh else self._config.period_s,
        )

    def last_request(self, *, now_s: float) -> TokenRequest | None:
        """Return what is to be said before the process ends, until nothing is left to say.

        Requires: nothing is charged any more.
        """
        self._advance(now_s)
        if self._in_flight is not None:
            return self._in_flight
        # Tokens that are left make up for borrowed ones; debt is borrowed as well.
        left_ru = self._available_ru + (0.0 if self._is_borrowing else self._coming_ru())
        owed_ru = self._borrowed_ru - left_ru
        self._borrowed_ru, returned_ru = max(0.0, owed_ru), max(0.0, -owed_ru)
        self._available_ru = self._fill_ru_per_s = 0.0
        if not (self._unreported_ru or owed_ru or self._throttled_s):
            return None
        return self._request(now_s, returned_ru=returned_ru)

    def _request(self, now_s: float, **asked: float) -> TokenRequest:
        self._sequence += 1
        self._asked_s = now_s
        self._in_flight = TokenRequest(
            client_id=self._id,
            sequence=self._sequence,
            consumed_ru=self._unreported_ru,
            borrowed_ru=self._borrowed_ru,
            throttled_s=self._throttled_s,
            **asked,
        )
        self._unreported_ru = self._borrowed_ru = self._throttled_s = 0.0
        return self._in_flight

    def granted(self, grant: TokenGrant, *, now_s: float) -> None:
        """Take an answer; one that nobody waits for any more changes nothing."""
        self._advance(now_s)
        if self._in_flight is None or grant.sequence != self._in_flight.sequence:
            return
        wanted_ru, self._in_flight = self._in_flight.wanted_ru, None
        if self._is_borrowing:
            self._is_borrowing = False
            self._fill_ru_per_s, self._fill_until_s = 0.0, now_s
        self._available_ru += grant.at_once_ru
        if grant.trickle_s > 0:
            # What is left of the last trickle is spread over the new one: no step, no loss.
            trickle_ru = self._coming_ru() + grant.trickle_ru
            self._fill_ru_per_s = trickle_ru / grant.trickle_s
            self._fill_until_s = now_s + grant.trickle_s
        self._fallback_ru_per_s = grant.fallback_ru_per_s
        granted_ru = grant.at_once_ru + grant.trickle_ru
        self._interval_s = self._next_interval_s(granted_ru, missing_ru=wanted_ru - granted_ru)
        self._low_ru = max(self._config.low_part * granted_ru, self._config.cushion_ru / 2)

    def _next_interval_s(self, granted_ru: float, *, missing_ru: float) -> float:
        """Return how long to leave the owner alone: what was not there is not there at once."""
        if missing_ru <= 0:
            return 0.0
        if granted_ru > 0:
            return self._config.interval_s
        return min(max(2 * self._interval_s, self._config.interval_s), self._config.interval_s_max)

    def _begin_if_rested(self, now_s: float) -> None:
        """Begin to measure anew with the first work after a rest."""
        if now_s - self._busy_s > _REST_PERIODS * self._config.period_s:
            self._is_fresh, self._interval_s = True, 0.0
            self._demand_ru_per_s = self._waiting = self._charged_ru = self._waiting_s = 0.0
            self._measured_s = self._looked_s = now_s
        self._busy_s = now_s

    def _advance(self, now_s: float) -> None:
        """Let the trickle drip."""
        elapsed_s = min(now_s, self._fill_until_s) - self._filled_s
        if elapsed_s > 0:
            self._available_ru += self._fill_ru_per_s * elapsed_s
            if self._is_borrowing:
                self._borrowed_ru += self._fill_ru_per_s * elapsed_s
        self._filled_s = max(now_s, self._filled_s)
        if now_s >= self._fill_until_s:
            self._fill_ru_per_s = 0.0

    def _measure(self, now_s: float, waiting: int) -> None:
        self._waiting_s += self._waiting_then * (now_s - self._looked_s)
        self._looked_s, self._waiting_then = now_s, waiting
        elapsed_s = now_s - self._measured_s
        if elapsed_s < _MEASURE_S:
            return
        weight = 1.0 if self._is_fresh else 1 - (1 - _SMOOTH_PER_S) ** elapsed_s
        self._demand_ru_per_s += weight * (self._charged_ru / elapsed_s - self._demand_ru_per_s)
        self._waiting += weight * (self._waiting_s / elapsed_s - self._waiting)
        self._charged_ru = self._waiting_s = 0.0
        self._measured_s, self._is_fresh = now_s, False

    def _demand_now(self) -> float:
        """Return demand, with what this second has shown so far."""
        return max(self._demand_ru_per_s, self._charged_ru / _MEASURE_S)

    def _coming_ru(self) -> float:
        """Return what the trickle still brings."""
        return max(0.0, self._fill_ru_per_s * (self._fill_until_s - self._filled_s))

    def _is_low(self) -> bool:
        return self._available_ru < self._low_ru

    def _should_ask(self, now_s: float, waiting: int) -> bool:
        config = self._config
        since_s = now_s - self._unreported_since_s
        periods = 1 if self._unreported_ru >= config.report_ru_min else 4
        if self._unreported_ru > 0 and since_s >= periods * config.period_s:
            return True
        is_busy = waiting > 0 or now_s - self._charged_s <= config.period_s
        if not self._is_low() or not (is_busy or self._available_ru < 0):
            return False
        if now_s - self._asked_s < self._interval_s:
            return False
        return now_s >= self._fill_until_s - config.lead_s

    def _wanted_ru(self, waiting: int) -> float:
        demand_ru = self._demand_now() * self._config.period_s
        if waiting or self._available_ru < 0:  # it would use more if it could
            demand_ru = max(2 * demand_ru, self._config.cushion_ru)
        missing = demand_ru + self._config.cushion_ru - self._available_ru - self._coming_ru()
        return max(0.0, missing)

    def _borrow(self, now_s: float) -> None:
        """Go on at the fallback rate until somebody answers."""
        if now_s >= self._fill_until_s and self._fallback_ru_per_s > 0:
            self._is_borrowing = True
            self._fill_ru_per_s, self._fill_until_s = self._fallback_ru_per_s, math.inf
