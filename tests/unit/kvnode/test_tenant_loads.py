"""What operators are shown of each tenant."""

import asyncio

from kvapi.latency import BUCKETS, bucket_of, percentile_s
from kvapi.pb import kv_pb2
from kvnode.admin.top_rows import top_rows
from kvnode.admission.tenant_loads import TENANTS_MAX, WINDOW_S, TenantLoads
from tests.unit.kvnode.shared_node import GET, ask, on_shared_node


def test_reports_count_for_a_window():
    """A tenant that stopped yesterday would still be shown at work."""
    loads = TenantLoads()
    latencies = [0] * BUCKETS
    latencies[bucket_of(0.004)] = 100
    loads.reported(1, calls=100, micro_ru=40_000_000, latencies=latencies, now_s=5.0, sql_cpu_s=3.0)
    lately = loads.lately(1, now_s=6.0)
    assert lately.statements_per_s * WINDOW_S == 100
    assert lately.ru_per_s * WINDOW_S == 40
    assert round(lately.sql_cpu_per_s * WINDOW_S, 6) == 3
    assert 0.004 <= percentile_s(lately.latencies, 0.99) < 0.006
    assert loads.lately(1, now_s=6.0 + WINDOW_S).statements_per_s == 0
    assert loads.lately(2, now_s=6.0).ru_per_s == 0


def test_memory_is_bounded():
    """A node with a million tenants would keep something of each for ever."""
    loads = TenantLoads()
    for tenant_id in range(TENANTS_MAX + 5):
        loads.waited(tenant_id, 0.001, 2)
    assert not loads.waits(0)
    assert sum(loads.waits(TENANTS_MAX + 4)) == 2


@on_shared_node
async def test_all_that_waits_is_shown_with_its_tenant(node, one, two):
    """Scans between two turns, and who waits for locks, would be missing: nothing seems to wait."""
    lock = kv_pb2.Lock(keys=[b"row"])
    await one.request(txn_id=b"h" * 16, lock=lock)
    waiting = [one.request(txn_id=b"%016d" % n, lock=lock) for n in range(2)]
    await asyncio.sleep(0.01)
    gets = ask(two, [{"get": GET}] * 300)
    reads = [two.request(multi_get=kv_pb2.MultiGet(keys=[b"k"] * 5_000)) for _ in range(3)]
    rows = {row.tenant: row for row in top_rows(node.core).rows}
    assert (rows["one"].lock_waits, rows["two"].lock_waits) == (2, 0)
    assert rows["two"].queued > 200
    await asyncio.gather(*gets)
    await asyncio.sleep(0)
    rows = {row.tenant: row for row in top_rows(node.core).rows}
    assert rows["two"].waited_s > 0
    assert 1 <= rows["two"].queued <= 3
    await asyncio.gather(*reads)
    one.break_off()
    assert all(wait.done() or wait.cancel() for wait in waiting)
