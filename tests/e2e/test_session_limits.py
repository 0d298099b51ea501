"""What one client may not do to others of its tenant, to its process, or to itself."""

import time

import psycopg
import pytest

from tests.e2e.raw_client import RawClient, query, tcp
from tests.e2e.stack import Stack

pytestmark = pytest.mark.e2e
OTHERS_S_MAX = 3.0


@pytest.fixture(scope="module")
def stack():
    with Stack() as stack:
        stack.create_tenant("acme")
        yield stack


def _flood(client, data, duration_s):
    """Send without reading for so long; return how many bytes were taken."""
    client.socket.setblocking(False)
    end_s, sent = time.monotonic() + duration_s, 0
    while time.monotonic() < end_s:
        try:
            sent += client.socket.send(data)
        except BlockingIOError:
            time.sleep(0.01)
    return sent


@pytest.mark.parametrize("sql", ["select 1", "select repeat('x', 20000)"])
def test_a_client_that_only_sends_is_stopped_and_holds_nobody_up(stack, sql):
    """Its process would grow without bound, and its neighbours in the process would wait."""
    with RawClient(tcp(stack)) as client:
        client.log_in("acme")
        client.until(b"Z")
        _flood(client, query(sql) * 200, 2.0)
        started_s = time.monotonic()
        with stack.connect("acme") as connection:
            assert connection.execute("select 2").fetchone() == (2,)
        assert time.monotonic() - started_s < OTHERS_S_MAX
        assert _flood(client, query(sql) * 200, 1.0) < 8 << 20


def test_a_database_that_does_not_exist_is_refused(stack):
    """A mistyped name would silently be another name for defaultdb."""
    with pytest.raises(psycopg.OperationalError, match='database "nosuch" does not exist'):
        psycopg.connect(stack.url("acme").replace("/defaultdb", "/nosuch"))


def test_a_long_query_string_holds_nobody_up_and_can_be_cancelled(stack):
    """One session's script would stop all others of its tenant, for as long as it is."""
    with stack.connect("acme") as connection, stack.connect("acme") as other:
        connection.execute("set statement_timeout = '1s'")
        with RawClient(tcp(stack)) as client:
            client.log_in("acme")
            client.until(b"Z")
            client.send(query("select 1;" * 100_000))
            started_s = time.monotonic()
            assert other.execute("select 2").fetchone() == (2,)
            assert time.monotonic() - started_s < OTHERS_S_MAX
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("select 1;" * 200_000)
        assert connection.execute("select 3").fetchone() == (3,)


def test_names_of_statements_are_many_but_bounded(stack):
    """A driver's cache would be cut short, or one session would eat its process."""
    with stack.connect("acme") as connection:
        for first in range(0, 10_000, 1_000):
            many = ";".join(f"prepare p{n} as select {n}" for n in range(first, first + 1_000))
            connection.execute(many)
        assert connection.execute("execute p9999").fetchone() == (9999,)
