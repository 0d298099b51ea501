"""Versions against a model that keeps every state: each snapshot reads what was."""

from hypothesis import given, settings
from hypothesis import strategies as st

from kvnode.mvcc import scan as scan_module
from kvnode.mvcc.apply import Sizes, apply_writes
from kvnode.mvcc.collect import collect_versions, tenants_with
from kvnode.mvcc.formats import history_key, split_history_key
from kvnode.mvcc.point_read import read_key
from kvnode.mvcc.scan import ScanRun, ScanSpec
from kvnode.storage.engine import Table
from kvnode.storage.memory_engine import MemoryEngine
from tests.kv_blocks import block_rows

TENANT, OTHER = b"\x00\x00\x00\x07", b"\x00\x00\x00\x08"
# Few keys, many of them prefixes of another, with the bytes that the escape treats apart.
KEYS = st.lists(st.sampled_from(b"\x00\x01\xff"), max_size=3).map(bytes)
COMMITS = st.lists(
    st.dictionaries(KEYS, st.none() | st.binary(max_size=3), min_size=1, max_size=4), max_size=14
)


def store(commits):
    """Return an engine with `commits` at timestamps 10, 20, …, and the state after each."""
    engine, states, sizes = MemoryEngine(), {0: {}}, Sizes()
    state = {}
    for index, writes in enumerate(commits, start=1):
        with engine.write() as txn:
            change = apply_writes(
                txn,
                tenant=TENANT,
                commit_ts=10 * index,
                puts={TENANT + k: v for k, v in writes.items() if v is not None},
                deletes=[TENANT + k for k, v in writes.items() if v is None],
            )
        sizes.add(change)
        state = {k: v for k, v in (state | writes).items() if v is not None}
        states[10 * index] = state
    with engine.write() as txn:
        apply_writes(
            txn, tenant=OTHER, commit_ts=10_000, puts={OTHER + b"a": b"not yours"}, deletes=()
        )
    return engine, states, sizes


def run_scan(snapshot, **options):
    run = ScanRun(ScanSpec(**({"limit_rows": 1000, "limit_bytes": 1 << 20} | options)))
    while not run.done:
        run.step(snapshot, deleted_since=True)
    return run.block()


@settings(deadline=None)
@given(COMMITS, st.data())
def test_every_snapshot_reads_what_was(commits, data):
    """A reader in the past must see exactly the past, by key and span, whole or in pieces."""
    engine, states, sizes = store(commits)
    snapshot = engine.snapshot()
    ts = data.draw(st.sampled_from(sorted(states))) + data.draw(st.integers(0, 9))
    expected = states[ts // 10 * 10]
    for key in {k for writes in commits for k in writes}:
        version = read_key(snapshot, TENANT + key, read_ts=ts, deleted_since=True)
        assert version.value == expected.get(key)
    start, end = data.draw(KEYS), data.draw(KEYS.filter(bool) | st.just(b"\xff" * 4))
    reverse = data.draw(st.booleans())
    wanted = sorted(((k, v) for k, v in expected.items() if start <= k < end), reverse=reverse)
    spec = {"read_ts": ts, "reverse": reverse}
    whole = run_scan(snapshot, start=TENANT + start, end=TENANT + end, **spec)
    assert block_rows(whole) == wanted
    count = run_scan(snapshot, start=TENANT + start, end=TENANT + end, count_only=True, **spec)
    assert count.row_count == len(wanted)
    limit = data.draw(
        st.sampled_from(
            [{"limit_rows": 1}, {"limit_rows": 3}, {"limit_bytes": 1}, {"limit_bytes": 7}]
        )
    )
    rows, more = [], True
    while more:
        piece = run_scan(snapshot, start=TENANT + start, end=TENANT + end, **spec, **limit)
        rows += block_rows(piece)
        more = piece.more
        if more and reverse:
            end = rows[-1][0]
        elif more:
            start = rows[-1][0] + b"\x00"
    assert rows == wanted
    live = {k: v for k, v in states[max(states)].items()}
    assert sizes.key_count == len(live)
    assert sizes.live_bytes == sum(len(k) + len(v) + 4 for k, v in live.items())


@settings(deadline=None)
@given(COMMITS, st.integers(0, 150))
def test_garbage_collection_changes_no_readable_snapshot(commits, threshold):
    """Collecting must free what nobody can see, and nothing else; in the end nothing is old."""
    engine, states, sizes = store(commits)
    with engine.write() as txn:
        collected = collect_versions(txn, tenant=TENANT, threshold=threshold)
    sizes.add(collected.change)
    snapshot = engine.snapshot()
    for ts in range(threshold, max(states) + 11, 5):
        expected = states[min(ts, max(states)) // 10 * 10]
        block = run_scan(snapshot, start=TENANT, end=TENANT + b"\xff" * 5, read_ts=ts)
        assert block_rows(block) == sorted(expected.items())
    if threshold >= max(states):
        assert tenants_with(snapshot, Table.HISTORY) == []
        assert tenants_with(snapshot, Table.GARBAGE) == []
        assert sizes.history_bytes == 0


@given(KEYS, KEYS, st.integers(0, 2**62), st.integers(0, 2**62))
def test_history_order(a, b, ts_a, ts_b):
    """Versions of one key are neighbours, newest first; keys are in their own order."""
    key_a, key_b = history_key(TENANT + a, ts_a), history_key(TENANT + b, ts_b)
    assert split_history_key(key_a) == (TENANT + a, ts_a)
    assert (key_a < key_b) == ((a, -ts_a) < (b, -ts_b))


def test_a_stretch_of_deleted_rows_is_walked_in_steps(monkeypatch):
    """A scan in the past over a million deleted rows must not hold the loop for a second."""
    monkeypatch.setattr(scan_module, "_DELETED_MAX", 4)
    keys = [b"%03d" % n for n in range(50)]
    engine, _, _ = store([dict.fromkeys(keys, b"v"), dict.fromkeys(keys[5:], None)])
    for reverse in (False, True):
        run = ScanRun(
            ScanSpec(
                start=TENANT,
                end=TENANT + b"\xff",
                read_ts=10,
                reverse=reverse,
                limit_rows=1000,
                limit_bytes=1 << 20,
            )
        )
        steps = 0
        while not run.done:
            run.step(engine.snapshot(), deleted_since=True)
            steps += 1
        assert [key for key, _ in block_rows(run.block())] == sorted(keys, reverse=reverse)
        assert steps > 10
