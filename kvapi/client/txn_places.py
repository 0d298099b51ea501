"""On which node a transaction has its locks and intents, seen by a client of several nodes.

**Invariants.** Locks and intents on rows are on one node: what would need a second one fails, by
name if the transaction's keys lie on several nodes, and as a lost connection (so that it is tried
again) if the range moved away from under its locks. Advisory locks are the home node's always.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from kvapi.client.request_stream import RequestStream
from kvapi.errors import ConnectionLost, SpansNodes


class _Place(NamedTuple):
    """`key` is one that the transaction locked or staged; None: not known."""

    address: str
    loss_count: int
    key: bytes | None


class TxnPlaces:
    """Transactions under way, bounded by what the nodes allow to hold locks."""

    def __init__(
        self, home: str, stream: Callable[[str], RequestStream], holder: Callable[[bytes], str]
    ) -> None:
        self._home = home
        self._stream = stream
        self._holder = holder
        self._places: dict[bytes, _Place] = {}
        self._advisory: set[bytes] = set()

    def are_at_home(self) -> bool:
        """Tell whether no transaction relies on another node."""
        return all(place.address == self._home for place in self._places.values())

    def wake(self, tied: Iterable[bytes]) -> None:
        """Note the transactions that relied on the home node before one looked."""
        for txn_id in tied:
            self._places[txn_id] = _Place(self._home, self._stream(self._home).loss_count, None)

    def clear(self) -> None:
        """Forget everything: from now on all is the home node's."""
        self._places.clear()
        self._advisory.clear()

    def tie(self, txn_id: bytes, address: str, key: bytes | None) -> None:
        """Note that the transaction takes locks or leaves intents on a node."""
        if txn_id not in self._places:
            self._places[txn_id] = _Place(address, self._stream(address).loss_count, key)

    def tie_advisory(self, txn_id: bytes) -> None:
        """Note an advisory lock."""
        self._advisory.add(txn_id)

    def check(self, txn_id: bytes, address: str) -> None:
        """Refuse a second node. Raises: SpansNodes, ConnectionLost."""
        place = self._places.get(txn_id)
        if place is None:
            return
        if self._stream(place.address).loss_count != place.loss_count:
            raise ConnectionLost("the connection that held the transaction's locks was lost")
        if place.address == address:
            return
        if place.key is None or self._holder(place.key) != place.address:
            raise ConnectionLost("the range that held the transaction's locks has moved")
        raise spans_nodes()

    def address_of(self, txn_id: bytes) -> str:
        """Return where the transaction has locks or intents; the home node if nowhere."""
        place = self._places.get(txn_id)
        return self._home if place is None else place.address

    def end(self, txn_id: bytes, address: str) -> bool:
        """Forget a transaction that ends at `address`; tell whether it has to end at home too."""
        self._places.pop(txn_id, None)
        has_advisory = txn_id in self._advisory
        self._advisory.discard(txn_id)
        return has_advisory and address != self._home


def spans_nodes() -> SpansNodes:
    """Return the error of a transaction that would need several nodes."""
    return SpansNodes("a transaction over ranges of several KV nodes")
