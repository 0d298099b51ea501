"""Which tenants use the node now, as operators see it."""

from collections import Counter

from kvapi.latency import percentile_s
from kvapi.pb import admin_pb2
from kvnode.admission.tenant_loads import WINDOW_S
from kvnode.core import Core
from kvnode.tenants.tenant import Tenant
from kvnode.txn.lock_queue import stream_of


def top_rows(core: Core) -> admin_pb2.GetTopResponse:
    """Return a row for each tenant in memory: those that were active lately are."""
    response = admin_pb2.GetTopResponse(cores=core.scheduler.cores, window_s=WINDOW_S)
    lock_waits = _lock_waits(core)
    for tenant in core.tenants.loaded():
        if not tenant.record.is_dropping:
            response.rows.append(_row(core, tenant, lock_waits[tenant.id]))
    return response


def _lock_waits(core: Core) -> Counter[int]:
    """Return how many requests of each tenant wait for locks."""
    found: Counter[int] = Counter()
    for request in core.locks.table.waiting():
        stream_id = stream_of(request.owner)
        if isinstance(stream_id, int):
            found[core.stream_tenants.get(stream_id, 0)] += 1
    return found


def _row(core: Core, tenant: Tenant, lock_waits: int) -> admin_pb2.TopRow:
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
        queued=tenant.lane_room.requests + len(tenant.reads),
        writes_queued=core.writes.queue.waiting(tenant.id),
        lock_waits=lock_waits,
        waited_s=scheduler.loads.waited_s(tenant.id),
        sql_cpu_per_s=reported.sql_cpu_per_s,
        wait_counts=scheduler.loads.waits(tenant.id),
        statements_per_s=reported.statements_per_s,
        statement_p50_s=percentile_s(reported.latencies, 0.5),
        statement_p99_s=percentile_s(reported.latencies, 0.99),
        ru_per_s=reported.ru_per_s,
        stream_count=len(tenant.close_streams),
        throttled_s=tenant.bucket.tokens.record.throttled_s if tenant.bucket is not None else 0.0,
    )
