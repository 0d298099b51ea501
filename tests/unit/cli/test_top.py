"""What `insula top` makes of what the KV node says."""

from cli.top import _text, view_of
from kvapi.latency import BUCKETS, bucket_of
from kvapi.pb import admin_pb2


def row(tenant, cpu_per_s, waits=(), **fields):
    counts = [0] * BUCKETS
    for wait_s in waits:
        counts[bucket_of(wait_s)] += 1
    return admin_pb2.TopRow(
        tenant=tenant,
        cpu_per_s=cpu_per_s,
        wait_counts=counts,
        statement_p99_s=0.01,
        waited_s=sum(waits),
        **{"weight": 1.0, **fields},
    )


def view(rows, before=(), interval_s=2.0):
    found = admin_pb2.GetTopResponse(rows=rows, cores=2, window_s=20)
    return view_of(found, {row.tenant: row for row in before}, interval_s)


def test_shares_are_of_those_that_work():
    """An operator does not see who uses the node."""
    seen = view([row("idle", 0.0), row("one", 0.2), row("two", 0.4, sql_cpu_per_s=1.5)])
    assert [record["tenant"] for record in seen["tenants"]] == ["two", "one", "idle"]
    assert [record["share"] for record in seen["tenants"]] == [0.6667, 0.3333, 0.0]
    assert seen["tenants"][0]["sql_cpu_per_s"] == 1.5


def test_fairness_is_of_those_that_had_to_wait():
    """Quiet tenants beside a busy one look like victims, and there is nobody to blame."""
    before = [row(name, 0.0) for name in ("busy", "a", "b", "c")]
    quiet = [row("a", 0.01, [0.0002] * 9), row("b", 0.012), row("c", 0.011)]
    seen = view([row("busy", 0.9, [0.01] * 300), *quiet], before)
    assert (seen["fairness_index"], seen["waiting_tenants"]) == (1.0, 1)
    assert "no two tenants had to wait" in _text(seen)
    starved = [row("busy", 0.9, [0.01] * 300), row("a", 0.1, [0.5] * 4)]
    seen = view(starved, before)
    assert seen["waiting_tenants"] == 2
    assert seen["fairness_index"] < 0.7
    weighted = [row("busy", 0.9, [0.5] * 4, weight=9), row("a", 0.1, [0.5] * 4)]
    assert view(weighted, before)["fairness_index"] == 1.0


def test_who_waits_all_the_time_is_among_them():
    """The worst case, a tenant whose first request never gets its turn, would not be compared."""
    before = [row("busy", 0.0, queued=3), row("stuck", 0.0, writes_queued=1)]
    seen = view([row("busy", 0.9, queued=2), row("stuck", 0.0, writes_queued=1)], before)
    assert seen["waiting_tenants"] == 2
    assert seen["fairness_index"] == 0.5
    assert [record["queued"] for record in seen["tenants"]] == [2, 1]


def test_waits_are_those_of_the_interval():
    """Waits of yesterday's overload would stay on the screen for ever."""
    before = [row("one", 0, waits=[1.0] * 50)]
    rows = [row("one", 0.1, waits=[1.0] * 50 + [0.001] * 9)]
    assert view(rows, before)["tenants"][0]["queue_wait_p99_ms"] < 2
    assert view(rows)["tenants"][0]["queue_wait_p99_ms"] >= 1000


def test_throttling_is_that_of_the_interval():
    """A tenant that was held back last week would look held back now."""
    before = [row("one", 0, throttled_s=3600.0), row("two", 0, throttled_s=5.0)]
    rows = [row("one", 0.1, throttled_s=3600.0), row("two", 0.0, throttled_s=8.0)]
    one, two = view(rows, before)["tenants"]
    assert (one["throttled"], two["throttled"]) == (0.0, 1.5)
    assert one["throttled_s"] == 3600.0
    text = _text(view(rows, before))
    assert "150%" in text
    assert "last 20 s" in text


def test_after_a_restart_of_the_node_counters_begin_again():
    """Negative percentages for one interval."""
    (one,) = view([row("one", 0.1, throttled_s=1.0)], [row("one", 0, throttled_s=50.0)])["tenants"]
    assert one["throttled"] == 0.5
