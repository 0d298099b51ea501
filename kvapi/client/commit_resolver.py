"""Learns what became of commits that were on their way when the connection broke.

**Model.** The status request waits for the next connection like any read. COMMITTED ends the commit
well; UNKNOWN is the node's promise that it never will happen, so the client may run the transaction
again; without an answer in time the outcome stays unknown: CommitAmbiguous.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from kvapi.client.results import TxnOutcome, TxnState
from kvapi.errors import CommitAmbiguous, ConnectionLost, KvError

_POLL_S: Final = 0.05


class CommitResolver:
    """Owns one task for each unresolved commit; bounded by the requests that were outstanding."""

    def __init__(
        self, ask: Callable[[bytes], "asyncio.Future[TxnState]"], *, wait_s_max: float
    ) -> None:
        self._ask = ask
        self._wait_s_max = wait_s_max
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()

    def resolve(self, commit: "asyncio.Future[Any]", txn_id: bytes) -> None:
        """End the future `commit` when the outcome is known."""
        task = self._loop.create_task(self._resolve(commit, txn_id), name="kv-resolve-commit")
        self._tasks.add(task)

        def ended(task: "asyncio.Task[None]") -> None:
            self._tasks.discard(task)
            if not commit.done():  # closed, perhaps before the task's first step
                _finish(commit, None)

        task.add_done_callback(ended)

    async def close(self) -> None:
        """Give up; what is unresolved is ambiguous."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _resolve(self, commit: "asyncio.Future[Any]", txn_id: bytes) -> None:
        try:
            async with asyncio.timeout(self._wait_s_max):
                state = await self._outcome(txn_id)
        except (KvError, TimeoutError):
            return  # `ended` says so
        if not commit.done():
            _finish(commit, state)

    async def _outcome(self, txn_id: bytes) -> TxnState:
        state = await self._ask(txn_id)
        while state.state is TxnOutcome.IN_FLIGHT:
            await asyncio.sleep(_POLL_S)
            state = await self._ask(txn_id)
        return state


def _finish(commit: "asyncio.Future[Any]", state: TxnState | None) -> None:
    if state is None:
        message = "connection lost during the commit, and its outcome could not be learned"
        commit.set_exception(CommitAmbiguous(message))
    elif state.state is TxnOutcome.COMMITTED:
        commit.set_result(state.commit_ts)
    else:
        lost = ConnectionLost("connection lost before the commit, which did not happen")
        commit.set_exception(lost)
