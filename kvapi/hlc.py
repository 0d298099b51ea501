"""Hybrid logical timestamps: one 63-bit integer that is both wall time and a total order.

**Model.** `ts = wall_us << 12 | logical`: 51 bits of microseconds since 1970 (until the year 2041
in 63 bits) and a 12-bit counter for events of the same microsecond. Plain integers compare as time
does. 0 means "none".

**Invariants.** `Hlc.now()` is strictly greater than everything it returned or saw before, also when
the wall clock steps back; a full logical counter simply carries into the microseconds.

**Source.** Kulkarni et al., "Logical Physical Clocks", 2014.
"""

from decimal import Decimal
from typing import Final, Protocol

LOGICAL_BITS: Final = 12
NO_TS: Final = 0
_LOGICAL_DIGITS: Final = 10


class WallClock(Protocol):
    """The one thing an `Hlc` asks of the machine."""

    def now_ns(self) -> int:
        """Return wall time in nanoseconds since 1970."""
        ...


def from_wall_us(wall_us: int) -> int:
    """Return the first timestamp of a microsecond.

    >>> wall_us(from_wall_us(17))
    17
    """
    return wall_us << LOGICAL_BITS


def from_wall_ns(wall_ns: int) -> int:
    """Return the first timestamp of the microsecond that holds `wall_ns`."""
    return (wall_ns // 1000) << LOGICAL_BITS


def wall_us(ts: int) -> int:
    """Return the wall part of a timestamp: microseconds since 1970."""
    return ts >> LOGICAL_BITS


def logical(ts: int) -> int:
    """Return the logical part of a timestamp."""
    return ts & ((1 << LOGICAL_BITS) - 1)


def to_decimal(ts: int) -> Decimal:
    """Return a timestamp as CockroachDB prints one: nanoseconds, a point, ten logical digits.

    >>> to_decimal(from_wall_us(17) + 3)
    Decimal('17000.0000000003')
    """
    return Decimal(f"{wall_us(ts)}000.{logical(ts):0{_LOGICAL_DIGITS}}")


def from_decimal(value: Decimal) -> int:
    """Return the timestamp that `to_decimal` wrote, or the last one before. Requires: >= 0.

    >>> from_decimal(to_decimal(12345)) == 12345
    True
    """
    nanoseconds = int(value)
    count = int((value - nanoseconds).scaleb(_LOGICAL_DIGITS))
    return from_wall_ns(nanoseconds) + min(count, (1 << LOGICAL_BITS) - 1)


class Hlc:
    """Hands out timestamps. One owner, one thread."""

    def __init__(self, clock: WallClock, *, newest: int = NO_TS) -> None:
        self._clock = clock
        self._newest = newest

    @property
    def newest(self) -> int:
        """The greatest timestamp handed out or seen."""
        return self._newest

    def wall(self) -> int:
        """Return the first timestamp of the present microsecond, whatever was seen."""
        return from_wall_ns(self._clock.now_ns())

    def now(self) -> int:
        """Return a timestamp after every earlier one."""
        self._newest = max(from_wall_ns(self._clock.now_ns()), self._newest + 1)
        return self._newest

    def update(self, ts: int) -> None:
        """Learn of a timestamp from elsewhere: later ones of ours are greater."""
        self._newest = max(self._newest, ts)
