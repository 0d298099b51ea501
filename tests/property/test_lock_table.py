"""The lock table against a naive one: no circle is missed, nobody is forgotten."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from kvnode.txn.lock_table import LockRequest, LockTable, Mode, Wait

OWNERS = st.integers(0, 5)
KEYS = st.lists(st.sampled_from([b"a", b"b", b"c"]), min_size=1, max_size=3)


class LockMachine(RuleBasedStateMachine):
    """Random requests and releases; each owner has at most one waiting request."""

    def __init__(self):
        super().__init__()
        self.table = LockTable()
        self.waiting = {}

    def settled(self, requests):
        for request in requests:
            assert self.waiting.pop(request.owner) is request

    @rule(
        owner=OWNERS,
        keys=KEYS,
        mode=st.sampled_from(Mode),
        wait=st.sampled_from([Wait.BLOCK, Wait.BLOCK, Wait.SKIP, Wait.NOWAIT]),
    )
    def acquire(self, owner, keys, mode, wait):
        if owner in self.waiting:
            return
        request = LockRequest(owner, keys, mode, wait)
        if not self.table.acquire(request):
            self.waiting[owner] = request

    @rule(owner=OWNERS)
    def release(self, owner):
        self.waiting.pop(owner, None)
        self.settled(self.table.release(owner))

    @rule(owner=OWNERS)
    def expire(self, owner):
        if (request := self.waiting.pop(owner, None)) is not None:
            self.settled(self.table.expire(request))

    @invariant()
    def holders_are_compatible(self):
        for locked in self.table._keys.values():
            modes = list(locked.holders.values())
            assert len(modes) <= 1 or Mode.EXCLUSIVE not in modes
            assert locked.holders or not locked.queue, "a free key with waiters is a lost wake-up"

    @invariant()
    def there_is_no_circle(self):
        edges = {owner: self.naive_blockers(request) for owner, request in self.waiting.items()}
        for start in edges:
            reached, stack = set(), [start]
            while stack:
                for owner in edges.get(stack.pop(), ()):
                    assert owner != start, "a deadlock that nobody will ever end"
                    if owner not in reached:
                        reached.add(owner)
                        stack.append(owner)

    def naive_blockers(self, request):
        locked = self.table._keys[request.waits_at]
        queue = list(locked.queue)
        before = queue[: queue.index(request)]
        holds = [(owner, mode) for owner, mode in locked.holders.items()]
        wants = [(other.owner, other.mode) for other in before]
        return {
            owner
            for owner, mode in holds + wants
            if owner != request.owner and Mode.EXCLUSIVE in (mode, request.mode)
        }


TestLockTable = LockMachine.TestCase
TestLockTable.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
