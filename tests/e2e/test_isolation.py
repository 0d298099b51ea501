"""Tenants over SQL: equal names, nothing shared; a process serves one tenant in its whole life."""

import threading
from collections import defaultdict

import psycopg
import pytest

from tests.e2e.stack import Stack, wait_until

pytestmark = pytest.mark.e2e
TENANTS = ("north", "south")


@pytest.fixture(scope="module")
def quick():
    """A stack that retires processes at once, so that pids come and go."""
    with Stack(environment={"INSULA_POOL__IDLE_S": "0.1"}) as stack:
        for tenant in TENANTS:
            stack.create_tenant(tenant)
            with stack.connect(tenant) as connection:
                _fill(connection, tenant)
        yield stack


def _fill(connection, tenant):
    connection.execute("create table secret (id int primary key, owner text unique, n serial)")
    connection.execute("create index on secret (n)")
    connection.execute("create view shown as select * from secret")
    connection.execute("create sequence ticket")
    for number in range(200):
        connection.execute("insert into secret values (%s, %s)", (number, f"{tenant}-{number}"))


@pytest.mark.parametrize("tenant", TENANTS)
@pytest.mark.parametrize(
    "sql",
    [
        "select owner from secret",
        "select owner from secret where id >= 0 order by id",
        "select owner from secret order by id desc",
        "select owner from secret where n > 0 order by n",
        "select owner from shown where owner > ''",
        "select a.owner from secret a join shown b using (id)",
        "select max(owner) from secret group by id having count(*) > 0",
        "with s as (select * from secret) select distinct owner from s",
    ],
)
def test_every_way_to_read_sees_only_own_rows(quick, tenant, sql):
    """Somebody else's customers would be in the report."""
    with quick.connect(tenant) as connection:
        owners = [row[0] for row in connection.execute(sql)]
    assert len(owners) == 200
    assert all(owner.startswith(f"{tenant}-") for owner in owners)


def test_writes_stay_at_home(quick):
    """One tenant's UPDATE, DELETE, TRUNCATE or DROP would hit another's table."""
    with quick.connect("north") as north, quick.connect("south") as south:
        before = south.execute("select * from secret order by id").fetchall()
        north.execute("begin")
        for sql in ("update secret set owner = owner || '!'", "delete from secret where id > 50"):
            north.execute(sql)
        # No lock of one tenant holds up another.
        south.execute("set lock_timeout = '5s'")
        south.execute("update secret set owner = owner where id = 60")
        north.execute("truncate secret")
        north.execute("drop table secret cascade")
        north.execute("commit")
        assert south.execute("select * from secret order by id").fetchall() == before
        north.execute("drop sequence ticket")
        assert south.execute("select nextval('ticket')").fetchone() == (1,)
        _fill(north, "north")


def test_catalogs_and_activity_show_only_the_own_tenant(quick):
    """Names of tables, users and queries are secrets as well."""
    with quick.connect("north") as north, quick.connect("south") as south:
        south.execute("create table only_in_south (id int)")
        for sql in (
            "select count(*) from pg_class where relname = 'only_in_south'",
            "select count(*) from information_schema.tables where table_name = 'only_in_south'",
            "select count(*) from pg_stat_activity where query like 'create table only%'",
        ):
            assert north.execute(sql).fetchone() == (0,), sql
        with pytest.raises(psycopg.errors.UndefinedTable):
            north.execute("select * from only_in_south")
        south.execute("drop table only_in_south")


def test_a_user_of_one_tenant_is_nobody_elsewhere(quick):
    """A password would open another tenant's door."""
    quick.create_tenant("west", user="will", password="wild")
    with pytest.raises(psycopg.OperationalError, match="password"):
        quick.connect("north", user="will", password="wild")
    with pytest.raises(psycopg.OperationalError, match="password"):
        quick.connect("west", user="app", password="secret")


def test_a_process_serves_one_tenant_only(quick):
    """What a process has cached of one tenant would meet another's queries."""
    served = defaultdict(set)
    end = threading.Event()

    def watch():
        while not end.wait(0.01):
            for process in quick.processes():
                if process["kind"] == "sql" and process.get("tenant"):
                    served[process["pid"]].add(process["tenant"])

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for _ in range(15):
            for tenant in TENANTS:
                with quick.connect(tenant) as connection:
                    owner = connection.execute("select owner from secret where id = 7").fetchone()
                    assert owner == (f"{tenant}-7",)
                    assert quick.sql_pids(tenant)
            wait_until(lambda: not any(map(quick.sql_pids, TENANTS)), 10, "both sleep")
    finally:
        end.set()
        watcher.join()
    assert len(served) >= 30
    assert all(len(tenants) == 1 for tenants in served.values()), served


def test_a_dropped_tenants_data_does_not_come_back(quick):
    """A new customer with an old name would find the predecessor's data."""
    quick.create_tenant("gone")
    with quick.connect("gone") as connection:
        connection.execute("create table secret (id int)")
    quick.insula("tenant", "drop", "gone", "-o", "json")
    wait_until(lambda: not quick.sql_pids("gone"), 10, "its processes have ended")
    quick.create_tenant("gone")
    with quick.connect("gone") as connection:
        assert connection.execute(
            "select count(*) from pg_tables where schemaname = 'public'"
        ).fetchone() == (0,)
        with pytest.raises(psycopg.errors.UndefinedTable):
            connection.execute("select * from secret")
