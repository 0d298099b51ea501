"""Refuse sources that keep failing to log in, before they cost a hash.

**Model.** Each source (an address and whom it wants to be) has a count of failures that halves
every `memory_s`. At `failures_max` it is refused until enough has been forgotten. A success clears
it. At most `_SOURCES_MAX` sources are remembered; the oldest go first.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

_SOURCES_MAX: Final = 10_000


@dataclass(slots=True)
class _Failures:
    count: float
    at_s: float


class FailureThrottle:
    """Failed logins by source.

    >>> throttle = FailureThrottle(failures_max=2, memory_s=10.0)
    >>> for _ in range(2):
    ...     throttle.failed("10.0.0.1", now_s=0.0)
    >>> throttle.is_refused("10.0.0.1", now_s=1.0), throttle.is_refused("10.0.0.2", now_s=1.0)
    (True, False)
    >>> throttle.is_refused("10.0.0.1", now_s=20.0)
    False
    """

    def __init__(self, *, failures_max: int, memory_s: float) -> None:
        self._failures_max = failures_max
        self._memory_s = memory_s
        self._sources: OrderedDict[str, _Failures] = OrderedDict()

    def is_refused(self, source: str, *, now_s: float) -> bool:
        """Whether `source` has to wait before it may try again."""
        # The half is for the decay between the failure and now: the n-th failure itself must count
        # in full.
        return self._count(source, now_s) > self._failures_max - 0.5

    def failed(self, source: str, *, now_s: float) -> None:
        """Note a failed login."""
        self._sources[source] = _Failures(self._count(source, now_s) + 1.0, now_s)
        self._sources.move_to_end(source)
        if len(self._sources) > _SOURCES_MAX:
            self._sources.popitem(last=False)

    def succeeded(self, source: str) -> None:
        """Forget the failures of a source that logged in."""
        self._sources.pop(source, None)

    def _count(self, source: str, now_s: float) -> float:
        failures = self._sources.get(source)
        if failures is None:
            return 0.0
        return failures.count * 0.5 ** ((now_s - failures.at_s) / self._memory_s)
