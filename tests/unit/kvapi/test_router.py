"""The client's router against real nodes that hold different keys of one tenant."""

import asyncio

import pytest

from kvapi.client.range_cache import KnownRange, RangeCache
from kvapi.errors import ConnectionLost, SpansNodes, Unavailable, WriteConflict
from kvapi.footprint import Footprint
from kvapi.spans import Span
from tests.fakes.kv_nodes import Nodes

TXN = b"t" * 16
KEYS = [bytes([letter]) for letter in b"abcdefmnopqrsz"]


@pytest.fixture
async def nodes(tmp_path):
    async with Nodes(asyncio.get_running_loop(), tmp_path) as nodes:
        yield nodes


_next_txn = iter(range(1, 1 << 30))


async def put(client, *keys, value=b"v", txn_id=None, **fields):
    fields = {"read_ts": 0, "catalog_version": 0} | fields
    txn_id = txn_id or next(_next_txn).to_bytes(16, "big")
    return await client.commit(txn_id=txn_id, writes=dict.fromkeys(keys, value), **fields)


@pytest.fixture
async def halves(nodes):
    """Two nodes with half of the keys each, and a client of the first with rows on both."""
    await nodes.assign((b"", 0), (b"m", 1))
    client = await nodes.client()
    for key in KEYS:
        await put(client, key, value=b"=" + key)
    return nodes, client


async def test_one_node_costs_no_routing(nodes):
    """Every request of every tenant would pay for tenants that live on several nodes."""
    client = await nodes.client()
    straight = client._request
    await put(client, b"a", b"z")
    assert (await client.get(b"z")).value == b"v"
    assert [(found.start, found.end) for found in await client.ranges()] == [(b"", b"")]
    assert client._request == straight
    assert nodes.all[1].requests() == 0


async def test_requests_find_the_leaseholder(halves):
    """After a range moved to another node its rows could not be read or written any more."""
    nodes, client = halves
    assert (await client.get(b"a")).value == b"=a"
    assert (await client.get(b"z")).value == b"=z"
    assert (await client.increment(b"zz")).value == 1
    assert nodes.all[0].engine.snapshot().get("live", b"\0\0\0\1z") is None
    assert nodes.all[1].engine.snapshot().get("live", b"\0\0\0\1z") is not None
    before = client._router.redirect_count
    for key in KEYS:
        assert (await client.get(key)).value == b"=" + key
    assert client._router.redirect_count == before, "what was learned is not asked again"


async def test_reads_over_several_nodes_are_joined_in_order(halves):
    """A statement over a large table would see half of it, or its rows in the wrong order."""
    _, client = halves
    rows = [(key, b"=" + key) for key in KEYS]
    everything = Span(b"a", b"")
    block = await client.scan(everything)
    assert (block.rows(), block.more) == (rows, False)
    block = await client.scan(everything, reverse=True)
    assert (block.rows(), block.more) == (rows[::-1], False)
    assert (await client.scan(everything, count_only=True)).row_count == len(KEYS)
    block = await client.scan(everything, keys_only=True)
    assert block.keys_list() == KEYS
    block = await client.scan(everything, limit_rows=8)
    assert (block.rows(), block.more) == (rows[:8], True)
    rest = await client.scan(block.resume_span(everything), read_ts=block.read_ts)
    assert rest.rows() == rows[8:]
    block = await client.scan(everything, limit_bytes=1)
    assert block.row_count == 1
    mixed = [b"z", b"a", b"?", b"n", b"b"]
    got = await client.multi_get(mixed)
    assert got.values == [b"=z", b"=a", None, b"=n", b"=b"]
    assert list(got.found) == [1, 1, 0, 1, 1]
    again = await client.multi_get(mixed, read_ts=got.read_ts)
    assert (again.values, again.read_ts) == (got.values, got.read_ts)


async def test_a_first_scan_learns_that_it_was_cut(nodes):
    """A client that did not know of the second node would take its half for the whole."""
    writer = await nodes.client()
    await nodes.assign((b"", 0), (b"m", 1))
    for key in (b"a", b"z"):
        await put(writer, key)
    for reverse in (False, True):
        client = await nodes.client()
        block = await client.scan(Span(b"a", b""), reverse=reverse)
        assert sorted(block.keys_list()) == [b"a", b"z"]


async def test_a_gap_without_rows_is_no_end(nodes):
    """A scan would stop at the first range that is empty."""
    await nodes.assign((b"", 0), (b"b", 1), (b"c", 0), (b"d", 1), (b"e", 0))
    client = await nodes.client()
    await put(client, b"ez")
    assert (await client.scan(Span(b"a", b""))).keys_list() == [b"ez"]
    assert (await client.scan(Span(b"a", b"e9"), reverse=True)).keys_list() == []
    await put(client, b"dz")
    assert (await client.scan(Span(b"a", b""), limit_rows=1)).keys_list() == [b"dz"]


async def test_transactions_stay_on_one_node(halves):
    """Half of a transaction would commit: two nodes have no common commit yet."""
    _, client = halves
    with pytest.raises(SpansNodes, match="several KV nodes"):
        await put(client, b"a", b"z")
    with pytest.raises(SpansNodes):
        await put(client, b"a", read_ts=1 << 40, footprint=Footprint([], [Span(b"a", b"z")]))
    await client.lock([b"a"], txn_id=TXN)
    with pytest.raises(SpansNodes):
        await put(client, b"z", txn_id=TXN)
    await client.rollback(txn_id=TXN)
    await client.lock([b"z"], txn_id=TXN)
    assert (await client.get(b"a")).value == b"=a", "it may read everywhere"
    other = await client.commit(txn_id=TXN, read_ts=0, catalog_version=0, writes={b"z": b"locked"})
    assert (await client.get(b"z")).commit_ts == other


async def test_locks_and_validation_hold_on_the_other_node(halves):
    """Isolation would end where the second node begins."""
    nodes, client = halves
    second = await nodes.client(1)
    await client.lock([b"z"], txn_id=TXN)
    waiting = second.lock([b"z"], txn_id=b"o" * 16)
    before = await client.get(b"y")
    await put(client, b"z", txn_id=TXN, value=b"new")
    assert (await waiting).values == [b"new"]
    await second.rollback(txn_id=b"o" * 16)
    with pytest.raises(WriteConflict):
        await put(client, b"y", read_ts=before.read_ts, footprint=Footprint([b"z"], []))


async def test_a_range_moves_under_traffic(halves):
    """Clients would see errors, or old rows, whenever a range changes its node."""
    nodes, client = halves
    is_over = False
    seen = []

    async def read_on():
        while not is_over:
            seen.append((await client.get(b"z")).value)
            got = await client.scan(Span(b"a", b""))
            assert got.keys_list() == KEYS
            await asyncio.sleep(0)

    traffic = asyncio.ensure_future(read_on())
    for turn in range(6):
        source, target = (1, 0) if turn % 2 == 0 else (0, 1)
        nodes.copy_rows(source, target)
        await nodes.assign((b"", 0), (b"m", target))
        await put(client, b"z", value=b"%d" % turn)
        assert (await client.get(b"z")).value == b"%d" % turn
        count = len(seen)
        async with asyncio.timeout(10):
            while len(seen) < count + 3 and not traffic.done():  # noqa: ASYNC110  a plain list
                await asyncio.sleep(0.001)
    is_over = True
    await traffic
    order = [b"=z", b"0", b"1", b"2", b"3", b"4", b"5"]
    positions = [order.index(value) for value in seen]
    assert positions == sorted(positions), "time never runs backwards for one reader"


async def test_when_all_is_home_again_the_router_sleeps(halves):
    """A tenant that once had two nodes would pay for routing for ever."""
    nodes, client = halves
    assert client._request == client._router.request
    nodes.copy_rows(1, 0)
    await nodes.assign((b"", 0))
    assert (await client.get(b"z")).value == b"=z"
    assert client._request == client._stream.request


async def test_locks_of_a_range_that_moved_are_lost(halves):
    """A transaction would commit on the new node without the locks it relies on."""
    nodes, client = halves
    await client.lock([b"z"], txn_id=TXN)
    nodes.copy_rows(1, 0)
    await nodes.assign((b"", 0))
    with pytest.raises(ConnectionLost):
        await put(client, b"z", txn_id=TXN)
    await client.rollback(txn_id=TXN)
    await put(client, b"z")


async def test_nodes_that_point_at_each_other_are_given_up(nodes):
    """A mistake in the range map would keep clients busy for ever."""
    client = await nodes.client(connect_wait_s=0.2)
    for node, other in (nodes.all, nodes.all[::-1]):
        nodes.all = [node, other]
        tenant = nodes.tenant(node)
        await nodes.assign((b"", 1), generation=7)
        tenant.ranges.own_address = "nobody"
        tenant.ranges.look_again()
    with pytest.raises(Unavailable, match="to and fro"):
        await client.get(b"a")


async def test_a_dead_leaseholder_is_unavailable_in_time(halves, tmp_path):
    """One dead node would hang statements instead of failing them."""
    nodes, _ = halves
    client = await nodes.client(connect_wait_s=0.2)
    nodes.all[1].address = f"unix:{tmp_path}/nobody"
    await nodes.assign((b"", 0), (b"m", 1))
    assert (await client.get(b"a")).value == b"=a"
    with pytest.raises(Unavailable):
        await client.get(b"z")


async def test_cancelling_reaches_the_other_node(halves):
    """A cancelled statement would go on waiting for its lock on the other node."""
    nodes, client = halves
    second = await nodes.client(1)
    await second.lock([b"z"], txn_id=b"o" * 16)
    waiting = client.lock([b"z"], txn_id=TXN)
    table = nodes.all[1].core.locks.table
    async with asyncio.timeout(5):
        while not table.waiting_count():  # noqa: ASYNC110  a plain count
            await asyncio.sleep(0.001)
        waiting.cancel()
        while table.waiting_count():  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    await client.rollback(txn_id=TXN)


def known(start, end, generation, address="x"):
    return KnownRange(start, end, generation, address)


def test_the_newer_range_wins_in_whatever_order():
    """An answer that was overtaken on its way would send requests back to the old node."""
    cache = RangeCache()
    cache.add([known(b"", b"m", 2), known(b"m", b"", 2)])
    cache.add([known(b"c", b"p", 3, "new")])
    assert cache.find(b"d").address == "new"
    assert cache.find(b"a") is None, "half of an old range is not known any more"
    cache.add([known(b"", b"m", 2)])
    assert cache.find(b"d").address == "new"
    assert [k.start for k in cache.overlapping(Span(b"", b""))] == [b"c"]
    assert cache.find_before(b"p").address == "new"
    assert cache.find_before(b"c") is None
    assert cache.find_before(b"") is None
    cache.drop(b"d")
    assert len(cache) == 0


def test_the_cache_is_bounded():
    """A tenant with a million ranges would fill the memory of its SQL processes."""
    cache = RangeCache(size_max=3)
    for index in range(10):
        cache.add([known(bytes([index]), bytes([index + 1]), 1)])
        assert len(cache) <= 3
        assert cache.find(bytes([index])) is not None
