"""Locks on the event loop: freed turn by turn where they are many."""

import asyncio

from kvnode.txn.lock_queue import LockRequest
from kvnode.txn.lock_waits import LockWaits
from tests.sim.virtual_loop import run_virtual

KEYS = [b"%06d" % n for n in range(10_000)]


def test_many_locks_are_freed_in_several_turns():
    """The end of a transaction with a million row locks would stop the node for a second."""

    async def body(loop):
        waits, granted = LockWaits(loop), []
        waits.acquire(LockRequest("bulk", KEYS), lambda request: None)
        for key in (KEYS[0], KEYS[5000], KEYS[-1]):
            waits.acquire(LockRequest("small", [key]), lambda request: granted.append(request))
        waits.release("bulk")
        left = [len(waits.table)]
        while waits.table.held_count("bulk"):
            await asyncio.sleep(0)
            left.append(len(waits.table))
        assert max(a - b for a, b in zip([len(KEYS), *left], left, strict=False)) <= 2048
        assert len(left) > 3
        assert len(granted) == len(waits.table) == 3
        waits.release("small")
        assert len(waits.table) == 0

    run_virtual(body)


def test_who_comes_again_while_its_locks_are_freed_keeps_the_new_ones():
    """A transaction under the same id would lose the locks that it has just taken."""

    async def body(loop):
        waits, granted = LockWaits(loop), []
        waits.acquire(LockRequest("bulk", KEYS), lambda request: None)
        waits.release("bulk")
        waits.acquire(LockRequest("bulk", KEYS[:1]), granted.append)
        assert len(granted) == len(waits.table) == 1
        for _ in range(10):
            await asyncio.sleep(0)
        assert waits.table.held_keys("bulk") == KEYS[:1]
        waits.release("bulk")
        assert len(waits.table) == 0

    run_virtual(body)
