"""Taking locks, and giving them up before the transaction ends."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Literal

from kvapi.client import operations as ops
from kvapi.client.catalog_calls import Relations
from kvapi.client.request_stream import AnyFuture, RequestStream
from kvapi.client.results import MultiGot
from kvapi.client.txn_ties import TxnTies, broken_error
from kvapi.pb import kv_pb2

Future = asyncio.Future
LockWait = Literal["block", "nowait", "skip"]
LockMode = Literal["exclusive", "shared", "no key exclusive", "key shared"]
_LOCK_WAITS: Final = {
    "block": kv_pb2.BLOCK,
    "nowait": kv_pb2.NOWAIT,
    "skip": kv_pb2.SKIP_LOCKED,
}
_LOCK_MODES: Final = {
    "exclusive": kv_pb2.EXCLUSIVE,
    "shared": kv_pb2.SHARED,
    "no key exclusive": kv_pb2.NO_KEY_EXCLUSIVE,
    "key shared": kv_pb2.KEY_SHARED,
}
Long = Callable[[ops.Operation, int], tuple[AnyFuture, kv_pb2.Request]]
"""Start a request that may take long."""


class LockCalls:
    """The lock operations of one client."""

    def __init__(self, stream: RequestStream, ties: TxnTies, long: Long) -> None:
        self._stream = stream
        self._ties = ties
        self._long = long
        self._create_future = asyncio.get_running_loop().create_future

    def lock(  # noqa: PLR0913  the operation of the contract, field by field
        self,
        keys: Sequence[bytes],
        *,
        txn_id: bytes,
        catalog_version: int = 0,
        relations: Relations = (),
        mode: LockMode = "exclusive",
        wait: LockWait = "block",
        timeout_ms: int = 0,
        statement: str = "",
        session: bytes = b"",
        is_advisory: bool = False,
    ) -> Future[MultiGot]:
        """Lock rows in the order given and read their newest durable values.

        Locks of one `session` never exclude each other. Advisory keys have no values. Fails with
        LockTimeout, LockNotAvailable, Deadlock, ConnectionLost.
        """
        if self._ties.is_broken(txn_id):
            return self._failed()
        self._ties.tie(txn_id)
        size = ops.keys_bytes(keys) + 4 * len(statement)
        future, request = self._long(ops.LOCK, size)
        request.txn_id = txn_id
        request.catalog_version = catalog_version
        request.relations.extend(relations)
        lock = request.lock
        lock.keys.extend(keys)
        lock.mode = _LOCK_MODES[mode]
        lock.wait = _LOCK_WAITS[wait]
        lock.timeout_ms = timeout_ms
        lock.statement = statement
        lock.session = session
        if is_advisory:
            lock.space = kv_pb2.ADVISORY
        return future

    def unlock(
        self,
        keys: Sequence[bytes],
        *,
        txn_id: bytes,
        mode: LockMode = "exclusive",
        is_advisory: bool = False,
    ) -> Future[None]:
        """Give one mode of some locks up before the transaction ends; no keys: all of the space."""
        future = self._create_future()
        if self._ties.is_broken(txn_id):
            future.set_result(None)  # the end of the stream freed them
            return future
        request = self._stream.request(ops.UNLOCK, future, ops.keys_bytes(keys))
        request.txn_id = txn_id
        unlock = request.unlock
        unlock.keys.extend(keys)
        unlock.mode = _LOCK_MODES[mode]
        unlock.space = kv_pb2.ADVISORY if is_advisory else kv_pb2.ROWS
        return future

    def _failed(self) -> AnyFuture:
        future = self._create_future()
        future.set_exception(broken_error())
        return future
