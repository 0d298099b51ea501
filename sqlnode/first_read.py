"""The snapshot of a transaction: its first read fixes it; reads that start beside it wait."""

import asyncio
from collections.abc import Awaitable, Callable


class Snapshot:
    """`read_ts` is 0 until the first read's answer.

    Shared by all views of one transaction, in READ COMMITTED by those of one statement.
    """

    def __init__(self, read_ts: int = 0) -> None:
        self.read_ts = read_ts
        self.is_fixed = False  # REPEATABLE READ: an earlier statement took it
        self.take: Callable[[], Awaitable[int]] | None = None  # asked instead of the first read
        self._answer: asyncio.Future[None] | None = None

    def renewed(self) -> "Snapshot":
        """Return the one of the next statement; who reads at this one goes on with it."""
        made = Snapshot()
        made.take = self.take
        return made

    async def begin(self) -> bool:
        """Return when there is a snapshot; True: the caller is to take it, and then call `end`.

        Lets one read at a time out without a snapshot, so that two cannot take different ones.
        """
        while not self.read_ts and self._answer is not None:
            await asyncio.shield(self._answer)
        if self.read_ts:
            return False
        self._answer = asyncio.get_running_loop().create_future()
        if self.take is None:
            return True
        try:
            self.read_ts = await self.take()
        finally:
            self.end()
        return False

    def end(self) -> None:
        """Let the others go on; whoever finds no snapshot still is the next to take it."""
        if self._answer is not None:
            answer, self._answer = self._answer, None
            answer.set_result(None)
