"""kvapi.client when connections break, nodes are away and outcomes are unknown."""

import asyncio

import pytest

from kvapi.errors import (
    CommitAmbiguous,
    ConnectionLost,
    CredentialRefused,
    Unavailable,
    WriteConflict,
)
from kvapi.spans import Span
from tests.fakes.kv_server import CREDENTIAL
from tests.unit.kvapi.client_scene import OTHER, TXN, make_client, until, write


async def test_staged_writes_end_with_their_connection(client, server):
    """Half of a bulk load would commit after a reconnect, or a read would miss what it wrote."""
    await client.stage(txn_id=TXN, writes={b"a": b"1"})
    server.drop_connections()
    await client.get(b"a")
    for request in (
        client.get(b"a", txn_id=TXN),
        client.stage(txn_id=TXN, writes={b"b": b"1"}),
        client.unstage(txn_id=TXN, layer=1),
        client.commit(txn_id=TXN, read_ts=0, catalog_version=0, writes={}),
    ):
        with pytest.raises(ConnectionLost):
            await request
    await client.rollback(txn_id=TXN)


async def test_reads_survive_a_broken_connection(client, server):
    """The KV node restarts under a running SELECT."""
    await write(client, a=b"1")
    server.break_before = "get"
    got, block = await asyncio.gather(client.get(b"a"), client.scan(Span(b"a", b"b")))
    assert (got.value, block.rows()) == (b"1", [(b"a", b"1")])
    assert (client.connect_count, server.hello_count) == (2, 2)


@pytest.mark.parametrize("happened", [True, False])
async def test_commit_of_unknown_outcome_is_resolved(client, server, happened):
    """Never run twice, never lost: the promise behind 40003."""
    if happened:
        server.break_after = "commit"
        commit_ts = await write(client, a=b"1")
        assert (await client.get(b"a")).commit_ts == commit_ts
    else:
        server.break_before = "commit"
        with pytest.raises(ConnectionLost):
            await write(client, a=b"1")
        assert (await client.get(b"a")).value is None
        with pytest.raises(WriteConflict):  # a late copy of the commit stays without effect
            await write(client, a=b"1")


async def test_unresolvable_commit_is_ambiguous(server):
    """If the node stays away the client must hear that nobody knows."""
    client = make_client(server, "unix", resolve_wait_s=0.1)
    await client.authenticate(CREDENTIAL)
    server.is_silent = True
    future = client.commit(txn_id=TXN, read_ts=0, catalog_version=0, writes={b"a": b"1"})
    await until(lambda: ["commit"] in server.frames)
    await server.stop_listening()
    with pytest.raises(CommitAmbiguous):
        await future
    await client.close()


async def test_closing_ends_everything(server, transport):
    """A session that ends while requests are on their way must not hang for ever."""
    client = make_client(server, transport)
    await client.authenticate(CREDENTIAL)
    await client.lock([b"a"], txn_id=OTHER)
    server.is_silent = True
    commit = client.commit(txn_id=TXN, read_ts=0, catalog_version=0, writes={b"a": b"1"})
    get, lock = client.get(b"a"), client.lock([b"b"], txn_id=TXN)
    await until(lambda: "commit" in server.frames[-1])
    await client.close()
    for future, error in ((commit, CommitAmbiguous), (get, Unavailable), (lock, ConnectionLost)):
        with pytest.raises(error):
            await asyncio.wait_for(future, 1)
    with pytest.raises(Unavailable):
        await client.connect()
    with pytest.raises(Unavailable):
        await asyncio.wait_for(client.get(b"a"), 1)


async def test_increment_in_flight_is_ambiguous(client, server):
    """A sequence step may have happened; the caller decides whether a gap matters."""
    server.break_before = "increment"
    with pytest.raises(CommitAmbiguous):
        await client.increment(b"s")


async def test_transaction_whose_locks_died_cannot_commit(client, server):
    """Its rows may have changed in between: committing would lose that update."""
    await client.lock([b"a"], txn_id=TXN)
    server.drop_connections()
    await until(lambda: client.connect_count == 2)
    with pytest.raises(ConnectionLost):
        await client.commit(txn_id=TXN, read_ts=0, catalog_version=0, writes={b"a": b"1"})
    await client.rollback(txn_id=TXN)
    assert (await client.get(b"a")).value is None
    await write(client, a=b"2")


async def test_lock_waiting_on_a_broken_connection_fails(client, server):
    """Waiting again would take a place in a queue that the statement may have left."""
    await client.lock([b"a"], txn_id=TXN)
    waiting = client.lock([b"a"], txn_id=OTHER)
    await until(lambda: server.store.waiters)
    rollback = client.rollback(txn_id=b"x" * 16)
    server.drop_connections()
    with pytest.raises(ConnectionLost):
        await waiting
    await rollback


async def test_without_a_node_calls_wait_then_fail(server):
    """A restart of the node is a pause; its absence is an error in bounded time."""
    client = make_client(server, "unix", connect_wait_s=0.15)
    await client.authenticate(CREDENTIAL)
    await server.stop_listening()
    await asyncio.sleep(0.01)
    with pytest.raises(Unavailable):
        await client.get(b"a")
    late = make_client(server, "unix", connect_wait_s=2.0)
    waiting = asyncio.ensure_future(late.authenticate(CREDENTIAL))
    await asyncio.sleep(0.02)
    await server.listen()
    await waiting
    async with asyncio.timeout(5):
        while not await _answers(client):
            pass  # each try waits for the next attempt to connect, but not for ever
    await client.close()
    await late.close()


async def _answers(client):
    try:
        return (await client.get(b"a")).value is None
    except Unavailable:
        return False


async def test_refused_credential(server, transport):
    """No retry storm with a credential that will never be accepted; a new one heals."""
    client = make_client(server, transport)
    with pytest.raises(CredentialRefused):
        await client.authenticate(b"bad")
    await client.authenticate(CREDENTIAL)
    server.accepted = {b"renewed"}
    server.drop_connections()
    await until(lambda: not client.is_ready)
    with pytest.raises(CredentialRefused):
        await client.get(b"a")
    client.set_credential(b"renewed")
    assert (await client.get(b"a")).value is None
    await client.close()
