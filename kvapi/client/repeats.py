"""Sends again, a little later, what the node had no room for: callers only notice the time.

The node says so with `Throttled.REPEAT`, of reads, chunks and commits that it has not begun. Waits
grow while it goes on saying so; after `throttled_wait_s` the refusal is the answer.

**Invariants.** What relies on a stream (locks, staged writes) is never sent on a later one: the
node would take a part for the whole. A commit that is given up is rolled back: the node has kept
what its transaction holds.
"""

import asyncio
from typing import Final, NamedTuple

from kvapi.client.operations import ROLLBACK, OnLoss, Operation
from kvapi.client.request_stream import AnyFuture, RequestStream
from kvapi.errors import Throttled
from kvapi.pb import kv_pb2

_GROWTH: Final = 1.5
_WAIT_S_MAX: Final = 2.0


class _Refused(NamedTuple):
    """A request that the node had no room for."""

    since_s: float
    times: int
    loss_count: int  # of its stream


class Repeats:
    """Owner: the event loop."""

    def __init__(self, stream: RequestStream, wait_s_max: float) -> None:
        self._stream = stream
        self._loop = asyncio.get_running_loop()
        self._wait_s_max = wait_s_max
        self._refused: dict[AnyFuture, _Refused] = {}
        self.repeat_count = 0

    def refused(
        self, operation: Operation, future: AnyFuture, request: kv_pb2.Request, error: Throttled
    ) -> None:
        """Ask again after the proposed wait, or give up."""
        now_s = self._loop.time()
        if future not in self._refused:
            self._refused[future] = _Refused(now_s, 0, self._stream.loss_count)
            future.add_done_callback(self._forget)
            if operation.on_loss is OnLoss.RESOLVE:
                txn_id = request.txn_id
                future.add_done_callback(lambda ended: self._committed(ended, txn_id))
        since_s, count, _ = self._refused[future]
        wait_s = min(error.number / 1e3 * _GROWTH**count, _WAIT_S_MAX)
        if now_s + wait_s > since_s + self._wait_s_max:
            future.set_exception(error)
            return
        self._refused[future] = _Refused(since_s, count + 1, self._stream.loss_count)
        self.repeat_count += 1
        self._loop.call_later(wait_s, self._again, operation, future, request)

    def _again(self, operation: Operation, future: AnyFuture, request: kv_pb2.Request) -> None:
        if future.done():
            return
        stream = self._stream
        is_lost = self._refused[future].loss_count != stream.loss_count
        if not is_lost or not stream.end_unsent(operation, future, request):
            stream.submit(operation, future, request)

    def _committed(self, commit: AnyFuture, txn_id: bytes) -> None:
        """Roll back what a commit that was given up has left with the node."""
        if not (commit.cancelled() or isinstance(commit.exception(), Throttled)):
            return
        rolled_back = self._loop.create_future()
        rolled_back.add_done_callback(_look_away)
        request = kv_pb2.Request(txn_id=txn_id, rollback=kv_pb2.Rollback())
        self._stream.submit(ROLLBACK, rolled_back, request)

    def _forget(self, future: AnyFuture) -> None:
        self._refused.pop(future, None)


def _look_away(future: AnyFuture) -> None:
    """Nobody waits for this answer: a stream that breaks does what was asked for."""
    if not future.cancelled():
        future.exception()
