"""When ranges split and merge: pure decisions over sizes and rates.

**Model.** A range splits when it holds more than `bytes_max`, or when it served more than
`load_per_s` for `load_s` and its requests fall to both sides of some key. Two neighbours merge when
both were *quiet* for `quiet_s`: small and slow, and still so when taken together.

**Invariants.** It never flaps. What a merge joins holds at most half of what splits, and serves a
quarter of the rate that splits; what a split made stays apart for at least `quiet_s`. So to undo a
change the tenant itself has to change by a factor of two, and time has to pass.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from kvnode.node_config import NodeConfig


class Cause(StrEnum):
    """Why a range splits."""

    SIZE = "size"
    LOAD = "load"


@dataclass(slots=True)
class Heat:
    """Since when a range has been hot, or quiet."""

    hot_since_s: float | None = None
    quiet_since_s: float | None = None


def joined_heat(left: Heat, right: Heat) -> Heat:
    """Return the heat of two quiet ranges that became one: it is quiet since both were."""
    since_s = (left.quiet_since_s, right.quiet_since_s)
    return Heat(None, max(s for s in since_s if s is not None) if None not in since_s else None)


@dataclass(frozen=True, slots=True)
class RangeLoad:
    """What is known of a range now; a size of None is not measured yet."""

    heat: Heat
    size_bytes: int | None
    rate_per_s: float
    leaseholder: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class RangePolicy:
    """The thresholds."""

    bytes_max: int = 128 << 20
    merge_bytes_max: int = 32 << 20
    load_per_s: float = 5_000.0
    load_s: float = 10.0
    quiet_s: float = 300.0

    def __post_init__(self) -> None:
        assert self.merge_bytes_max * 2 <= self.bytes_max, "else a merge could be split again"

    @staticmethod
    def of(config: NodeConfig) -> "RangePolicy":
        """Return the configured policy."""
        return RangePolicy(
            bytes_max=config.range_bytes_max,
            merge_bytes_max=config.range_merge_bytes_max,
            load_per_s=config.range_load_split_per_s,
            load_s=config.range_load_s,
            quiet_s=config.range_quiet_s,
        )

    def observe(self, load: RangeLoad, now_s: float) -> None:
        """Note in `load.heat` whether the range is hot or quiet now."""
        heat, rate = load.heat, load.rate_per_s
        if rate <= self.load_per_s:
            heat.hot_since_s = None
        elif heat.hot_since_s is None:
            heat.hot_since_s = now_s
        size = load.size_bytes
        is_small = size is not None and size <= self.merge_bytes_max
        if not is_small or rate > self.load_per_s / 4:
            heat.quiet_since_s = None
        elif heat.quiet_since_s is None:
            heat.quiet_since_s = now_s

    def split_cause(self, load: RangeLoad, now_s: float) -> Cause | None:
        """Return why the range should split, or None."""
        if load.size_bytes is not None and load.size_bytes > self.bytes_max:
            return Cause.SIZE
        hot_since_s = load.heat.hot_since_s
        if hot_since_s is not None and now_s - hot_since_s >= self.load_s:
            return Cause.LOAD
        return None

    def merge_index(self, loads: Sequence[RangeLoad], now_s: float) -> int | None:
        """Return the first range that should join its right neighbour, or None."""
        for index in range(len(loads) - 1):
            if self._may_merge(loads[index], loads[index + 1], now_s):
                return index
        return None

    def _may_merge(self, left: RangeLoad, right: RangeLoad, now_s: float) -> bool:
        if left.leaseholder != right.leaseholder:
            return False
        if not self._was_quiet(left.heat, now_s) or not self._was_quiet(right.heat, now_s):
            return False
        assert left.size_bytes is not None, "who is quiet was measured"
        assert right.size_bytes is not None, "who is quiet was measured"
        is_small = left.size_bytes + right.size_bytes <= self.merge_bytes_max
        return is_small and left.rate_per_s + right.rate_per_s <= self.load_per_s / 4

    def _was_quiet(self, heat: Heat, now_s: float) -> bool:
        return heat.quiet_since_s is not None and now_s - heat.quiet_since_s >= self.quiet_s
