"""Online schema change under load, from several SQL processes of one tenant."""

import threading

import pytest

from tests.e2e.schema_load import SPREAD, fill, index_reports, jobs, writing
from tests.e2e.stack import Stack, wait_until

pytestmark = pytest.mark.e2e
PAUSE_S_MAX = 0.25


@pytest.fixture(scope="module")
def stack():
    """A stack that spreads a tenant's sessions over several processes."""
    with Stack(config=SPREAD) as running:
        running.create_tenant("acme")
        yield running


def build_under_load(stack, row_count):
    """CREATE INDEX while two processes write; prints the longest pause, and that without it."""
    with stack.connect("acme") as connection:
        fill(connection, row_count)
        with writing(stack, row_count=row_count) as writers:
            assert len(stack.sql_pids("acme")) >= 2
            while min(len(writer.latencies_s) for writer in writers) < 50:
                assert all(writer.is_alive() for writer in writers)
            before = [len(writer.latencies_s) for writer in writers]
            connection.execute("create index t_a on t (a)")
            after = [len(writer.latencies_s) for writer in writers]
        for writer in writers:
            assert not writer.errors, writer.errors[:3]
        alone = max(max(w.latencies_s[:n]) for w, n in zip(writers, before, strict=True))
        spans = [w.latencies_s[n:m] for w, n, m in zip(writers, before, after, strict=True)]
        pause_s = max(max(span) for span in spans)
        print(
            f"\n{row_count} rows: {sum(map(len, spans))} writes meanwhile, longest "
            f"{pause_s * 1e3:.0f} ms (alone {alone * 1e3:.0f} ms)"
        )
        (report,) = index_reports(stack)
        assert report.is_right, report
        assert report.row_count == report.entry_count >= row_count // 2
        connection.execute("drop table t")
    # A machine that stalls by itself says nothing about the schema change.
    assert pause_s <= max(PAUSE_S_MAX, 2 * alone), f"{pause_s=} {alone=}"


def test_an_index_is_built_under_load(stack):
    """A service would have to stop for every new index."""
    build_under_load(stack, 20_000)


@pytest.mark.long
def test_an_index_on_300_000_rows_is_built_under_load(stack):
    """The acceptance of online schema change."""
    build_under_load(stack, 300_000)


def test_columns_come_and_go_beside_open_transactions(stack):
    """Every transaction in flight would fail whenever somebody adds a column."""
    statements = (
        "alter table t add column c int not null default 7",
        "alter table t add column d text",
        "alter table t drop column c",
        "alter table t drop column d",
    )
    with (
        stack.connect("acme") as connection,
        stack.connect("acme") as changing,
        stack.connect("acme", autocommit=False) as first,
    ):
        fill(connection, 500)
        for number, sql in enumerate(statements, start=1):
            first.execute("insert into t (id, a, b) values (%s, 0, 'open')", (-number,))
            thread = threading.Thread(target=changing.execute, args=(sql,))
            thread.start()
            wait_until(
                lambda: any("waiting" in (job["running_status"] or "") for job in jobs(connection)),
                20,
                sql,
            )
            first.execute("update t set a = 1 where id = %s", (-number,))
            first.commit()
            thread.join(30)
            assert not thread.is_alive(), sql
            done = jobs(connection)[0]
            assert (done["description"], done["status"]) == (sql, "succeeded")
        rows = changing.execute("select * from t where id < 0 or id = 2 order by id").fetchall()
        assert rows == [*((-n, 1, "open") for n in (4, 3, 2, 1)), (2, 14, "text 2")]
        connection.execute("drop table t")
