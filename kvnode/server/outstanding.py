"""Requests of one stream that are answered later, bounded in number and in bytes."""

from collections.abc import Callable
from typing import Final

from kvapi.errors import BadRequest, KvError, Throttled
from kvnode.core import Core

Cancel = Callable[[KvError], None]
_WAIT_MS: Final = 10


class Outstanding:
    """Request id → how to cancel it. The bytes are those of keys that wait with the request.

    Raises Throttled at twice the granted credit (a client that keeps to it is never refused), and
    where the waiting bytes of the stream would exceed their bound, or those of its tenant what it
    may have of the node's.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._requests: dict[int, tuple[Cancel, int]] = {}
        self._bytes = 0
        self.tenant_id = 0

    def __len__(self) -> int:
        return len(self._requests)

    def add(self, request_id: int, cancel: Cancel, size_bytes: int) -> None:
        """Remember a request. Raises: Throttled, BadRequest."""
        core, config = self._core, self._core.config
        if request_id in self._requests:
            raise BadRequest(f"request id {request_id} is already outstanding")
        if len(self._requests) >= 2 * config.credit_requests:
            raise Throttled("more requests are outstanding than were granted")
        if size_bytes:
            if self._bytes + size_bytes > config.request_bytes_max:
                raise Throttled("too many bytes of requests wait on one stream", number=_WAIT_MS)
            if not core.memory.requests.admits(self.tenant_id, size_bytes):
                raise Throttled("too many bytes of the tenant's requests wait", number=_WAIT_MS)
            self._bytes += size_bytes
            core.memory.requests.add(self.tenant_id, size_bytes)
        self._requests[request_id] = cancel, size_bytes

    def get(self, request_id: int) -> Cancel | None:
        """Return how to cancel a request."""
        found = self._requests.get(request_id)
        return None if found is None else found[0]

    def pop(self, request_id: int) -> Cancel | None:
        """Forget a request: it is answered."""
        found = self._requests.pop(request_id, None)
        if found is None:
            return None
        cancel, size_bytes = found
        if size_bytes:
            self._bytes -= size_bytes
            self._core.memory.requests.add(self.tenant_id, -size_bytes)
        return cancel

    def cancel_all(self, error: KvError) -> None:
        """Cancel everything, and forget it."""
        for cancel, _ in list(self._requests.values()):
            cancel(error)
        for request_id in list(self._requests):
            self.pop(request_id)
