"""The monthly budget."""

from datetime import UTC, datetime

from admission.budget import BudgetRecord, MonthlyBudget


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


class Bill:
    """What each month is billed, and a budget over it."""

    def __init__(self, **months):
        self.months = {name.replace("_", "-"): ru for name, ru in months.items()}
        self.budget = MonthlyBudget(BudgetRecord(month_ru_max=1000), self.read)

    def read(self, month):
        return self.months.get(month, 0.0)

    def add(self, ru, text):
        month = text[:7]
        self.months[month] = self.read(month) + ru
        self.budget.billed(month, self.read(month), unix_s=at(text))
        return self.budget.reach(0.0, unix_s=at(text))

    def is_exhausted(self, text, unbilled_ru=0.0):
        return self.budget.is_exhausted(unbilled_ru, unix_s=at(text))


def test_each_threshold_is_reported_once_a_month():
    """A customer hears nothing of a budget that runs out, or hears it with every statement."""
    bill = Bill()
    assert bill.add(400, "2026-01-01T00:00") == []
    assert bill.add(100, "2026-01-02T00:00") == [0.5]
    assert bill.add(100, "2026-01-02T00:00") == []
    assert bill.add(900, "2026-01-31T23:59") == [0.75, 1.0]
    assert bill.is_exhausted("2026-01-31T23:59")
    assert bill.add(100, "2026-01-31T23:59") == []
    assert not bill.is_exhausted("2026-02-01T00:00")
    assert bill.add(500, "2026-02-01T00:00") == [0.5]


def test_a_budget_is_about_the_whole_month():
    """One that is set on the 20th, or removed and set again, would allow the month twice."""
    bill = Bill(**{"2026_01": 900.0})
    assert not bill.is_exhausted("2026-01-20T00:00")
    assert bill.budget.used_ru(0.0, unix_s=at("2026-01-20T00:00")) == 900
    assert bill.budget.reach(0.0, unix_s=at("2026-01-20T00:00")) == [0.5, 0.75]
    assert bill.is_exhausted("2026-01-20T00:00", unbilled_ru=100), "what runs counts as well"
    assert bill.add(100, "2026-01-20T00:00") == [1.0]


def test_a_clock_that_was_set_hands_out_no_budget_twice():
    """A clock that jumps over a month's end and back would; and one that comes back from the far
    future would leave the budget unwatched until then."""
    bill = Bill()
    bill.add(600, "2026-02-01T00:00")
    assert bill.add(900, "2026-01-31T23:00") == [0.5, 0.75]
    assert bill.add(400, "2026-02-01T00:00") == [0.75, 1.0], "half was told before the jump"
    assert not bill.is_exhausted("2031-01-01T00:00")
    assert bill.is_exhausted("2026-02-02T00:00")
    assert bill.add(1, "2026-02-02T00:00") == [], "all of it was told"
