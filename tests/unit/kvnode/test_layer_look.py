"""Looking for a footprint in committed layers, a stretch at a time."""

import pytest

from kvapi.errors import RequestTooLarge
from kvapi.footprint import Footprint
from kvapi.pb import kv_pb2
from kvapi.spans import Span
from kvnode.mvcc.formats import layer_prefix
from kvnode.mvcc.intents import Place, stage
from kvnode.storage.memory_engine import MemoryEngine
from kvnode.txn.layer_look import LayerLook
from kvnode.txn.layers import Layer, StagedTxn, TenantLayers
from tests.unit.kvnode.stream_scene import simulated

TENANT = b"\x00\x00\x00\x07"
LAYERS, STEP = 3, 500


def key(number):
    return TENANT + b"k%05d" % number


class CountingSnapshot:
    """A snapshot that counts the places it is asked for."""

    def __init__(self, snapshot):
        self.snapshot, self.count = snapshot, 0

    def get_many(self, table, keys):
        self.count += len(keys)
        return self.snapshot.get_many(table, keys)

    def seek(self, table, key):
        self.count += 1
        return self.snapshot.seek(table, key)


def committed(numbers, *, layer_no, layers=LAYERS):
    """Return an engine and one committed transaction with `numbers` in one of its layers."""
    engine, stack = MemoryEngine(), []
    for no in range(1, layers + 1):
        layer = Layer(no, no, layer_prefix(TENANT, no))
        layer.widen([key(0), key(99_999)])
        stack.append(layer)
        if no == layer_no:
            puts = {key(number): b"v" for number in numbers}
            with engine.write() as txn:
                stage(txn, Place(TENANT, no, 1, is_last=True), puts=puts, deletes=[], layer_bytes=1)
    found = TenantLayers()
    found.sequence(StagedTxn(1, None, None, b"", 0.0, stack, is_durable=True), 10)
    return engine, found


def looked(engine, layers, footprint, *, since_ts=5):
    """Return what is found, and how many places each step asked for."""
    look, counts = LayerLook(footprint), []
    while True:
        snapshot = CountingSnapshot(engine.snapshot())
        is_over = look.step(snapshot, layers, since_ts=since_ts, rows_max=STEP)
        counts.append(snapshot.count)
        if is_over:
            return look.changed, counts


def test_no_step_looks_at_more_than_its_part():
    """A COMMIT that has read 4,096 rows beside bulk loads would hold the node for 10 ms."""
    engine, layers = committed([3], layer_no=2)
    spans = [Span(key(n), key(n) + b"x") for n in range(10_000, 11_000)]
    footprint = Footprint([key(n) for n in range(5, 4_101)], spans)
    changed, counts = looked(engine, layers, footprint)
    assert changed is None
    assert sum(counts) == LAYERS * (4_096 + 1_000)
    assert max(counts) <= STEP


@pytest.mark.parametrize("layer_no", range(1, LAYERS + 1))
@pytest.mark.parametrize("number", [0, 499, 500, 1_999, 10_000, 10_700])
def test_it_is_found_wherever_it_is(number, layer_no):
    """A conflict at the seam of two steps, or of two layers, would be missed."""
    engine, layers = committed([number], layer_no=layer_no)
    spans = [Span(key(n), key(n) + b"x") for n in range(10_000, 11_000)]
    footprint = Footprint([key(n) for n in range(2_000)], spans)
    assert looked(engine, layers, footprint)[0] == key(number)
    assert looked(engine, layers, footprint, since_ts=10)[0] is None


def test_what_is_moved_meanwhile_and_what_commits_meanwhile():
    """A look that takes turns loses its place, or does not see who came behind it."""
    engine, layers = committed([3], layer_no=2)
    look = LayerLook(Footprint([key(n) for n in range(5, 1_000)], []))
    assert not look.step(engine.snapshot(), layers, since_ts=5, rows_max=STEP)
    (txn,) = layers.committed
    txn.layers.pop(0)  # moved
    late = Layer(9, 1, layer_prefix(TENANT, 9))
    late.widen([key(7)])
    with engine.write() as write:
        place = Place(TENANT, 9, 9, is_last=True)
        stage(write, place, puts={key(7): b"v"}, deletes=[], layer_bytes=1)
    steps = 0
    while not look.step(engine.snapshot(), layers, since_ts=5, rows_max=STEP):
        steps += 1
    assert look.changed is None
    assert steps == 3
    layers.sequence(StagedTxn(9, None, None, b"", 0.0, [late], is_durable=True), 11)
    assert look.step(engine.snapshot(), layers, since_ts=5, rows_max=STEP)
    assert look.changed == key(7)


@simulated
async def test_a_footprint_is_bounded(node, stream, tenant_id):
    """Whoever speaks to the node by himself could hold it for as long as he likes."""
    keys = [b"k%d" % n for n in range(node.config.footprint_parts_max + 1)]
    footprint = kv_pb2.Footprint(keys=keys)
    read_ts = (await stream.request(get=kv_pb2.Get(key=b"k"))).read_ts
    with pytest.raises(RequestTooLarge):
        await stream.request(read_ts=read_ts, refresh=kv_pb2.Refresh(footprint=footprint))
