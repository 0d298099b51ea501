"""What goes through group commit to see when what was there before it has its outcome."""

from collections.abc import Callable

from kvapi.errors import KvError
from kvnode.storage.engine import WriteTxn


class Marker:
    """Writes nothing; its callback runs when it is its turn."""

    tenant_id = -1
    size_bytes = 0
    cpu_s = 0.0
    is_regular = needs_sync = False

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback = callback

    def apply(self, txn: WriteTxn) -> None:
        """Write nothing."""

    def finish(self, error: KvError | None) -> None:
        del error  # whatever became of the others, they have their outcome now
        self._callback()


class BulkMarker(Marker):
    """The same among bulk operations of a tenant."""

    is_bulk = True

    def __init__(self, tenant_id: int, callback: Callable[[], None]) -> None:
        super().__init__(callback)
        self.tenant_id = tenant_id
