"""`FakeKvStore` behind a Unix socket and a gRPC port, with switches that break connections."""

import asyncio

import grpc

from kvapi.errors import BadRequest, CredentialRefused, KvError
from kvapi.pb import kv_pb2, kv_pb2_grpc
from kvapi.wire import FrameReader, error_to_proto, frame_bytes
from tests.fakes.kv_store import FakeKvStore, FakeStream

CREDENTIAL = b"good"
FRAME_BYTES_MAX = 1 << 20


class FakeKvServer(kv_pb2_grpc.KvServicer):
    """Both transports over one store."""

    def __init__(self, *, credit=256, frame_bytes_max=FRAME_BYTES_MAX):
        self.store = FakeKvStore()
        self.credit = credit
        self.frame_bytes_max = frame_bytes_max
        self.sessions = set()
        self.hello_count = 0
        self.frames = []  # operations of each frame received
        self.break_before = None  # operation whose frame is lost with the connection, once
        self.break_after = None  # operation that is done, but whose answer is lost
        self.is_silent = False  # answers nothing, holds requests
        self.accepted = {CREDENTIAL}
        self._unix = self._grpc = self._path = self._port = None

    async def start(self, path):
        self._path = str(path)
        await self.listen()
        self._grpc = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        kv_pb2_grpc.add_KvServicer_to_server(self, self._grpc)
        self._port = self._grpc.add_insecure_port("127.0.0.1:0")
        await self._grpc.start()

    async def listen(self):
        loop = asyncio.get_running_loop()
        self._unix = await loop.create_unix_server(lambda: _UnixRim(self), self._path)

    async def stop_listening(self):
        """Refuse new Unix connections and drop the old ones."""
        self._unix.close()
        self.drop_connections()

    async def stop(self):
        self.drop_connections()
        self._unix.close()
        await self._grpc.stop(None)

    def address(self, transport):
        return f"unix:{self._path}" if transport == "unix" else f"127.0.0.1:{self._port}"

    def drop_connections(self):
        for session in list(self.sessions):
            session.drop()

    async def Stream(self, request_iterator, context):
        out = asyncio.Queue()
        session = Session(self, out.put_nowait, lambda: out.put_nowait(None))
        reader = asyncio.get_running_loop().create_task(self._pump(request_iterator, session))
        try:
            while (frame := await out.get()) is not None:
                await context.write(frame)
        finally:
            reader.cancel()
            session.over()
        if session.was_dropped:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "dropped")

    async def _pump(self, request_iterator, session):
        async for frame in request_iterator:
            session.receive(frame)
        session.drop()


class Session:
    """One connection, whatever carries it."""

    def __init__(self, server, send, drop):
        self._server = server
        self._send = send
        self._drop = drop
        self._stream = None
        self.was_dropped = False
        self._held = []
        server.sessions.add(self)

    def send(self, frame):
        if not self.was_dropped:
            self._send(frame)

    def drop(self):
        self.was_dropped = True
        self.over()
        self._drop()

    def over(self):
        self._server.sessions.discard(self)
        if self._stream:
            self._stream.close()
            self._stream = None

    def receive(self, frame):
        try:
            self._receive(frame)
        except KvError as error:
            self.send(kv_pb2.ServerFrame(fatal=error_to_proto(error)))
            self.over()
            self._drop()

    def _receive(self, frame):
        server = self._server
        if self._stream is None:
            self._hello(frame)
            return
        operations = [r.WhichOneof("op") for r in frame.requests]
        server.frames.append(operations)
        if server.is_silent:
            self._held.append(frame)
            return
        if server.break_before in operations:
            server.break_before = None
            self.drop()
            return
        if server.break_after in operations:
            server.break_after = None
            self._stream._send = lambda _: None
            self._stream.handle(frame.requests)
            self.drop()
            return
        self._stream.handle(frame.requests)

    def _hello(self, frame):
        server = self._server
        if not frame.HasField("hello"):
            raise BadRequest("the first frame is a hello")
        if frame.hello.credential not in server.accepted:
            raise CredentialRefused("not this one")
        server.hello_count += 1
        self._stream = FakeStream(server.store, self.send, asyncio.get_running_loop())
        hello = kv_pb2.HelloReply(
            catalog_version=server.store.catalog_version,
            newest_ts=server.store.newest_ts,
            credit_requests=server.credit,
            frame_bytes_max=server.frame_bytes_max,
            server_epoch=1,
        )
        self.send(kv_pb2.ServerFrame(hello=hello))

    def answer_held(self):
        """Answer what came while the server was silent."""
        held, self._held = self._held, []
        for frame in held:
            self._stream.handle(frame.requests)


class _UnixRim(asyncio.Protocol):
    def __init__(self, server):
        self._server = server

    def connection_made(self, transport):
        self._reader = FrameReader(self._server.frame_bytes_max)
        self._session = Session(
            self._server, lambda f: transport.write(frame_bytes(f)), transport.close
        )

    def data_received(self, data):
        for body in self._reader.feed(data):
            self._session.receive(kv_pb2.ClientFrame.FromString(body))

    def connection_lost(self, exc):
        self._session.over()
