"""A simulated node with one tenant whose limits and bucket are looked at."""

from kvapi.pb import admin_pb2, kv_pb2
from kvnode.admin.limits_calls import set_limits
from tests.sim.sim_node import SimNode
from tests.sim.virtual_loop import on_virtual_loop


@on_virtual_loop
async def simulated(loop, test):
    """Run an async test body on a virtual loop with a node and a tenant's id."""
    node = SimNode(loop)
    await test(node, await node.create("acme"))


async def set_some(node, tenant_id, **limits):
    request = admin_pb2.SetLimitsRequest(name="acme", **limits)
    return await set_limits(node.core, node.core.load_tenant(tenant_id), request)


def ask(stream, sequence, **fields):
    asked = {"client_id": 7, "sequence": sequence, "period_s": 2.0} | fields
    return stream.request(tokens=kv_pb2.Tokens(**asked))


def read_nothing(prefix, month):
    return 0.0
