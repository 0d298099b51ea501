"""What operators are shown of each tenant."""

from kvapi.latency import BUCKETS, bucket_of, percentile_s
from kvnode.admission.tenant_loads import TENANTS_MAX, WINDOW_S, TenantLoads


def test_reports_count_for_a_window():
    """A tenant that stopped yesterday would still be shown at work."""
    loads = TenantLoads()
    latencies = [0] * BUCKETS
    latencies[bucket_of(0.004)] = 100
    loads.reported(1, calls=100, micro_ru=40_000_000, latencies=latencies, now_s=5.0)
    lately = loads.lately(1, now_s=6.0)
    assert lately.statements_per_s * WINDOW_S == 100
    assert lately.ru_per_s * WINDOW_S == 40
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
