"""Stepping a counter: the arithmetic of sequences.

**Invariants.** A call hands out `count` steps that all lie inside the bounds; the answer is the
last. Only a single step wraps. So the caller of a larger count that is refused asks for fewer.

**Source.** PostgreSQL, `nextval_internal` in sequence.c.
"""

from dataclasses import dataclass
from typing import Final

from kvapi.errors import BadRequest, CounterExhausted

INT64_MIN: Final = -(1 << 63)
INT64_MAX: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """How to step: bounds are inclusive."""

    by: int
    count: int = 1
    start: int
    min: int = INT64_MIN
    max: int = INT64_MAX
    cycle: bool = False

    def __post_init__(self) -> None:
        if self.min > self.max:
            raise BadRequest("a counter's minimum exceeds its maximum")
        if self.cycle and self.by == 0:
            raise BadRequest("a counter that cycles must move")


def next_value(state: tuple[int, bool] | None, step: Step) -> int:
    """Return the last of the values handed out.

    Raises: CounterExhausted, whose number is the bound that was hit (64 bits, two's complement).

    >>> next_value(None, Step(by=1, start=5)), next_value((5, True), Step(by=2, count=3, start=1))
    (5, 11)
    >>> next_value((9, True), Step(by=1, start=1, min=0, max=9, cycle=True))
    0
    """
    if state is None:
        first = step.start
    else:
        value, is_called = state
        first = value + step.by if is_called else value
    if step.cycle and not step.min <= first <= step.max:
        first = step.min if step.by > 0 else step.max
    last = first + step.by * (step.count - 1)
    bound = step.max if step.by >= 0 else step.min
    if not step.min <= last <= step.max or not step.min <= first <= step.max:
        raise CounterExhausted(f"the counter reached {bound}", number=bound)
    return last
