"""A tenant's budget of request units for a calendar month, and when to say something.

**Model.** What the month has used is what it is billed, whenever the budget was set, and beyond
that what is not on the bill yet: statements that run.

**Invariants.** Each threshold is reported once a month, in rising order, also if one charge passes
several, or the limit is lowered below what is used already; also if a clock goes back over the end
of a month and forward again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

THRESHOLDS: Final = (0.5, 0.75, 1.0)


@dataclass(slots=True, kw_only=True)
class BudgetRecord:
    """Everything there is to store."""

    month_ru_max: float
    month: str = ""  # YYYY-MM, UTC
    billed_ru: float = 0.0
    reported: float = 0.0  # the highest threshold reported this month
    other_month: str = ""  # where the clock was before
    other_reported: float = 0.0  # of that one

    def __post_init__(self) -> None:
        if self.month_ru_max <= 0:
            raise ValueError("month_ru_max must be > 0")


class MonthlyBudget:
    """What a tenant uses in a month, against what it may use.

    `read_bill` returns what a month is billed; it is asked when a record or a month is new.
    """

    def __init__(self, record: BudgetRecord, read_bill: Callable[[str], float]) -> None:
        self.record = record
        self._read_bill = read_bill
        self._is_read = False

    def billed(self, month: str, billed_ru: float, *, unix_s: float) -> None:
        """Take note of what a month is billed in all."""
        record = self.as_of(unix_s=unix_s)
        if record.month == month:
            record.billed_ru = max(record.billed_ru, billed_ru)

    def used_ru(self, unbilled_ru: float, *, unix_s: float) -> float:
        """Return what this month has used, with what is not billed yet."""
        return self.as_of(unix_s=unix_s).billed_ru + unbilled_ru

    def is_exhausted(self, unbilled_ru: float, *, unix_s: float) -> bool:
        """Tell whether this month's budget is used up."""
        return self.used_ru(unbilled_ru, unix_s=unix_s) >= self.record.month_ru_max

    def reach(self, unbilled_ru: float, *, unix_s: float) -> list[float]:
        """Return the thresholds that are reached for the first time this month."""
        part = self.used_ru(unbilled_ru, unix_s=unix_s) / self.record.month_ru_max
        reached = [t for t in THRESHOLDS if self.record.reported < t <= part]
        self.record.reported = max([self.record.reported, *reached])
        return reached

    def as_of(self, *, unix_s: float) -> BudgetRecord:
        """Return the record of the month, begun anew if it is another one."""
        month = month_of(unix_s)
        if month != self.record.month:
            self._begin(month)
        if not self._is_read:
            self.record.billed_ru = self._read_bill(month)
            self._is_read = True
        return self.record

    def _begin(self, month: str) -> None:
        old = self.record
        self.record = BudgetRecord(
            month_ru_max=old.month_ru_max,
            month=month,
            reported=old.other_reported if month == old.other_month else 0.0,
            other_month=old.month,
            other_reported=old.reported,
        )
        self._is_read = False


def month_of(unix_s: float) -> str:
    """Return the calendar month, in UTC.

    >>> month_of(1_700_000_000)
    '2023-11'
    """
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m")
