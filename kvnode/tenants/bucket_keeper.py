"""Keeps the buckets of limited tenants: changes them, and makes each change durable.

**Invariants.** An answer leaves after what it changed is durable, so a crash loses nothing that a
SQL process was told. A request that reports nothing and gets nothing is answered at once: if a
crash forgets it, nothing is missing. A tenant without limits has no bucket, no row and no write.

**Concurrency.** Owner: the event loop. A bucket changes at once; its row follows through group
commit, in the order of the changes. The limits of a tenant are changed one after the other: a
change that cannot be stored is taken back before the next begins.

**Time.** Buckets live by a clock that starts at wall time with the node and never goes back: a wall
clock that is set back and forth would fill them. Months are those of the calendar.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from admission.token_bucket import TokenGrant, TokenRequest
from kvapi.errors import KvError
from kvnode.storage.engine import WriteTxn
from kvnode.tenants.bucket_row import BucketRow, Limits, encode_row, write_row
from kvnode.tenants.tenant import Tenant
from kvnode.tenants.tenant_bucket import Now, ReadBill, TenantBucket, changed, made
from kvnode.tenants.usage import MICRO, MonthUsage
from kvnode.txn.group_commit import GroupCommit
from kvnode.txn.operations import SystemOperation
from runtime.clock import Clock

_log = logging.getLogger(__name__)
Granted = Callable[[TokenGrant, KvError | None], None]


class BucketKeeper:
    """The buckets of all tenants."""

    def __init__(
        self,
        group: GroupCommit,
        clock: Clock,
        read_bill: Callable[[bytes, str], float],
        *,
        has_trickle: bool = True,
    ) -> None:
        self._group = group
        self._clock = clock
        self._read_bill = read_bill  # tenant, month → request units
        self._begun_s = clock.now_ns() / 1e9 - clock.monotonic_s()
        self._has_trickle = has_trickle
        self.request_count = 0
        self.granted_ru = 0.0
        self.throttled_s = 0.0

    def now(self) -> Now:
        """Return the time for buckets and budgets."""
        clock = self._clock
        return Now(self._begun_s + clock.monotonic_s(), clock.now_ns() / 1e9)

    def load(self, prefix: bytes, row: BucketRow) -> TenantBucket:
        """Return a tenant's bucket as it was stored."""
        bucket = TenantBucket(row, self._bill_of(prefix))
        bucket.tokens.start(now_s=self.now().bucket_s)
        return bucket

    def _bill_of(self, prefix: bytes) -> ReadBill:
        return lambda month: self._read_bill(prefix, month)

    def ask(self, tenant: Tenant, request: TokenRequest, answer: Granted) -> None:
        """Grant tokens of a limited tenant; `answer` is called when that is durable."""
        bucket = tenant.bucket
        assert bucket is not None, "who is unlimited is answered without a bucket"
        self.request_count += 1
        if (repeated := bucket.tokens.answered(request)) is not None:
            self._settle(tenant, request, repeated, answer)
            return
        grant, reached = bucket.request(request, self.now())
        self.granted_ru += grant.at_once_ru + grant.trickle_ru
        self.throttled_s += request.throttled_s
        self._settle(tenant, request, grant, answer)
        self._tell(tenant, bucket, reached)

    def billed(self, tenant: Tenant, client_id: int, micro_ru: int, month: MonthUsage) -> None:
        """Take note of what is durable on the bill: of a process, and of the month in all."""
        if (bucket := tenant.bucket) is None:
            return
        bill = month.month, month.micro_ru / MICRO
        reached = bucket.billed(client_id, micro_ru / MICRO, bill, self.now())
        if bucket.budget is not None:
            # What was told of is not told again after a crash, and what is billed not counted as
            # unbilled. If it fails, the next change stores it as well.
            self._store(tenant, lambda _: None)
            self._tell(tenant, bucket, reached)

    def _tell(self, tenant: Tenant, bucket: TenantBucket, reached: list[float]) -> None:
        for part in reached:
            fields = {**_named(tenant), "percent": round(100 * part)}
            _log.info("budget_reached", extra=fields)
        is_used_up = bucket.is_used_up(self.now())
        if is_used_up != bucket.was_used_up:
            bucket.was_used_up = is_used_up
            self._announce(tenant)

    def _settle(
        self, tenant: Tenant, request: TokenRequest, grant: TokenGrant, answer: Granted
    ) -> None:
        if request.reports_nothing and grant.is_empty:
            answer(self._told(grant), None)
        else:
            self._store(tenant, lambda error: answer(self._told(grant), error))

    def _told(self, grant: TokenGrant) -> TokenGrant:
        """Return what the SQL process is told: without trickles, a period's tokens at once."""
        if self._has_trickle:
            return grant
        at_once_ru = grant.at_once_ru + grant.trickle_ru
        return replace(grant, at_once_ru=at_once_ru, trickle_ru=0.0)  # no more until trickle_s

    async def change_limits(self, tenant: Tenant, change: Callable[[Limits], Limits]) -> None:
        """Change a tenant's limits, durably, and tell its SQL processes.

        It goes on if the caller is cancelled. Raises: KvError, what `change` raises.
        """
        tenant.bucket_writes += 1  # it stays loaded from this turn on
        await asyncio.shield(self._change_in_turn(tenant, change))

    async def _change_in_turn(self, tenant: Tenant, change: Callable[[Limits], Limits]) -> None:
        try:
            async with tenant.changing_limits:
                await self._set_limits(tenant, change(tenant.limits))
        finally:
            tenant.bucket_writes -= 1

    async def _set_limits(self, tenant: Tenant, limits: Limits) -> None:
        before, now = tenant.bucket, self.now()
        if limits.is_none:
            tenant.bucket = None
        elif before is None:
            tenant.bucket = made(limits, self._bill_of(tenant.prefix), now)
        else:
            tenant.bucket = changed(before, limits, now)
        done: asyncio.Future[KvError | None] = asyncio.get_running_loop().create_future()

        def stored(error: KvError | None) -> None:
            if not done.done():  # the node may be ending
                done.set_result(error)

        self._store(tenant, stored)
        if (failure := await done) is not None:
            tenant.bucket = self._as_before(before, tenant.bucket)
            self._store(tenant, lambda _: None)  # a grant may have stored what failed here
            raise failure
        fields = {**_named(tenant), "rate_ru_per_s": limits.rate_ru_per_s}
        _log.info("limits_changed", extra={**fields, "month_ru_max": limits.month_ru_max})
        self._announce(tenant)

    def _as_before(
        self, before: TenantBucket | None, now: TenantBucket | None
    ) -> TenantBucket | None:
        """Return the former limits with what was granted since."""
        if before is None or now is None:
            return before
        return changed(now, before.limits, self.now())

    def _store(self, tenant: Tenant, on_durable: Callable[[KvError | None], object]) -> None:
        bucket, prefix = tenant.bucket, tenant.prefix
        encoded = None if bucket is None else encode_row(bucket.row())
        tenant.bucket_writes += 1

        def work(txn: WriteTxn) -> None:
            write_row(txn, prefix, encoded)

        def finish(error: KvError | None) -> None:
            tenant.bucket_writes -= 1
            on_durable(error)

        self._group.submit(SystemOperation(tenant.id, work, finish))

    def _announce(self, tenant: Tenant) -> None:
        for tell in list(tenant.on_limits.values()):
            tell()


def _named(tenant: Tenant) -> dict[str, object]:
    """Return the fields of a log event that say whose it is, as the command line calls it."""
    return {"tenant_id": tenant.id, "tenant": tenant.record.name}
