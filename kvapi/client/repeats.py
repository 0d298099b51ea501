"""Sends again, a little later, what the node had no room for: callers only notice the time.

The node says so with `Throttled.REPEAT`, of reads and chunks it has not looked at. Waits grow while
it goes on saying so; after `throttled_wait_s` the refusal is the answer.
"""

import asyncio
from typing import Final

from kvapi.client.operations import Operation
from kvapi.client.request_stream import AnyFuture, RequestStream
from kvapi.errors import Throttled
from kvapi.pb import kv_pb2

_GROWTH: Final = 1.5
_WAIT_S_MAX: Final = 2.0


class Repeats:
    """Owner: the event loop."""

    def __init__(self, stream: RequestStream, wait_s_max: float) -> None:
        self._stream = stream
        self._loop = asyncio.get_running_loop()
        self._wait_s_max = wait_s_max
        self._refused: dict[AnyFuture, tuple[float, int]] = {}  # since when, how often
        self.repeat_count = 0

    def refused(
        self, operation: Operation, future: AnyFuture, request: kv_pb2.Request, error: Throttled
    ) -> None:
        """Ask again after the proposed wait, or give up."""
        now_s = self._loop.time()
        if future not in self._refused:
            self._refused[future] = now_s, 0
            future.add_done_callback(self._forget)
        since_s, count = self._refused[future]
        wait_s = min(error.number / 1e3 * _GROWTH**count, _WAIT_S_MAX)
        if now_s + wait_s > since_s + self._wait_s_max:
            future.set_exception(error)
            return
        self._refused[future] = since_s, count + 1
        self.repeat_count += 1
        self._loop.call_later(wait_s, self._again, operation, future, request)

    def _again(self, operation: Operation, future: AnyFuture, request: kv_pb2.Request) -> None:
        if not future.done():
            self._stream.submit(operation, future, request)

    def _forget(self, future: AnyFuture) -> None:
        self._refused.pop(future, None)
