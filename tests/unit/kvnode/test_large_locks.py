"""Locks of so many rows that these are read in quanta."""

import pytest

from kvapi.errors import Throttled
from kvapi.pb import kv_pb2
from kvnode.node_config import NodeConfig
from tests.sim.sim_node import SimNode
from tests.sim.virtual_loop import run_virtual

KEYS = [b"r%07d" % n for n in range(300)]


def test_rows_for_which_there_is_no_room_are_not_the_fault_of_who_freed_them():
    """A transaction is told that its rollback failed, because another one asked for too much."""

    async def play(loop):
        lock = kv_pb2.Lock(keys=KEYS)
        size = kv_pb2.Request(id=1, txn_id=b"b" * 16, lock=lock).ByteSize()
        node = SimNode(loop, config=NodeConfig(request_bytes_max=size + 100))
        tenant_id = await node.create("t")
        holder, waiter = node.stream(tenant_id), node.stream(tenant_id)
        await holder.request(txn_id=b"a" * 16, lock=kv_pb2.Lock(keys=KEYS[:1]))
        waiting = waiter.request(txn_id=b"b" * 16, lock=lock)
        assert not waiting.done()
        await holder.request(txn_id=b"a" * 16, rollback=kv_pb2.Rollback())
        with pytest.raises(Throttled):
            await waiting
        await waiter.request(txn_id=b"b" * 16, rollback=kv_pb2.Rollback())
        assert not node.core.locks.table
        assert node.core.memory.requests.total == 0

    run_virtual(play)
