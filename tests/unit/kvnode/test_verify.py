"""The check of a store at rest: silent about a sound one, and it finds every kind of damage."""

import json

import pytest

from cli.main import main
from kvnode.mvcc.apply import apply_outcome, apply_writes
from kvnode.mvcc.collect import collect_versions
from kvnode.mvcc.formats import (
    TOMBSTONE,
    VALUE,
    garbage_key,
    history_key,
    layer_key,
    layer_prefix,
    pack_counter,
    pack_keys,
    ts_bytes,
    txn_expiry_key,
    txn_record_key,
)
from kvnode.mvcc.intents import Place, commit_layers, stage
from kvnode.storage.engine import Table
from kvnode.storage.lmdb_engine import LmdbEngine
from kvnode.storage.memory_engine import MemoryEngine
from kvnode.tenants.records import (
    NEWEST_TS,
    NEXT_TENANT_ID,
    TenantRecord,
    change_sizes,
    encode_record,
    name_key,
    record_key,
    sizes_key,
    write_u64,
)
from kvnode.verify import problems_of, verify_store

ACME = b"\x00\x00\x00\x01"
A, B, C = ACME + b"a", ACME + b"b", ACME + b"c"
VALUE_1 = ts_bytes(1) + b"x"


def fill(engine):
    """Write a tenant with live, old, deleted and collected versions."""
    record = TenantRecord(id=1, name="acme", created_unix_ms=0, gc_ttl_s=1.0)
    with engine.write() as txn:
        write_u64(txn, NEXT_TENANT_ID, 2)
        txn.put(Table.SYSTEM, record_key(ACME), encode_record(record))
        txn.put(Table.SYSTEM, name_key("acme"), ACME)
        steps = [({A: b"1", B: b"1", C: b"1"}, ()), ({A: b"2"}, [B]), ({A: b"3"}, [C])]
        steps += [({B: b"again"}, ()), ({}, [A])]
        for commit_ts, (puts, deletes) in enumerate(steps, 1):
            change = apply_writes(txn, tenant=ACME, commit_ts=commit_ts, puts=puts, deletes=deletes)
            change_sizes(txn, ACME, change)
            apply_outcome(txn, tenant=ACME, txn_id=b"t%d" % commit_ts, commit_ts=commit_ts)
        write_u64(txn, NEWEST_TS, 5)
        txn.put(Table.COUNTERS, A, pack_counter(7, is_called=True))
        place = Place(ACME, layer_no=1, txn_no=1, is_last=True)
        stage(txn, place, puts={B: b"staged"}, deletes=[], layer_bytes=1)
        commit_layers(txn, tenant=ACME, txn_no=1, commit_ts=5, dropped={})
        place = Place(ACME, layer_no=2, txn_no=2, is_last=True)
        stage(txn, place, puts={}, deletes=[B], layer_bytes=1)
        change_sizes(txn, ACME, collect_versions(txn, tenant=ACME, threshold=2).change)


@pytest.fixture
def engine():
    engine = MemoryEngine()
    fill(engine)
    return engine


def test_a_sound_store(engine):
    """An operator would be sent looking for damage that is none."""
    reports = verify_store(engine.snapshot())
    assert problems_of(reports) == []
    counts = {report.table: report.row_count for report in reports}
    versions = {"live": 1, "history": 5, "garbage": 2, "intents": 2, "layers": 3}
    assert counts == versions | {"system": 5, "txns": 10, "counters": 1}


DAMAGES = {
    "belongs to no tenant": lambda txn: txn.put(Table.LIVE, b"\x00\x00\x00\x09a", VALUE_1),
    "has no timestamp": lambda txn: txn.put(Table.LIVE, C, b"x"),
    "is not between 0": lambda txn: txn.put(Table.LIVE, C, ts_bytes(6) + b"x"),
    "the sizes are": lambda txn: txn.put(Table.SYSTEM, sizes_key(ACME), bytes(24)),
    "is not a version": lambda txn: txn.put(Table.HISTORY, history_key(C, 1), b"\x07"),
    "is not older than the live": lambda txn: txn.put(Table.HISTORY, history_key(B, 5), VALUE),
    "neither live nor deleted": lambda txn: txn.put(Table.HISTORY, history_key(ACME, 3), VALUE),
    "deleted twice": lambda txn: txn.put(Table.HISTORY, history_key(A, 4), TOMBSTONE),
    "deleted nothing": lambda txn: txn.put(Table.HISTORY, history_key(ACME + b"z", 3), TOMBSTONE),
    "superseded nothing": lambda txn: txn.put(
        Table.GARBAGE, garbage_key(ACME, 4, 0), pack_keys([B])
    ),
    "of another tenant": lambda txn: txn.put(
        Table.GARBAGE, garbage_key(ACME, 4, 0), pack_keys([b"zzzzz"])
    ),
    "names a key twice": lambda txn: txn.put(
        Table.GARBAGE, garbage_key(ACME, 5, 0), pack_keys([A, A])
    ),
    "listed for collection": lambda txn: txn.delete(Table.GARBAGE, garbage_key(ACME, 5, 0)),
    "not found the other way": lambda txn: txn.delete(Table.TXNS, txn_expiry_key(ACME, 3)),
    "is no outcome": lambda txn: txn.put(Table.TXNS, ACME + b"x", b""),
    "is no intent": lambda txn: txn.put(Table.INTENTS, layer_prefix(ACME, 1) + b"x", b"\x07"),
    "belongs to no layer": lambda txn: txn.delete(Table.LAYERS, layer_key(ACME, 2)),
    "is no record of a layer": lambda txn: txn.put(Table.LAYERS, layer_key(ACME, 2), b""),
    "is older than the live": lambda txn: txn.put(
        Table.LAYERS, txn_record_key(ACME, 1), ts_bytes(3)
    ),
    "is no counter": lambda txn: txn.put(Table.COUNTERS, A, b"1"),
    "points elsewhere": lambda txn: txn.delete(Table.SYSTEM, name_key("acme")),
    "without record": lambda txn: txn.delete(Table.SYSTEM, record_key(ACME)),
    "record is damaged": lambda txn: txn.put(Table.SYSTEM, record_key(ACME), b"{"),
    "the next one is 1": lambda txn: write_u64(txn, NEXT_TENANT_ID, 1),
}


@pytest.mark.parametrize("problem", DAMAGES)
def test_damage_is_found(engine, problem):
    """Lost or doubled versions would be served, and garbage kept for ever, without a word."""
    with engine.write() as txn:
        DAMAGES[problem](txn)
    assert any(problem in text for text in problems_of(verify_store(engine.snapshot())))


def run(arguments, monkeypatch, capsys):
    """Run the command line; return exit code, output, complaint."""
    monkeypatch.setattr("sys.argv", ["insula", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    out, err = capsys.readouterr()
    return end.value.code or 0, out, err


def test_the_command(tmp_path, monkeypatch, capsys):
    """After a crash the operator cannot tell a sound store from a damaged one."""
    engine = LmdbEngine(tmp_path / "store")
    fill(engine)
    engine.close()
    command = ["debug", "verify", "--data-dir", str(tmp_path), "-o", "json"]
    code, out, _ = run(command, monkeypatch, capsys)
    records = {record["table"]: record for record in json.loads(out)}
    assert code == 0
    assert records["history"]["rows"] == 5
    assert records["pages"]["problem_count"] == 0

    engine = LmdbEngine(tmp_path / "store")
    with engine.write() as txn:
        DAMAGES["deleted twice"](txn)
    engine.close()
    code, out, err = run(command[:-2], monkeypatch, capsys)
    assert code == 1
    assert "deleted twice" in out
    assert "is damaged" in err

    path = tmp_path / "store" / "data.mdb"
    path.write_bytes(path.read_bytes()[:-8000])
    code, out, err = run(command, monkeypatch, capsys)
    assert code == 1
    assert [record["table"] for record in json.loads(out)] == ["pages"]


def test_only_a_stopped_store_is_checked(tmp_path, monkeypatch, capsys):
    """A check beside a running node would report what is merely in motion, or make a store."""
    from kvnode.data_dir import locked

    command = ["debug", "verify", "--data-dir", str(tmp_path)]
    code, _, err = run(command, monkeypatch, capsys)
    assert (code, "there is no store" in err) == (1, True)
    (tmp_path / "store").mkdir()
    with locked(tmp_path):
        code, _, err = run(command, monkeypatch, capsys)
    assert (code, "another KV node runs" in err) == (1, True)
