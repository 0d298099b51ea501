"""A real PostgreSQL with the same tables, to compare answers with."""

import contextlib

import psycopg

from tests import oracle
from tests.unit.sqlnode.vecexec import flights


@contextlib.contextmanager
def running():
    """Yield a connection to a fresh server that holds the flights tables."""
    with oracle.postgres() as url, psycopg.connect(url, autocommit=True) as connection:
        load(connection)
        yield connection


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
