"""How many requests a stream may have outstanding: fewer while its tenant asks for too much.

**Model.** A stream starts with the full window. When its requests wait long for their turn and the
tenant is over its share, the window halves, down to a minimum; when they do not wait, it doubles
again. So what a flooding tenant cannot get done waits in its own process, not in the node.

    credit = window + requests that wait for something else than their turn (locks, the disk)

Without the second term a window full of lock requests could keep out the commit they wait for.

**Invariants.** minimum ≤ window ≤ maximum. It changes at most every `_PACE_S`.
"""

from typing import Final

WINDOW_MIN: Final = 32
_PACE_S: Final = 0.05
_LONG_S: Final = 0.02
_SHORT_S: Final = 0.005


class CreditWindow:
    """The window of one stream. Times are the caller's monotonic seconds."""

    def __init__(self, window_max: int) -> None:
        self._max = window_max
        self._min = min(WINDOW_MIN, window_max)
        self.size = window_max
        self._changed_s = float("-inf")

    @property
    def is_limited(self) -> bool:
        """Whether it is smaller than at the start."""
        return self.size < self._max

    def waited(self, wait_s: float, *, is_within_share: bool, now_s: float) -> bool:
        """Learn how long a request waited for its turn; tell whether the window changed."""
        if now_s - self._changed_s < _PACE_S:
            return False
        before = self.size
        if wait_s > _LONG_S and not is_within_share:
            self.size = max(self._min, self.size // 2)
        elif wait_s < _SHORT_S:
            self.size = min(self._max, self.size * 2)
        if self.size == before:
            return False
        self._changed_s = now_s
        return True
