"""When a child that died may be started again."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class RestartPolicy:
    """Back-off that doubles while a child dies young, and is forgotten once it lived."""

    first_s: float = 0.05
    wait_s_max: float = 2.0
    stable_s: float = 3.0


class RestartState:
    """The back-off of one child.

    >>> state = RestartState(RestartPolicy(first_s=0.1, wait_s_max=0.3, stable_s=5.0))
    >>> [state.next_wait_s(lived_s=0.0) for _ in range(4)]
    [0.1, 0.2, 0.3, 0.3]
    >>> state.next_wait_s(lived_s=60.0)
    0.1
    """

    def __init__(self, policy: RestartPolicy) -> None:
        self._policy = policy
        self._young_deaths = 0

    @property
    def young_deaths(self) -> int:
        """How often in a row it died young."""
        return self._young_deaths

    def next_wait_s(self, *, lived_s: float) -> float:
        """Return how long to wait before the next start, given how long the child lived."""
        self._young_deaths = 0 if lived_s >= self._policy.stable_s else self._young_deaths
        wait_s = min(self._policy.first_s * 2.0**self._young_deaths, self._policy.wait_s_max)
        self._young_deaths = min(self._young_deaths + 1, 32)
        return wait_s
