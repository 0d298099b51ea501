"""Readers that take longer than gc_ttl: what they read is kept for them, within bounds."""

import re
import time

import psycopg
import pytest

from tests.e2e.stack import Stack, wait_until

pytestmark = pytest.mark.e2e
SHORT = """
[kvnode]
gc_ttl_s = 1.0
gc_ttl_s_min = 1.0
gc_interval_s = 0.2
protect_s_max = {protect_s_max}
[sqlnode]
protect_after_s = {protect_after_s}
"""
ROW_COUNT = 3_000


def read_while_all_rows_change(stack, begin):
    """Open a cursor, rewrite its table until its snapshot would be garbage, read it to the end."""
    stack.create_tenant("acme")
    with stack.connect("acme") as writer, stack.connect("acme") as reader:
        writer.execute("CREATE TABLE t (k int PRIMARY KEY, v int, pad text)")
        writer.execute(
            f"INSERT INTO t SELECT g, 0, repeat('x', 3000) FROM generate_series(1, {ROW_COUNT}) g"
        )
        reader.execute(begin)
        reader.execute("DECLARE c CURSOR FOR SELECT k, v FROM t")
        read = reader.execute("FETCH 10 FROM c").fetchall()
        deadline_s, n = time.monotonic() + 5, 0
        while time.monotonic() < deadline_s:
            n += 1
            writer.execute(f"UPDATE t SET v = {n} WHERE k % 5 = {n % 5}")
        read += reader.execute("FETCH ALL FROM c").fetchall()
        assert read == [(k, 0) for k in range(1, ROW_COUNT + 1)]
        reader.execute("COMMIT")
    return True


def test_a_report_to_a_slow_client_outlives_gc_ttl():
    """A dump over a thin line would break off as soon as gc_ttl has passed."""
    with Stack(config=SHORT.format(protect_s_max=3600.0, protect_after_s=0.3)) as stack:
        stack.create_tenant("acme")
        with stack.connect("acme") as writer, stack.connect("acme") as reader:
            writer.execute("CREATE TABLE t (k int PRIMARY KEY, v int, pad text)")
            for part in range(8):
                writer.execute(
                    "INSERT INTO t SELECT g, 0, repeat('x', 6000) "
                    f"FROM generate_series({part * 1000 + 1}, {part * 1000 + 1000}) g"
                )
            lines = 0
            with reader.cursor().copy("COPY (SELECT v, pad FROM t) TO STDOUT") as copy:
                for row in copy:
                    lines += bytes(row).startswith(b"0\t")
                    if lines == 1:
                        deadline_s, n = time.monotonic() + 4, 0
                        while time.monotonic() < deadline_s:
                            n += 1
                            writer.execute(f"UPDATE t SET v = {n} WHERE k % 10 = {n % 10}")
            assert lines == 8_000


def protected_count(stack):
    """Return how many snapshots the KV node keeps."""
    found = re.search(
        r"^insula_kvnode_protected_timestamps ([\d.]+)", stack.http("/metrics")[1], re.M
    )
    return float(found[1])


@pytest.mark.parametrize(
    "begin", ["BEGIN", "BEGIN ISOLATION LEVEL READ COMMITTED", "BEGIN AS OF SYSTEM TIME '-1us'"]
)
def test_an_open_cursor_outlives_gc_ttl(begin):
    """A report that takes longer than gc_ttl would end in an error, or lose rows."""
    with Stack(config=SHORT.format(protect_s_max=3600.0, protect_after_s=0.3)) as stack:
        assert read_while_all_rows_change(stack, begin)
        wait_until(lambda: protected_count(stack) == 0, 10, "nothing is protected any more")


@pytest.mark.parametrize(
    "config", [{"protect_s_max": 3600.0, "protect_after_s": 0.0},
               {"protect_s_max": 1.0, "protect_after_s": 0.3}],
    ids=["switched off", "lapsed"],
)  # fmt: skip
def test_without_protection_the_cursor_is_told_that_it_is_too_late(config):
    """The test above would prove nothing; and a forgotten cursor would stop collection for ever."""
    with Stack(config=SHORT.format(**config)) as stack:
        with pytest.raises(psycopg.Error) as caught:
            read_while_all_rows_change(stack, "BEGIN")
        assert caught.value.sqlstate == "72000"
