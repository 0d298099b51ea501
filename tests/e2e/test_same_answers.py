"""Statements in a row, here and in PostgreSQL: rows, tags, SQLSTATEs, messages and details agree.

same_answers.sql holds them. `python -m tests.e2e.test_same_answers URL POSTGRES_URL FILE...` runs
other files against servers that are up, and prints the statements of which this is not true.
"""

import sys
from pathlib import Path

import psycopg
import pytest
from psycopg import pq

from sqlnode.parse.statement import split
from tests.oracle import postgres

pytestmark = pytest.mark.e2e
STATEMENTS = Path(__file__).with_name("same_answers.sql")
_FIELDS = (
    pq.DiagnosticField.SQLSTATE,
    pq.DiagnosticField.MESSAGE_PRIMARY,
    pq.DiagnosticField.MESSAGE_DETAIL,
    pq.DiagnosticField.CONSTRAINT_NAME,
)


def answer(connection, sql):
    """Run one statement by the simple protocol; return what a client sees of it."""
    result = connection.pgconn.exec_(sql.encode())
    if result.status not in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
        return tuple(result.error_field(field) for field in _FIELDS)
    columns = [(result.fname(i), result.ftype(i)) for i in range(result.nfields)]
    rows = [
        tuple(result.get_value(n, i) for i in range(result.nfields)) for n in range(result.ntuples)
    ]
    is_ordered = "order by" in sql or "values" in sql
    return result.command_status, columns, rows if is_ordered else sorted(rows, key=repr)


def differences(ours, theirs, text):
    """Yield (statement, our answer, PostgreSQL's) where they differ."""
    for statement in split(text):
        mine, right = (answer(connection, statement.text) for connection in (ours, theirs))
        if mine != right:
            yield statement.text, mine, right


@pytest.mark.timeout(120)
def test_answers_are_postgresqls(stack):
    """A program that works with PostgreSQL gets something else here."""
    with (
        postgres() as url,
        psycopg.connect(url, autocommit=True) as theirs,
        stack.connect("acme") as ours,
    ):
        theirs.execute("set timezone = 'UTC'")
        theirs.execute("set default_transaction_isolation = serializable")
        found = list(differences(ours, theirs, STATEMENTS.read_text()))
    assert not found, "\n".join(f"{sql}\n  here {a}\n  there {b}" for sql, a, b in found[:10])


def main(url, their_url, *names):
    """Compare servers that are up."""
    with (
        psycopg.connect(url, autocommit=True) as ours,
        psycopg.connect(their_url, autocommit=True) as theirs,
    ):
        theirs.execute("set timezone = 'UTC'")
        theirs.execute("set default_transaction_isolation = serializable")
        for name in names:
            for found in differences(ours, theirs, Path(name).read_text()):
                sys.stdout.write("{}\n  here  {}\n  there {}\n".format(*found))


if __name__ == "__main__":
    main(*sys.argv[1:])
