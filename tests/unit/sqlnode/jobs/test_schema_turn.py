"""sqlnode.jobs.schema_turn: a courtesy that nobody fails for."""

from types import SimpleNamespace

import pytest

from kvapi.errors import Deadlock, LockTimeout
from sqlnode.jobs.schema_turn import take_turn
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


@pytest.mark.parametrize("is_whole", [True, False])
async def test_a_statement_waits_for_its_turn_once(is_whole):
    """A CREATE TABLE that was let go on without its turn waits two seconds more at its commit."""
    asked, reloaded = [], []

    async def lock_advisory(key, wish):
        asked.append(key)

    async def reload():
        reloaded.append(True)

    catalog = SimpleNamespace(version=7)
    engine = SimpleNamespace(is_catalog_stale=True, reload=reload, catalog=catalog)
    locks = SimpleNamespace(has_advisory=lambda key: False, lock_advisory=lock_advisory)
    block = SimpleNamespace(txn=SimpleNamespace(locks=locks, catalog_version=7))
    await follow_at_commit(SimpleNamespace(engine=engine, block=block, is_whole=is_whole))
    assert bool(asked) is not is_whole
    assert reloaded


async def test_who_has_the_turn_does_not_ask_again():
    """A block that has taken its turn asks once more at each step, behind those who wait for it."""

    async def lock_advisory(key, wish):
        raise AssertionError("it has the lock")

    locks = SimpleNamespace(has_advisory=lambda key: True, lock_advisory=lock_advisory)
    await take_turn(SimpleNamespace(is_catalog_stale=False), SimpleNamespace(locks=locks))
