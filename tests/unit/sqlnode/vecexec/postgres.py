"""A real PostgreSQL with the same tables, to compare answers with."""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

import psycopg

from tests.unit.sqlnode.vecexec import flights


def _bin_dir():
    if shutil.which("pg_config"):
        done = subprocess.run(["pg_config", "--bindir"], capture_output=True, text=True, check=True)
        folder = Path(done.stdout.strip())
        if (folder / "initdb").exists():
            return folder
    return None


def is_available():
    """Tell whether this machine has a PostgreSQL server."""
    return _bin_dir() is not None


@contextlib.contextmanager
def running():
    """Yield a connection to a fresh server that holds the flights tables."""
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    user = {}
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        user = {"user": nobody.pw_uid, "group": nobody.pw_gid}
    run = {"check": True, "stdout": subprocess.DEVNULL, "cwd": folder, **user}
    data = folder / "data"
    options = [
        "-U",
        "postgres",
        "--lc-collate=C",
        "--lc-ctype=C.UTF-8",
        "-E",
        "UTF8",
        "-A",
        "trust",
        "--no-sync",
    ]
    subprocess.run([_bin_dir() / "initdb", "-D", data, *options], **run)
    server = subprocess.Popen(
        [_bin_dir() / "postgres", "-D", data, "-k", folder, "-h", "", "-F"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder, **user,
    )  # fmt: skip
    try:
        with _connected(folder) as connection:
            load(connection)
            yield connection
    finally:
        server.terminate()
        server.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


def _connected(folder):
    for _ in range(200):
        try:
            return psycopg.connect(f"host={folder} user=postgres dbname=postgres", autocommit=True)
        except psycopg.OperationalError:
            subprocess.run(["sleep", "0.05"], check=True)
    raise TimeoutError("PostgreSQL did not start")


def load(connection):
    """Fill an empty database."""
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET max_parallel_workers_per_gather = 0")
    for name in flights.names():
        connection.execute(flights.ddl(name))
        with connection.cursor().copy(f"COPY {name} FROM STDIN") as copy:
            for row in flights.text_rows(name):
                copy.write_row(row)


def answer(connection, sql):
    """Return (names, type oids, rows of text) of a query, or its SQLSTATE."""
    result = connection.pgconn.exec_(sql.encode())
    if result.status not in (psycopg.pq.ExecStatus.TUPLES_OK,):
        return result.error_field(psycopg.pq.DiagnosticField.SQLSTATE).decode()
    fields = range(result.nfields)
    rows = [
        tuple(
            None if (value := result.get_value(row, i)) is None else value.decode() for i in fields
        )
        for row in range(result.ntuples)
    ]
    return [result.fname(i).decode() for i in fields], [result.ftype(i) for i in fields], rows
