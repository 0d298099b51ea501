"""The store is cut off at every write and every sync: nothing acknowledged may be lost.

A real child process runs group commit, MVCC and upkeep on a real LMDB store, while a small library
logs each write and sync. From the log the tests build what a disk may hold at any moment after the
power failed (`crash_images.py` says what that is), open it and look.

A meta record torn *inside* a 512-byte sector is not tried. LMDB has no checksum there and would
take such a record for good; but it writes the 120 bytes of one record at once, inside one sector,
and neither disks nor flash memory tear a sector.
"""

import json
import os
import subprocess
import sys
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass, field

import lmdb.verify
import pytest

from kvnode.mvcc.formats import (
    TXN_RECORDS,
    layer_prefix,
    split_record_key,
    txn_key,
    unpack_counter,
    unpack_layer,
)
from kvnode.mvcc.overlay import Layer, find_intents
from kvnode.mvcc.point_read import read_keys
from kvnode.storage.engine import StoreCorrupt, StoreNeedsGrowth, Table
from kvnode.storage.lmdb_engine import LmdbConfig, LmdbEngine
from kvnode.tenants.records import decode_record, read_u64, threshold_key
from kvnode.txn.operations import CommitOperation
from kvnode.txn.write_batch import write_batch
from kvnode.verify import problems_of, verify_store
from tests.crash.crash_images import (
    Disk,
    Keep,
    Kind,
    build_logger,
    read_log,
    seeded,
    write_image,
)
from tests.crash.workload import KEYS, LARGE_KEYS, MAP_BYTES, row_key, value_of
from tests.fakes.tidy_node import tidy_up

STEPS = 60
DATA = "store/data.mdb"
NAMES = [f"k{number}" for number in range(KEYS)] + ["big", "n"]
NAMES += [f"L{number}" for number in range(LARGE_KEYS)]


@pytest.fixture(scope="module")
def logger(tmp_path_factory):
    """The library that logs writes."""
    return build_logger(tmp_path_factory.mktemp("logger"))


def run_workload(logger, folder, *, seed, steps, options=()):
    """Run the child; return the events of its store, and what it told."""
    command = ["-m", "tests.crash.workload", str(folder / "watched"), str(seed), str(steps)]
    return run_logged(logger, folder, [*command, *options])


def run_logged(logger, folder, command):
    """Run Python; return what it did in the folder `watched`."""
    watched, log = folder / "watched", folder / "log"
    watched.mkdir()
    environment = {
        **os.environ,
        "LD_PRELOAD": str(logger),
        "WRITE_LOG_FOLDER": str(watched),
        "WRITE_LOG": str(log),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    subprocess.run([sys.executable, *command], check=True, env=environment, timeout=60)
    return read_log(log, watched)


@dataclass
class Told:
    """What the workload has said up to some moment."""

    submitted: dict = field(default_factory=lambda: defaultdict(list))  # tenant → commits
    committed: dict = field(default_factory=lambda: defaultdict(dict))  # tenant → n → timestamp
    counters: dict = field(default_factory=dict)
    tenants: dict = field(default_factory=dict)
    dropping: set = field(default_factory=set)
    dropped: set = field(default_factory=set)

    def hear(self, line):
        kind, *words = json.loads(line)
        if kind == "submit":
            self.submitted[words[0]].append(words[1:])
        elif kind == "commit":
            self.committed[words[0]][words[1]] = words[2]
        elif kind == "counter":
            self.counters[words[0]] = words[1]
        elif kind == "tenant":
            self.tenants[words[0]] = words[1]
        else:
            {"dropping": self.dropping, "dropped": self.dropped}[kind].add(words[0])

    def rows(self, tenant, count):
        """Return the rows of a tenant after its first `count` commits."""
        rows = {}
        for _, _, puts, deletes in self.submitted[tenant][:count]:
            rows.update({name: value_of(tag, name, size) for name, (tag, size) in puts.items()})
            for name in deletes:
                rows.pop(name, None)
        return rows


def check_image(folder, told):
    """Open the store of a disk after a power failure; return what is wrong with it."""
    data = folder / "store" / "data.mdb"
    try:
        if data.exists() and (damage := lmdb.verify.verify(str(data), subdir=False)):
            return damage
        engine = LmdbEngine(folder / "store", LmdbConfig(map_bytes=MAP_BYTES))
    except (StoreCorrupt, lmdb.verify.VerifyError) as error:
        return [str(error)]
    try:
        with closing(engine.snapshot()) as snapshot:
            found = problems_of(verify_store(snapshot)) + lost(snapshot, told)
        return found or restarted(engine, told) or unusable(engine)
    finally:
        engine.close()


def lost(snapshot, told, *, is_tidy=False):
    """Return what was told but is not there, and what is there but cannot be."""
    found = []
    for tenant, name in told.tenants.items():
        prefix = tenant.to_bytes(4, "big")
        stored = snapshot.get(Table.SYSTEM, b"t" + prefix)
        if stored is None or decode_record(stored).is_dropping:
            if name not in told.dropping:
                found.append(f"tenant {name} is lost")
            continue
        if name in told.dropped:
            found.append(f"tenant {name} is back")
        found += lost_commits(snapshot, told, tenant, is_tidy=is_tidy)
        counter = snapshot.get(Table.COUNTERS, prefix + b"counter")
        if (unpack_counter(counter)[0] if counter else 0) < told.counters.get(tenant, 0):
            found.append(f"the counter of {name} went back")
    return found


def lost_commits(snapshot, told, tenant, *, is_tidy):
    """Compare a tenant with what the first so many commits make: all the acknowledged ones."""
    prefix, found = tenant.to_bytes(4, "big"), []

    def read(read_ts):
        keys = {row_key(prefix, name): name for name in NAMES}
        overlay = committed_layers(snapshot, prefix, read_ts)
        found = find_intents(snapshot, overlay, list(keys))
        rest = [key for key in keys if key not in found]
        versions = read_keys(snapshot, rest, read_ts=read_ts, deleted_since=True)
        found.update(zip(rest, versions, strict=True))
        return {keys[key]: v.value for key, v in found.items() if v.value is not None}

    rows = read((1 << 63) - 1)
    count = int(rows.get("n", b"0").split(b".")[0])
    acknowledged = max(told.committed[tenant], default=0)
    if count < acknowledged:
        found.append(f"tenant {tenant}: {count} commits are there, {acknowledged} acknowledged")
    if rows != told.rows(tenant, count):
        found.append(f"tenant {tenant}: not what the first {count} commits make")
    threshold = read_u64(snapshot, threshold_key(prefix))
    for n, commit_ts in list(told.committed[tenant].items())[-2:-1]:  # travel in time
        if not is_tidy and commit_ts >= threshold and read(commit_ts) != told.rows(tenant, n):
            found.append(f"tenant {tenant}: not what was there after commit {n}")
    for n, txn_id, *_ in told.submitted[tenant]:
        stored = snapshot.get(Table.TXNS, txn_key(prefix, bytes.fromhex(txn_id)))
        if stored is None:
            continue  # not committed, or so long ago that it was forgotten
        commit_ts = int.from_bytes(stored, "big")
        if n > count or told.committed[tenant].get(n, commit_ts) != commit_ts:
            found.append(f"tenant {tenant}: a wrong outcome of commit {n}")
    return found


def committed_layers(snapshot, prefix, read_ts):
    """Return the layers that committed up to `read_ts`, the topmost first, from their records."""
    committed, layers = {}, []
    for key, stored in snapshot.rows_from(Table.LAYERS, prefix):
        if not key.startswith(prefix):
            break
        kind, no = split_record_key(key)
        if kind == TXN_RECORDS:
            committed[no] = int.from_bytes(stored, "big")
        else:
            layers.append((no, *unpack_layer(stored)))
    seen = [
        (committed[txn_no], no)
        for no, txn_no, is_dropped, _ in layers
        if not is_dropped and committed.get(txn_no, read_ts + 1) <= read_ts
    ]
    return [Layer(layer_prefix(prefix, no), ts) for ts, no in sorted(seen, reverse=True)]


def restarted(engine, told):
    """Start a node on the store; return what is wrong when it has tidied up."""
    tidy_up(engine)
    with closing(engine.snapshot()) as snapshot:
        found = problems_of(verify_store(snapshot))
        found += lost(snapshot, told, is_tidy=True)
        for key, _ in snapshot.rows_from(Table.LAYERS, b""):
            record = snapshot.get(Table.SYSTEM, b"t" + key[:4])
            if not decode_record(record).is_dropping:
                found.append("a layer was neither moved nor discarded")
        return found


def unusable(engine):
    """Write again; return what is wrong then."""
    snapshot = engine.snapshot()
    alive = [
        int.from_bytes(key[1:], "big")
        for key, stored in snapshot.rows_from(Table.SYSTEM, b"t")
        if key[:1] == b"t" and not decode_record(stored).is_dropping
    ]
    newest = read_u64(snapshot, b"mnewest_ts")
    snapshot.close()
    for commit_ts in (newest + 1, newest + 2):
        batch = [after_crash(tenant, commit_ts) for tenant in alive]
        outcome = write_batch(engine, batch)
        if isinstance(outcome, StoreNeedsGrowth):
            engine.grow()
            outcome = write_batch(engine, batch)
        if outcome != [None] * len(batch):
            return [f"cannot write: {outcome}"]
    snapshot = engine.snapshot()
    problems = problems_of(verify_store(snapshot))
    snapshot.close()
    return problems


def after_crash(tenant, commit_ts):
    """Return a commit that overwrites and deletes."""
    prefix = tenant.to_bytes(4, "big")
    return CommitOperation(
        tenant_id=tenant,
        prefix=prefix,
        commit_ts=commit_ts,
        txn_id=commit_ts.to_bytes(16, "big"),
        puts={prefix + b"data.k0": b"after", prefix + b"data.k1": b"x" * 5000},
        deletes=[prefix + b"data.k2"],
        schema_change=False,
        size_bytes=100,
        on_finish=lambda operation, error: None,
    )


def crash_everywhere(events, folder, *, seed, images_max, first=0):
    """Check up to `images_max` disks; return how many there were, and the problems by image."""
    told, disk, seen, bad = Told(), Disk(), set(), {}
    points = [i for i, event in enumerate(events) if event.path != "acks" and i >= first]
    rng, heard = seeded("points", seed), 0
    chances = 4 * len(points)
    for index, event in enumerate(events):
        if event.path == "acks":
            if event.kind is Kind.WRITE:
                told.hear(event.data)
                heard += 1
            continue
        before_sync = event.kind is Kind.SYNC or event.is_sync
        for keep in (Keep.NONE, Keep.ALL, Keep.SOME, Keep.SOME) if index >= first else ():
            if not before_sync and rng.random() > images_max / chances:
                continue
            content = disk.after_crash(keep, rng)
            image = hash((heard, *((name, bytes(data or b"")) for name, data in content.items())))
            if image in seen or len(seen) >= images_max:
                continue
            seen.add(image)
            at = folder / f"{index}-{len(seen)}"
            write_image(content, at, rng)
            if problems := check_image(at, told):
                bad[f"{seed=} {index=} {event.kind.name} {keep.name}"] = problems
            else:
                remove(at)
        disk.step(event)
    return len(seen), bad


def remove(folder):
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()


def test_nothing_acknowledged_is_lost(logger, tmp_path):
    """A power failure loses or tears a commit that a client was told about."""
    events = run_workload(logger, tmp_path, seed=1, steps=STEPS)
    first = next(i for i, event in enumerate(events) if event.path == "acks")
    written = max(event.offset + len(event.data) for event in events if event.path == DATA)
    assert written > MAP_BYTES, "growth of the map must be among what is cut off"
    count, bad = crash_everywhere(events, tmp_path, seed=1, images_max=300, first=first)
    assert not bad, json.dumps(bad, indent=1)[:4000]
    assert count == 300


def test_creation_is_cut_off(logger, tmp_path):
    """A power failure during the very first start leaves a store that never opens again."""
    events = run_workload(logger, tmp_path, seed=2, steps=1)
    count, bad = crash_everywhere(events, tmp_path, seed=2, images_max=200)
    assert not bad, json.dumps(bad, indent=1)[:4000]
    assert count >= 30


REOPENED = """
import sys
from pathlib import Path
from kvnode.storage.engine import Table
from kvnode.storage.lmdb_engine import LmdbEngine

for turn in range(2):
    engine = LmdbEngine(Path(sys.argv[1]) / "store")
    if not turn:
        with engine.write(is_synced=False) as txn:
            txn.put(Table.LIVE, b"k", b"v")
    engine.close()
"""


def test_what_is_found_at_the_start_is_durable(logger, tmp_path):
    """A commit before whose sync the node was killed is read after its start, and then lost."""
    events = run_logged(logger, tmp_path, ["-c", REOPENED, str(tmp_path / "watched")])
    disk = Disk()
    for event in events:
        disk.step(event)
    write_image(disk.after_crash(Keep.NONE, seeded(0)), tmp_path / "image", seeded(0))
    store = tmp_path / "image" / "store"
    with closing(LmdbEngine(store)) as engine, closing(engine.snapshot()) as snapshot:
        assert snapshot.get(Table.LIVE, b"k") == b"v"


@pytest.mark.parametrize("broken", ["--no-sync", "--no-meta-sync"])
def test_a_store_without_syncs_is_found_out(logger, tmp_path, broken):
    """The tests above are worth nothing if they pass with a store that never syncs."""
    events = run_workload(logger, tmp_path, seed=3, steps=20, options=[broken])
    count, bad = crash_everywhere(events, tmp_path, seed=3, images_max=60)
    assert len(bad) > count / 6
    texts = [text for problems in bad.values() for text in problems]
    assert any("acknowledged" in text or "lost" in text for text in texts)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(10, 20))
def test_nothing_acknowledged_is_lost_long(logger, tmp_path, seed):
    """As above, with more seeds and longer runs."""
    events = run_workload(logger, tmp_path, seed=seed, steps=150)
    _, bad = crash_everywhere(events, tmp_path, seed=seed, images_max=1500)
    assert not bad, json.dumps(bad, indent=1)[:4000]
