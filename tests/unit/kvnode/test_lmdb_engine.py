"""What the store does where the disk fails it."""

from contextlib import closing

import lmdb
import pytest

from kvnode.storage.engine import Table
from kvnode.storage.lmdb_engine import LmdbEngine, MetaNotSynced
from kvnode.txn.write_batch import write_batch


class Put:
    """One row."""

    tenant_id = 1

    def apply(self, txn):
        txn.put(Table.LIVE, b"k", b"v")


class Bulk(Put):
    """One that needs no sync."""

    needs_sync = False


class NoSync:
    """An environment whose disk fails when it is told to sync."""

    def __init__(self, env):
        self._env = env

    def __getattr__(self, name):
        return getattr(self._env, name)

    def sync(self):
        raise lmdb.Error("Input/output error")


def test_a_commit_that_may_not_be_durable_has_no_outcome(tmp_path):
    """Its client would be told that it failed, and everybody else would see it."""
    with closing(LmdbEngine(tmp_path)) as engine:
        engine._env = NoSync(engine._env)
        assert write_batch(engine, [Bulk(), Bulk()]) == [None, None]
        for batch in ([Put()], [Bulk(), Put()]):
            with pytest.raises(MetaNotSynced):
                write_batch(engine, batch)
