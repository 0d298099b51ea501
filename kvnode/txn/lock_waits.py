"""The lock table with time and answers: who waited is called back, who waited too long is told."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final

from kvapi.errors import KvError
from kvnode.txn.lock_modes import Mode
from kvnode.txn.lock_queue import LockRequest, Owner
from kvnode.txn.lock_table import LockTable

Settled = Callable[[LockRequest], Any]
_RELEASE_KEYS_MAX: Final = 2_048  # in one turn of the loop


class LockWaits:
    """Runs a `LockTable` on the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.table = LockTable()
        self._callbacks: dict[LockRequest, Settled] = {}
        self._timers: dict[LockRequest, asyncio.TimerHandle] = {}
        self._releasing: set[Owner] = set()  # ended, but they still hold many

    def acquire(self, request: LockRequest, on_settled: Settled, *, timeout_s: float = 0) -> None:
        """Call `on_settled` once: when all keys are held, or with `request.error`."""
        if request.owner in self._releasing:  # the same again: what it takes now is its own
            self._releasing.discard(request.owner)
            self._answer(self.table.release(request.owner))
        if self.table.acquire(request):
            on_settled(request)
            return
        self._callbacks[request] = on_settled
        if timeout_s:
            self._timers[request] = self._loop.call_later(timeout_s, self._expire, request)

    def release(self, owner: Owner) -> None:
        """Free what `owner` holds and waits for. Its own waiting requests are not called back.

        What takes longer than a turn of the loop should goes on in the next ones.
        """
        for request in self.table.waiting_of(owner):
            self._forget(request)
        if self.table.held_count(owner) > _RELEASE_KEYS_MAX:
            self._releasing.add(owner)
            self._release_some(owner)
        else:
            self._answer(self.table.release(owner))

    def _release_some(self, owner: Owner) -> None:
        if owner not in self._releasing:
            return
        settled = self.table.release(owner, keys_max=_RELEASE_KEYS_MAX)
        if self.table.held_count(owner):
            self._loop.call_soon(self._release_some, owner)
        else:
            self._releasing.discard(owner)
        self._answer(settled)

    def unlock(self, owner: Owner, keys: Iterable[bytes], mode: Mode) -> None:
        """Give one mode of some keys up before the owner ends."""
        self._answer(self.table.unlock(owner, keys, mode))

    def withdraw(self, request: LockRequest, error: KvError) -> None:
        """Fail a request if it still waits."""
        if request in self._callbacks:
            self._answer([*self.table.withdraw(request, error), request])

    def _expire(self, request: LockRequest) -> None:
        if request in self._callbacks:
            self._answer([*self.table.expire(request), request])

    def _answer(self, settled: Iterable[LockRequest]) -> None:
        callbacks = [(request, self._forget(request)) for request in settled]
        for request, callback in callbacks:
            if callback is not None:
                callback(request)

    def _forget(self, request: LockRequest) -> Settled | None:
        if (timer := self._timers.pop(request, None)) is not None:
            timer.cancel()
        return self._callbacks.pop(request, None)
