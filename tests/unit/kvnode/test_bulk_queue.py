"""Whose bulk is written next, and what is taken out of the queue again."""

import pytest

from admission.io_tokens import PATH_BYTES
from kvapi.errors import Cancelled, Throttled
from kvnode.admission.bulk_queue import BulkQueue
from tests.unit.kvnode.test_group_commit import Put, make

SIZE = 64 << 10


class Chunk:
    """A piece of a load."""

    def __init__(self, tenant_id, size_bytes=SIZE, wait_s_max=float("inf")):
        self.tenant_id, self.size_bytes, self.wait_s_max = tenant_id, size_bytes, wait_s_max


class Bulk(Put):
    is_bulk = True


def filled(queue, **counts):
    """Let tenants wait: `t1=100` for a hundred chunks of tenant 1, in this order."""
    for name, count in counts.items():
        for _ in range(count):
            queue.add(Chunk(int(name[1:])))
    return queue


def taken(queue, count, amplification=None):
    """Return whose chunks are written, one after the other."""
    tenants = []
    for _ in range(count):
        (chunk,) = queue.take(0)
        tenants.append(chunk.tenant_id)
        factor = amplification[chunk.tenant_id] if amplification else 1
        queue.settle(factor * (chunk.size_bytes + PATH_BYTES))
    return tenants


def test_a_hundred_loads_of_one_tenant_do_not_go_before_anothers_one():
    """Who loads by a hundred connections gets a hundred times the disk of who does by one."""
    _, writer, group, _ = make()
    outcomes = {}
    for n in range(100):
        group.submit(Bulk(outcomes, b"many%d" % n, tenant_id=1, value=bytes(300 << 10)))
    for n in range(3):
        group.submit(Bulk(outcomes, b"one%d" % n, tenant_id=2, value=bytes(300 << 10)))
    written = [key for _ in range(8) for key in writer.sync()]
    assert [key for key in written if key.startswith(b"one")] == [b"one0", b"one1", b"one2"]
    many = [key for key in written if key.startswith(b"many")]
    assert many == [b"many%d" % n for n in range(5)], "in the order of submission"


def test_tenants_share_by_weight():
    """Who pays for four times as much loads as slowly as everybody."""
    queue = BulkQueue()
    for tenant_id, weight in ((2, 2), (3, 4)):
        queue.queue.set_weight(tenant_id, weight)
    tenants = taken(filled(queue, t1=80, t2=80, t3=80), 70)
    assert [tenants.count(n) for n in (1, 2, 3)] == pytest.approx([10, 20, 40], abs=2)


def test_what_counts_is_what_reached_the_disk():
    """Rows here and there write four times the pages: such a load had four times its share."""
    tenants = taken(filled(BulkQueue(), t1=80, t2=80), 50, amplification={1: 1, 2: 4})
    assert tenants.count(2) == pytest.approx(10, abs=1)


def test_what_failed_is_not_charged():
    """A tenant whose writes found no room pays for bytes that nobody wrote."""
    queue = filled(BulkQueue(), t1=10, t2=10)
    for _ in range(6):
        queue.take(0)  # and not settled
    assert queue.queue.use_per_s(1, now_s=0.0) <= SIZE + PATH_BYTES
    assert queue.queue.use_per_s(2, now_s=0.0) <= SIZE + PATH_BYTES


def test_what_has_not_begun_is_withdrawn_as_a_whole():
    """A chunk that was cancelled half-way is there with half of its rows."""
    queue = BulkQueue()
    one, two = [Chunk(1), Chunk(1)], [Chunk(1), Chunk(1)]
    for chunk in (*one, *two):
        queue.add(chunk)
    assert queue.take(0) == one[:1]
    assert not queue.withdraw(one)
    assert queue.withdraw(two)
    assert queue.take(0) == one[1:]
    assert not len(queue)
    assert not queue.withdraw(two)


def test_a_batch_is_of_what_fits():
    """A commit waits for a batch of bulk: a large one is a long wait for everybody."""
    queue = filled(BulkQueue(), t1=5, t2=5)
    assert [chunk.tenant_id for chunk in queue.take(3 * SIZE)] == [1, 2, 1]
    assert len(queue.take(0)) == 1


def test_what_waits_too_long_is_given_up():
    """A client waits for ever, and nobody tells it why."""
    clock = {"now_s": 0.0}
    queue = BulkQueue(lambda: clock["now_s"])
    queue.add(late := Chunk(1, wait_s_max=5.0))
    queue.add(rest := Chunk(1))
    assert not queue.expire()
    clock["now_s"] = 5.0
    assert queue.expire() == [late]
    assert queue.take(0) == [rest]


def test_what_waits_is_bounded():
    """One tenant's loads fill the node's memory, or the bound of all tenants."""
    queue = filled(BulkQueue(tenant_items_max=3), t1=3, t2=1)
    with pytest.raises(Throttled):
        queue.check_room(1)
    queue.check_room(2)


def test_withdrawn_bulk_has_its_outcome():
    """A cancelled chunk is never answered, and its transaction never ends."""
    _, writer, group, _ = make()
    outcomes = {}
    first, second = [Bulk(outcomes, key, value=bytes(300 << 10)) for key in (b"a", b"b")]
    group.submit(first)
    group.submit(second)
    error = Cancelled("by the client")
    group.withdraw([first], error)
    assert not outcomes, "it has begun"
    group.withdraw([second], error)
    assert outcomes == {b"b": error}
    writer.sync()
    assert outcomes[b"a"] is None
    assert group.is_idle
