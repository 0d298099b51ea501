"""The bucket of one limited tenant: its limits, its balance, its budget for the month.

**Model.** SQL processes of the tenant ask for request units ahead of need (admission/token_bucket
says how they are shared out) and report what they used. What is reported counts towards the month's
budget. A tenant with a budget and no rate has a bucket that is never empty.

**Invariants.** A request that comes again changes nothing, whatever happened in between: what it
changed the first time was stored before it was answered.

**Concurrency.** Owner: the event loop, through bucket_keeper.py.
"""

import copy
from typing import Final

from admission.budget import BudgetRecord, MonthlyBudget
from admission.token_bucket import BucketRecord, TokenBucket, TokenGrant, TokenRequest
from kvnode.tenants.bucket_row import RU_MAX, BucketRow, Limits

_NO_RATE: Final = (RU_MAX, RU_MAX)  # of a tenant that has a budget only


class TenantBucket:
    """Limits and state of one tenant. Times are wall seconds."""

    def __init__(self, row: BucketRow) -> None:
        self.limits = row.limits
        self.tokens = TokenBucket(row.bucket)
        self.budget = None if row.budget is None else MonthlyBudget(row.budget)
        self.was_used_up: bool | None = None  # what SQL processes were told last

    def row(self) -> BucketRow:
        """Return what is to be stored."""
        budget = None if self.budget is None else self.budget.record
        return BucketRow(limits=self.limits, bucket=self.tokens.record, budget=budget)

    def request(self, request: TokenRequest, *, now_s: float) -> tuple[TokenGrant, list[float]]:
        """Return the grant, and which parts of the month's budget were reached with it."""
        reached: list[float] = []
        if self.budget is not None and self.tokens.answered(request) is None:
            reached = self.budget.add(request.consumed_ru, unix_s=now_s)
        return self.tokens.request(request, now_s=now_s), reached

    def is_used_up(self, *, now_s: float) -> bool:
        """Tell whether the month's budget is used up."""
        return self.budget is not None and self.budget.is_exhausted(unix_s=now_s)


def made(limits: Limits, *, now_s: float) -> TenantBucket:
    """Return the bucket of a tenant that had none, filled to its burst."""
    rate, burst = _terms(limits)
    record = BucketRecord(rate_ru_per_s=rate, burst_ru_max=burst, balance_ru=burst, updated_s=now_s)
    return TenantBucket(BucketRow(limits=limits, bucket=record, budget=_budget(limits, None)))


def changed(bucket: TenantBucket, limits: Limits, *, now_s: float) -> TenantBucket:
    """Return the bucket with other limits; what was used and handed out stays known."""
    rate, burst = _terms(limits)
    tokens = TokenBucket(copy.deepcopy(bucket.tokens.record))
    tokens.set_limits(rate_ru_per_s=rate, burst_ru_max=burst, now_s=now_s)
    if bucket.limits.rate_ru_per_s is None:  # what is left without a rate means nothing
        tokens.record.balance_ru = burst
    old = None if bucket.budget is None else bucket.budget.record
    row = BucketRow(limits=limits, bucket=tokens.record, budget=_budget(limits, old))
    return TenantBucket(row)


def _terms(limits: Limits) -> tuple[float, float]:
    if limits.rate_ru_per_s is None:
        return _NO_RATE
    return limits.rate_ru_per_s, limits.burst_ru_max or 0.0


def _budget(limits: Limits, old: BudgetRecord | None) -> BudgetRecord | None:
    """Return the budget to go on with."""
    if limits.month_ru_max is None:
        return None
    if old is None:
        return BudgetRecord(month_ru_max=limits.month_ru_max)
    # Of a raised budget, the parts that are no longer reached will be told of again.
    reported = min(old.reported, old.used_ru / limits.month_ru_max)
    return BudgetRecord(
        month_ru_max=limits.month_ru_max,
        month=old.month,
        used_ru=old.used_ru,
        reported=reported,
    )
