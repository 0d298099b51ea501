"""Tenants, their streams and long reads at random, over the real scheduler, room and gates."""

import random

from admission.queue import QueueConfig
from kvapi.errors import Throttled
from kvnode.admission.answer_room import AnswerRoom, _rounded
from kvnode.admission.read_gate import Read, ReadGate
from kvnode.admission.scheduler import Scheduler
from tests.sim.turn_world import BurnClock

ITEMS_MAX = 60  # of a tenant, then Throttled
ROOM = 1_000


class WatchedGate(ReadGate):
    """A gate that notes who comes to wait, and who enters."""

    def __init__(self, world, tenant_id, *, entered_max):
        super().__init__(world.room, world.scheduler.wake, entered_max=entered_max)
        self.world, self.tenant_id, self.entered_max = world, tenant_id, entered_max
        self.in_order = {False: [], True: []}  # who waits to enter, by kind
        self.reads = {}  # all that are not over
        self.pauses = 0
        self.is_open = True

    def wait(self, read):
        read.waits += 1
        if not read.has_entered:
            assert not read.was_waiting, "who was woken could not enter"
            read.was_waiting = True
            self.in_order[read.is_elastic].append(read)
        super().wait(read)

    def enter(self, read):
        order = self.in_order[read.is_elastic]
        if read.was_waiting:
            assert order.pop(0) is read, "one that waits was passed"
        else:
            assert not order or not self.is_open, "a newcomer passed one that waits"
        super().enter(read)

    def pause(self):
        self.pauses += not self.is_paused
        super().pause()

    def waiting(self):
        return len(self.in_order[False]) + len(self.in_order[True])

    @property
    def lacks_room_only(self):
        """Whether reads wait that could enter if there was room."""
        return (
            self.is_open
            and not self.is_paused
            and self.waiting() > 0
            and self.entered < self.entered_max
        )


class SimRead(Read):
    """A read that takes its time, and may find more than it thought."""

    wait_kind = "scan"

    def __init__(self, world, gate, *, size, needs_s, more, is_elastic):
        self.world, self.gate, self.tenant_id = world, gate, gate.tenant_id
        self.answer_bytes, self.left_s, self.more = size, needs_s, more
        self.is_elastic = is_elastic
        self.txn_start = world.next_ts()
        self.is_over = self.was_waiting = False
        self.waits = self.looks = self.quanta = 0
        self.pauses_before = gate.pauses

    def start(self):
        self.gate.reads[self] = None
        try:
            self.world.scheduler.start(self)
        except Throttled:
            self.world.refused += 1
            self.end()

    def is_blocked(self):
        self.looks += 1
        return not self.is_over and super().is_blocked()

    def run(self, ends_s):
        world = self.world
        assert not self.is_over, "a cancelled read has a turn"
        if not self.has_entered:
            self.gate.enter(self)
            world.check_room_of(self)
        self.quanta += 1
        take_s = min(self.left_s, max(ends_s - world.loop.time(), 1e-5))
        self.left_s -= take_s
        world.cpu.burn(take_s)
        self.answer_bytes, more, self.more = self.answer_bytes + self.more, self.more, 0
        world.room.add(self.tenant_id, more)
        if self.left_s <= 1e-9:
            self.end()
        return self.is_over

    def cancel(self):
        self.end()
        self.world.scheduler.withdraw(self)

    def end(self):
        assert not self.is_over, "it ends twice"
        self.is_over = True
        if self in self.gate.in_order[self.is_elastic] and not self.has_entered:
            self.gate.in_order[self.is_elastic].remove(self)
        self.gate.leave(self)
        del self.gate.reads[self]
        pauses = self.gate.pauses - self.pauses_before
        assert self.waits <= self.was_waiting + pauses, "it was looked at for nothing"
        assert self.looks <= self.quanta + self.waits + 1
        self.world.over += 1
        self.world.looks += self.looks


class ReadWorld:
    """The world. `check` holds whatever happens."""

    def __init__(self, loop, seed):
        self.loop, self.rng = loop, random.Random(seed)
        self.cpu = BurnClock(loop)
        self.scheduler = Scheduler(
            loop,
            loop,
            self.cpu,
            cores=2.0,
            quantum_s=0.001,
            is_enabled=seed % 8 != 7,
            queue=QueueConfig(tenant_items_max=ITEMS_MAX),
        )
        self.room = AnswerRoom(ROOM, loop.call_soon)
        self.sizes = self.rng.choice(((0, 1, 20, 20, 100, 300), (0, 0, 300), (1, 1, 1, 1000)))
        self.gates, self.unread = [], {}
        self.started = self.over = self.refused = self.looks = self._ts = 0
        for tenant_id in range(1, self.rng.randint(2, 6)):
            for _ in range(self.rng.randint(1, 4)):
                self.open(tenant_id)

    def next_ts(self):
        self._ts += 1
        return self._ts

    def open(self, tenant_id):
        entered_max = self.rng.choice((1, 2, 4, 16))
        self.gates.append(WatchedGate(self, tenant_id, entered_max=entered_max))

    def read(self, gate):
        rng = self.rng
        size = rng.choice(self.sizes)
        if rng.random() < 0.02:
            size = 2 * ROOM
        needs_s = rng.choice((0.00002, 0.0001, 0.001))
        more = rng.choice((0, 0, 0, 50))
        is_elastic = rng.random() < 0.1
        read = SimRead(self, gate, size=size, needs_s=needs_s, more=more, is_elastic=is_elastic)
        self.started += 1
        read.start()

    def act(self):
        """Let something happen."""
        rng = self.rng
        gate = rng.choice(self.gates)
        dice = rng.random()
        if dice < 0.55:
            for _ in range(rng.choice((1, 1, 3, 25))):
                self.read(gate)
        elif dice < 0.7:
            for read in rng.sample(list(gate.reads), min(len(gate.reads), rng.choice((1, 5)))):
                read.cancel()
        elif dice < 0.8:
            self.stop_reading(gate)
        elif dice < 0.93:
            self.read_on(gate)
        elif dice < 0.97:
            self.room.is_short = not self.room.is_short
            self.room.grant()
        else:
            self.close(gate)
            self.open(gate.tenant_id)

    def stop_reading(self, gate):
        gate.pause()
        size = self.rng.choice((50, 200))
        if gate not in self.unread and self.room.admits(gate.tenant_id, size):
            self.unread[gate] = size
            self.room.add(gate.tenant_id, size)

    def read_on(self, gate):
        self.room.add(gate.tenant_id, -self.unread.pop(gate, 0))
        gate.resume()

    def close(self, gate):
        self.gates.remove(gate)
        self.room.add(gate.tenant_id, -self.unread.pop(gate, 0))
        gate.is_open = False
        gate.close()
        for read in list(gate.reads):
            read.cancel()
        assert not gate.entered

    def check_room_of(self, read):
        """What enters was admitted: the whole is within its bound, or it found nothing here."""
        rest = self.room.total - read.answer_bytes
        assert rest <= 0 or not read.answer_bytes or self.room.total <= ROOM

    def check(self):
        """Check that nobody waits for what is free, and that everything is within its bounds."""
        held, aside = {}, 0
        for gate in self.gates:
            assert gate.entered <= gate.entered_max
            inside = [read for read in gate.reads if read.has_entered]
            assert len(inside) == gate.entered
            held[gate.tenant_id] = held.get(gate.tenant_id, self.unread_of(gate.tenant_id))
            held[gate.tenant_id] += sum(read.answer_bytes for read in inside)
            assert gate.is_paused or not any(read.is_aside for read in inside), "stays stopped"
            aside += gate.waiting() + sum(read.is_aside for read in inside)
            if gate.lacks_room_only:
                assert gate.next_bytes > 0, "needs no room, and waits"
        assert self.room.total == sum(held.values())
        assert all(self.room.of(tenant_id) == size for tenant_id, size in held.items())
        assert self.scheduler.aside_count == aside
        self.check_bounds()
        self.check_claims()

    def unread_of(self, tenant_id):
        return sum(size for gate, size in self.unread.items() if gate.tenant_id == tenant_id)

    def check_bounds(self):
        for tenant_id in {gate.tenant_id for gate in self.gates}:
            slots = sum(g.entered_max for g in self.gates if g.tenant_id == tenant_id)
            count = sum(len(gate.reads) for gate in self.gates if gate.tenant_id == tenant_id)
            assert count <= 2 * ITEMS_MAX + slots or not self.scheduler.is_enabled

    def check_claims(self):
        """Check that nobody waits who is within its share and finds room, and nobody at all for
        what is free unless one waits for it that holds nothing, or is within its share.
        """
        room, claims = self.room, self.room._claims
        claiming = {gate for of in claims.values() for gate in of.claimants}
        assert claiming == {gate for gate in self.gates if gate.lacks_room_only}
        if room._is_later:
            return
        is_awaited = is_alone = False
        waiting = []
        for tenant_id, of in claims.items():
            size = _rounded(of.first.next_bytes)
            is_within = room.is_within(tenant_id, size)
            finds_room = not room.total or room.total + size <= ROOM
            is_awaited |= not finds_room and (is_within or not room.of(tenant_id))
            is_alone |= not finds_room and size > ROOM - room.opened
            waiting.append((is_within and finds_room, finds_room and room.admits(tenant_id, size)))
        assert is_alone or not any(would_pass for would_pass, _ in waiting)
        assert is_awaited or is_alone or not any(admitted for _, admitted in waiting)
        assert is_awaited == bool(room.missing_bytes) or is_alone

    def settle(self):
        """Let everybody read on; whatever was asked can be answered now."""
        for gate in self.gates:
            self.read_on(gate)
        self.room.is_short = False
        self.room.grant()
