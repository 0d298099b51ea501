"""Which long reads of a stream are under way, and which are woken when."""

import pytest

from kvnode.admission.answer_room import AnswerRoom
from kvnode.admission.read_gate import Read, ReadGate


class Scene:
    """Gates over one room; `woken` in order."""

    def __init__(self):
        self.room = AnswerRoom(1000, self.later)
        self.woken = []

    def later(self, _):
        raise AssertionError("few wait")

    def gate(self, tenant_id=1, *, entered_max=2):
        gate = ReadGate(self.room, self.woken.append, entered_max=entered_max)
        gate.tenant_id = tenant_id
        return gate

    def read(self, gate, size=10, *, is_elastic=False):
        """Let a read begin, or wait."""
        read = Read()
        read.gate, read.answer_bytes, read.is_elastic = gate, size, is_elastic
        self.look(read)
        return read

    def look(self, read):
        if read.is_blocked():
            read.wait()
        elif not read.has_entered:
            read.gate.enter(read)

    def reads(self, gate, count, **fields):
        return [self.read(gate, **fields) for _ in range(count)]


@pytest.fixture
def scene():
    return Scene()


def test_a_slot_wakes_one_read(scene):
    """Each read that ends wakes all that wait, and all but one look in vain."""
    gate = scene.gate()
    first, second, third, fourth = scene.reads(gate, 4)
    assert (first.has_entered, third.has_entered) == (True, False)
    gate.leave(second)
    assert scene.woken == [third]
    assert third.has_entered, "nobody can take its slot"
    assert not third.is_blocked()
    gate.leave(first)
    assert scene.woken == [third, fourth]
    assert gate.entered == 2


def test_a_woken_read_that_is_cancelled_wakes_the_next(scene):
    """The slot is lost with the cancelled one, and the others wait for ever."""
    gate = scene.gate(entered_max=1)
    first, second, third, fourth = scene.reads(gate, 4)
    gate.leave(first)
    gate.leave(third)
    gate.leave(second)
    assert scene.woken == [second, fourth]
    gate.leave(fourth)
    assert not scene.room.total
    assert gate.entered == 0


def test_paused_reads_go_on_before_those_that_have_not_begun(scene):
    """A client that reads on gets new answers while its old ones are still half built."""
    gate = scene.gate()
    under_way = scene.reads(gate, 2)
    gate.pause()
    waiting = scene.reads(gate, 2)
    for read in under_way:
        scene.look(read)
    gate.leave(under_way[0])
    assert not scene.woken, "the client reads nothing"
    gate.resume()
    assert scene.woken == [under_way[1], waiting[0]]
    gate.resume()
    assert len(scene.woken) == 2


def test_a_paused_stream_claims_no_room(scene):
    """Room goes to a client that reads nothing, and others wait for it."""
    scene.room.add(1, 495)
    gate, other = scene.gate(), scene.gate()
    stalled, reading = scene.read(gate), scene.read(other)
    gate.pause()
    scene.room.add(1, -5)
    assert scene.woken == [reading]
    gate.resume()
    assert scene.woken == [reading]
    other.leave(reading)
    assert scene.woken == [reading, stalled]


def test_streams_of_a_tenant_take_turns(scene):
    """The stream that asked first gets all the room of its tenant."""
    scene.room.add(1, 500)
    gates = [scene.gate(entered_max=8), scene.gate(entered_max=8)]
    reads = [scene.reads(gate, 3) for gate in gates]
    scene.room.add(1, -60)
    assert scene.woken == [read for pair in zip(*reads, strict=True) for read in pair]


def test_what_gathers_nothing_needs_no_room(scene):
    """A count would wait for the answers of others."""
    scene.room.add(1, 500)
    gate = scene.gate()
    assert scene.read(gate, 0).has_entered
    blocked, count = scene.read(gate), scene.read(gate, 0)
    assert not count.has_entered, "in order"
    gate.leave(blocked)
    assert scene.woken == [count]


def test_elastic_reads_let_others_pass_for_a_while(scene):
    """An export of a tenant holds up its own queries, or never ends beside them."""
    gate = scene.gate(entered_max=1)
    last = scene.read(gate)
    exports = scene.reads(gate, 2, is_elastic=True)
    queries = scene.reads(gate, 12)
    for _ in range(14):
        gate.leave(last)
        last = scene.woken[-1]
    order = ["export" if read in exports else "query" for read in scene.woken]
    assert order == ["query"] * 8 + ["export"] + ["query"] * 4 + ["export"]
    assert [read for read in scene.woken if read in queries] == queries


def test_a_closed_stream_leaves_nothing_behind(scene):
    """Its slots and room are lost, or its reads are woken one by one to be cancelled."""
    scene.room.add(2, 450)
    gate, other = scene.gate(), scene.gate(2)
    reads = scene.reads(gate, 5)
    blocked = scene.read(other, 50)
    gate.pause()
    scene.look(reads[0])
    gate.close()
    for read in reads:
        gate.leave(read)
    assert not gate.entered
    assert scene.woken == [blocked]
    gate.pause()
    assert scene.read(gate).has_entered, "it ends soon, and must not wait for a client that is gone"
