"""The client's calls that keep, or ask about, something that is there already."""

import asyncio
from collections.abc import Callable

from kvapi.client import operations as ops
from kvapi.client.request_stream import AnyFuture
from kvapi.client.results import RangeInfo, TxnState
from kvapi.pb import kv_pb2

Future = asyncio.Future


class SmallCalls:
    """The part of `KvClient` that needs nothing but a way to send."""

    _request: Callable[[ops.Operation, AnyFuture, int], kv_pb2.Request]
    _create_future: Callable[[], AnyFuture]

    def protect(self, *, txn_id: bytes, read_ts: int) -> Future[None]:
        """Keep what a snapshot sees until the transaction or the connection ends; 0 gives it up.

        Fails with SnapshotTooOld if it is gone already, ConnectionLost.
        """
        future = self._create_future()
        request = self._request(ops.PROTECT, future, len(txn_id))
        request.txn_id = txn_id
        request.protect.read_ts = read_ts
        return future

    def txn_status(self, txn_id: bytes) -> Future[TxnState]:
        """Ask for the outcome of a transaction."""
        future = self._create_future()
        request = self._request(ops.TXN_STATUS, future, len(txn_id))
        request.txn_status.txn_id = txn_id
        return future

    def ranges(self, start: bytes = b"", *, limit: int = 0) -> Future[list[RangeInfo]]:
        """Ask which ranges the tenant has, from the one that holds `start` on."""
        future = self._create_future()
        request = self._request(ops.RANGES, future, len(start))
        request.ranges.start = start
        request.ranges.limit = limit
        return future
