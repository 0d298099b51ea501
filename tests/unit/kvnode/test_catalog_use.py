"""Two catalog versions side by side, and the fence behind which the older one is refused."""

import asyncio

import pytest

from kvapi.errors import SchemaChanged
from kvapi.pb import kv_pb2
from tests.unit.kvnode.test_streams import commit, simulated, value


async def use(stream, version=0):
    response = await stream.request(catalog_use=kv_pb2.CatalogUse(oldest_version=version))
    return response.catalog_use.oldest_version


async def step(stream, version, *, keeps=True):
    done = await commit(
        stream,
        {b"descriptor": b"%d" % version},
        catalog_version=version,
        schema_change=True,
        keeps_previous=keeps,
    )
    return done.commit.commit_ts


def newest(node, tenant_id):
    return node.core.tenants.load(tenant_id).catalog_version


@simulated
async def test_the_version_before_stays_valid_until_nobody_uses_it(node, stream, tenant_id):
    """Every open transaction would fail at each step of an online schema change."""
    other = node.stream(tenant_id)
    first = newest(node, tenant_id)
    second = await step(stream, first)
    await commit(other, {b"k": b"1"}, catalog_version=first)
    assert await value(other, b"k", catalog_version=first) == b"1"
    assert await use(stream, second) == first  # the other stream counts with its hello
    await commit(other, {b"k": b"2"}, catalog_version=first)
    assert await use(other, second) == second
    with pytest.raises(SchemaChanged):
        await commit(other, {b"k": b"3"}, catalog_version=first)
    with pytest.raises(SchemaChanged):
        await value(other, b"k", catalog_version=first)


@simulated
async def test_at_most_two_versions_live(node, stream, tenant_id):
    """A writer two steps behind would leave an index without its row."""
    first = newest(node, tenant_id)
    second = await step(stream, first)
    third = await step(stream, second)
    with pytest.raises(SchemaChanged):
        await commit(stream, {b"k": b"1"}, catalog_version=first)
    await commit(stream, {b"k": b"1"}, catalog_version=second)
    await commit(stream, {b"k": b"1"}, catalog_version=third)


@simulated
async def test_a_plain_change_ends_every_older_version(node, stream, tenant_id):
    """Who planned before a DROP TABLE would write into keys that nobody reads."""
    first = newest(node, tenant_id)
    second = await step(stream, first)
    await step(stream, second, keeps=False)
    for old in (first, second):
        with pytest.raises(SchemaChanged):
            await commit(stream, {b"k": b"1"}, catalog_version=old)


@simulated
async def test_a_schema_change_needs_the_newest_catalog(node, stream, tenant_id):
    """Two changes made of the same descriptors would undo each other."""
    first = newest(node, tenant_id)
    await step(stream, first)
    with pytest.raises(SchemaChanged):
        await step(stream, first)


@simulated
async def test_a_stream_that_ends_holds_nothing_up(node, stream, tenant_id):
    """A dead SQL process would stop every schema change for ever."""
    other = node.stream(tenant_id)
    first = newest(node, tenant_id)
    second = await step(stream, first)
    assert await use(stream, second) == first
    other.session.closed()
    assert await use(stream) == second


@simulated
async def test_whoever_comes_back_late_meets_the_fence(node, stream, tenant_id):
    """A process that lost its stream would commit with a catalog that a backfill relies on being
    gone.
    """
    first = newest(node, tenant_id)
    second = await step(stream, first)
    assert await use(stream, second) == second
    back = node.stream(tenant_id)
    with pytest.raises(SchemaChanged):
        await commit(back, {b"k": b"1"}, catalog_version=first)


@simulated
async def test_a_restarted_node_accepts_the_newest_only(node, stream, tenant_id):
    """What was fenced before a crash would be valid again after it."""
    first = newest(node, tenant_id)
    second = await step(stream, first)
    node.crash()
    back = node.stream(tenant_id)
    with pytest.raises(SchemaChanged):
        await commit(back, {b"k": b"1"}, catalog_version=first)
    await commit(back, {b"k": b"1"}, catalog_version=second)


@simulated
async def test_every_stream_hears_of_a_change_unasked(node, stream, tenant_id):
    """An idle process would hold up the change until its next statement."""
    idle = node.stream(tenant_id)
    second = await step(stream, newest(node, tenant_id))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert idle.frames[-1].catalog_version == second
    assert not idle.frames[-1].responses
