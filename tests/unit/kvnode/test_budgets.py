"""The month's budget of a tenant on a simulated node: held against the bill, told of once."""

import asyncio

from admission.token_bucket import TokenRequest
from kvapi.pb import kv_pb2
from kvnode.admin.limits_calls import describe_limits
from kvnode.admin.usage_rows import usage_rows
from kvnode.tenants.bucket_row import Limits
from kvnode.tenants.tenant_bucket import Now, TenantBucket, changed, made
from tests.unit.kvnode.bucket_scene import ask, set_some, simulated


def test_a_raised_budget_tells_again_and_a_lowered_one_at_once():
    """The second warning of a month would never come, or come with every request."""
    now = Now(0.0, 0.0)

    def used(bucket, sequence, ru):
        request = TokenRequest(client_id=1, sequence=sequence, wanted_ru=0, consumed_ru=ru)
        return bucket.request(request, now)[1]

    bucket: TenantBucket = made(Limits(month_ru_max=100), lambda month: 0.0, now)
    assert used(bucket, 1, 80) == [0.5, 0.75]
    assert used(bucket, 1, 80) == [], "the same again"
    assert used(bucket, 2, 30) == [1.0]
    assert bucket.is_used_up(now)
    bucket = changed(bucket, Limits(month_ru_max=200), now)
    assert not bucket.is_used_up(now)
    assert used(bucket, 3, 50) == [0.75]
    bucket = changed(bucket, Limits(month_ru_max=110), now)
    assert bucket.is_used_up(now)
    assert used(bucket, 4, 0) == [1.0]


def bill(stream, sequence, ru, *, client_id=7):
    statement = kv_pb2.StatementUsage(query_id=5, text="q", calls=1, micro_ru=round(ru * 1e6))
    message = kv_pb2.ReportUsage(
        reporter=b"8 bytes!", sequence=sequence, statements=[statement], token_client_id=client_id
    )
    return stream.request(report_usage=message)


def month_used(node, tenant_id):
    return describe_limits(node.core, node.core.load_tenant(tenant_id)).month_used_ru


@simulated
async def test_the_months_budget_is_the_months_bill(node, tenant_id):
    """A budget set on the 20th would allow the whole month again, and each removal of it too."""
    stream = node.stream(tenant_id)
    await bill(stream, 1, 700)
    found = await set_some(node, tenant_id, month_ru_max=1000)
    assert found.month_used_ru == 700
    await bill(stream, 2, 200)
    assert month_used(node, tenant_id) == 900
    await set_some(node, tenant_id, month_ru_max=0)
    await bill(stream, 3, 50)
    found = await set_some(node, tenant_id, month_ru_max=900)
    assert found.month_used_ru == 950
    assert stream.frames[-1].limits.is_used_up
    node.crash()
    await asyncio.sleep(0)
    assert month_used(node, tenant_id) == 950
    (day,) = usage_rows(node.core, node.core.load_tenant(tenant_id), 40, by_statement=False).rows
    assert day.micro_ru == 950_000_000, "one ledger"


@simulated
async def test_what_is_not_billed_yet_counts_until_it_is(node, tenant_id):
    """A long statement would pass the budget by all it costs, or be counted twice at its end."""
    await set_some(node, tenant_id, month_ru_max=1000)
    stream = node.stream(tenant_id)
    await ask(stream, 1, consumed_ru=400)
    await ask(stream, 2, consumed_ru=300, wanted_ru=20)
    assert month_used(node, tenant_id) == 700
    await bill(stream, 1, 650)
    assert month_used(node, tenant_id) == 700
    await bill(stream, 1, 650)  # sent again
    await bill(stream, 2, 60)  # before the bucket hears of the last ten
    assert month_used(node, tenant_id) == 710
    await ask(stream, 3, consumed_ru=10)
    assert month_used(node, tenant_id) == 710
    node.crash()
    await asyncio.sleep(0)
    assert month_used(node, tenant_id) == 710
    await ask(node.stream(tenant_id), 4, consumed_ru=300)
    assert month_used(node, tenant_id) == 1010
    await asyncio.sleep(120)
    assert month_used(node, tenant_id) == 710, "the process died, and nobody is billed for it"


@simulated
async def test_a_bill_on_a_new_stream_is_whose_tokens_were_used(node, tenant_id):
    """With each reconnect more would count twice, until the budget refuses what is left of it."""
    await set_some(node, tenant_id, month_ru_max=1000)
    for sequence in (1, 2):
        await ask(node.stream(tenant_id), sequence, consumed_ru=100)
        node.crash()
        await asyncio.sleep(0)
        await bill(node.stream(tenant_id), sequence, 100)  # before it asks here
        assert month_used(node, tenant_id) == 100 * sequence


@simulated
async def test_what_was_used_before_the_limit_makes_nothing_free(node, tenant_id):
    """A process that reports it afterwards could use as much without being seen."""
    await set_some(node, tenant_id, month_ru_max=1000)
    stream = node.stream(tenant_id)
    await ask(stream, 1)
    await bill(stream, 1, 500)
    await ask(stream, 2, consumed_ru=100)
    assert month_used(node, tenant_id) == 600
