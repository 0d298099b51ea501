"""The client's calls on counters, which live outside transactions."""

import asyncio
from collections.abc import Callable

from kvapi.client import operations as ops
from kvapi.client.request_stream import AnyFuture
from kvapi.client.results import Counter
from kvapi.pb import kv_pb2

Future = asyncio.Future


class CounterCalls:
    """The part of `KvClient` that has nothing to do with the rest of it."""

    _request: Callable[[ops.Operation, AnyFuture, int], kv_pb2.Request]
    _create_future: Callable[[], AnyFuture]

    def increment(
        self,
        key: bytes,
        *,
        by: int = 1,
        count: int = 1,
        start: int = 1,
        bounds: tuple[int, int] | None = None,
        cycle: bool = False,
        catalog_version: int = 0,
    ) -> Future[Counter]:
        """Take `count` steps of a counter, durably; the result holds the last.

        A counter that does not exist hands out `start` first. Fails with CounterExhausted,
        CommitAmbiguous.
        """
        future = self._create_future()
        request = self._request(ops.INCREMENT, future, len(key))
        request.catalog_version = catalog_version
        increment = request.increment
        increment.key = key
        increment.by = by
        increment.start = start
        increment.count = count
        increment.cycle = cycle
        if bounds is not None:
            increment.has_bounds = True
            increment.min, increment.max = bounds
        return future

    def counter_peek(self, key: bytes, *, start: int = 1) -> Future[Counter]:
        """Read a counter without changing it; `start` is told of one that does not exist."""
        future = self._create_future()
        request = self._request(ops.COUNTER_PEEK, future, len(key))
        increment = request.increment
        increment.key = key
        increment.start = start
        increment.peek = True
        return future

    def counter_set(self, key: bytes, value: int, *, is_called: bool = True) -> Future[Counter]:
        """Set a counter; the next step gives `value` again unless `is_called`."""
        future = self._create_future()
        request = self._request(ops.INCREMENT, future, len(key))
        increment = request.increment
        increment.key = key
        increment.start = value
        increment.set = True
        increment.is_called = is_called
        return future
