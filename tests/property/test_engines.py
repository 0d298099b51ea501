"""Both engines against a dictionary: one contract, whatever the order of operations."""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from kvapi.errors import DiskFull
from kvnode.storage.engine import StoreNeedsGrowth, Table
from kvnode.storage.lmdb_engine import LmdbConfig, LmdbEngine
from kvnode.storage.memory_engine import MemoryEngine

KEYS = (
    st.binary(min_size=1, max_size=4) | st.just(b"\xff" * 1978) | st.binary(min_size=1, max_size=40)
)
BOUNDS = st.binary(min_size=1, max_size=4) | st.just(b"\xff" * 1978) | st.just(b"\xff" * 3000)
TABLES = st.sampled_from([Table.LIVE, Table.HISTORY])


class EngineMachine(RuleBasedStateMachine):
    """A model of dictionaries beside the engine under test."""

    def __init__(self):
        super().__init__()
        self.engine = self.open()
        self.model = {table: {} for table in Table}
        self.snapshots = []

    @rule(
        writes=st.lists(st.tuples(TABLES, KEYS, st.none() | st.binary(max_size=300)), max_size=8),
        fails=st.booleans(),
    )
    def write(self, writes, fails):
        draft = {table: dict(rows) for table, rows in self.model.items()}
        try:
            with self.engine.write() as txn:
                for table, key, value in writes:
                    if value is None:
                        assert txn.delete(table, key) == (draft[table].pop(key, None) is not None)
                    else:
                        txn.put(table, key, value)
                        draft[table][key] = value
                    assert txn.get(table, key) == draft[table].get(key)
                if fails:
                    raise RuntimeError("undo this")
        except RuntimeError:
            return
        except StoreNeedsGrowth:
            for snapshot, _ in self.snapshots:
                snapshot.close()
            self.snapshots.clear()
            self.engine.grow()
            return
        self.model = draft

    @rule()
    def make_room(self):
        self.engine.make_room()

    @rule(table=TABLES, rows=st.dictionaries(KEYS, st.binary(max_size=300), max_size=8))
    def write_many(self, table, rows):
        draft = {**self.model, table: self.model[table] | rows}
        try:
            with self.engine.write() as txn:
                before = txn.get_many(table, list(rows))
                txn.put_many(table, list(rows.items()))
                assert txn.get_many(table, list(rows)) == rows
        except StoreNeedsGrowth:
            for snapshot, _ in self.snapshots:
                snapshot.close()
            self.snapshots.clear()
            self.engine.grow()
            return
        model = self.model[table]
        assert before == {key: model[key] for key in rows if key in model}
        self.model = draft

    @rule()
    def open_snapshot(self):
        if len(self.snapshots) < 3:
            self.snapshots.append((self.engine.snapshot(), self.model))

    @rule(table=TABLES, bound=BOUNDS)
    def read(self, table, bound):
        current = self.engine.snapshot()
        for snapshot, model in [*self.snapshots, (current, self.model)]:
            rows = sorted(model[table].items())
            above = [row for row in rows if row[0] >= bound]
            below = [row for row in rows if row[0] < bound][::-1]
            assert snapshot.get(table, bound) == model[table].get(bound)
            wanted = [bound, *list(model[table])[:3]]
            assert snapshot.get_many(table, wanted) == {
                key: model[table][key] for key in wanted if key in model[table]
            }
            assert list(snapshot.rows_from(table, bound)) == above
            assert list(snapshot.rows_before(table, bound)) == below
            assert list(snapshot.rows_before(table, b"")) == rows[::-1]
            assert snapshot.seek(table, bound) == (above[0] if above else None)
            assert snapshot.seek_before(table, bound) == (below[0] if below else None)
        current.close()

    @invariant()
    def sizes_are_known(self):
        assert self.engine.used_bytes() >= 0

    def teardown(self):
        for snapshot, _ in self.snapshots:
            snapshot.close()
        self.engine.close()


class MemoryMachine(EngineMachine):
    def open(self):
        return MemoryEngine()


class LmdbMachine(EngineMachine):
    """A map so small that it has to grow."""

    def open(self):
        self.path = Path(tempfile.mkdtemp(prefix="insula-engine-"))
        return LmdbEngine(self.path, LmdbConfig(map_bytes=160 * 1024, map_bytes_max=1 << 30))

    def teardown(self):
        super().teardown()
        shutil.rmtree(self.path)


_SETTINGS = settings(
    max_examples=30, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
TestMemoryEngine = MemoryMachine.TestCase
TestMemoryEngine.settings = _SETTINGS
TestLmdbEngine = LmdbMachine.TestCase
TestLmdbEngine.settings = _SETTINGS


def test_lmdb_survives_reopening(tmp_path):
    """What was written before the process ended is there when it starts again."""
    engine = LmdbEngine(tmp_path)
    with engine.write() as txn:
        txn.put(Table.LIVE, b"k", b"v")
    engine.close()
    engine = LmdbEngine(tmp_path)
    snapshot = engine.snapshot()
    assert snapshot.get(Table.LIVE, b"k") == b"v"
    snapshot.close()
    engine.close()


def fill(engine):
    for index in range(10_000):
        try:
            with engine.write() as txn:
                txn.put(Table.LIVE, b"big%d" % index, bytes(50_000))
        except StoreNeedsGrowth:
            engine.grow()


def test_a_full_store_refuses_writes_and_serves_reads(tmp_path):
    """A full disk must not take the reads with it, and space that was freed is usable."""
    engine = LmdbEngine(tmp_path, LmdbConfig(map_bytes=1 << 20, map_bytes_max=2 << 20))
    with engine.write() as txn:
        txn.put(Table.LIVE, b"k", b"v")
    with pytest.raises(DiskFull):
        fill(engine)
    snapshot = engine.snapshot()
    assert snapshot.get(Table.LIVE, b"k") == b"v"
    snapshot.close()
    engine.close()
