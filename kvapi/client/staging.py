"""The client's part of large transactions: writes ahead of the commit, in chunks, and heartbeats.

**Model.** A call is cut into chunks that the KV node takes in one quantum; a few are under way at a
time. While any transaction has staged something, a timer tells the node that it is alive.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from kvapi.client import operations as ops
from kvapi.client.config import ClientConfig
from kvapi.client.request_stream import AnyFuture, CancellableFuture, RequestStream
from kvapi.client.txn_ties import TxnTies, broken_error

_UNDER_WAY_MAX: Final = 8  # chunks: while the node writes some, others are on their way


class Chunk(NamedTuple):
    """What one request stages."""

    writes: list[tuple[bytes, bytes | None]]
    size_bytes: int


class Staging:
    """Owner: the event loop."""

    def __init__(self, stream: RequestStream, ties: TxnTies, config: ClientConfig) -> None:
        self._stream = stream
        self._ties = ties
        self._config = config
        self._loop = asyncio.get_running_loop()
        self._alive: dict[bytes, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def must_stage(self, writes: Mapping[bytes, bytes | None]) -> bool:
        """Tell whether a commit with these writes would hold up the commits of others."""
        config = self._config
        return len(writes) > config.commit_rows_max or (
            ops.writes_bytes(writes)
            > min(config.commit_bytes_max, self._stream.send_bytes_max // 2)
        )

    def stage(
        self,
        txn_id: bytes,
        writes: Mapping[bytes, bytes | None],
        absent_keys: Collection[bytes],
        *,
        layer: int,
        statement: str,
    ) -> AnyFuture:
        """Stage `writes`; the result is None when all of them are durable."""
        if self._ties.is_broken(txn_id):
            future = self._loop.create_future()
            future.set_exception(broken_error())
            return future
        self._ties.tie(txn_id)
        self._alive[txn_id] = None
        if self._timer is None:
            self._timer = self._loop.call_later(self._config.heartbeat_s, self._beat)
        absent = absent_keys if isinstance(absent_keys, (set, frozenset)) else set(absent_keys)

        def send(chunk: Chunk) -> AnyFuture:
            return self._send(txn_id, chunk, absent, layer, statement)

        config = self._config
        chunks = _chunks(writes.items(), config.chunk_rows_max, config.chunk_bytes_max)
        first = next(chunks, Chunk([], 0))
        second = next(chunks, None)
        if second is None:
            return send(first)
        return self._loop.create_task(_send_all(send, first, second, chunks), name="kv-stage")

    def unstage(self, txn_id: bytes, layer: int) -> AnyFuture:
        """Drop the layers from `layer` on."""
        future = self._loop.create_future()
        if self._ties.is_broken(txn_id):
            future.set_exception(broken_error())
            return future
        request = self._stream.request(ops.UNSTAGE, future, 8)
        request.txn_id = txn_id
        request.unstage.layer = layer
        return future

    def forget(self, txn_id: bytes) -> None:
        """Take note that the transaction ends: its commit or rollback is sent."""
        self._alive.pop(txn_id, None)

    def close(self) -> None:
        """Stop the heartbeats."""
        self._alive.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _send(
        self, txn_id: bytes, chunk: Chunk, absent: Collection[bytes], layer: int, statement: str
    ) -> AnyFuture:
        future = CancellableFuture(loop=self._loop)
        if self._ties.is_broken(txn_id):
            future.set_exception(broken_error())
            return future
        checked = [key for key, _ in chunk.writes if key in absent] if absent else []
        size = chunk.size_bytes + sum(map(len, checked)) + 8 * len(checked) + 4 * len(statement)
        request = self._stream.request(ops.STAGE, future, size)
        future.request_id = request.id
        future.on_cancel = self._stream.cancel
        request.txn_id = txn_id
        stage = request.stage
        stage.layer = layer
        stage.statement = statement
        stage.absent_keys.extend(checked)
        ops.fill_writes(stage.writes, chunk.writes)
        return future

    def _beat(self) -> None:
        """Tell the node that these transactions are alive."""
        self._timer = None
        for txn_id in [txn_id for txn_id in self._alive if self._ties.is_broken(txn_id)]:
            del self._alive[txn_id]
        if not self._alive:
            return
        for txn_id in self._alive:
            future = self._loop.create_future()
            future.add_done_callback(_look_away)
            request = self._stream.request(ops.HEARTBEAT, future, 0)
            request.txn_id = txn_id
            request.heartbeat.SetInParent()
        self._timer = self._loop.call_later(self._config.heartbeat_s, self._beat)


async def _send_all(
    send: Callable[[Chunk], AnyFuture], first: Chunk, second: Chunk, rest: Iterable[Chunk]
) -> None:
    """Keep a few chunks under way; the first error ends it, when nothing is under way any more."""
    under_way = deque((send(first), send(second)))
    try:
        for chunk in rest:
            if len(under_way) >= _UNDER_WAY_MAX:
                await under_way.popleft()
            under_way.append(send(chunk))
        while under_way:
            await under_way.popleft()
    except BaseException:
        for future in under_way:
            future.add_done_callback(_look_away)
            future.cancel()
        raise


def _chunks(
    writes: Iterable[tuple[bytes, bytes | None]], rows_max: int, bytes_max: int
) -> Iterator[Chunk]:
    rows: list[tuple[bytes, bytes | None]] = []
    size = 0
    for key, value in writes:
        added = ops.write_bytes(key, value)
        if rows and (len(rows) >= rows_max or size + added > bytes_max):
            yield Chunk(rows, size)
            rows, size = [], 0
        rows.append((key, value))
        size += added
    if rows:
        yield Chunk(rows, size)


def _look_away(future: AnyFuture) -> None:
    """Nobody waits for this answer; what it says, the transaction's next request says again."""
    if not future.cancelled():
        future.exception()
