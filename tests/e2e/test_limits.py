"""Limits of a tenant, end to end: rate, several connections, changes, crashes, what clients see."""

import asyncio
import json
import re
import threading
import time
from statistics import mean, pstdev

import asyncpg
import psycopg
import pytest

from admission.token_client import TokenClientConfig
from tests.e2e.stack import PASSWORD, USER, Stack, wait_until

pytestmark = pytest.mark.e2e
PERIOD_S = TokenClientConfig().period_s


@pytest.fixture(scope="module")
def stack():
    """One stack; every test has a tenant of its own."""
    with Stack() as running:
        yield running


def make_tenant(stack, name, rows=1000):
    stack.create_tenant(name)
    with stack.connect(name) as connection:
        connection.execute("create table t (a int primary key, b text)")
        connection.execute(
            f"insert into t select g, repeat('x', 100) from generate_series(1, {rows}) g"
        )


def limits(stack, name, *, rate=None, burst=None, month=None):
    """Set limits, 0 for none, or without any look at them; return the record."""
    given = {"rate_ru_per_s": rate, "burst_ru_max": burst, "month_ru_max": month}
    changes = {key: value for key, value in given.items() if value is not None}
    admin = stack.admin()
    try:
        return admin.set_limits(name, **changes) if changes else admin.get_limits(name)
    finally:
        admin.close()


async def read_on(stack, tenant, clients, seconds):
    """Read single rows on so many connections; return when each read ended, from the start."""
    ends, start_s = [], time.monotonic()

    async def client(number):
        connection = await asyncpg.connect(stack.url(tenant))
        try:
            key = number
            while time.monotonic() - start_s < seconds:
                key = key % 1000 + 1
                await connection.fetch("select b from t where a = $1", key)
                ends.append(time.monotonic() - start_s)
        finally:
            await connection.close()

    await asyncio.gather(*(client(number) for number in range(clients)))
    return ends


def per_second(ends, first_s, last_s):
    counts = [0] * (last_s - first_s)
    for end_s in ends:
        if first_s <= end_s < last_s:
            counts[int(end_s) - first_s] += 1
    return counts


def cost_of_a_read(stack, tenant):
    """Return what a read of `read_on` costs on average."""
    with stack.connect(tenant) as connection:
        ask = "select sum(ru) / sum(calls) from pg_stat_statements where query like 'select b %'"
        return float(connection.execute(ask).fetchone()[0])


def measure_rate(stack, tenant, rate, seconds):
    """Run at the limit; return RU of each second after the first five."""
    make_tenant(stack, tenant)
    limits(stack, tenant, rate=rate, burst=0)
    ends = asyncio.run(read_on(stack, tenant, 8, seconds))
    ru_each = cost_of_a_read(stack, tenant)
    return [ru_each * count for count in per_second(ends, 5, seconds)]


def check_rate(rate, seconds):
    with Stack() as stack:
        served = measure_rate(stack, "rated", rate, seconds)
    figures = f"{mean(served):.1f} RU/s of {rate}, standard deviation {pstdev(served):.1f}"
    print(f"\n{len(served)} s at the limit: {figures}")
    assert mean(served) == pytest.approx(rate, rel=0.05), figures
    assert pstdev(served) < 0.2 * rate, figures


def test_a_limited_tenant_runs_evenly_at_its_rate():
    """It would get more than it pays for, or less, or stop and go."""
    check_rate(rate=300, seconds=13)


@pytest.mark.long
def test_a_limited_tenant_runs_evenly_for_a_minute():
    """As above, over the 60 s that the promise is about."""
    check_rate(rate=300, seconds=65)


def test_a_raised_limit_acts_within_two_seconds(stack):
    """A customer who pays for more waits for it."""
    make_tenant(stack, "raised")
    limits(stack, "raised", rate=50, burst=0)

    def raise_it():
        time.sleep(4)
        limits(stack, "raised", rate=1000)
        changed.append(time.monotonic() - start_s)

    changed, start_s = [], time.monotonic()
    thread = threading.Thread(target=raise_it)
    thread.start()
    ends = asyncio.run(read_on(stack, "raised", 8, 8))
    thread.join()
    at_s = changed[0]
    before = sum(at_s - 2 <= end < at_s for end in ends) / 2
    after = sum(at_s + 2 <= end < at_s + 3 for end in ends)
    print(f"\n{before:.0f} reads a second before, {after:.0f} after")
    assert after > 5 * before
    record = limits(stack, "raised", rate=0)
    assert record["rate_ru_per_s"] is None


def test_a_throttled_client_is_told(stack):
    """One would look for a slow disk, a lock or a bug of one's own."""
    make_tenant(stack, "told")
    with stack.connect("told") as connection, stack.connect("told") as other:
        notices = []
        connection.add_notice_handler(lambda notice: notices.append(notice.message_primary))
        connection.execute("select sum(a) from t")
        assert not notices, "nobody is limited"
        limits(stack, "told", rate=20, burst=0)
        other.execute("select 1")
        pid = connection.info.backend_pid

        def run():
            for _ in range(200):
                connection.execute("select * from t")
                if notices:
                    return

        thread = threading.Thread(target=run)
        thread.start()
        other.execute("set throttle_mode = fail")  # settings never wait
        activity = watch_activity(stack, pid, until=thread.is_alive)
        thread.join(60)
        assert len(notices) == 1, notices
        assert re.search(r'tenant "told" is limited to 20 request units per second', notices[0])
        assert ("Throttle", "RequestUnits", "active") in activity
        with pytest.raises(psycopg.errors.ConfigurationLimitExceeded, match="limited to 20"):
            read_without_end(other)
        assert other.execute("show throttle_mode").fetchone() == ("fail",), "the session goes on"
    wait_until(lambda: limits(stack, "told")["throttled_s"] > 0, 12, "the wait is reported")


def read_without_end(connection):
    for _ in range(100):
        connection.execute("select * from t")


def watch_activity(stack, pid, *, until):
    """Return what pg_stat_activity showed of a session; such a look does not wait."""
    seen = set()
    with stack.connect("told") as watcher:
        while until() and ("Throttle", "RequestUnits", "active") not in seen:
            rows = watcher.execute(
                "select wait_event_type, wait_event, state from pg_stat_activity where pid = %s",
                [pid],
            ).fetchall()
            seen.update(rows)
    return seen


def test_a_used_up_budget_refuses_until_it_is_raised(stack):
    """A spend cap that does not hold, or that locks the tenant out for good."""
    make_tenant(stack, "capped")
    with stack.connect("capped") as connection:
        limits(stack, "capped", month=300)

        def spend():
            try:
                connection.execute("select * from t")
            except psycopg.errors.ConfigurationLimitExceeded as error:
                return str(error)
            return ""

        told = wait_until(spend, 30, "the budget is used up")
        assert 'tenant "capped" has used up its monthly budget of 300 request units' in told
        found = limits(stack, "capped")
        assert found["month_reached"] == 100
        assert found["month_used_ru"] >= 300
        limits(stack, "capped", month=1e6)
        wait_until(lambda: not spend(), 5, "it is let in again")
    percents = [line["percent"] for line in stack.log_lines() if line["event"] == "budget_reached"]
    assert percents == [50, 75, 100]


def test_kill_of_the_kv_node_loses_no_accounting():
    """Each crash would be free of charge, or hand the burst out again."""
    rate, burst, seconds = 200, 400, 7
    with Stack() as stack:
        make_tenant(stack, "crash")
        limits(stack, "crash", rate=rate, burst=burst)

        def kill():
            time.sleep(3)
            seen.append(limits(stack, "crash")["consumed_ru"])
            stack.kill_and_wait("kvnode")

        seen = []
        thread = threading.Thread(target=kill)
        thread.start()
        ends = asyncio.run(read_on(stack, "crash", 4, seconds))
        thread.join()
        time.sleep(PERIOD_S + 0.5)  # then the rest is reported
        after = limits(stack, "crash")
        used = len(ends) * cost_of_a_read(stack, "crash")
        figures = f"{used:.0f} RU used, {after['consumed_ru']:.0f} on the bill after a crash"
        print(f"\n{figures}, {seen[0]:.0f} before it")
        assert after["rate_ru_per_s"] == rate
        assert after["consumed_ru"] >= seen[0] > 0
        assert used - after["consumed_ru"] <= PERIOD_S * rate, figures
        assert used <= 1.1 * (burst + rate * seconds), figures
        assert max(ends) > seconds - 1, "reads go on after the crash"


def test_limits_are_checked(stack):
    """A typing error would stop a tenant, or a limit be taken for set that is not."""
    stack.create_tenant("typo")
    for words in (["--rate", "-5"], ["much"], []):
        assert stack.insula("limits", "set", "typo", *words, check=False).returncode == 2, words
    assert stack.insula("limits", "set", "typo", "--rate", "1e15", check=False).returncode == 1
    assert stack.insula("limits", "get", "nobody", check=False).returncode == 1
    stack.insula("limits", "set", "typo", "--rate", "100")
    found = json.loads(stack.insula("limits", "get", "typo", "--json").stdout)
    assert (found["rate_ru_per_s"], found["burst_ru_max"]) == (100, 1000)
    found = json.loads(stack.insula("limits", "set", "typo", "none", "-o", "json").stdout)
    assert found["rate_ru_per_s"] is None
    assert PASSWORD not in stack.insula("limits", "get", "typo").stdout + USER
