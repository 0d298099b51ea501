"""What Prometheus sees of a node."""

from prometheus_client import CollectorRegistry, generate_latest

from kvapi.pb import kv_pb2
from kvnode.metrics import KvnodeMetrics
from tests.sim.sim_node import SimNode
from tests.sim.virtual_loop import run_virtual


def test_counters_move_and_queues_are_shown_with_their_bound():
    """An operator would not see that the node is overloaded, or would see a series per tenant."""

    async def body(loop):
        node = SimNode(loop)
        registry = CollectorRegistry()
        KvnodeMetrics(node.core, node.maintenance, node.keeper, registry)
        stream = node.stream(await node.create("acme"))
        writes = kv_pb2.Writes(put_keys=[b"k"], put_values=[b"v"])
        commit = stream.request(commit=kv_pb2.Commit(writes=writes))
        assert registry.get_sample_value("insula_kvnode_writes_queued") == 1
        await commit
        assert registry.get_sample_value("insula_kvnode_requests_total") == 1
        assert registry.get_sample_value("insula_kvnode_commits_total") == 1
        assert registry.get_sample_value("insula_kvnode_streams") == 1
        assert registry.get_sample_value("insula_kvnode_writes_queued_max") > 1
        assert b"tenant" not in generate_latest(registry)

    run_virtual(body)
