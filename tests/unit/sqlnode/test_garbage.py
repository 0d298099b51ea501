"""Collecting the keys of dropped tables."""

from kvapi import layout
from sqlnode.catalog.store import GARBAGE_PREFIX, TABLE_KIND
from sqlnode.garbage import GarbageCollector


async def value(client, key):
    return (await client.get(key)).value


async def test_keys_of_a_dropped_table_go_and_others_stay(server, client):
    """Space comes back; a neighbour's rows must not go with it."""
    rows = [layout.table_prefix(7) + n.to_bytes(4, "big") for n in range(4500)]
    for key in rows:
        server.store.put(key, b"row")
    neighbour = layout.table_prefix(8) + b"x"
    note = layout.meta_key(f"{GARBAGE_PREFIX}7")
    server.store.put(neighbour, b"row")
    server.store.put(note, b"")
    assert await GarbageCollector(client).collect() == 4500
    assert await value(client, rows[0]) is None
    assert await value(client, note) is None
    assert await value(client, neighbour) == b"row"
    assert await GarbageCollector(client).collect() == 0


async def test_a_truncated_table_keeps_its_row_id_counter(server, client):
    """Else new rows would get the ids of rows that are there."""
    await client.increment(layout.sequence_key(7), by=100, start=100)
    server.store.put(layout.meta_key(f"{GARBAGE_PREFIX}7"), b"")
    server.store.put(layout.descriptor_key(TABLE_KIND, 7), b"descriptor")
    await GarbageCollector(client).collect()
    counter = await client.increment(layout.sequence_key(7), by=1, start=1)
    assert counter.value == 101
