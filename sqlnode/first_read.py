"""The first read of a transaction fixes its snapshot; reads that start beside it wait for that."""

import asyncio
from typing import Protocol


class Snapshot(Protocol):
    """The transaction, as this gate sees it."""

    read_ts: int  # 0 until the first read's answer


class FirstRead:
    """Lets one read at a time out without a snapshot, so that two cannot take different ones."""

    def __init__(self) -> None:
        self._answer: asyncio.Future[None] | None = None

    async def begin(self, txn: Snapshot) -> None:
        """Return when there is a snapshot, or when the caller is to take it and then call `end`."""
        while not txn.read_ts and self._answer is not None:
            await asyncio.shield(self._answer)
        if not txn.read_ts:
            self._answer = asyncio.get_running_loop().create_future()

    def end(self) -> None:
        """Let the others go on; whoever finds no snapshot still is the next to take it."""
        if self._answer is not None:
            answer, self._answer = self._answer, None
            answer.set_result(None)
