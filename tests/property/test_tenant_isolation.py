"""A credential opens one tenant's keys, whatever is asked for; bad input harms nobody else."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kvapi.credential import CREDENTIAL_BYTES
from kvapi.errors import BadRequest, CredentialRefused, KvError, RequestTooLarge, TenantUnknown
from kvapi.pb import kv_pb2
from kvapi.wire import FrameReader
from kvnode.node_config import NodeConfig
from kvnode.server.unix_server import UnixConnection
from kvnode.storage.engine import Table
from tests.kv_blocks import block_rows, cut
from tests.sim.sim_node import SimNode, SimStream
from tests.sim.virtual_loop import run_virtual

MINE, THEIRS = b"mine", b"theirs"
SETTINGS = settings(deadline=None, suppress_health_check=list(HealthCheck))

# Bytes that look like prefixes of tenants 0 to 4, bounds beyond the end, and anything else.
PREFIXES = st.integers(0, 4).map(lambda n: n.to_bytes(4, "big"))
KEYS = st.one_of(
    st.binary(max_size=6),
    st.builds(bytes.__add__, PREFIXES, st.binary(max_size=3)),
    st.sampled_from([b"", b"\x00", b"\xff" * 4, b"\xff" * 2000, b"k", b"l"]),
    st.sampled_from([b"t\x00\x00\x00\x01", b"n" + b"two", b"mnewest_ts"]),
)
OPERATIONS = st.one_of(
    st.builds(lambda key: {"get": kv_pb2.Get(key=key)}, KEYS),
    st.builds(lambda keys: {"multi_get": kv_pb2.MultiGet(keys=keys)}, st.lists(KEYS, max_size=3)),
    st.builds(
        lambda start, end, reverse, keys_only: {
            "scan": kv_pb2.Scan(start=start, end=end, reverse=reverse, keys_only=keys_only)
        },
        KEYS,
        KEYS,
        st.booleans(),
        st.booleans(),
    ),
    st.builds(
        lambda puts, deletes: {
            "commit": kv_pb2.Commit(
                writes=kv_pb2.Writes(
                    put_keys=puts, put_values=[MINE] * len(puts), delete_keys=deletes
                )
            )
        },
        st.lists(KEYS, max_size=3),
        st.lists(KEYS, max_size=2),
    ),
    st.builds(lambda key: {"increment": kv_pb2.Increment(key=key, by=1, start=100)}, KEYS),
    st.builds(
        lambda keys: {"txn_id": b"t" * 16, "lock": kv_pb2.Lock(keys=keys)},
        st.lists(KEYS, max_size=2),
    ),
    st.builds(
        lambda start, end: {
            "read_ts": 1,
            "refresh": kv_pb2.Refresh(
                footprint=kv_pb2.Footprint(spans=[kv_pb2.Span(start=start, end=end)])
            ),
        },
        KEYS,
        KEYS,
    ),
)


def values_of(response):
    if response.HasField("block"):
        return cut(response.block.values, response.block.value_ends)
    if response.HasField("values"):
        return [value for value in response.values.values if value]
    if response.HasField("value") and response.value.HasField("value"):
        return [response.value.value]
    return []


def tables(node, prefixes):
    """Return every stored row of other tenants and of the system, live or old."""
    return {
        table: {
            key: value
            for key, value in rows.rows.items()
            if (table is not Table.SYSTEM and key[:4] in prefixes)
            or (table is Table.SYSTEM and any(key[1:] == prefix for prefix in prefixes))
        }
        for table, rows in node.engine._tables.items()
    }


async def isolation(loop, operations):
    node = SimNode(loop)
    ids = [await node.create(name) for name in ("one", "two", "three")]
    for tenant_id in (ids[0], ids[2]):
        stream = node.stream(tenant_id)
        keys = [b"", b"\x00", b"k", b"\xff" * 4]
        puts = kv_pb2.Writes(put_keys=keys, put_values=[THEIRS] * len(keys))
        await stream.request(commit=kv_pb2.Commit(writes=puts))
        await stream.request(increment=kv_pb2.Increment(key=b"k", by=1, start=7))
    others = [tenant_id.to_bytes(4, "big") for tenant_id in (0, ids[0], ids[2])]
    before, refusals = tables(node, others), []
    stream = node.stream(ids[1])
    for operation in operations:
        try:
            response = await stream.request(**operation)
        except KvError as error:
            refusals.append(error.message + error.detail)
            continue
        assert THEIRS not in values_of(response)
        if "lock" in operation:
            await stream.request(txn_id=b"t" * 16, rollback=kv_pb2.Rollback())
        if response.HasField("counter"):
            assert response.counter.value >= 100
        if response.HasField("block"):
            for key, _ in block_rows(response.block) if response.block.values else ():
                assert (await stream.request(get=kv_pb2.Get(key=key))).value.HasField("value")
    assert tables(node, others) == before
    assert not any(THEIRS.decode() in text for text in refusals)


@settings(SETTINGS, max_examples=60)
@given(st.lists(OPERATIONS, min_size=1, max_size=8))
def test_a_stream_reads_and_writes_only_its_tenant(operations):
    """A hostile SQL process with one tenant's credential would see or change another's data."""
    run_virtual(isolation, operations)


async def credentials(loop):
    node = SimNode(loop)
    tenant_id = await node.create("one")
    good = node.credential(tenant_id)
    bad = {
        "no credential": b"",
        "malformed": good[:-1],
        "forged": node.credential(tenant_id, secret=b"x" * 32),
        "another cluster": node.credential(tenant_id, cluster_id=b"x" * 16),
        "expired": node.credential(tenant_id, life_s=-1),
        "forged credential": good[:20] + bytes([good[20] ^ 1]) + good[21:],
    }
    assert len(good) == CREDENTIAL_BYTES
    for reason, credential in bad.items():
        stream = SimStream(node)
        stream.hello(credential)
        assert isinstance(stream.fatal, CredentialRefused), reason
        assert reason in stream.fatal.message
        assert not stream.is_open
    stream = SimStream(node)
    stream.hello(node.credential(99))
    assert isinstance(stream.fatal, TenantUnknown)
    early = SimStream(node)
    request = kv_pb2.Request(id=1, get=kv_pb2.Get(key=b"k"))
    early.receive(kv_pb2.ClientFrame(requests=[request]))
    assert isinstance(early.fatal, CredentialRefused)
    assert not early.frames[-1].responses
    twice = node.stream(tenant_id)
    twice.hello(good)
    assert isinstance(twice.fatal, BadRequest)
    assert node.core.stats.stream_count == 0


def test_bad_credentials_are_refused_and_say_why():
    """A guessed, stolen and expired, or misdirected credential would open a tenant."""
    run_virtual(credentials)


class FakeTransport:
    """A transport that remembers what was written."""

    def __init__(self):
        self.written = bytearray()
        self.is_closed = False

    def write(self, data):
        self.written += data

    def close(self):
        self.is_closed = True

    def abort(self):
        """Drop what was written, which nobody does here in time."""

    def set_write_buffer_limits(self, high):
        self.high = high


def connect(node):
    connection, transport = UnixConnection(node.core), FakeTransport()
    connection.connection_made(transport)
    return connection, transport


def frames(transport):
    found = []
    for body in FrameReader(1 << 30).feed(bytes(transport.written)):
        frame = kv_pb2.ServerFrame()
        frame.ParseFromString(body)
        found.append(frame)
    return found


async def fuzz(loop, chunks, authenticate):
    node = SimNode(loop)
    tenant_id = await node.create("one")
    neighbour = node.stream(tenant_id)
    connection, transport = connect(node)
    if authenticate:
        hello = kv_pb2.Hello(protocol_version=1, credential=node.credential(tenant_id))
        body = kv_pb2.ClientFrame(hello=hello).SerializeToString()
        connection.data_received(len(body).to_bytes(4, "big") + body)
    for chunk in chunks:
        connection.data_received(chunk)
    assert connection._reader.pending_bytes <= connection._reader.frame_bytes_max + 4
    for frame in frames(transport)[:-1]:
        assert not frame.HasField("fatal"), "a fatal error is the last frame"
    assert transport.is_closed == connection._session.is_closed
    put = kv_pb2.Writes(put_keys=[b"k"], put_values=[b"v"])
    await neighbour.request(commit=kv_pb2.Commit(writes=put))
    assert (await neighbour.request(get=kv_pb2.Get(key=b"k"))).value.value == b"v"
    connection.connection_lost(None)
    assert len(node.core.locks.table) == 0


def framed(body):
    return len(body).to_bytes(4, "big") + body


ODD_REQUESTS = st.builds(
    lambda **fields: framed(
        kv_pb2.ClientFrame(requests=[kv_pb2.Request(**fields)]).SerializeToString()
    ),
    id=st.sampled_from([0, 1, 2**64 - 1]),
    read_ts=st.sampled_from([0, 1, 2**62, 2**64 - 1]),
    catalog_version=st.sampled_from([0, 1]),
    txn_id=st.sampled_from([b"", b"x", b"t" * 16, b"t" * 1000]),
    commit=st.none()
    | st.builds(
        kv_pb2.Commit,
        writes=st.builds(
            kv_pb2.Writes,
            put_keys=st.lists(st.binary(max_size=3), max_size=2),
            put_values=st.lists(st.binary(max_size=3), max_size=2),
        ),
        footprint=st.builds(kv_pb2.Footprint, keys=st.lists(st.binary(max_size=3), max_size=2)),
        schema_change=st.booleans(),
    ),
    lock=st.none() | st.builds(kv_pb2.Lock, keys=st.lists(st.binary(max_size=2), max_size=2)),
)
CHUNKS = st.lists(
    st.binary(max_size=60) | st.binary(max_size=60).map(framed) | ODD_REQUESTS, max_size=6
)


@settings(SETTINGS, max_examples=150)
@given(CHUNKS, st.booleans())
def test_malformed_frames_harm_nobody_else(chunks, authenticate):
    """A broken or hostile client could crash the node that all tenants share."""
    run_virtual(fuzz, chunks, authenticate)


async def oversized(loop):
    node = SimNode(loop)
    connection, transport = connect(node)
    connection.data_received((1 << 20).to_bytes(4, "big") + b"x" * 100)
    (frame,) = frames(transport)
    assert frame.fatal.code == RequestTooLarge.code
    assert transport.is_closed
    slow, transport = connect(node)
    slow.data_received(b"\x00")
    loop.call_later(node.config.warm_s_max + 1, lambda: None)

    await asyncio.sleep(node.config.warm_s_max + 0.1)
    assert transport.is_closed
    small = SimNode(loop, config=NodeConfig(commit_bytes_max=1000))
    stream = small.stream(await small.create("one"))
    writes = kv_pb2.Writes(put_keys=[b"k"], put_values=[b"v" * 2000])
    with pytest.raises(RequestTooLarge):
        await stream.request(txn_id=b"t" * 16, commit=kv_pb2.Commit(writes=writes))


def test_oversized_and_slow_clients_are_cut_off():
    """A client that announces gigabytes, or never says hello, would eat memory or sockets."""
    run_virtual(oversized)
