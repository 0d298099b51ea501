"""Tenants whose streams read, stop reading, drip or vanish, over the real room, gates and watch."""

import random
from collections import Counter
from types import SimpleNamespace

from kvnode.admission.answer_room import AnswerRoom, _rounded
from kvnode.admission.read_gate import Read, ReadGate
from kvnode.admission.unread_watch import UnreadWatch
from kvnode.node_config import NodeConfig
from kvnode.server.unread import Unread

ROOM = 1_000
GRACE_S, CLOSE_S = NodeConfig().unread_s_max, NodeConfig().close_s_max
READ_S_MAX = 0.5
# A pause is found stale within a grace and a look, and five times as much goes with reading as
# slowly as may be; then the transport, and the reads that are under way.
WAIT_S_MAX = 6 * (GRACE_S + GRACE_S / 8) + CLOSE_S + READ_S_MAX


class SimRead(Read):
    """A read that takes its time, and may find more than it thought."""

    def __init__(self, stream, size, takes_s, more):
        self.gate, self.stream, self.answer_bytes, self.takes_s = stream.gate, stream, size, takes_s
        self.more, self.is_over = more, False


class SimStream:
    """A stream: it asks for reads; its client reads, or leaves what is written unread.

    To its `Unread` it is the session, and the world is the node's core.
    """

    is_authenticated = True

    def __init__(self, world, tenant_id):
        self.world = self.core = world
        self.tenant_id, self.tenant = tenant_id, SimpleNamespace(id=tenant_id)
        self.gate = ReadGate(world.room, self.run, entered_max=world.rng.choice((1, 4, 16)))
        self.gate.tenant_id = tenant_id
        self.unread = Unread(self, lambda: self.left)
        self.reads = {}
        self.left = self.left_at_first = 0
        self.paused_s = 0.0
        self.is_closed = False
        self.pause, self.resume = self.gate.pause, self.gate.resume  # what `Unread` asks for

    def ask(self, size, takes_s, more):
        read = SimRead(self, size, takes_s, more)
        self.reads[read] = None
        if read.is_blocked():
            read.wait()
        else:
            self.gate.enter(read)
            self.world.check_entered(self)
            self.run(read)

    def run(self, read):
        self.world.loop.call_later(read.takes_s, self.over, read)

    def over(self, read):
        if read.is_over:
            return
        read.answer_bytes, more, read.more = read.answer_bytes + read.more, read.more, 0
        self.world.room.add(self.tenant_id, more)
        if read.is_over:
            return
        if read.is_blocked():
            read.wait()
        else:
            self.end(read)

    def end(self, read):
        read.is_over = True
        del self.reads[read]
        self.gate.leave(read)

    def leave(self, size):
        """The client reads no more, and so much is left."""
        if not self.left:
            self.left = self.left_at_first = size
            self.paused_s = self.world.loop.time()
            self.unread.paused()

    def read(self, part):
        """The client reads a part of what is left."""
        if self.left:
            self.left = int(self.left * (1 - part))
            if self.left <= self.left_at_first // 4:
                self.left = 0
                self.unread.resumed()

    def fail(self, _):
        if self.is_closed:
            return
        self.world.check_cut(self)
        self.close()

    def close(self):
        """End the stream; its transport is gone later."""
        self.is_closed = True
        self.world.streams.remove(self)
        self.gate.close()
        for read in list(self.reads):
            self.end(read)
        self.world.closing.append(self)
        self.world.loop.call_later(CLOSE_S, self.gone)

    def gone(self):
        self.world.closing.remove(self)
        self.unread.closed()


class RoomWorld:
    """The world. `check` holds whatever happens; nobody gives back what a `pinning` tenant has."""

    def __init__(self, loop, seed):
        self.loop, self.rng = loop, random.Random(seed)
        self.room = AnswerRoom(ROOM, loop.call_soon)
        self.memory, self.config = SimpleNamespace(answers=self.room), NodeConfig()
        self.unread = UnreadWatch(self.room, loop.time, loop.call_later, unread_s_max=GRACE_S)
        self.streams, self.closing = [], []
        self.waiting = {}  # tenant → since when it is refused though it is within its share
        self.longest_s, self.cut_count = 0.0, Counter()  # by whether it was watched
        tenants = self.rng.randint(2, 20)
        self.tenants = range(1, tenants + 1)
        self.pinning = set(self.rng.sample(self.tenants, self.rng.randint(0, tenants - 1)))
        self.sizes = self.rng.choice(((64, 64, 64, 1), (10, 40, 160), (3, 17, 64, 250), (128,)))
        self.more = self.rng.choice(((0,), (0, 0, 0, 300)))
        for tenant_id in self.tenants:
            for _ in range(self.rng.randint(1, 5)):
                self.streams.append(SimStream(self, tenant_id))

    def act(self):
        """Let something happen."""
        rng = self.rng
        stream = rng.choice(self.streams)
        is_pinning = stream.tenant_id in self.pinning
        dice = rng.random()
        if dice < 0.6:
            for _ in range(rng.choice((1, 2, 10))):
                if len(stream.reads) < 30:
                    takes_s = rng.choice((0.001, 0.02, READ_S_MAX))
                    stream.ask(rng.choice(self.sizes), takes_s, rng.choice(self.more))
        elif dice < 0.8 and (is_pinning or rng.random() < 0.1):
            stream.leave(rng.choice((64, 200)))
        elif dice < 0.88:
            stream.read(rng.choice((0, 0.01, 0.1, 0.3)))
        elif dice < 0.97 and (not is_pinning or rng.random() < 0.05):
            stream.read(1)
        elif dice >= 0.98:
            stream.close()
            self.streams.append(SimStream(self, stream.tenant_id))

    def check_entered(self, stream):
        """Nobody passes one that claims room for its own tenant, nor takes more than there is."""
        assert stream.tenant_id not in self.room._claims or self.room._is_granting

    def check_cut(self, stream):
        """It is beyond its share, had time to read on, and somebody needs what it has."""
        room, leaving = self.room, sum(other.unread.counted_bytes for other in self.closing)
        own = [other for other in self.closing if other.tenant_id == stream.tenant_id]
        assert self.loop.time() - stream.paused_s >= GRACE_S - 1e-6
        if counted := stream.unread._is_watched:
            assert room.missing_bytes > leaving, "nobody needs it"
            own_leaving = sum(other.unread.counted_bytes for other in own)
            assert not room.is_within(stream.tenant_id, -own_leaving)
        else:
            beyond = self.unread.beyond_bytes
            assert room.missing_bytes or room.total + beyond + stream.left > ROOM
            assert not room.is_within(stream.tenant_id, stream.left)
        self.cut_count[bool(counted)] += 1

    def check(self):
        """Check accounts, that nobody is held up, and how long anybody waits."""
        room, now_s = self.room, self.loop.time()
        held = Counter()
        for stream in self.streams:
            held[stream.tenant_id] += stream.unread.counted_bytes
            for read in stream.reads:
                held[stream.tenant_id] += read.answer_bytes * read.has_entered
        for stream in self.closing:
            held[stream.tenant_id] += stream.unread.counted_bytes
        assert {t: n for t, n in held.items() if n} == room._of
        refused = set()
        for tenant_id, claims in room._claims.items():
            size = _rounded(claims.first.next_bytes)
            if room.is_within(tenant_id, size) or not room.of(tenant_id):
                refused.add(tenant_id)
            if not room._is_later and room.is_within(tenant_id, size):
                assert room.total + size > ROOM, "held up, though there is room"
        if not room._is_later:
            assert bool(room.missing_bytes) == bool(refused)
        for tenant_id in list(self.waiting):
            if tenant_id not in refused:
                del self.waiting[tenant_id]
        for tenant_id in refused:
            self.longest_s = max(self.longest_s, now_s - self.waiting.setdefault(tenant_id, now_s))
