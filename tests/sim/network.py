"""A network in virtual time: delays, breaks that lose what is under way, half-open connections.

**Model.** A link joins one `KvClient` to one stream of the node. Each direction is in order, as TCP
is; links overtake each other. A break takes with it what has not arrived, and the two ends learn of
it at different times: so a client may be back on a new link while the node still serves the old.
"""

from kvapi.errors import KvError
from kvapi.pb import kv_pb2
from kvnode.server.stream_session import StreamSession


class Network:
    """Makes the transports of all clients of one node. `steps` counts frames that arrived."""

    def __init__(self, node, rng, *, delay_s_max=0.002):
        self.node, self.rng, self.loop = node, rng, node.loop
        self.delay_s_max = delay_s_max
        self.links = []
        self.steps = 0
        self.on_step = None  # called after each frame that arrived at the node, before its answer
        self.on_commit = None  # called with the link on which a commit has just left
        self.is_up = True

    def delay_s(self):
        """Return how long something is under way: mostly short, sometimes ten times as long."""
        scale = 10 if self.rng.random() < 0.03 else 1
        return self.rng.uniform(0.00005, self.delay_s_max) * scale

    def maker(self, process):
        """Return what the `KvClient` of a process makes its transports with."""

        def make_transport(address, config, events, monotonic_s):
            return Link(self, process, events)

        return make_transport

    def arrived(self):
        self.steps += 1
        if self.on_step is not None:
            self.on_step()

    def crash_node(self):
        """Kill the node: every link breaks, and nobody listens until `start_node`."""
        self.is_up = False
        self.node.crash(restart=False)
        links, self.links = self.links, []
        for link in links:
            link.node_died()

    def start_node(self):
        """Start the node on what was durable."""
        self.node.start()
        self.is_up = True

    def links_of(self, process):
        return [link for link in self.links if link.process is process]


class Link:
    """A `Transport` for the client; what the node says comes in through `outlet`."""

    def __init__(self, network, process, events):
        self.network, self.process, self.events = network, process, events
        self.loop, self.rng = network.loop, network.rng
        self.session = None
        self.outlet = Outlet(self)
        self.is_cut = False  # nothing arrives any more, in either direction
        self.is_over = False  # for the client
        self.last_up = self.last_down = 0.0
        self.stalled_until_s = self.resumes_s = 0.0  # what is under way to the node waits

    # --- kvapi.client.transport.Transport

    async def open(self):
        future = self.loop.create_future()
        self.loop.call_later(self.network.delay_s(), lambda: future.done() or future.set_result(0))
        await future
        node = self.network.node
        if not self.network.is_up or self.process.is_dead:
            raise ConnectionRefusedError("nobody listens")
        self.session = StreamSession(node.core, self.outlet, hello_s_max=node.config.hello_s_max)
        self.network.links.append(self)

    def send(self, body):
        self.up(self.arrive, body)
        if self.network.on_commit is not None:
            requests = kv_pb2.ClientFrame.FromString(body).requests
            if any(request.HasField("commit") for request in requests):
                self.network.on_commit(self)

    def wake(self):
        self.loop.call_soon(self.flush)

    def flush(self):
        if not self.is_over and self.session is not None:
            for body in self.events.take_frames():
                self.send(body)

    def close(self):
        """Drop the connection; what was sent before still arrives."""
        if not self.is_over:
            self.is_over = True
            self.up(self.hang_up)

    # --- under way

    def up(self, do, *arguments):
        self.last_up = max(self.loop.time() + self.network.delay_s(), self.last_up + 1e-7)
        self.loop.call_at(self.last_up, self.unless_stalled, do, *arguments)

    def unless_stalled(self, do, *arguments):
        if self.loop.time() < self.stalled_until_s:
            self.resumes_s = max(self.resumes_s, self.stalled_until_s) + 1e-7  # in order
            self.loop.call_at(self.resumes_s, self.unless_cut, do, *arguments)
        else:
            self.unless_cut(do, *arguments)

    def down(self, do, *arguments):
        self.last_down = max(self.loop.time() + self.network.delay_s(), self.last_down + 1e-7)
        self.loop.call_at(self.last_down, self.unless_cut, do, *arguments)

    def unless_cut(self, do, *arguments):
        if not self.is_cut:
            do(*arguments)

    def arrive(self, body):
        """Hand a frame to the node."""
        if not self.session.is_closed:
            self.session.begin_chunk()
            self.session.receive(body)
            self.network.arrived()
            if not self.is_cut:
                self.session.end_chunk()

    def answer(self, body):
        """Hand a frame to the client."""
        if not self.is_over:
            try:
                self.events.receive(body)
            except KvError as error:
                self.lose(error)

    def hang_up(self):
        """Tell the node that the connection is over."""
        self.is_cut = True
        if self in self.network.links:
            self.network.links.remove(self)
        if self.session is not None:
            self.session.closed()

    def lose(self, error=None):
        """Tell the client that the connection is over."""
        if not self.is_over:
            self.is_over = True
            self.up(self.hang_up)
            self.events.lost(error)

    # --- faults

    def break_off(self):
        """Lose what is under way; client and node learn of it at different times.

        Or: the client gives up on a link that is only slow, and what it sent arrives long after.
        """
        if self.rng.random() < 0.4:
            self.stalled_until_s = self.loop.time() + self.rng.uniform(0, 0.1)
            self.lose()
            return
        self.is_cut = True
        self.loop.call_later(self.rng.uniform(0, 0.02), self.lose)
        self.loop.call_later(self.rng.uniform(0, 0.05), self.hang_up)

    def client_died(self):
        """Say nothing to the client any more; the node learns of it after what was sent."""
        if self.rng.random() < 0.5:
            self.is_over = True
            self.up(self.hang_up)
        else:
            self.is_over = self.is_cut = True
            self.loop.call_later(self.rng.uniform(0, 0.05), self.hang_up)

    def node_died(self):
        self.is_cut = True
        self.session.closed()
        self.loop.call_later(self.rng.uniform(0, 0.002), self.lose)


class Outlet:
    """The node's end of a link."""

    def __init__(self, link):
        self.link = link

    def send(self, body):
        self.link.down(self.link.answer, body)

    def close(self):
        self.link.down(self.link.lose)
