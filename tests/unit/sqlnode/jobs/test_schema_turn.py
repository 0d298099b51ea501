"""sqlnode.jobs.schema_turn: a courtesy that nobody fails for."""

from types import SimpleNamespace

import pytest

from kvapi.errors import Deadlock, LockTimeout
from sqlnode.jobs.schema_turn import take_turn


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
