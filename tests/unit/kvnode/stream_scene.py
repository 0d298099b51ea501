"""A simulated node with one tenant and a stream of it, and what tests say over it."""

from kvapi.pb import kv_pb2
from tests.sim.sim_node import SimNode
from tests.sim.virtual_loop import on_virtual_loop


@on_virtual_loop
async def simulated(loop, test):
    """Run an async test body on a virtual loop with a node and one tenant's stream."""
    node = SimNode(loop)
    tenant_id = await node.create("acme")
    await test(node, node.stream(tenant_id), tenant_id)


def commit(stream, puts=None, deletes=(), txn_id=b"", read_ts=0, **fields):
    puts = puts or {}
    planned = {name: fields.pop(name) for name in {"catalog_version", "relations"} & fields.keys()}
    writes = kv_pb2.Writes(put_keys=list(puts), put_values=list(puts.values()), delete_keys=deletes)
    message = kv_pb2.Commit(writes=writes, **fields)
    return stream.request(txn_id=txn_id, read_ts=read_ts, commit=message, **planned)


async def value(stream, key, **fields):
    response = await stream.request(get=kv_pb2.Get(key=key), **fields)
    return response.value.value if response.value.HasField("value") else None
