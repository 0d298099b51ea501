"""Who waits for one key, in order.

**Model.** Those who hold the key already and want more of it (upgrades) stand in front: nobody else
can go first, and they wait for other holders only. Everyone else waits for the holders and for
whoever stands before him in a mode that conflicts with his.

**Concurrency.** Pure; part of the lock table.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum

from kvapi.errors import KvError
from kvnode.txn.lock_modes import Mode, conflict

Owner = Hashable  # a transaction of a stream


def stream_of(owner: Owner) -> object:
    """Return the stream of an owner that has one."""
    return owner[0] if isinstance(owner, tuple) else None


LockSession = Hashable  # what waits as one: the owner, or the session that several owners belong to


class Wait(Enum):
    """What to do at a key that is not free."""

    BLOCK = "block"
    NOWAIT = "nowait"
    SKIP = "skip"


@dataclass(eq=False, slots=True)
class LockRequest:
    """One request; the table moves it along. `error` and `is_settled` are its outcome."""

    owner: Owner
    keys: Sequence[bytes]
    mode: Mode = Mode.EXCLUSIVE
    wait: Wait = Wait.BLOCK
    statement: str = ""
    session: LockSession = None  # None: the owner's, as it was told before
    process: int = 0  # how a deadlock report calls the session
    is_advisory: bool = False  # for the deadlock report
    skipped: set[bytes] = field(default_factory=set)
    error: KvError | None = None
    is_settled: bool = False
    is_upgrade: bool = False
    next_index: int = 0

    @property
    def waits_at(self) -> bytes:
        """The key it waits for. Requires: not settled."""
        return self.keys[self.next_index]


class Ahead:
    """Those before somebody in a queue, as far as it takes to know whether they block him.

    Two sessions of a mode are enough: one of them is not his.
    """

    __slots__ = ("_sessions",)

    def __init__(self) -> None:
        self._sessions: dict[Mode, list[LockSession]] = {}

    def add(self, request: LockRequest) -> None:
        """Put one more before those to come."""
        sessions = self._sessions.setdefault(request.mode, [])
        if len(sessions) < 2 and request.session not in sessions:
            sessions.append(request.session)

    def blocks(self, request: LockRequest) -> bool:
        """Tell whether anyone here stands in the request's way."""
        return any(
            session != request.session
            for mode, sessions in self._sessions.items()
            if conflict(mode, request.mode)
            for session in sessions
        )

    def blocks_all(self, weakest: Mode) -> bool:
        """Tell whether nobody who wants `weakest` or more can pass."""
        return any(
            len(sessions) == 2 and conflict(mode, weakest)
            for mode, sessions in self._sessions.items()
        )


class LockQueue:
    """The requests that wait for one key: upgrades, then the others as they came."""

    __slots__ = ("_counts", "requests")

    def __init__(self) -> None:
        self.requests: list[LockRequest] = []
        self._counts = dict.fromkeys(Mode, 0)

    def add(self, request: LockRequest) -> None:
        """Queue a request up."""
        at = len(self.requests)
        if request.is_upgrade:
            at = sum(1 for other in self.requests if other.is_upgrade)
        self.requests.insert(at, request)
        self._counts[request.mode] += 1

    def remove(self, request: LockRequest) -> None:
        """Take a request out."""
        self.requests.remove(request)
        self._counts[request.mode] -= 1

    def blocks(self, newcomer: LockRequest) -> bool:
        """Tell whether anyone waits already whom a newcomer would overtake."""
        return any(
            conflict(other.mode, newcomer.mode) and other.session != newcomer.session
            for other in self.requests
        )

    def candidates(self) -> Iterator[LockRequest]:
        """Yield, in order, those whom only holders can keep from the key.

        Whoever is granted has to be removed before the next one is asked for.
        """
        ahead, index = Ahead(), 0
        weakest = next((mode for mode, count in self._counts.items() if count), Mode.EXCLUSIVE)
        while index < len(self.requests):
            request = self.requests[index]
            if request.is_upgrade or not ahead.blocks(request):
                yield request
                if index == len(self.requests) or self.requests[index] is not request:
                    continue
            ahead.add(request)
            if not request.is_upgrade and ahead.blocks_all(weakest):
                return
            index += 1


class QueueView:
    """A queue as one search for a circle sees it: who is the next one back that is so strong."""

    def __init__(self, requests: Sequence[LockRequest]) -> None:
        self.requests = requests
        self.indexes = {request: index for index, request in enumerate(requests)}
        self._before: list[list[int]] = [[] for _ in Mode]
        newest = [-1] * len(Mode)
        for index, request in enumerate(requests):
            for least, before in enumerate(self._before):
                before.append(newest[least])
            for least in range(request.mode + 1):
                newest[least] = index

    def in_the_way(self, request: LockRequest) -> Iterator[LockRequest]:
        """Yield those before `request` that block it, as far as needed to reach them all.

        Whoever is blocked by one as strong as himself is blocked through that one by everything
        before it. So it is enough to look back to the nearest such, and a queue of n requests has
        about n edges. Upgrades do not wait for what stands before them.
        """
        if request.is_upgrade:
            return
        before = self._before[max(0, 3 - request.mode)]
        index = self.indexes[request]
        while (index := before[index]) >= 0:
            other = self.requests[index]
            if other.session != request.session:
                yield other
                if other.mode >= request.mode and not other.is_upgrade:
                    return
