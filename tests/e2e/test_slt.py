"""SQLite's sqllogictest on a running stack.

Other files by hand: `python -m tests.e2e.test_slt postgresql://app:PASSWORD@HOST:PORT/… FILE...`
"""

import sys
import time
from collections import Counter
from pathlib import Path

import psycopg
import pytest

from tests.slt.slt_records import read_records
from tests.slt.slt_runner import run_record

pytestmark = pytest.mark.e2e
FOLDER = Path(__file__).parents[1] / "slt"
# Each n-th query; all other records run. It keeps the three files within a minute.
STRIDE = 20
# SQLite drops views that others use; PostgreSQL refuses in these very words.
_MEANT = "because other objects depend on it"


def run_file(connection, path, *, stride=1):
    """Run a file in an empty schema; return (records run, [(record, what is wrong)])."""
    connection.execute("drop schema if exists slt cascade")
    connection.execute("create schema slt")
    connection.execute("set search_path = slt")
    count, failed = 0, []
    for index, record in enumerate(read_records(path)):
        if record.types and index % stride:
            continue
        count += 1
        wrong = run_record(connection, record)
        if wrong and not (record.sql.startswith("DROP VIEW") and wrong.endswith(_MEANT)):
            failed.append((record, wrong))
    return count, failed


@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("*.test.xz")))
def test_file(stack, name):
    """SQL would answer other rows than PostgreSQL and SQLite do."""
    with stack.connect("acme") as connection:
        count, failed = run_file(connection, FOLDER / name, stride=STRIDE)
    assert count > 500
    assert not [f"line {r.line}: {r.sql}: {wrong}" for r, wrong in failed[:10]], len(failed)


def main(url, *names):
    """Run files; print the failures by kind."""
    for name in names:
        started_s = time.monotonic()
        with psycopg.connect(url, autocommit=True) as connection:
            count, failed = run_file(connection, name)
        used_s = time.monotonic() - started_s
        print(f"{name}: {count - len(failed)} of {count} in {used_s:.0f} s", flush=True)
        kinds = Counter(wrong[:50] for _, wrong in failed)
        for record, wrong in failed[:40]:
            print(f"  line {record.line}: {record.sql[:600]}\n    {wrong}", flush=True)
        print("  ", kinds.most_common(12), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
