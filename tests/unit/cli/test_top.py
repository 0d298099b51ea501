"""What `insula top` makes of what the KV node says."""

from cli.top import view_of
from kvapi.latency import BUCKETS, bucket_of
from kvapi.pb import admin_pb2


def row(tenant, cpu_per_s, weight=1.0, waits=()):
    counts = [0] * BUCKETS
    for wait_s in waits:
        counts[bucket_of(wait_s)] += 1
    return admin_pb2.TopRow(
        tenant=tenant, cpu_per_s=cpu_per_s, weight=weight, wait_counts=counts, statement_p99_s=0.01
    )


def test_shares_and_fairness_are_of_those_that_work():
    """An operator who is told of unfairness looks for a culprit that is not there."""
    found = admin_pb2.GetTopResponse(
        rows=[row("idle", 0.0), row("one", 0.2, weight=1), row("two", 0.4, weight=2)], cores=2
    )
    view = view_of(found, {})
    assert [record["tenant"] for record in view["tenants"]] == ["two", "one", "idle"]
    assert [record["share"] for record in view["tenants"]] == [0.6667, 0.3333, 0.0]
    assert (view["fairness_index"], view["active"]) == (1.0, 2)


def test_waits_are_those_of_the_interval():
    """Waits of yesterday's overload would stay on the screen for ever."""
    before = {"one": list(row("one", 0, waits=[1.0] * 50).wait_counts)}
    found = admin_pb2.GetTopResponse(rows=[row("one", 0.1, waits=[1.0] * 50 + [0.001] * 9)])
    assert view_of(found, before)["tenants"][0]["queue_wait_p99_ms"] < 2
    assert view_of(found, {})["tenants"][0]["queue_wait_p99_ms"] >= 1000
