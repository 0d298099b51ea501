"""Intents as locks: the table asks for their owners, and keeps nothing until somebody waits."""

from kvapi.errors import Deadlock
from kvnode.txn.lock_modes import Mode
from kvnode.txn.lock_queue import LockRequest, Wait
from kvnode.txn.lock_table import LockTable


class Staged:
    """Keys with intents, and whose they are."""

    def __init__(self, owners):
        self.owners = owners
        self.asked_count = 0

    def owners_of(self, keys):
        self.asked_count += len(keys)
        return {key: self.owners[key] for key in keys if key in self.owners}

    def held_by_others(self, owner, keys):
        return [key for key in keys if self.owners.get(key, owner) != owner]

    def has_intent(self, owner, key):
        return self.owners.get(key) == owner


def table_with(**owners):
    table = LockTable()
    table.intents = Staged({key.encode(): owner for key, owner in owners.items()})
    return table


def test_a_request_waits_for_the_owner_of_an_intent():
    """Two transactions would change one row: the large one, and whoever came while it loaded."""
    table = table_with(a="bulk")
    request = LockRequest("small", [b"a"])
    assert not table.acquire(request)
    assert table.release("bulk") == [request]
    assert request.error is None


def test_who_does_not_wait_leaves_no_entry():
    """SKIP LOCKED over a million intents would make a million entries."""
    table = table_with(a="bulk", b="bulk")
    skipping = LockRequest("small", [b"a", b"b", b"c"], Mode.EXCLUSIVE, Wait.SKIP)
    assert table.acquire(skipping)
    assert skipping.skipped == {b"a", b"b"}
    assert len(table) == 1


def test_a_request_that_waits_at_many_keys_looks_at_each_a_few_times():
    """FOR UPDATE of 4,000 contended rows beside a bulk load would hold the node for seconds."""
    table, count = table_with(k1999="bulk"), 2000
    keys = [b"k%04d" % n for n in range(count)]
    for key in keys[::2]:
        table.acquire(LockRequest(key, [key]))
    table.intents.asked_count = 0
    request = LockRequest("small", keys)
    assert not table.acquire(request)
    for key in keys[:-2:2]:
        assert table.release(key) == []
        assert table.held_count("small") % 2 == 0
    assert table.release(keys[-2]) == []
    assert table.release("bulk") == [request]
    assert table.held_count("small") == count
    assert table.intents.asked_count < 20 * count


def test_a_circle_through_an_intent_is_found():
    """A bulk load and a small transaction would wait for each other for ever."""
    table = table_with(a="bulk")
    table.acquire(LockRequest("small", [b"b"]))
    waiting = LockRequest("small", [b"a"])
    assert not table.acquire(waiting)
    closing = LockRequest("bulk", [b"b"])
    assert table.acquire(closing)
    assert isinstance(closing.error, Deadlock)


def test_locks_that_became_intents_are_forgotten_unless_somebody_waits():
    """A million staged rows would stay in the node's memory as locks."""
    table = table_with()
    table.acquire(LockRequest("bulk", [b"a", b"b"]))
    waiting = LockRequest("small", [b"b"])
    table.acquire(waiting)
    table.intents.owners.update({b"a": "bulk", b"b": "bulk"})
    table.hand_to_intents("bulk", [b"a", b"b"])
    assert len(table) == 1
    assert table.not_exclusive("bulk", [b"a", b"b"]) == []
    assert table.not_exclusive("other", [b"a", b"b"]) == [b"b", b"a"]
    assert table.release("bulk") == [waiting]


def test_an_owner_that_locks_its_own_intent_holds_it_exclusively():
    """FOR SHARE of a row that one has just written would let another writer in."""
    table = table_with(a="bulk")
    table.acquire(LockRequest("bulk", [b"a"], Mode.SHARED))
    assert not table.acquire(LockRequest("small", [b"a"], Mode.SHARED))


def test_unlocking_leaves_what_has_an_intent():
    """ROLLBACK TO would let others write a row that the load has staged, and the load undo that."""
    table = table_with(a="bulk")
    waiting = LockRequest("small", [b"a"])
    table.acquire(waiting)
    assert table.unlock("bulk", [b"a"], Mode.EXCLUSIVE) == []
    assert table.release("bulk") == [waiting]
