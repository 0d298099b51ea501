"""GetLimits and SetLimits: what an operator allows a tenant, and how it stands with that."""

from typing import Final

from kvapi.pb import admin_pb2
from kvnode.core import Core
from kvnode.tenants.bucket_row import Limits
from kvnode.tenants.tenant import Tenant

_BURST_S: Final = 10.0  # of the rate, where no burst is given
_LATELY_S: Final = 60.0


async def set_limits(
    core: Core, tenant: Tenant, request: admin_pb2.SetLimitsRequest
) -> admin_pb2.TenantLimits:
    """Change what the request names. Raises: LimitsInvalid, KvError."""
    await core.buckets.change_limits(tenant, lambda old: _changed(old, request))
    return describe_limits(core, tenant)


def _changed(old: Limits, request: admin_pb2.SetLimitsRequest) -> Limits:
    """Return what the limits shall be. Raises: LimitsInvalid."""
    rate = _chosen(request, "rate_ru_per_s", old.rate_ru_per_s)
    month = _chosen(request, "month_ru_max", old.month_ru_max)
    burst = None if _is_derived(old) else old.burst_ru_max
    burst = _chosen(request, "burst_ru_max", burst, none=0.0)
    if rate is None and not request.HasField("burst_ru_max"):
        return Limits(month_ru_max=month)
    is_derived = rate is not None and burst is None
    if rate is not None and burst is None:
        burst = _BURST_S * rate
    return Limits(
        rate_ru_per_s=rate, burst_ru_max=burst, is_burst_derived=is_derived, month_ru_max=month
    )


def _is_derived(old: Limits) -> bool:
    if old.is_burst_derived is None and old.rate_ru_per_s is not None:
        return old.burst_ru_max == _BURST_S * old.rate_ru_per_s  # an old row does not tell
    return bool(old.is_burst_derived)


def describe_limits(core: Core, tenant: Tenant) -> admin_pb2.TenantLimits:
    """Return a tenant's limits and how it stands with them."""
    shown, bucket = admin_pb2.TenantLimits(name=tenant.record.name), tenant.bucket
    if bucket is None:
        return shown
    now = core.buckets.now()
    now_s = now.bucket_s
    limits, record = bucket.limits, bucket.tokens.record
    if limits.rate_ru_per_s is not None:
        shown.rate_ru_per_s = limits.rate_ru_per_s
        shown.burst_ru_max = limits.burst_ru_max or 0.0
        shown.balance_ru = bucket.tokens.balance_ru(now_s=now_s)
        shown.debt_ru = bucket.tokens.debt_ru(now_s=now_s)
    shown.consumed_ru, shown.throttled_s = record.consumed_ru, record.throttled_s
    shown.client_count = sum(now_s - c.seen_s <= _LATELY_S for c in record.clients.values())
    if bucket.budget is not None:
        budget = bucket.budget.as_of(unix_s=now.unix_s)
        shown.month_ru_max = budget.month_ru_max
        shown.month_used_ru = bucket.month_used_ru(now)
        shown.month_reached = round(100 * budget.reported)
    return shown


def _chosen(
    request: admin_pb2.SetLimitsRequest, name: str, old: float | None, *, none: float | None = None
) -> float | None:
    """Return what a limit shall be: 0 stands for none, absence for no change."""
    if not request.HasField(name):
        return old
    number: float = getattr(request, name)
    return number if number != 0 else none
