"""The monthly budget."""

from datetime import UTC, datetime

from admission.budget import BudgetRecord, MonthlyBudget


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def test_each_threshold_is_reported_once_a_month():
    """A customer hears nothing of a budget that runs out, or hears it with every statement."""
    budget = MonthlyBudget(BudgetRecord(month_ru_max=1000))
    assert budget.add(400, unix_s=at("2026-01-01T00:00")) == []
    assert budget.add(100, unix_s=at("2026-01-02T00:00")) == [0.5]
    assert budget.add(100, unix_s=at("2026-01-02T00:00")) == []
    assert budget.add(900, unix_s=at("2026-01-31T23:59")) == [0.75, 1.0]
    assert budget.is_exhausted(unix_s=at("2026-01-31T23:59"))
    assert budget.add(100, unix_s=at("2026-01-31T23:59")) == []
    assert not budget.is_exhausted(unix_s=at("2026-02-01T00:00"))
    assert budget.add(500, unix_s=at("2026-02-01T00:00")) == [0.5]


def test_a_clock_that_was_set_back_starts_no_new_month():
    """A clock that jumps over a month's end and back would hand out the budget twice."""
    budget = MonthlyBudget(BudgetRecord(month_ru_max=1000))
    budget.add(600, unix_s=at("2026-02-01T00:00"))
    assert budget.add(400, unix_s=at("2026-01-31T23:00")) == [0.75, 1.0]
    assert budget.record.month == "2026-02"
