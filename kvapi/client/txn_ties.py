"""Which transactions rely on the present stream, and which lost theirs.

**Invariants.** A transaction is in `_tied` from its first lock or staged write until its commit or
rollback is sent. If the stream breaks in between it is *broken* until its rollback.
"""

from kvapi.client.request_stream import RequestStream
from kvapi.errors import ConnectionLost


class TxnTies:
    """Tells broken transactions from others."""

    def __init__(self, stream: RequestStream) -> None:
        self._stream = stream
        self._tied: set[bytes] = set()
        self._broken: set[bytes] = set()
        self._loss_count = stream.loss_count

    def tie(self, txn_id: bytes) -> None:
        """Note a lock or a staged write."""
        self._tied.add(txn_id)

    def untie(self, txn_id: bytes) -> None:
        """Note the commit."""
        self._tied.discard(txn_id)

    def forget(self, txn_id: bytes) -> bool:
        """Note the rollback; True if the transaction was broken, so that there is none to send."""
        was_broken = self.is_broken(txn_id)
        self._tied.discard(txn_id)
        self._broken.discard(txn_id)
        return was_broken

    def tied(self) -> list[bytes]:
        """Return the transactions that rely on the present stream."""
        return list(self._tied)

    def is_broken(self, txn_id: bytes) -> bool:
        """Tell whether the transaction lost its locks or staged writes."""
        if self._loss_count != self._stream.loss_count:
            self._loss_count = self._stream.loss_count
            self._broken |= self._tied
            self._tied.clear()
        return txn_id in self._broken


def broken_error() -> ConnectionLost:
    """Return what every request of a broken transaction fails with."""
    return ConnectionLost("the connection that held the transaction's locks was lost")
