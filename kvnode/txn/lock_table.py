"""Row locks: first come, first served, shared or exclusive, with deadlocks found at once.

**Model.** Every locked key has its holders and a queue. A request takes its keys in the order given
and stops at the first that is not free; when that one is granted it goes on. Whoever would wait
first asks: does anyone I would wait for wait, however indirectly, for me? Then the newcomer is
refused (`Deadlock`), because everyone else has waited longer.

**Invariants.** Nobody overtakes: a request waits if an incompatible one is queued before it, except
that a holder's upgrade goes to the front. A request waits at one key at a time. What an owner got
stays its own until `release`, whatever became of the request.

An intent is a lock as well: `intents` knows the keys that large transactions have staged. Such a
key gets an entry here only when somebody has to wait for it.

**Concurrency.** Pure: no clock, no futures. Methods return what was settled by the call, in order;
the caller has the timers and the answers.
"""

from collections import deque
from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from kvapi.errors import Deadlock, KvError, LockNotAvailable, LockTimeout

Owner = Hashable  # a transaction of a stream


class Mode(Enum):
    """How much of a key a lock takes."""

    SHARED = "shared"
    EXCLUSIVE = "exclusive"


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
    skipped: set[bytes] = field(default_factory=set)
    error: KvError | None = None
    is_settled: bool = False
    next_index: int = 0

    @property
    def waits_at(self) -> bytes:
        """The key it waits for. Requires: not settled."""
        return self.keys[self.next_index]


@dataclass(slots=True)
class _Locked:
    """State of one key that somebody holds or wants."""

    holders: dict[Owner, Mode] = field(default_factory=dict)
    queue: deque[LockRequest] = field(default_factory=deque)

    def admits(self, owner: Owner, mode: Mode) -> bool:
        """Tell whether `owner` could hold the key in `mode` beside its present holders."""
        others = [held for holder, held in self.holders.items() if holder != owner]
        return not others or (mode is Mode.SHARED and all(held is Mode.SHARED for held in others))


class IntentLocks(Protocol):
    """Which keys are held by intents, exclusively."""

    def owner_of(self, key: bytes) -> Owner | None:
        """Return whose intent is on `key`."""
        ...

    def held_by_others(self, owner: Owner, keys: Sequence[bytes]) -> list[bytes]:
        """Return those of `keys` on which another owner than `owner` has an intent."""
        ...


class _Queue:
    """A key's queue as one search for a circle sees it."""

    def __init__(self, requests: list[LockRequest]) -> None:
        self.requests = requests
        self.indexes = {request: index for index, request in enumerate(requests)}
        self.exclusive_before: list[int] = []
        newest = -1
        for index, request in enumerate(requests):
            self.exclusive_before.append(newest)
            if request.mode is Mode.EXCLUSIVE:
                newest = index


class LockTable:
    """All row locks of one store. Owner: the event loop."""

    def __init__(self) -> None:
        self.intents: IntentLocks | None = None  # None while there are none: asking costs
        self._keys: dict[bytes, _Locked] = {}
        self._held: dict[Owner, dict[bytes, None]] = {}  # in order of acquisition
        self._waiting: dict[Owner, list[LockRequest]] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def held_count(self, owner: Owner) -> int:
        """Return how many keys `owner` holds."""
        return len(self._held.get(owner, ()))

    def held_by_others(self, owner: Owner, keys: Collection[bytes]) -> list[bytes]:
        """Return those of `keys` that someone else holds."""
        locked = self._keys
        held = [
            key
            for key in keys
            if (state := locked.get(key)) is not None
            and any(holder != owner for holder in state.holders)
        ]
        return held if self.intents is None else held + self._intents_of_others(owner, keys)

    def not_exclusive(self, owner: Owner, keys: Collection[bytes]) -> list[bytes]:
        """Return those of `keys` that `owner` has to lock before it may write an intent.

        Keys that nobody has touched are not among them: the intent itself will be the lock.
        """
        locked = self._keys
        missing = [
            key
            for key in keys
            if (state := locked.get(key)) is not None
            and state.holders.get(owner) is not Mode.EXCLUSIVE
        ]
        return missing if self.intents is None else missing + self._intents_of_others(owner, keys)

    def hand_to_intents(self, owner: Owner, keys: Iterable[bytes]) -> None:
        """Forget the locks of `owner` on `keys`, which have intents now, where nobody waits."""
        held = self._held.get(owner)
        if not held:
            return
        for key in keys:
            if key in held and not self._keys[key].queue:
                del held[key]
                del self._keys[key]
        if not held:
            del self._held[owner]

    def _intents_of_others(self, owner: Owner, keys: Collection[bytes]) -> list[bytes]:
        if self.intents is None:
            return []
        return self.intents.held_by_others(owner, [key for key in keys if key not in self._keys])

    def waiting_of(self, owner: Owner) -> Sequence[LockRequest]:
        """Return the requests of `owner` that wait."""
        return self._waiting.get(owner, ())

    def waiting_count(self) -> int:
        """Return how many requests wait."""
        return sum(map(len, self._waiting.values()))

    def acquire(self, request: LockRequest) -> bool:
        """Take the request's keys as far as they are free; tell whether it is settled."""
        self._advance(request)
        return request.is_settled

    def release(self, owner: Owner) -> list[LockRequest]:
        """Free everything `owner` holds or waits for; return the requests this settled.

        Requests of the owner itself are taken out of their queues and not returned.
        """
        settled: list[LockRequest] = []
        for request in self._waiting.pop(owner, ()):
            request.is_settled = True
            self._leave_queue(request)
            self._grant_queue(request.waits_at, settled)
        for key in self._held.pop(owner, ()):
            del self._keys[key].holders[owner]
            self._grant_queue(key, settled)
        return settled

    def expire(self, request: LockRequest) -> list[LockRequest]:
        """Fail a waiting request with LockTimeout; return the others this settled."""
        message = "canceling statement due to lock timeout"
        return self.withdraw(request, LockTimeout(message, key=request.waits_at))

    def withdraw(self, request: LockRequest, error: KvError) -> list[LockRequest]:
        """Fail a waiting request with `error`; return the others this settled."""
        assert not request.is_settled, "only a waiting request can be withdrawn"
        self._leave_queue(request)
        self._stop_waiting(request)
        self._settle(request, error)
        settled: list[LockRequest] = []
        self._grant_queue(request.waits_at, settled)
        return settled

    def _advance(self, request: LockRequest) -> None:
        """Take keys until one has to be waited for, all are taken, or the request fails."""
        while request.next_index < len(request.keys):
            key = request.waits_at
            if not self._try_take(request, key):
                if request.wait is Wait.SKIP:
                    request.skipped.add(key)
                elif request.wait is Wait.NOWAIT:
                    message = "could not obtain lock on row"
                    return self._settle(request, LockNotAvailable(message, key=key))
                else:
                    return self._enqueue(request, key)
            request.next_index += 1
        return self._settle(request, None)

    def _try_take(self, request: LockRequest, key: bytes) -> bool:
        locked = self._keys.get(key)
        if locked is None:
            locked = self._enter(request, key)
            if locked is None:
                return False
        held = locked.holders.get(request.owner)
        if held is Mode.EXCLUSIVE or held is request.mode:
            return True
        if not locked.admits(request.owner, request.mode):
            return False
        if held is None and self._queued_before(locked, request):
            return False
        locked.holders[request.owner] = request.mode
        self._held.setdefault(request.owner, {})[key] = None
        return True

    def _enter(self, request: LockRequest, key: bytes) -> _Locked | None:
        """Return a new entry for `key`; None if an intent is on it and nobody will wait for it."""
        owner = None if self.intents is None else self.intents.owner_of(key)
        if owner not in (None, request.owner) and request.wait is not Wait.BLOCK:
            return None
        locked = self._keys[key] = _Locked()
        if owner is not None:
            locked.holders[owner] = Mode.EXCLUSIVE
            self._held.setdefault(owner, {})[key] = None
        return locked

    def _queued_before(self, locked: _Locked, request: LockRequest) -> bool:
        for other in locked.queue:
            if other is request:
                return False
            if Mode.EXCLUSIVE in (other.mode, request.mode) and other.owner != request.owner:
                return True
        return False

    def _enqueue(self, request: LockRequest, key: bytes) -> None:
        locked = self._keys[key]
        if request.owner in locked.holders:
            locked.queue.appendleft(request)  # an upgrade: nobody else can go first
        else:
            locked.queue.append(request)
        self._waiting.setdefault(request.owner, []).append(request)
        if (circle := self._find_circle(request)) is not None:
            self._leave_queue(request)
            self._stop_waiting(request)
            self._settle(request, Deadlock("deadlock detected", key=key, detail=_describe(circle)))

    def _find_circle(self, start: LockRequest) -> list[LockRequest] | None:
        """Return the waits that lead from `start` back to its owner, or None.

        Depth first, without recursion; an owner is visited once.
        """
        if not self._is_waited_for(start):
            return None
        queues: dict[bytes, _Queue] = {}
        path = [(start, iter(self._blockers(start, queues)))]
        seen: set[Owner] = set()
        while path:
            blocker = next(path[-1][1], None)
            if blocker is None:
                path.pop()
            elif blocker == start.owner:
                return [request for request, _ in path]
            elif blocker not in seen:
                seen.add(blocker)
                path.extend(
                    (request, iter(self._blockers(request, queues)))
                    for request in self._waiting.get(blocker, ())
                )
        return None

    def _is_waited_for(self, start: LockRequest) -> bool:
        """Tell whether anyone could wait for the owner of `start`: mostly nobody, and no circle."""
        owner = start.owner
        if len(self._waiting[owner]) > 1:
            return True
        return owner in self._held and any(
            owner in self._keys[request.waits_at].holders
            for waiter, requests in self._waiting.items()
            if waiter != owner
            for request in requests
        )

    def _blockers(self, request: LockRequest, queues: dict[bytes, _Queue]) -> list[Owner]:
        """Return whom `request` waits for, as far as needed to reach them all.

        Whoever is behind an exclusive request waits through it for everything before it. So it is
        enough to look back to the nearest one, and a queue of n requests has about n edges.
        """
        key = request.waits_at
        queue = queues.get(key)
        if queue is None:
            queue = queues[key] = _Queue(list(self._keys[key].queue))
        is_shared = request.mode is Mode.SHARED
        blockers: list[Owner] = []
        index = queue.indexes[request]
        while (index := queue.exclusive_before[index] if is_shared else index - 1) >= 0:
            other = queue.requests[index]
            if other.owner != request.owner:
                blockers.append(other.owner)
                if other.mode is Mode.EXCLUSIVE:
                    return blockers
        blockers.extend(
            holder
            for holder, held in self._keys[key].holders.items()
            if holder != request.owner and Mode.EXCLUSIVE in (held, request.mode)
        )
        return blockers

    def _grant_queue(self, key: bytes, settled: list[LockRequest]) -> None:
        """Give `key` to the requests at the front of its queue, as many as may hold it."""
        locked = self._keys[key]
        while locked.queue and self._try_take(locked.queue[0], key):
            request = locked.queue.popleft()
            self._stop_waiting(request)
            request.next_index += 1
            self._advance(request)
            if request.is_settled:
                settled.append(request)
        if not locked.holders and not locked.queue:
            self._keys.pop(key, None)

    def _leave_queue(self, request: LockRequest) -> None:
        self._keys[request.waits_at].queue.remove(request)

    def _stop_waiting(self, request: LockRequest) -> None:
        waiting = self._waiting[request.owner]
        waiting.remove(request)
        if not waiting:
            del self._waiting[request.owner]

    def _settle(self, request: LockRequest, error: KvError | None) -> None:
        request.error = error
        request.is_settled = True


def _describe(circle: list[LockRequest]) -> str:
    """Say who waits for whom; the first is the victim."""
    lines = []
    for index, request in enumerate(circle):
        then = circle[(index + 1) % len(circle)]
        mode = request.mode.value
        lines.append(
            f"Transaction {index + 1} waits for the {mode} lock held or awaited by transaction "
            f"{circle.index(then) + 1}: {request.statement or '(statement unknown)'}"
        )
    return "\n".join(lines)
