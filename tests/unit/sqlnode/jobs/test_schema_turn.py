"""sqlnode.jobs.schema_turn: a courtesy that nobody fails for."""

from types import SimpleNamespace

import pytest

from kvapi.errors import Deadlock, LockTimeout
from sqlnode.advisory_locks import SCHEMA_TURN_KEY, relation_turn_key
from sqlnode.jobs.schema_turn import take_relations, take_turn
from sqlnode.session.schema_follow import follow_at_commit


@pytest.mark.parametrize("error", [None, LockTimeout(), Deadlock()])
async def test_the_newest_catalog_is_loaded_whoever_has_the_turn(error):
    """A block that others wait for could not commit beside their changes."""

    async def lock_advisory(key, wish):
        if error is not None:
            raise error

    async def reload():
        engine.is_catalog_stale = False

    engine = SimpleNamespace(is_catalog_stale=True, reload=reload)
    locks = SimpleNamespace(has_advisory=lambda key: False, lock_advisory=lock_advisory)
    txn = SimpleNamespace(locks=locks)
    await take_turn(engine, txn)
    assert not engine.is_catalog_stale


def session_at_commit(asked, *, is_whole, has_let_go):
    """Return a session whose transaction has changed the schema, and what its calls note."""

    async def lock_advisory(key, wish):
        asked.append(key)

    async def reload():
        asked.append("reload")

    catalog = SimpleNamespace(version=7)
    engine = SimpleNamespace(is_catalog_stale=True, reload=reload, catalog=catalog)
    engine.catalog_use = SimpleNamespace(put_down=lambda used: asked.append("put down"))
    locks = SimpleNamespace(has_advisory=lambda key: False, lock_advisory=lock_advisory)
    locks.has_let_go = has_let_go
    block = SimpleNamespace(txn=SimpleNamespace(locks=locks, used=None), base_catalog=catalog)
    return SimpleNamespace(engine=engine, block=block, is_whole=is_whole)


@pytest.mark.parametrize(
    ("is_whole", "has_let_go", "waits"),
    [(True, False, False), (True, True, True), (False, False, True)],
)
async def test_a_statement_waits_for_its_turn_once(is_whole, has_let_go, waits):
    """A CREATE TABLE that was let go on without its turn waits two seconds more at its commit.

    One that has read rows meanwhile does not stand in the queue: others would come first for ever.
    """
    asked = []
    await follow_at_commit(session_at_commit(asked, is_whole=is_whole, has_let_go=has_let_go))
    assert asked == [*([SCHEMA_TURN_KEY] if waits else []), "reload", "put down"]


async def test_relations_are_waited_for_in_one_order():
    """Two statements that name the same tables would wait for each other."""
    asked = []

    async def lock_advisory(key, wish):
        asked.append((key, wish.timeout_ms))

    txn = SimpleNamespace(locks=SimpleNamespace(lock_advisory=lock_advisory))
    await take_relations(txn, {30, 2, 11}, timeout_ms=50)
    assert asked == [(relation_turn_key(n), 50) for n in (2, 11, 30)]


@pytest.mark.parametrize("error", [LockTimeout, Deadlock])
async def test_waiting_for_a_relation_ends_with_an_error(error):
    """A client that asked for an end of waiting would wait for as long as a table is rewritten.

    In a circle it would leave its change to a job that waits for who waits for this session.
    """

    async def lock_advisory(key, wish):
        raise error

    txn = SimpleNamespace(locks=SimpleNamespace(lock_advisory=lock_advisory))
    with pytest.raises(error):
        await take_relations(txn, {2}, timeout_ms=50)


async def test_who_has_the_turn_does_not_ask_again():
    """A block that has taken its turn asks once more at each step, behind those who wait for it."""

    async def lock_advisory(key, wish):
        raise AssertionError("it has the lock")

    locks = SimpleNamespace(has_advisory=lambda key: True, lock_advisory=lock_advisory)
    await take_turn(SimpleNamespace(is_catalog_stale=False), SimpleNamespace(locks=locks))
