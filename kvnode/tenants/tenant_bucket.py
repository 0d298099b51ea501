"""The bucket of one limited tenant: its limits, its balance, its budget for the month.

**Model.** SQL processes of the tenant ask for request units ahead of need (admission/token_bucket
says how they are shared out) and report what they used. The month's budget is about the bill
(usage.py) and, since statements get there when they end, about what was reported here and is not
billed yet. A tenant with a budget and no rate has a bucket that is never empty.

**Invariants.** A request that comes again changes nothing, whatever happened in between: what it
changed the first time was stored before it was answered.

**Concurrency.** Owner: the event loop, through bucket_keeper.py.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from admission.budget import BudgetRecord, MonthlyBudget
from admission.token_bucket import BucketRecord, TokenBucket, TokenGrant, TokenRequest
from kvnode.tenants.bucket_row import RU_MAX, BucketRow, Limits

ReadBill = Callable[[str], float]  # month → request units
_NO_RATE: Final = (RU_MAX, RU_MAX)  # of a tenant that has a budget only


@dataclass(frozen=True, slots=True)
class Now:
    """The time: of the bucket, which never goes back, and of the calendar."""

    bucket_s: float
    unix_s: float


class TenantBucket:
    """Limits and state of one tenant."""

    def __init__(self, row: BucketRow, read_bill: ReadBill) -> None:
        self.limits = row.limits
        self.tokens = TokenBucket(row.bucket)
        self.read_bill = read_bill
        self.budget = None if row.budget is None else MonthlyBudget(row.budget, read_bill)
        self.was_used_up: bool | None = None  # what SQL processes were told last

    def row(self) -> BucketRow:
        """Return what is to be stored."""
        budget = None if self.budget is None else self.budget.record
        return BucketRow(limits=self.limits, bucket=self.tokens.record, budget=budget)

    def request(self, request: TokenRequest, now: Now) -> tuple[TokenGrant, list[float]]:
        """Return the grant, and which parts of the month's budget were reached with it."""
        grant = self.tokens.request(request, now_s=now.bucket_s)
        return grant, self._reached(now)

    def billed(self, client_id: int, ru: float, month: tuple[str, float], now: Now) -> list[float]:
        """Take note that `ru` of a process are billed now, and of the month's whole bill.

        Returns which parts of the month's budget were reached with it.
        """
        self.tokens.billed(client_id, ru)
        if self.budget is not None:
            self.budget.billed(*month, unix_s=now.unix_s)
        return self._reached(now)

    def month_used_ru(self, now: Now) -> float:
        """Return what this month has used; 0 without a budget."""
        if self.budget is None:
            return 0.0
        return self.budget.used_ru(self._unbilled_ru(now), unix_s=now.unix_s)

    def is_used_up(self, now: Now) -> bool:
        """Tell whether the month's budget is used up."""
        if self.budget is None:
            return False
        return self.budget.is_exhausted(self._unbilled_ru(now), unix_s=now.unix_s)

    def _reached(self, now: Now) -> list[float]:
        if self.budget is None:
            return []
        return self.budget.reach(self._unbilled_ru(now), unix_s=now.unix_s)

    def _unbilled_ru(self, now: Now) -> float:
        return self.tokens.unbilled_ru(now_s=now.bucket_s)


def made(limits: Limits, read_bill: ReadBill, now: Now) -> TenantBucket:
    """Return the bucket of a tenant that had none, filled to its burst."""
    rate, burst = _terms(limits)
    record = BucketRecord(
        rate_ru_per_s=rate, burst_ru_max=burst, balance_ru=burst, updated_s=now.bucket_s
    )
    budget = _budget(limits, None, used_ru=0.0)
    return TenantBucket(BucketRow(limits=limits, bucket=record, budget=budget), read_bill)


def changed(bucket: TenantBucket, limits: Limits, now: Now) -> TenantBucket:
    """Return the bucket with other limits; what was used and handed out stays known."""
    rate, burst = _terms(limits)
    tokens = TokenBucket(copy.deepcopy(bucket.tokens.record))
    tokens.set_limits(rate_ru_per_s=rate, burst_ru_max=burst, now_s=now.bucket_s)
    if bucket.limits.rate_ru_per_s is None:  # what is left without a rate means nothing
        tokens.record.balance_ru = burst
    old = None if bucket.budget is None else bucket.budget.as_of(unix_s=now.unix_s)
    budget = _budget(limits, old, used_ru=bucket.month_used_ru(now))
    row = BucketRow(limits=limits, bucket=tokens.record, budget=budget)
    return TenantBucket(row, bucket.read_bill)


def _terms(limits: Limits) -> tuple[float, float]:
    if limits.rate_ru_per_s is None:
        return _NO_RATE
    return limits.rate_ru_per_s, limits.burst_ru_max or 0.0


def _budget(limits: Limits, old: BudgetRecord | None, *, used_ru: float) -> BudgetRecord | None:
    """Return the budget to go on with."""
    if limits.month_ru_max is None:
        return None
    if old is None:
        return BudgetRecord(month_ru_max=limits.month_ru_max)
    # Of a raised budget, the parts that are no longer reached will be told of again.
    reported = min(old.reported, used_ru / limits.month_ru_max)
    return BudgetRecord(month_ru_max=limits.month_ru_max, month=old.month, reported=reported)
