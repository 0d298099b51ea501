"""Ranges on a whole node, without threads or sockets: sizes, splits, merges, who serves what."""

import asyncio
import random
from itertools import pairwise

import pytest

from kvapi.errors import BadRequest, NotLeaseholder
from kvapi.pb import kv_pb2
from kvapi.spans import Span
from kvnode.node_config import NodeConfig
from kvnode.ranges.descriptor import (
    WHOLE,
    RangeDescriptor,
    RangeTable,
    check_ranges,
    merge_table,
    read_ranges,
    split_table,
)
from kvnode.ranges.load_sample import LoadSample
from kvnode.ranges.range_map import RangeMap, RangeState
from kvnode.storage.engine import StoreCorrupt, Table
from tests.sim.sim_node import SimNode
from tests.sim.virtual_loop import run_virtual

CONFIG = NodeConfig(
    range_bytes_max=20_000,
    range_merge_bytes_max=5_000,
    range_load_split_per_s=100.0,
    range_load_s=3.0,
    range_quiet_s=30.0,
)


def key(number):
    return b"k%06d" % number


async def write(stream, numbers, *, value=b"v" * 90, delete=False):
    keys = [key(number) for number in numbers]
    if delete:
        writes = kv_pb2.Writes(delete_keys=keys)
    else:
        writes = kv_pb2.Writes(put_keys=keys, put_values=[value] * len(keys))
    return await stream.request(commit=kv_pb2.Commit(writes=writes))


async def ranges_of(stream, start=b"", limit=0):
    answer = (await stream.request(ranges=kv_pb2.Ranges(start=start, limit=limit))).ranges
    return [(r.range_id, r.start, r.end, r.generation) for r in answer.ranges]


def bounds(node, tenant_id):
    return [d.start for d in node.core.load_tenant(tenant_id).ranges.table.ranges]


async def ticks(node, seconds):
    for _ in range(seconds):
        await asyncio.sleep(1)
        await node.keeper.tick()


def test_a_small_tenant_has_one_range_and_no_descriptor():
    """Ten thousand idle tenants would cost ten thousand descriptors."""

    async def body(loop):
        node = SimNode(loop, config=CONFIG)
        tenant_id = await node.create("acme")
        stream = node.stream(tenant_id)
        await write(stream, range(50))
        await ticks(node, 3)
        assert await ranges_of(stream) == [(1, b"", b"", 1)]
        tenant = node.core.load_tenant(tenant_id)
        assert tenant.ranges.is_plain
        assert read_ranges(node.core.timeline.snapshot(), tenant.prefix) is WHOLE
        assert node.engine.snapshot().seek(Table.SYSTEM, b"r")[0][:1] != b"r"

    run_virtual(body)


def test_ranges_split_by_size_and_merge_when_all_is_deleted():
    """A large table would stay one unit for ever, or a deleted one a hundred."""

    async def body(loop):
        node = SimNode(loop, config=CONFIG)
        tenant_id = await node.create("acme")
        stream = node.stream(tenant_id)
        await write(stream, range(1000))
        await ticks(node, 1)
        found = await ranges_of(stream)
        assert len(found) >= 5
        assert found[0][1] == b""
        assert found[-1][2] == b""
        assert all(left[2] == right[1] for left, right in pairwise(found))
        ranges = node.core.load_tenant(tenant_id).ranges
        sizes = [state.size.estimate for state in ranges.states]
        assert max(sizes) <= CONFIG.range_bytes_max
        assert min(sizes) >= CONFIG.range_bytes_max // 4
        assert sum(state.size.key_count for state in ranges.states) == 1001  # and the role
        await ticks(node, 40)
        assert await ranges_of(stream) == found, "large neighbours stay apart"
        await write(stream, range(1000), delete=True)
        await ticks(node, 20)
        assert await ranges_of(stream) == found, "not before they were quiet for a while"
        await ticks(node, 30)
        ((range_id, start, end, generation),) = await ranges_of(stream)
        assert (range_id, start, end) == (1, b"", b"")
        assert generation > max(r[3] for r in found)
        assert node.keeper.merge_count == len(found) - 1 == node.keeper.split_count

    run_virtual(body)


def test_ranges_survive_a_restart_and_go_with_their_tenant():
    """Operators would see other ranges after each restart; a dropped tenant would leave rows."""

    async def body(loop):
        node = SimNode(loop, config=CONFIG)
        tenant_id = await node.create("acme")
        await write(node.stream(tenant_id), range(1000))
        await ticks(node, 1)
        before = bounds(node, tenant_id)
        node.crash()
        stream = node.stream(tenant_id)
        assert bounds(node, tenant_id) == before
        assert [r[1] for r in await ranges_of(stream, before[2], 2)] == before[2:4]
        await node.lifecycle.drop("acme")
        rows = node.engine.snapshot().rows_from(Table.SYSTEM, b"r")
        assert not [key for key, _ in rows if key[:1] == b"r"]

    run_virtual(body)


def test_a_hot_range_splits_where_its_load_has_a_middle():
    """One part of a table could never be moved away from the node that it keeps busy."""

    async def body(loop):
        node = SimNode(loop, config=CONFIG)
        tenant_id = await node.create("acme")
        stream = node.stream(tenant_id)
        await write(stream, range(100), value=b"v" * 20)
        rng = random.Random(1)
        for _ in range(20):
            for _ in range(300):
                stream.request(get=kv_pb2.Get(key=key(rng.randrange(100))))
            await ticks(node, 1)
        found = bounds(node, tenant_id)
        assert found[0] == b""
        assert len(found) > 1
        assert key(30) < found[len(found) // 2] < key(70)
        await ticks(node, 60)
        assert bounds(node, tenant_id) == [b""], "cold again, they merge"

    run_virtual(body)


def test_one_hot_row_does_not_split():
    """Splitting beside a hot row would go on for ever and help nobody."""

    async def body(loop):
        node = SimNode(loop, config=CONFIG)
        tenant_id = await node.create("acme")
        stream = node.stream(tenant_id)
        await write(stream, range(100))
        for _ in range(20):
            for _ in range(300):
                stream.request(get=kv_pb2.Get(key=key(50)))
            await ticks(node, 1)
        assert bounds(node, tenant_id) == [b""]

    run_virtual(body)


def test_operators_split_and_merge():
    """An operator could not prepare a table for load, or undo it."""

    async def body(loop):
        node = SimNode(loop, config=CONFIG)
        tenant_id = await node.create("acme")
        stream = node.stream(tenant_id)
        await write(stream, range(100))
        tenant = node.core.load_tenant(tenant_id)
        await node.keeper.split(tenant, key(50))
        assert bounds(node, tenant_id) == [b"", key(50)]
        with pytest.raises(BadRequest, match="begins"):
            await node.keeper.split(tenant, key(50))
        await node.keeper.split(tenant, None)
        assert len(bounds(node, tenant_id)) == 3
        with pytest.raises(BadRequest, match="no range 9"):
            await node.keeper.merge(tenant, 9)
        await node.keeper.merge(tenant, 1)
        last = tenant.ranges.table.ranges[-1].range_id
        with pytest.raises(BadRequest, match="last"):
            await node.keeper.merge(tenant, last)
        await node.keeper.measure(tenant, wait_s_max=5)
        assert sum(state.size.key_count for state in tenant.ranges.states) == 101

    run_virtual(body)


def test_what_another_node_holds_is_refused_by_name():
    """A node would answer from old rows of a range that it gave away."""

    async def body(loop):
        node = SimNode(loop, config=CONFIG)
        tenant_id = await node.create("acme")
        stream = node.stream(tenant_id)
        await write(stream, range(100))
        tenant = node.core.load_tenant(tenant_id)
        there = RangeDescriptor(2, key(50), b"", 4, "other:1")
        table = RangeTable((RangeDescriptor(1, b"", key(50), 4), there), 3)
        await node.keeper.assign(tenant, table)
        put = kv_pb2.Writes(put_keys=[key(60)], put_values=[b""])
        footprint = kv_pb2.Footprint(spans=[kv_pb2.Span(start=b"a", end=b"")])
        txn_id = b"t" * 16
        refused = [
            {"get": kv_pb2.Get(key=key(60))},
            {"multi_get": kv_pb2.MultiGet(keys=[key(1), key(60)])},
            {"scan": kv_pb2.Scan(start=key(50))},
            {"scan": kv_pb2.Scan(start=b"", reverse=True)},
            {"lock": kv_pb2.Lock(keys=[key(60)]), "txn_id": txn_id},
            {"stage": kv_pb2.Stage(writes=put), "txn_id": txn_id},
            {"commit": kv_pb2.Commit(writes=put)},
            {"commit": kv_pb2.Commit(footprint=footprint), "read_ts": 1},
            {"refresh": kv_pb2.Refresh(footprint=footprint), "read_ts": 1 << 60},
            {"increment": kv_pb2.Increment(key=key(60), by=1)},
        ]
        for fields in refused:
            with pytest.raises(NotLeaseholder) as caught:
                await stream.request(**fields)
            error = caught.value
            assert (error.key, error.number, error.detail) == (key(50), 4, "other:1"), fields
        assert (await stream.request(get=kv_pb2.Get(key=key(1)))).value.value
        block = (await stream.request(scan=kv_pb2.Scan(start=key(48)))).block
        assert (block.row_count, block.more, block.resume_key) == (2, True, key(50))
        block = (await stream.request(scan=kv_pb2.Scan(start=key(40), limit_rows=3))).block
        assert (block.row_count, block.more, block.resume_key) == (3, True, b"")
        advisory = kv_pb2.Lock(keys=[key(60)], space=kv_pb2.ADVISORY)
        await stream.request(lock=advisory, txn_id=txn_id)

    run_virtual(body)


def test_rates_follow_what_is_served():
    """`insula range list` would show load where there is none."""
    ranges = RangeMap()
    ranges.roll(0.0)
    ranges.reads, ranges.writes = 1000, 500
    for second in range(1, 40):
        ranges.roll(float(second))
        ranges.reads, ranges.writes = 1000, 500
    state = ranges.states[0]
    assert 990 < state.read_rate <= 1000
    assert 495 < state.write_rate <= 500
    ranges.reads = ranges.writes = 0
    for second in range(40, 140):
        ranges.roll(float(second))
    assert ranges.is_settled()


def test_lookup_and_clamping():
    """A key at a boundary would be served twice, or by nobody."""
    table = WHOLE
    for cut in (b"m", b"t"):
        table = split_table(table, table.ranges[-1].range_id, cut)
    ranges = RangeMap(table)
    assert [ranges.index_of(k) for k in (b"", b"lz", b"m", b"m\0", b"t", b"zz")] == [
        0, 0, 1, 1, 2, 2
    ]  # fmt: skip
    assert [ranges.index_before(k) for k in (b"m", b"m\0", b"t", b"")] == [0, 1, 1, 2]
    assert ranges.clamp(Span(b"a", b"z"), reverse=False) == (Span(b"a", b"z"), b"")
    held = list(table.ranges)
    held[2] = RangeDescriptor(9, b"t", b"", 9, "other")
    table = RangeTable(tuple(held), 10)
    ranges.adopt(table, [RangeState(d) for d in table.ranges])
    assert ranges.is_partly_elsewhere
    assert ranges.clamp(Span(b"a", b"z"), reverse=False) == (Span(b"a", b"t"), b"t")
    assert ranges.clamp(Span(b"a", b"t"), reverse=True) == (Span(b"a", b"t"), b"")
    with pytest.raises(NotLeaseholder):
        ranges.clamp(Span(b"a", b""), reverse=True)


def test_generations_rise_and_ids_are_new():
    """A client could not tell a new range from the one that it remembers."""
    split = split_table(WHOLE, 1, b"m")
    merged = merge_table(split, 1)
    again = split_table(merged, 1, b"m")
    assert [(r.range_id, r.generation) for r in split.ranges] == [(1, 2), (2, 2)]
    assert [(r.range_id, r.generation) for r in merged.ranges] == [(1, 3)]
    assert [(r.range_id, r.generation) for r in again.ranges] == [(1, 4), (3, 4)]
    with pytest.raises(StoreCorrupt):
        check_ranges(again.ranges[1:])
    with pytest.raises(StoreCorrupt):
        check_ranges(again.ranges[:1])


def test_the_sample_finds_the_middle_of_the_load():
    """A split by load would cut off a part that nobody asks for."""
    sample = LoadSample(random.Random(1))
    rng = random.Random(2)
    for _ in range(20_000):
        sample.touch(key(int(rng.expovariate(1 / 100))))
    assert key(55) < sample.split_key() < key(85)  # the median of that load is 69
    lone = LoadSample(random.Random(1))
    for _ in range(1000):
        lone.touch(b"hot")
    assert lone.split_key() is None
