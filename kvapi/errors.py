"""The KV error taxonomy: one class for each way in which a request can fail.

**Model.** `code` is the number in `proto/kv.proto` (ErrorCode); `kvapi/wire.py` translates. Classes
without a code arise in the client only. `number` carries what the class says below, `key` is
without its tenant prefix.

**Invariants.** `retryable` means: the same transaction, run again from its start, may succeed. A
request that failed with a class other than `CommitAmbiguous` had no effect.
"""

from typing import ClassVar


class KvError(Exception):
    """Base of everything that a KV request raises."""

    code: ClassVar[int | None] = None
    retryable: ClassVar[bool] = False

    def __init__(
        self, message: str = "", *, key: bytes = b"", number: int = 0, detail: str = ""
    ) -> None:
        super().__init__(message)
        self.message = message
        self.key = key
        self.number = number
        self.detail = detail


class InternalError(KvError):
    """A bug in the KV node; the message is for its operator."""

    code = 0


class WriteConflict(KvError):
    """Something in the footprint changed after read_ts; `key` is one such key."""

    code = 1
    retryable = True


class SchemaChanged(KvError):
    """Planned against another catalog version; `number` is the current one. Reload, retry."""

    code = 2
    retryable = True


class LockTimeout(KvError):
    """The lock on `key` was not free within the request's timeout."""

    code = 3


class LockNotAvailable(KvError):
    """NOWAIT, and `key` is locked."""

    code = 4


class Deadlock(KvError):
    """Waiting would close a circle; `detail` names the statements in it."""

    code = 5
    retryable = True


class KeyExists(KvError):
    """A key that must be absent at commit exists; `key` is the first such key."""

    code = 6


class KeyTooLong(KvError):
    """`key` is longer than the store can hold; `number` is the limit in bytes, prefix taken off."""

    code = 7


class RequestTooLarge(KvError):
    """A frame, a batch or the staged bytes exceed their limit; `number` is the limit in bytes."""

    code = 8


class TenantSuspended(KvError):
    """The operator suspended the tenant."""

    code = 9


class TenantUnknown(KvError):
    """No such tenant, or it was dropped."""

    code = 10


class CredentialRefused(KvError):
    """No, malformed, forged, expired or another cluster's credential; the message says which."""

    code = 11


class Throttled(KvError):
    """Too much outstanding; `number` is a proposed wait in milliseconds, 0 if there is none.

    With `detail` REPEAT nothing has happened, and a transaction that commits keeps what it holds:
    the client sends the request again after that wait.
    """

    REPEAT: ClassVar[str] = "repeat"
    code = 12
    retryable = True


class NotLeaseholder(KvError):
    """Another node serves this key."""

    code = 13
    retryable = True


class SnapshotTooOld(KvError):
    """read_ts lies before the garbage collection threshold, which is `number`."""

    code = 14
    retryable = True


class DiskFull(KvError):
    """The store cannot grow; reads go on."""

    code = 15


class Cancelled(KvError):
    """The client cancelled the request."""

    code = 16


class BadRequest(KvError):
    """The request breaks the contract: a bug in the client, or no client of ours."""

    code = 17


class CounterExhausted(KvError):
    """The counter reached its bound (`number`, 64 bit two's complement) and does not cycle."""

    code = 18


class ShuttingDown(KvError):
    """The node is draining; reconnect."""

    code = 19
    retryable = True


class ConnectionLost(KvError):
    """The stream broke under a request that had no lasting effect; its locks are gone."""

    retryable = True


class CommitAmbiguous(KvError):
    """The stream broke under a commit or an increment, and its outcome could not be learned."""


class Unavailable(KvError):
    """No connection to the KV node within the configured wait."""


class SpansNodes(KvError):
    """The transaction would need ranges of several KV nodes; nothing has happened."""


BY_CODE: dict[int, type[KvError]] = {
    cls.code: cls for cls in KvError.__subclasses__() if cls.code is not None
}
