"""Which tenants use the node now, as operators see it."""

from kvapi.latency import percentile_s
from kvapi.pb import admin_pb2
from kvnode.core import Core
from kvnode.tenants.tenant import Tenant


def top_rows(core: Core) -> admin_pb2.GetTopResponse:
    """Return a row for each tenant in memory: those that were active lately are."""
    response = admin_pb2.GetTopResponse(cores=core.scheduler.cores)
    for tenant in core.tenants.loaded():
        if not tenant.record.is_dropping:
            response.rows.append(_row(core, tenant))
    return response


def _row(core: Core, tenant: Tenant) -> admin_pb2.TopRow:
    scheduler = core.scheduler
    now_s = scheduler.now()
    reported = scheduler.loads.lately(tenant.id, now_s=now_s)
    tenant.ranges.roll(core.clock.monotonic_s())
    states = tenant.ranges.states
    return admin_pb2.TopRow(
        tenant=tenant.record.name,
        weight=tenant.record.weight,
        cpu_per_s=scheduler.queue.use_per_s(tenant.id, now_s=now_s),
        kv_reads_per_s=sum(state.read_rate for state in states),
        kv_writes_per_s=sum(state.write_rate for state in states),
        queued=tenant.lane_room.requests,
        wait_counts=scheduler.loads.waits(tenant.id),
        statements_per_s=reported.statements_per_s,
        statement_p50_s=percentile_s(reported.latencies, 0.5),
        statement_p99_s=percentile_s(reported.latencies, 0.99),
        ru_per_s=reported.ru_per_s,
        stream_count=len(tenant.close_streams),
        throttled_s=tenant.bucket.tokens.record.throttled_s if tenant.bucket is not None else 0.0,
    )
