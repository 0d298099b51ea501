"""The lock table against a naive one: no circle is missed, nobody is forgotten."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from kvnode.txn.lock_modes import Mode, conflict, strongest
from kvnode.txn.lock_queue import LockRequest, Wait
from kvnode.txn.lock_table import LockTable

OWNERS = st.integers(0, 7)
KEYS = st.lists(st.sampled_from([b"a", b"b", b"c"]), min_size=1, max_size=3)
MODES = st.sampled_from(Mode)
SESSIONS = {6: 5, 7: 5}  # three owners are one session


def session_of(owner):
    return SESSIONS.get(owner, owner)


class LockMachine(RuleBasedStateMachine):
    """Random requests and releases; each session has at most one waiting request."""

    def __init__(self):
        super().__init__()
        self.table = LockTable()
        self.waiting = {}  # by session

    def settled(self, requests):
        for request in requests:
            assert self.waiting.pop(session_of(request.owner)) is request

    @rule(
        owner=OWNERS,
        keys=KEYS,
        mode=MODES,
        wait=st.sampled_from([Wait.BLOCK, Wait.BLOCK, Wait.SKIP, Wait.NOWAIT]),
    )
    def acquire(self, owner, keys, mode, wait):
        session = session_of(owner)
        if session in self.waiting:
            return
        request = LockRequest(owner, keys, mode, wait, session=session)
        if not self.table.acquire(request):
            self.waiting[session] = request

    @rule(owner=OWNERS)
    def release(self, owner):
        request = self.waiting.get(session_of(owner))
        if request is not None and request.owner == owner:
            del self.waiting[session_of(owner)]
        self.settled(self.table.release(owner))

    @rule(owner=OWNERS, keys=KEYS, mode=MODES)
    def unlock(self, owner, keys, mode):
        self.settled(self.table.unlock(owner, keys, mode))

    @rule(owner=OWNERS)
    def expire(self, owner):
        if (request := self.waiting.pop(session_of(owner), None)) is not None:
            self.settled(self.table.expire(request))

    def holds(self, key):
        locked = self.table._keys.get(key)
        return [(o, strongest(modes)) for o, modes in (locked.holders if locked else {}).items()]

    @invariant()
    def holders_are_compatible(self):
        for key, locked in self.table._keys.items():
            holds = self.holds(key)
            for owner, mode in holds:
                assert mode >= 0, "an owner without a mode"
                for other, held in holds:
                    assert session_of(owner) == session_of(other) or not conflict(mode, held)
            assert locked.holders or not locked.queue, "a free key with waiters is a lost wake-up"

    @invariant()
    def nobody_waits_for_nothing(self):
        for session, request in self.waiting.items():
            assert self.naive_blockers(request), f"{session} waits, and for nobody"

    @invariant()
    def there_is_no_circle(self):
        edges = {session: self.naive_blockers(request) for session, request in self.waiting.items()}
        for start in edges:
            reached, stack = set(), [start]
            while stack:
                for session in edges.get(stack.pop(), ()):
                    assert session != start, "a deadlock that nobody will ever end"
                    if session not in reached:
                        reached.add(session)
                        stack.append(session)

    def naive_blockers(self, request):
        mine = session_of(request.owner)
        against = self.holds(request.waits_at)
        queue = self.table._keys[request.waits_at].queue.requests
        if not request.is_upgrade:
            against += [(o.owner, o.mode) for o in queue[: queue.index(request)]]
        return {
            session_of(owner)
            for owner, mode in against
            if session_of(owner) != mine and conflict(mode, request.mode)
        }


TestLockTable = LockMachine.TestCase
TestLockTable.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
