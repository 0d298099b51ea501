"""The same frames in a gRPC bidirectional stream.

**Concurrency.** A writer task sends what `take_frames` gives and waits until gRPC took it: what is
asked meanwhile travels in the next frame. A reader task hands answers on. Both end with the
transport.
"""

import asyncio
from typing import Any

import grpc
import grpc.aio

from kvapi.client.config import ClientConfig
from kvapi.client.transport import TransportEvents
from kvapi.errors import KvError

STREAM_METHOD = "/insula.kv.v1.Kv/Stream"
_EOF: Any = grpc.aio.EOF


class GrpcTransport:
    """One channel with one stream; messages pass as bytes, so that they are parsed once."""

    def __init__(self, address: str, config: ClientConfig, events: TransportEvents) -> None:
        self._address = address
        self._config = config
        self._events = events
        self._loop = asyncio.get_running_loop()
        self._channel: Any = None  # the stubs lack defaults that the library has
        self._tasks: list[asyncio.Task[None]] = []
        self._outbox: list[bytes] = []
        self._has_work = asyncio.Event()
        self._is_over = False

    async def open(self) -> None:
        limit = self._config.frame_bytes_max
        self._channel = grpc.aio.insecure_channel(
            self._address,
            options=[
                ("grpc.max_receive_message_length", limit),
                ("grpc.max_send_message_length", -1),
                ("grpc.use_local_subchannel_pool", 1),  # no other channel's back-off delays ours
                ("grpc.initial_reconnect_backoff_ms", 100),
            ],
        )
        try:
            await self._wait_ready(self._channel)
        except BaseException:
            await self._channel.close()
            raise
        # No serializers: bytes in, bytes out.
        call: Any = self._channel.stream_stream(STREAM_METHOD)()
        self._tasks = [
            self._loop.create_task(self._write(call), name="kv-grpc-writer"),
            self._loop.create_task(self._read(call), name="kv-grpc-reader"),
        ]

    async def _wait_ready(self, channel: Any) -> None:
        state = channel.get_state(try_to_connect=True)
        while state is not grpc.ChannelConnectivity.READY:
            if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                raise ConnectionRefusedError(f"no KV node answers at {self._address}")
            await channel.wait_for_state_change(state)
            state = channel.get_state(try_to_connect=True)

    def send(self, body: bytes) -> None:
        self._outbox.append(body)
        self._has_work.set()

    def wake(self) -> None:
        self._has_work.set()

    def close(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._loop.create_task(self._shut(), name="kv-grpc-close").add_done_callback(_retrieved)

    async def _shut(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._channel is not None:
            await self._channel.close()

    async def _write(self, call: Any) -> None:
        error: Exception | None = None
        try:
            while True:
                await self._has_work.wait()
                self._has_work.clear()
                if self._is_over:
                    return  # what waits now is the next connection's
                outbox, self._outbox = self._outbox, []
                for body in outbox or self._events.take_frames():
                    await call.write(body)
                if outbox:  # the hello went alone; now look for requests
                    self._has_work.set()
        except (grpc.RpcError, asyncio.InvalidStateError) as cause:
            error = cause
        finally:  # also when gRPC cancels the call, which looks like our own cancelling
            self._end(error)

    async def _read(self, call: Any) -> None:
        error: Exception | None = None
        try:
            while (body := await call.read()) is not _EOF:
                self._events.receive(body)
        except (grpc.RpcError, KvError) as cause:
            error = cause
        finally:
            self._end(error)

    def _end(self, error: Exception | None) -> None:
        if not self._is_over:
            self.close()
            self._events.lost(error)


def _retrieved(task: "asyncio.Task[None]") -> None:
    if not task.cancelled():
        task.exception()
