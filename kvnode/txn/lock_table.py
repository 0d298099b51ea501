"""Locks: first come, first served, in four modes, with deadlocks found at once.

**Model.** Every locked key has its holders and a queue. A request takes its keys in the order given
and stops at the first that is not free; when that one is granted it goes on. Whoever would wait
first asks: does anyone I would wait for wait, however indirectly, for me? Then the newcomer is
refused (`Deadlock`), because everyone else has waited longer.

Owners are transactions. Several owners may belong to one *session* (its transaction, and what it
holds beyond transactions): they never exclude each other, and the search for circles takes them as
one, for a session does one thing at a time.

**Invariants.** Nobody overtakes: a request waits if a conflicting one is queued before it, except
that a holder's upgrade goes to the front. A request waits at one key at a time. What an owner got
stays its own until `release` or `unlock`, whatever became of the request.

An intent is a lock as well: `intents` knows the keys that large transactions have staged. Such a
key gets an entry here only when somebody has to wait for it.

**Concurrency.** Pure: no clock, no futures. Methods return what was settled by the call, in order;
the caller has the timers and the answers.
"""

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from kvapi.errors import Deadlock, KvError, LockNotAvailable, LockTimeout
from kvnode.txn.held_counts import HeldCounts
from kvnode.txn.lock_modes import Mode, conflict, strongest
from kvnode.txn.lock_queue import LockQueue, LockRequest, LockSession, Owner, QueueView, Wait
from kvnode.txn.lock_report import describe_circle

_ASKED_FIRST: Final = 16  # keys whose intents are looked for at once; then twice as many each time


@dataclass(slots=True)
class _Locked:
    """State of one key that somebody holds or wants."""

    holders: dict[Owner, int] = field(default_factory=dict)  # modes, as bits
    queue: LockQueue | None = None


class IntentLocks(Protocol):
    """Which keys are held by intents, exclusively."""

    def owners_of(self, keys: Sequence[bytes]) -> Mapping[bytes, Owner]:
        """Return whose intents are on those of `keys`, all of one tenant, that have one."""
        ...

    def held_by_others(self, owner: Owner, keys: Sequence[bytes]) -> list[bytes]:
        """Return those of `keys` on which another owner than `owner` has an intent."""
        ...

    def has_intent(self, owner: Owner, key: bytes) -> bool:
        """Tell whether `owner` has an intent on `key` that may still commit."""
        ...


class LockTable:
    """All locks of one store. Owner: the event loop."""

    def __init__(self) -> None:
        self.intents: IntentLocks | None = None  # None while there are none: asking costs
        self._keys: dict[bytes, _Locked] = {}
        self._held: dict[Owner, dict[bytes, None]] = {}  # in order of acquisition
        self.held = HeldCounts()
        self._sessions: dict[Owner, LockSession] = {}  # of owners that are not their own
        self._waiting: dict[LockSession, list[LockRequest]] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def held_count(self, owner: Owner) -> int:
        """Return how many keys `owner` holds."""
        return len(self._held.get(owner, ()))

    def contended(self, owner: Owner, keys: Collection[bytes], mode: Mode) -> list[bytes]:
        """Return those of `keys` that `owner` may not write as if it held them in `mode`.

        What it holds in that mode it may write; of what it does not, nobody else may hold anything.
        """
        found: list[bytes] = []
        if not self._keys.keys().isdisjoint(keys):
            session = self._sessions.get(owner, owner)
            found = [
                key
                for key in self._not_held(owner, keys, mode)
                if self._is_excluded(key, session, Mode.EXCLUSIVE)
            ]
        return found if self.intents is None else found + self._intents_of_others(owner, keys)

    def not_exclusive(self, owner: Owner, keys: Collection[bytes]) -> list[bytes]:
        """Return those of `keys` that `owner` has to lock before it may write an intent.

        Keys that nobody has touched are not among them: the intent itself will be the lock.
        """
        missing = self._not_held(owner, keys, Mode.EXCLUSIVE)
        return missing if self.intents is None else missing + self._intents_of_others(owner, keys)

    def _not_held(self, owner: Owner, keys: Iterable[bytes], mode: Mode) -> list[bytes]:
        locked = self._keys
        return [
            key
            for key in keys
            if (state := locked.get(key)) is not None
            and strongest(state.holders.get(owner, 0)) < mode
        ]

    def hand_to_intents(self, owner: Owner, keys: Iterable[bytes]) -> None:
        """Forget the locks of `owner` on `keys`, which have intents now, where nobody waits."""
        held = self._held.get(owner)
        if not held:
            return
        before = len(held)
        for key in keys:
            if key in held and self._keys[key].queue is None and len(self._keys[key].holders) == 1:
                del held[key]
                del self._keys[key]
        self.held.add(owner, len(held) - before)
        if not held:
            del self._held[owner]

    def _intents_of_others(self, owner: Owner, keys: Collection[bytes]) -> list[bytes]:
        if self.intents is None:
            return []
        return self.intents.held_by_others(owner, [key for key in keys if key not in self._keys])

    def waiting_of(self, owner: Owner) -> Sequence[LockRequest]:
        """Return the requests of `owner` that wait."""
        if not self._waiting:
            return ()
        waiting = self._waiting.get(self._sessions.get(owner, owner), ())
        return [request for request in waiting if request.owner == owner]

    def waiting(self) -> Iterator[LockRequest]:
        """Yield the requests that wait."""
        return itertools.chain.from_iterable(self._waiting.values())

    def waiting_count(self) -> int:
        """Return how many requests wait."""
        return sum(map(len, self._waiting.values()))

    def acquire(self, request: LockRequest) -> bool:
        """Take the request's keys as far as they are free; tell whether it is settled."""
        owner = request.owner
        if request.session is None:
            request.session = self._sessions.get(owner, owner)
        elif request.session != owner:
            self._sessions[owner] = request.session
        self._advance(request)
        return request.is_settled

    def release(self, owner: Owner, *, keys_max: int = 0) -> list[LockRequest]:
        """Free what `owner` holds and waits for; return the requests this settled.

        With `keys_max` no more than so many keys, the last ones first. Requests of the owner itself
        are taken out of their queues and not returned.
        """
        settled: list[LockRequest] = []
        for request in self.waiting_of(owner):
            request.is_settled = True
            self._leave_queue(request)
            self._grant_queue(request.waits_at, settled)
        held = self._held.get(owner)
        if held and 0 < keys_max < len(held):
            keys = [held.popitem()[0] for _ in range(keys_max)]
        else:
            keys = list(self._held.pop(owner, ()))
            self._sessions.pop(owner, None)
        self.held.add(owner, -len(keys))
        for key in keys:
            del self._keys[key].holders[owner]
            self._grant_queue(key, settled)
        return settled

    def unlock(self, owner: Owner, keys: Iterable[bytes], mode: Mode) -> list[LockRequest]:
        """Give one mode of some keys up; return the requests this settled.

        What the owner holds of them in other modes stays, and what it has an intent on; keys it
        does not hold do not matter.
        """
        settled: list[LockRequest] = []
        held, intents = self._held.get(owner, {}), self.intents
        for key in keys:
            if key in held and (intents is None or not intents.has_intent(owner, key)):
                holders = self._keys[key].holders
                holders[owner] &= ~(1 << mode)
                if not holders[owner]:
                    del holders[owner], held[key]
                    self.held.add(owner, -1)
                self._grant_queue(key, settled)
        if not held:
            self._held.pop(owner, None)
        return settled

    def held_keys(self, owner: Owner) -> list[bytes]:
        """Return what `owner` holds, in order of acquisition."""
        return list(self._held.get(owner, ()))

    def expire(self, request: LockRequest) -> list[LockRequest]:
        """Fail a waiting request with LockTimeout; return the others this settled."""
        message = "canceling statement due to lock timeout"
        return self.withdraw(request, LockTimeout(message, key=request.waits_at))

    def withdraw(self, request: LockRequest, error: KvError) -> list[LockRequest]:
        """Fail a waiting request with `error`; return the others this settled."""
        assert not request.is_settled, "only a waiting request can be withdrawn"
        self._leave_queue(request)
        self._settle(request, error)
        settled: list[LockRequest] = []
        self._grant_queue(request.waits_at, settled)
        return settled

    def _advance(self, request: LockRequest) -> None:
        """Take keys until one has to be waited for, all are taken, or the request fails."""
        owners: Mapping[bytes, Owner] = {}
        asked, ask_count = request.next_index, _ASKED_FIRST
        while request.next_index < len(request.keys):
            if request.next_index == asked and self.intents is not None:
                # Not of all the rest: a request that waits at many keys would come here as often.
                owners = self._intent_owners(request.keys[asked : asked + ask_count])
                asked, ask_count = asked + ask_count, 2 * ask_count
            key = request.waits_at
            if not self._try_take(request, key, owners):
                if request.wait is Wait.SKIP:
                    request.skipped.add(key)
                elif request.wait is Wait.NOWAIT:
                    message = "could not obtain lock on row"
                    return self._settle(request, LockNotAvailable(message, key=key))
                else:
                    return self._enqueue(request, key)
            request.next_index += 1
        return self._settle(request, None)

    def _intent_owners(self, keys: Sequence[bytes]) -> Mapping[bytes, Owner]:
        """Return whose intents are on those of `keys` that have no entry here."""
        missing = [key for key in keys if key not in self._keys]
        return self.intents.owners_of(missing) if missing and self.intents is not None else {}

    def _try_take(
        self, request: LockRequest, key: bytes, intent_owners: Mapping[bytes, Owner]
    ) -> bool:
        """Take one key for a request that does not wait for it."""
        locked = self._keys.get(key)
        if locked is None:
            if (intent_owner := intent_owners.get(key)) is None:  # as almost always
                self._keys[key] = _Locked({request.owner: 1 << request.mode})
                self._hold(request.owner, key)
                return True
            if intent_owner != request.owner and request.wait is not Wait.BLOCK:
                return False
            locked = self._enter(intent_owner, key)
        elif locked.queue is None and len(locked.holders) == 1 and request.owner in locked.holders:
            locked.holders[request.owner] |= 1 << request.mode  # nobody else is there
            return True
        if strongest(locked.holders.get(request.owner, 0)) < request.mode:
            if self._is_excluded(key, request.session, request.mode):
                return False
            if (
                locked.queue is not None
                and not self._holds(locked, request.session)
                and locked.queue.blocks(request)
            ):
                return False
        self._take(locked, request, key)
        return True

    def _enter(self, intent_owner: Owner, key: bytes) -> _Locked:
        """Return a new entry for `key`, on which `intent_owner` has an intent."""
        locked = self._keys[key] = _Locked({intent_owner: 1 << Mode.EXCLUSIVE})
        self._hold(intent_owner, key)
        return locked

    def _take(self, locked: _Locked, request: LockRequest, key: bytes) -> None:
        owner = request.owner
        held = locked.holders.get(owner, 0)
        locked.holders[owner] = held | 1 << request.mode
        if not held:
            self._hold(owner, key)

    def _hold(self, owner: Owner, key: bytes) -> None:
        self._held.setdefault(owner, {})[key] = None
        self.held.add(owner, 1)

    def _against(self, key: bytes, session: LockSession, mode: Mode) -> Iterator[LockSession]:
        """Yield the sessions whose holds of `key` exclude `session` from having it in `mode`."""
        sessions = self._sessions
        for holder, modes in self._keys[key].holders.items():
            if conflict(strongest(modes), mode):
                other = sessions.get(holder, holder)
                if other != session:
                    yield other

    def _is_excluded(self, key: bytes, session: LockSession, mode: Mode) -> bool:
        return next(self._against(key, session, mode), None) is not None

    def _holds(self, locked: _Locked, session: LockSession) -> bool:
        holders, sessions = locked.holders, self._sessions
        return session in holders or any(
            sessions.get(holder, holder) == session for holder in holders
        )

    def _enqueue(self, request: LockRequest, key: bytes) -> None:
        locked = self._keys[key]
        if locked.queue is None:
            locked.queue = LockQueue()
        request.is_upgrade = self._holds(locked, request.session)
        locked.queue.add(request)
        self._waiting.setdefault(request.session, []).append(request)
        if (circle := self._find_circle(request)) is not None:
            self._leave_queue(request)
            self._settle(
                request, Deadlock("deadlock detected", key=key, detail=describe_circle(circle))
            )

    def _find_circle(self, start: LockRequest) -> list[LockRequest] | None:
        """Return the waits that lead from `start` back to its session, or None.

        Depth first, without recursion; a session is visited once.
        """
        if not self._is_waited_for(start):
            return None
        queues: dict[bytes, QueueView] = {}
        path = [(start, iter(self._blockers(start, queues)))]
        seen: set[LockSession] = set()
        while path:
            blocker = next(path[-1][1], None)
            if blocker is None:
                path.pop()
            elif blocker == start.session:
                return [request for request, _ in path]
            elif blocker not in seen:
                seen.add(blocker)
                path.extend(
                    (request, iter(self._blockers(request, queues)))
                    for request in self._waiting.get(blocker, ())
                )
        return None

    def _is_waited_for(self, start: LockRequest) -> bool:
        """Tell whether anyone could wait for the session of `start`: mostly nobody."""
        session = start.session
        if start.is_upgrade or len(self._waiting[session]) > 1:
            return True
        return any(
            self._holds(self._keys[request.waits_at], session)
            for waiter, requests in self._waiting.items()
            if waiter != session
            for request in requests
        )

    def _blockers(
        self, request: LockRequest, queues: dict[bytes, QueueView]
    ) -> Iterator[LockSession]:
        """Yield whom `request` waits for, as far as needed to reach them all."""
        key = request.waits_at
        if (view := queues.get(key)) is None:
            queue = self._keys[key].queue
            assert queue is not None, "somebody waits here"
            view = queues[key] = QueueView(list(queue.requests))
        for other in view.in_the_way(request):
            yield other.session
        yield from self._against(key, request.session, request.mode)

    def _grant_queue(self, key: bytes, settled: list[LockRequest]) -> None:
        """Give `key` to those in its queue who may hold it now."""
        locked = self._keys[key]
        if locked.queue is not None:
            for request in locked.queue.candidates():
                if self._is_excluded(key, request.session, request.mode):
                    continue
                self._leave_queue(request)
                self._take(locked, request, key)
                request.next_index += 1
                self._advance(request)
                if request.is_settled:
                    settled.append(request)
            if not locked.queue.requests:
                locked.queue = None
        if not locked.holders and locked.queue is None:
            self._keys.pop(key, None)

    def _leave_queue(self, request: LockRequest) -> None:
        queue = self._keys[request.waits_at].queue
        assert queue is not None, "it waits there"
        queue.remove(request)
        waiting = self._waiting[request.session]
        waiting.remove(request)
        if not waiting:
            del self._waiting[request.session]

    def _settle(self, request: LockRequest, error: KvError | None) -> None:
        request.error = error
        request.is_settled = True
