"""A tenant's budget of request units for a calendar month, and when to say something.

**Invariants.** Each threshold is reported once a month, in rising order, also if one charge passes
several, or the limit is lowered below what is used already.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

THRESHOLDS: Final = (0.5, 0.75, 1.0)


@dataclass(slots=True, kw_only=True)
class BudgetRecord:
    """Everything there is to store."""

    month_ru_max: float
    month: str = ""  # YYYY-MM, UTC
    used_ru: float = 0.0
    reported: float = 0.0  # the highest threshold reported this month

    def __post_init__(self) -> None:
        if self.month_ru_max <= 0:
            raise ValueError("month_ru_max must be > 0")


class MonthlyBudget:
    """Adds up what a tenant uses in a month."""

    def __init__(self, record: BudgetRecord) -> None:
        self.record = record

    def is_exhausted(self, *, unix_s: float) -> bool:
        """Tell whether this month's budget is used up."""
        record = self.record
        return record.month == _month(unix_s) and record.used_ru >= record.month_ru_max

    def as_of(self, *, unix_s: float) -> BudgetRecord:
        """Return the record, begun anew if its month is over."""
        if (month := _month(unix_s)) > self.record.month:
            return BudgetRecord(month_ru_max=self.record.month_ru_max, month=month)
        return self.record

    def add(self, ru: float, *, unix_s: float) -> list[float]:
        """Charge; return the thresholds that were reached for the first time this month.

        What comes with an earlier month's time, from a clock that was set back, counts as of now.
        """
        record = self.record = self.as_of(unix_s=unix_s)
        record.used_ru += ru
        part = record.used_ru / record.month_ru_max
        reached = [t for t in THRESHOLDS if record.reported < t <= part]
        record.reported = max([record.reported, *reached])
        return reached


def _month(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m")
