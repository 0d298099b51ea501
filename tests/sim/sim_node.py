"""A KV node without threads, sockets, disk: the real core on memory engine and virtual loop."""

import random

from kvapi.credential import sign
from kvapi.errors import ConnectionLost
from kvapi.pb import kv_pb2
from kvapi.wire import PROTOCOL_VERSION, error_from_proto
from kvnode.core import Core, Identity
from kvnode.node_config import NodeConfig
from kvnode.ranges.keeper import RangeKeeper
from kvnode.server.stream_session import StreamSession
from kvnode.storage.memory_engine import MemoryEngine
from kvnode.tenants.lifecycle import TenantLifecycle
from kvnode.tenants.maintenance import Maintenance
from kvnode.txn.write_batch import write_batch

IDENTITY = Identity(b"c" * 16, b"s" * 32)


class SimWriter:
    """A writer whose sync takes random virtual time; a crash loses or keeps what was on its way.

    As with the thread, what is written may be seen in new snapshots before it is reported.
    """

    def __init__(self, engine, loop, rng):
        self.engine, self.loop, self.rng = engine, loop, rng
        self.running = None
        self.is_dead = False
        self.gives_way = False

    def begin(self, operations):
        """Take a batch on."""
        self.running, self.gives_way = operations, False

    def run(self, operations, report):
        self.begin(operations)
        self.loop.call_later(self.rng.uniform(0.0001, 0.003), self.write, operations, report)

    def hurry(self, *, may_give_up):
        """Take as long as ever, and perhaps for nothing."""
        self.gives_way |= may_give_up

    def write(self, operations, report):
        if not self.is_dead:
            self.running = None
            outcome = write_batch(self.engine, operations, lambda: self.gives_way)
            if self.rng.random() < 0.5:
                self.loop.call_later(self.rng.uniform(0.0001, 0.001), self.tell, report, outcome)
            else:
                report(outcome)

    def tell(self, report, outcome):
        if not self.is_dead:
            report(outcome)

    def crash(self):
        self.is_dead = True
        if self.running and self.rng.random() < 0.5:
            write_batch(self.engine, self.running)  # it was on disk, and nobody was told


class SimNode:
    """A node that can crash and start again on what was durable."""

    def __init__(self, loop, seed=0, config=None, engine=None, *, core_type=Core, clock=None):
        # A core that brings a `writer_type` is broken on purpose: tests/fakes/broken_node.py.
        self.loop = loop
        self.core_type = core_type
        self.clock = clock or loop
        self.rng = random.Random(seed)
        self.config = config or NodeConfig()
        self.engine = engine or MemoryEngine()
        self.streams = []
        self.start()

    def start(self):
        writer_type = getattr(self.core_type, "writer_type", SimWriter)
        self.writer = writer_type(self.engine, self.loop, self.rng)
        self.core = self.core_type(
            self.engine,
            self.writer,
            config=self.config,
            identity=IDENTITY,
            clock=self.clock,
            loop=self.loop,
        )
        self.lifecycle = TenantLifecycle(self.core)
        self.maintenance = Maintenance(self.core)
        self.keeper = RangeKeeper(self.core, random.Random(self.rng.random()))

    def crash(self, *, restart=True):
        """Lose everything volatile, then start again."""
        self.writer.crash()
        streams, self.streams = self.streams, []
        for stream in streams:
            stream.break_off()
        if restart:
            self.start()

    async def create(self, name):
        """Create a tenant; return its id."""
        return (await self.lifecycle.create(name, "owner", "x")).id

    def credential(
        self, tenant_id, *, secret=IDENTITY.secret, cluster_id=IDENTITY.cluster_id, life_s=60
    ):
        now_s = self.loop.now_ns() // 1_000_000_000
        expires = int(now_s + life_s)
        return sign(
            secret,
            cluster_id=cluster_id,
            tenant_id=tenant_id,
            expires_unix_s=expires,
            nonce=b"n" * 8,
        )

    def stream(self, tenant_id):
        """Return an authenticated stream."""
        stream = SimStream(self)
        stream.hello(self.credential(tenant_id))
        assert stream.fatal is None, stream.fatal
        return stream


class SimStream:
    """A client of one stream: requests as messages, answers as futures."""

    def __init__(self, node):
        self.node = node
        self.fatal = None
        self.is_open = True
        self.frames = []
        self.waiting = {}
        self.next_id = 0
        self.session = StreamSession(node.core, self, hello_s_max=node.core.config.hello_s_max)
        node.streams.append(self)

    def send(self, body):
        frame = kv_pb2.ServerFrame()
        frame.ParseFromString(body)
        self.frames.append(frame)
        if frame.HasField("fatal"):
            self.fatal = error_from_proto(frame.fatal)
        for response in frame.responses:
            future = self.waiting.pop(response.id)
            if future.done():
                continue
            if response.HasField("error"):
                future.set_exception(error_from_proto(response.error))
            else:
                future.set_result(response)

    def close(self):
        self.is_open = False

    def hello(self, credential):
        hello = kv_pb2.Hello(protocol_version=PROTOCOL_VERSION, credential=credential)
        self.receive(kv_pb2.ClientFrame(hello=hello))

    def receive(self, frame):
        self.session.begin_chunk()
        self.session.receive(frame.SerializeToString())
        self.session.end_chunk()

    def request(self, **fields):
        """Send one request; return the future of its response."""
        self.next_id += 1
        future = self.node.loop.create_future()
        future.add_done_callback(lambda f: f.cancelled() or f.exception())
        if self.session.is_closed:
            future.set_exception(ConnectionLost("the stream is closed"))
            return future
        self.waiting[self.next_id] = future
        self.receive(kv_pb2.ClientFrame(requests=[kv_pb2.Request(id=self.next_id, **fields)]))
        return future

    def break_off(self):
        """Lose the connection: what waits for an answer never gets it."""
        self.session.closed()
        for future in self.waiting.values():
            if not future.done():
                future.set_exception(ConnectionLost("the node crashed"))
        self.waiting.clear()
