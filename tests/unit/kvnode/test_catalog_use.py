"""Two catalog versions side by side, and the fence behind which the older one is refused."""

import asyncio

import pytest

from kvapi.errors import SchemaChanged
from kvapi.pb import kv_pb2
from kvnode.tenants.catalog_use import RELATIONS_MAX
from tests.unit.kvnode.stream_scene import commit, simulated, value


async def use(stream, version=0):
    response = await stream.request(catalog_use=kv_pb2.CatalogUse(oldest_version=version))
    return response.catalog_use.oldest_version


async def step(stream, version, *, keeps=True, changed=()):
    done = await commit(
        stream,
        {b"descriptor": b"%d" % version},
        catalog_version=version,
        schema_change=True,
        keeps_previous=keeps,
        changed=changed,
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


@simulated
async def test_only_a_change_of_what_it_uses_ends_a_transaction(node, stream, tenant_id):
    """CREATE TABLE would end every COPY of the tenant that is under way."""
    first = newest(node, tenant_id)
    second = await step(stream, first, keeps=False, changed=[7])
    third = await step(stream, second, keeps=False, changed=[8, 9])
    await commit(stream, {b"k": b"1"}, catalog_version=first, relations=[5, 6])
    assert await value(stream, b"k", catalog_version=first, relations=[6]) == b"1"
    await commit(stream, {b"k": b"2"}, catalog_version=second, relations=[5, 7])
    for old, relations in ((first, [5, 7]), (second, [9]), (first, [])):
        with pytest.raises(SchemaChanged):
            await commit(stream, {b"k": b"3"}, catalog_version=old, relations=relations)
        with pytest.raises(SchemaChanged):
            await value(stream, b"k", catalog_version=old, relations=relations)
    await commit(stream, {b"k": b"3"}, catalog_version=third, relations=[5, 7, 8, 9])


@simulated
async def test_two_states_of_a_relation_live_whatever_else_changes(node, stream, tenant_id):
    """A writer of an index that is built would fail when somebody creates another table, or go on
    two steps behind.
    """
    first = newest(node, tenant_id)
    second = await step(stream, first, changed=[5])
    third = await step(stream, second, keeps=False, changed=[7])
    await commit(stream, {b"k": b"1"}, catalog_version=first, relations=[5])
    fourth = await step(stream, third, changed=[5])
    with pytest.raises(SchemaChanged):
        await commit(stream, {b"k": b"2"}, catalog_version=first, relations=[5])
    await commit(stream, {b"k": b"2"}, catalog_version=second, relations=[5])
    await commit(stream, {b"k": b"3"}, catalog_version=fourth, relations=[5])


@simulated
async def test_the_fence_holds_for_whoever_names_relations(node, stream, tenant_id):
    """A backfill would begin while a transaction that it has waited for still writes."""
    other = node.stream(tenant_id)
    first = newest(node, tenant_id)
    second = await step(stream, first, keeps=False, changed=[7])
    assert await use(stream, second) == first, "the other stream may go on with it"
    await commit(other, {b"k": b"1"}, catalog_version=first, relations=[5])
    assert await use(other, second) == second
    with pytest.raises(SchemaChanged):
        await commit(other, {b"k": b"2"}, catalog_version=first, relations=[5])


@simulated
async def test_a_change_of_anything_ends_all_that_is_older(node, stream, tenant_id):
    """A change that does not say what it concerns would be taken for one that concerns nothing."""
    first = newest(node, tenant_id)
    second = await step(stream, first, keeps=False)
    with pytest.raises(SchemaChanged):
        await commit(stream, {b"k": b"1"}, catalog_version=first, relations=[5])
    await commit(stream, {b"k": b"1"}, catalog_version=second, relations=[5])


@simulated
async def test_what_is_remembered_of_changes_is_bounded(node, stream, tenant_id):
    """A tenant that creates tables for ever would fill the KV node's memory."""
    first = newest(node, tenant_id)
    second = await step(stream, first, keeps=False, changed=range(1, RELATIONS_MAX))
    third = await step(stream, second, keeps=False, changed=[RELATIONS_MAX + 5])
    await commit(stream, {b"k": b"1"}, catalog_version=second, relations=[5])
    fourth = await step(stream, third, keeps=False, changed=range(RELATIONS_MAX, RELATIONS_MAX + 9))
    with pytest.raises(SchemaChanged):
        await commit(stream, {b"k": b"2"}, catalog_version=second, relations=[5])
    await commit(stream, {b"k": b"2"}, catalog_version=fourth, relations=[5])
