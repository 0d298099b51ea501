"""How many keys the owners of each stream hold in the lock table."""

from kvnode.txn.lock_queue import Owner, stream_of


class HeldCounts:
    """Stream → count. Owner: the lock table."""

    __slots__ = ("by_stream",)

    def __init__(self) -> None:
        self.by_stream: dict[object, int] = {}

    def add(self, owner: Owner, more: int) -> None:
        """Count more, or less."""
        stream = stream_of(owner)
        if count := self.by_stream.get(stream, 0) + more:
            self.by_stream[stream] = count
        else:
            self.by_stream.pop(stream, None)
