"""Room at the end of the store's file: it is there in time and never in the way."""

import resource
import signal
from contextlib import closing

import pytest

from kvnode.storage.engine import Table
from kvnode.storage.file_room import FileRoom
from kvnode.storage.lmdb_engine import LmdbConfig, LmdbEngine

_MAP_BYTES = 64 << 20


@pytest.fixture
def small_files():
    """Let no file of this process pass 1.5 MiB, while the test runs: a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1536 << 10, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, ignored)


def make_first_room(engine):
    with engine.write() as txn:
        txn.put(Table.LIVE, b"first", b"")
    while engine.make_room():  # a new store takes two steps
        pass


def test_commits_overwrite(tmp_path):
    """Else the first sync of a new block waits for a kernel worker, and with it a commit."""
    grown = 0
    with closing(LmdbEngine(tmp_path, LmdbConfig(map_bytes=_MAP_BYTES))) as engine:
        data = tmp_path / "data.mdb"
        make_first_room(engine)
        for number in range(200):
            size = data.stat().st_size
            with engine.write() as txn:
                txn.put(Table.LIVE, number.to_bytes(2, "big"), bytes(60_000))
            grown += data.stat().st_size != size
            engine.make_room()
        assert engine.used_bytes() > 11 << 20
        assert data.stat().st_size - engine.used_bytes() <= 3 << 20
    assert grown == 0


def test_only_behind_the_end(tmp_path):
    """A step over what the store wrote itself would be its end."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100)
    with closing(FileRoom(path)) as room:
        with path.open("ab") as file:
            file.write(b"y" * 50)
        assert room.keep(150, limit_bytes=_MAP_BYTES)
    content = path.read_bytes()
    assert content[:150] == b"x" * 100 + b"y" * 50
    assert not content[150:].strip(b"\0")
    assert len(content) == 150 + (1 << 20)


def test_not_behind_the_map(tmp_path):
    """LMDB never writes there: it would be disk for nothing."""
    path = tmp_path / "file"
    path.touch()
    with closing(FileRoom(path)) as room:
        assert room.keep(0, limit_bytes=4096)
        assert not room.keep(4096, limit_bytes=4096)
    assert path.stat().st_size == 4096


def test_no_more_syncs_of_a_slow_disk(tmp_path, monkeypatch):
    """A bulk load waits for each sync there: one more for each step would slow it down."""
    synced, now_s = [], iter(range(1000))
    monkeypatch.setattr("os.fdatasync", synced.append)
    path = tmp_path / "file"
    path.touch()
    with closing(FileRoom(path, clock=lambda: float(next(now_s)))) as room:
        for step in range(18):
            assert room.keep(step << 20, limit_bytes=_MAP_BYTES)
    assert len(synced) == 2


def test_full_disk(tmp_path, small_files):
    """Room is a convenience: for want of it no commit may fail that has a place."""
    with closing(LmdbEngine(tmp_path, LmdbConfig(map_bytes=_MAP_BYTES))) as engine:
        make_first_room(engine)
        for number in range(20):
            with engine.write() as txn:
                txn.put(Table.LIVE, number.to_bytes(2, "big"), bytes(20_000))
            assert not engine.make_room()
        with closing(engine.snapshot()) as snapshot:
            assert snapshot.get(Table.LIVE, (19).to_bytes(2, "big")) == bytes(20_000)
