"""The bill: what reports of statements leave in the store, once each."""

import random

import pytest

from kvapi.errors import BadRequest
from kvapi.pb import kv_pb2
from kvnode.admin.usage_rows import usage_rows
from kvnode.storage.engine import Table
from kvnode.storage.memory_engine import MemoryEngine
from kvnode.tenants.usage import (
    COUNTER_MAX,
    DAYS_MAX,
    OTHERS,
    STATEMENT_DAYS_MAX,
    STATEMENTS_MAX,
    StatementUsage,
    UsageReport,
    read_days,
    read_month,
    read_statements,
    record_usage,
    usage_prefix,
)
from tests.unit.kvnode.stream_scene import simulated

TENANT = b"\x00\x00\x00\x07"


def report(sequence, costs, *, reporter=b"reporter"):
    statements = [
        StatementUsage(query_id=query_id, text=f"q{query_id}", calls=1, row_count=2, micro_ru=ru)
        for query_id, ru in costs.items()
    ]
    return UsageReport(
        reporter=reporter, sequence=sequence, statements=statements, used={"read_requests": 1.0}
    )


def write(engine, day, made):
    with engine.write() as txn:
        return record_usage(txn, TENANT, day, made)


def test_the_sum_over_statements_is_the_bill():
    """A bill that its parts do not add up to cannot be explained to who pays it."""
    engine, rng = MemoryEngine(), random.Random(1)
    for sequence in range(1, 60):
        costs = {rng.randint(-(2**63), 2**63 - 1): rng.randint(0, 10**9) for _ in range(40)}
        assert write(engine, 20_000 + sequence // 30, report(sequence, costs))
    snapshot = engine.snapshot()
    days = dict(read_days(snapshot, TENANT, 0))
    sums = dict.fromkeys(days, 0)
    for day, statement in read_statements(snapshot, TENANT, 0):
        sums[day] += statement.micro_ru
    assert {day: usage.micro_ru for day, usage in days.items()} == sums
    assert len(days) == 2
    counts = [day for day, _ in read_statements(snapshot, TENANT, 0)]
    assert max(counts.count(day) for day in days) == STATEMENTS_MAX + 1
    assert OTHERS in [usage.text for _, usage in read_statements(snapshot, TENANT, 0)]


def test_a_report_counts_once():
    """A connection that breaks after the report was written would bill it twice."""
    engine = MemoryEngine()
    assert write(engine, 20_000, report(1, {5: 10}))
    assert not write(engine, 20_000, report(1, {5: 10}))
    assert not write(engine, 20_001, report(1, {5: 10}))
    assert write(engine, 20_000, report(1, {5: 10}, reporter=b"another!"))
    assert write(engine, 20_000, report(2, {5: 10}))
    ((_, usage),) = read_days(engine.snapshot(), TENANT, 0)
    assert (usage.micro_ru, usage.calls, usage.used) == (30, 3, {"read_requests": 3.0})


def test_a_month_is_the_sum_of_its_days():
    """A budget would be held against something else than the bill."""
    engine, july = MemoryEngine(), 20_635  # 2026-07-01
    for sequence, day in enumerate((july - 1, july, july + 30, july - 1, july + 31), 1):
        month = write(engine, day, report(sequence, {5: 10**sequence}))
    assert (month.month, month.micro_ru) == ("2026-08", 10**5)
    months = [read_month(engine.snapshot(), TENANT, f"2026-0{number}") for number in (6, 7, 8, 9)]
    assert months == [10_010, 1_100, 100_000, 0]


def test_old_rows_go():
    """A store that keeps every statement of every day grows for ever."""
    engine = MemoryEngine()
    for day in (1, 10, STATEMENT_DAYS_MAX + 5, DAYS_MAX + 5):
        write(engine, day, report(day, {5: 10}))
    snapshot = engine.snapshot()
    assert [day for day, _ in read_days(snapshot, TENANT, 0)] == [
        10,
        STATEMENT_DAYS_MAX + 5,
        DAYS_MAX + 5,
    ]
    assert [day for day, _ in read_statements(snapshot, TENANT, 0)] == [DAYS_MAX + 5]


def usage_message(sequence, micro_ru, **fields):
    statement = kv_pb2.StatementUsage(query_id=-3, text="select", calls=1, micro_ru=micro_ru)
    return kv_pb2.ReportUsage(
        reporter=b"8 bytes!", sequence=sequence, statements=[statement], **fields
    )


@simulated
async def test_a_stream_reports(node, stream, tenant_id):
    """The way from a SQL process to the bill; a repetition is answered and not counted."""
    used = kv_pb2.Used(read_requests=3, sql_cpu_s=0.5)
    for sequence in (1, 1, 2):
        answer = await stream.request(report_usage=usage_message(sequence, 10, used=used))
        assert answer.HasField("done")
    tenant = node.core.load_tenant(tenant_id)
    snapshot = node.core.timeline.snapshot()
    ((_, day),) = read_days(snapshot, tenant.prefix, 0)
    assert (day.micro_ru, day.used) == (20, {"read_requests": 6.0, "sql_cpu_s": 1.0})
    ((_, statement),) = read_statements(snapshot, tenant.prefix, 0)
    assert (statement.query_id, statement.calls, statement.micro_ru) == (-3, 2, 20)
    with pytest.raises(BadRequest):
        await stream.request(report_usage=kv_pb2.ReportUsage(reporter=b"short", sequence=1))
    with pytest.raises(BadRequest):
        await stream.request(report_usage=usage_message(0, 1))


@simulated
async def test_numbers_that_are_none_are_refused(node, stream, tenant_id):
    """One such report damages the row of the day: what comes after it is lost, bill and commits."""
    for count in (float("nan"), float("inf"), -1.0):
        used = kv_pb2.Used(read_bytes=count)
        message = kv_pb2.ReportUsage(reporter=b"reporter", sequence=1, used=used)
        with pytest.raises(BadRequest):
            await stream.request(report_usage=message)


@simulated
async def test_counters_end_where_a_row_cannot_hold_more(node, stream, tenant_id):
    """A SQL process that reports nonsense would leave a bill that nobody can add to, or read."""
    for counter in (2**63, 2**64 - 1):
        with pytest.raises(BadRequest):
            await stream.request(report_usage=usage_message(1, counter))
        with pytest.raises(BadRequest):
            await stream.request(report_usage=usage_message(1, 1, free_micro_ru=counter))
    for sequence in range(1, 22):
        answer = await stream.request(report_usage=usage_message(sequence, 10**18))
        assert answer.HasField("done")
    tenant = node.core.load_tenant(tenant_id)
    for by_statement in (False, True):
        (row,) = usage_rows(node.core, tenant, 1, by_statement=by_statement).rows
        assert (row.micro_ru, row.calls) == (COUNTER_MAX, 21)


@simulated
async def test_a_dropped_tenant_leaves_no_bill(node, stream, tenant_id):
    """The next tenant with its number would find itself charged."""
    await stream.request(report_usage=usage_message(1, 10))
    prefix = node.core.load_tenant(tenant_id).prefix
    await node.lifecycle.drop("acme")
    area = usage_prefix(prefix)
    rows = node.core.timeline.snapshot().rows_from(Table.SYSTEM, area)
    assert not [key for key, _ in rows if key.startswith(area)]
