"""One tenant's ranges in memory: who holds a key, and what each range serves.

**Model.** Sorted starts, found by bisection. Nearly every tenant has one range, held here: then
`is_plain` is True and a request costs one integer. Otherwise `server/range_gate.py` shows each
request to the map, which counts it where it falls.

**Concurrency.** Owner: the event loop. `adopt` replaces the ranges between two requests.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Final

from kvapi.errors import NotLeaseholder
from kvapi.spans import Span
from kvnode.ranges.descriptor import WHOLE, RangeDescriptor, RangeTable
from kvnode.ranges.load_sample import LoadSample
from kvnode.ranges.policy import Heat
from kvnode.ranges.range_size import RangeSize

_MEMORY_S: Final = 5.0  # rates decay by e in this time
_RATE_LOWEST: Final = 0.01  # shown as none
_PERIOD_S: Final = 2.0  # what was written in the period before the last one is surely durable
_SAMPLED_KEYS: Final = 64  # of one request


class RangeState:
    """One range and its statistics."""

    __slots__ = (
        "descriptor",
        "heat",
        "read_rate",
        "reads",
        "sample",
        "size",
        "write_rate",
        "writes",
    )

    def __init__(self, descriptor: RangeDescriptor, size: RangeSize | None = None) -> None:
        self.descriptor = descriptor
        self.size = size  # None: not measured yet
        self.heat = Heat()
        self.reads = 0  # since the last roll
        self.writes = 0
        self.read_rate = 0.0  # per second
        self.write_rate = 0.0
        self.sample: LoadSample | None = None  # while the range is hot

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.read_rate + self.write_rate

    def roll(self, passed_s: float) -> None:
        """Work what was counted in the last `passed_s` into the rates."""
        weight = 1 - math.exp(-passed_s / _MEMORY_S)
        self.read_rate = _decayed(self.read_rate, self.reads / passed_s, weight)
        self.write_rate = _decayed(self.write_rate, self.writes / passed_s, weight)
        self.reads = self.writes = 0

    def inherit(self, old: "RangeState", share: float) -> None:
        """Start with a share of another range's rates."""
        self.read_rate += old.read_rate * share
        self.write_rate += old.write_rate * share


class RangeMap:
    """The ranges of one tenant."""

    __slots__ = (
        "_rolled_s",
        "_settled_s",
        "_starts",
        "is_changing",
        "is_partly_elsewhere",
        "is_plain",
        "own_address",
        "reads",
        "states",
        "table",
        "writes",
    )

    def __init__(self, table: RangeTable = WHOLE, *, own_address: str = "") -> None:
        self.own_address = own_address
        self.is_changing = False  # a change of the descriptors is on its way to the disk
        self.reads = 0  # of a plain map since the last roll; the gate counts for the others
        self.writes = 0
        self._rolled_s: float | None = None
        self._settled_s = 0.0
        self.adopt(table, [RangeState(descriptor) for descriptor in table.ranges])

    def adopt(self, table: RangeTable, states: Sequence[RangeState]) -> None:
        """Use these ranges from now on. Requires: one state for each range, in order."""
        self.table = table
        self.states = list(states)
        self._starts = [descriptor.start for descriptor in table.ranges]
        self.look_again()

    def look_again(self) -> None:
        """Work out whether requests have to pass the gate."""
        states = self.states
        self.is_partly_elsewhere = not all(map(self.is_held, states))
        is_sampled = any(state.sample is not None for state in states)
        self.is_plain = len(states) == 1 and not self.is_partly_elsewhere and not is_sampled

    def is_held(self, state: RangeState) -> bool:
        """Tell whether this node holds the range."""
        return state.descriptor.leaseholder in ("", self.own_address)

    def is_settled(self) -> bool:
        """Tell whether nothing happened and no rate is left to decay."""
        return self.is_plain and not (self.reads or self.writes or self.states[0].rate)

    def roll(self, now_s: float) -> None:
        """Bring the rates up to date."""
        first = self.states[0]
        first.reads += self.reads
        first.writes += self.writes
        self.reads = self.writes = 0
        passed_s = now_s - self._rolled_s if self._rolled_s is not None else 1.0
        if passed_s > 0:
            self._rolled_s = now_s
            for state in self.states:
                state.roll(passed_s)
        if now_s - self._settled_s >= _PERIOD_S:
            self._settled_s = now_s
            for state in self.states:
                if state.size is not None:
                    state.size.settle()

    # --- lookup -------------------------------------------------------------------------------

    def index_of(self, key: bytes) -> int:
        """Return which range holds the tenant's `key`."""
        return bisect_right(self._starts, key) - 1

    def find(self, key: bytes) -> RangeState:
        """Return the range that holds the tenant's `key`."""
        return self.states[bisect_right(self._starts, key) - 1]

    def index_before(self, end: bytes) -> int:
        """Return which range holds the keys right before `end`; empty: the tenant's last."""
        if not end:
            return len(self.states) - 1
        index = self.index_of(end)
        return index - 1 if self._starts[index] == end and index else index

    # --- who serves ---------------------------------------------------------------------------

    def check_key(self, key: bytes) -> None:
        """Refuse a key that another node holds. Raises: NotLeaseholder."""
        state = self.find(key)
        if not self.is_held(state):
            raise _not_here(state)

    def check_span(self, start: bytes, end: bytes) -> None:
        """Refuse a span of which another node holds a part. Raises: NotLeaseholder."""
        for state in self.states[self.index_of(start) : self.index_before(end) + 1]:
            if not self.is_held(state):
                raise _not_here(state)

    def clamp(self, span: Span, *, reverse: bool) -> tuple[Span, bytes]:
        """Return the part of `span` that is held here from where it begins, and where to resume.

        Resuming at b"" means: that is all of it. Raises: NotLeaseholder if it begins elsewhere.
        """
        first, last = self.index_of(span.start), self.index_before(span.end)
        if reverse:
            self._check_index(last)
            low = last
            while low > first and self.is_held(self.states[low - 1]):
                low -= 1
            bound = self._starts[low]
            return (Span(bound, span.end), bound) if low > first else (span, b"")
        self._check_index(first)
        high = first
        while high < last and self.is_held(self.states[high + 1]):
            high += 1
        bound = self.states[high].descriptor.end
        return (Span(span.start, bound), bound) if high < last else (span, b"")

    def _check_index(self, index: int) -> None:
        if not self.is_held(self.states[index]):
            raise _not_here(self.states[index])

    # --- statistics ---------------------------------------------------------------------------

    def note_read(self, keys: Sequence[bytes]) -> None:
        """Count one reading request in each range that it touches."""
        for state in self._touch(_some(keys)):
            state.reads += 1

    def note_write(self, keys: Sequence[bytes], put_bytes: int, delete_count: int) -> None:
        """Count one writing request; what it writes falls evenly on (a sample of) its keys."""
        if not keys:
            return
        sampled = _some(keys)
        share, deleted = put_bytes // len(sampled), delete_count / len(sampled)
        for key in sampled:
            if (size := self.find(key).size) is not None:
                size.note_writes(share, round(deleted))
        for state in self._touch(sampled):
            state.writes += 1

    def _touch(self, keys: Iterable[bytes]) -> set[RangeState]:
        touched = set()
        for key in keys:
            state = self.find(key)
            touched.add(state)
            if state.sample is not None:
                state.sample.touch(key)
        return touched


def _some(keys: Sequence[bytes]) -> Sequence[bytes]:
    return keys[:: len(keys) // _SAMPLED_KEYS + 1]


def _decayed(rate: float, now: float, weight: float) -> float:
    rate += (now - rate) * weight
    return rate if rate >= _RATE_LOWEST else 0.0


def _not_here(state: RangeState) -> NotLeaseholder:
    descriptor = state.descriptor
    return NotLeaseholder(
        "another KV node holds the range",
        key=descriptor.start,
        number=descriptor.generation,
        detail=descriptor.leaseholder,
    )
