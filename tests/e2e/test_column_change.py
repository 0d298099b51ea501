"""Columns that come and change while several SQL processes of one tenant write."""

from contextlib import contextmanager

import pytest

from tests.e2e.schema_load import SPREAD, fill, jobs, writing
from tests.e2e.stack import Stack, wait_until

pytestmark = pytest.mark.e2e
ROWS = 5_000


@pytest.fixture(scope="module")
def stack():
    """A stack that spreads a tenant's sessions over several processes."""
    with Stack(config=SPREAD) as running:
        running.create_tenant("acme")
        yield running


@pytest.fixture
def connection(stack):
    """A session beside those of the test, with the table t filled anew."""
    with stack.connect("acme") as opened:
        opened.execute("drop table if exists t")
        fill(opened, ROWS)
        yield opened


@contextmanager
def busy(stack):
    """Writers of two processes at work for the length of the block; none of them may fail."""
    with writing(stack, row_count=ROWS) as writers:
        assert len(stack.sql_pids("acme")) >= 2
        wait_for_writes(writers, 20)
        yield writers
        wait_for_writes(writers, 20)
    for writer in writers:
        assert not writer.errors, writer.errors[:3]


def wait_for_writes(writers, count):
    """Wait until each writer has done `count` more."""
    wanted = [len(writer.latencies_s) + count for writer in writers]

    def done():
        assert all(writer.is_alive() for writer in writers)
        return all(len(w.latencies_s) >= n for w, n in zip(writers, wanted, strict=True))

    wait_until(done, 30, "writes")


def change(connection, sql):
    """Run one change and require that a job has done it."""
    connection.execute(sql)
    job = jobs(connection)[0]
    assert (job["description"], job["status"]) == (sql, "succeeded")


def test_columns_come_under_load(stack, connection):
    """Writers would fail, or wait for ever, whenever somebody adds a column."""
    with busy(stack):
        for n in range(2):
            change(connection, f"alter table t add column c{n} int not null default 7")
            wrong = connection.execute(f"select count(*) from t where c{n} is distinct from 7")
            assert wrong.fetchone() == (0,)
            change(connection, f"alter table t drop column c{n}")
