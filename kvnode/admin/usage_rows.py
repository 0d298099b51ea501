"""What a tenant is billed, as operators see it: by day, or by statement over some days."""

import datetime

from kvapi.pb import admin_pb2
from kvnode.core import Core
from kvnode.tenants.tenant import Tenant
from kvnode.tenants.usage import (
    DAY_S,
    DAYS_MAX,
    STATEMENT_DAYS_MAX,
    StatementUsage,
    read_days,
    read_statements,
)

_EPOCH = datetime.date(1970, 1, 1)


def usage_rows(
    core: Core, tenant: Tenant, day_count: int, *, by_statement: bool
) -> admin_pb2.GetUsageResponse:
    """Return the days, oldest first, or the statements, dearest first."""
    today = int(core.now_s()) // DAY_S
    most = STATEMENT_DAYS_MAX if by_statement else DAYS_MAX
    first_day = max(0, today + 1 - min(max(day_count, 1), most))
    if by_statement:
        return admin_pb2.GetUsageResponse(rows=_statements(core, tenant, first_day))
    return admin_pb2.GetUsageResponse(rows=_days(core, tenant, first_day))


def _days(core: Core, tenant: Tenant, first_day: int) -> list[admin_pb2.UsageRow]:
    return [
        admin_pb2.UsageRow(
            day=(_EPOCH + datetime.timedelta(days=day)).isoformat(),
            calls=usage.calls,
            micro_ru=usage.micro_ru,
            free_micro_ru=usage.free_micro_ru,
            used=usage.used,
        )
        for day, usage in read_days(core.timeline.snapshot(), tenant.prefix, first_day)
    ]


def _statements(core: Core, tenant: Tenant, first_day: int) -> list[admin_pb2.UsageRow]:
    sums: dict[int, StatementUsage] = {}
    for _, usage in read_statements(core.timeline.snapshot(), tenant.prefix, first_day):
        if (known := sums.get(usage.query_id)) is None:
            sums[usage.query_id] = usage
        else:
            known.add(usage)
    return [
        admin_pb2.UsageRow(
            query_id=usage.query_id,
            text=usage.text,
            calls=usage.calls,
            row_count=usage.row_count,
            exec_us=usage.exec_us,
            micro_ru=usage.micro_ru,
        )
        for usage in sorted(sums.values(), key=lambda usage: -usage.micro_ru)
    ]
