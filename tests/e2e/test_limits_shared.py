"""Two SQL processes of one limited tenant: who needs more gets more, and all they use is billed."""

import asyncio

import asyncpg
import pytest

from tests.e2e.stack import Stack, wait_until

pytestmark = pytest.mark.e2e
MANY, FEW = 9, 3
# The tenth connection gets another process, and processes that are not used end soon.
CONFIG = f"[pool]\nsessions_per_process = {MANY}\nprocesses_per_tenant_max = 2\nidle_s = 0.5\n"


async def used_ru(connection):
    """Return what all reads of this connection's process have cost."""
    ask = "select sum(ru) from pg_stat_statements where query like 'select b %'"
    return float(await connection.fetchval(ask))


async def read_on(stack, tenant, settle_s, end_s):
    """Read single rows on all connections; return the pids, and what each process used of the RU
    after `settle_s`."""
    connections = [await asyncpg.connect(stack.url(tenant)) for _ in range(MANY + FEW)]
    pids = stack.sql_pids(tenant)
    loop = asyncio.get_running_loop()
    start_s = loop.time()

    async def read_until(connection, seconds):
        while loop.time() - start_s < seconds:
            await connection.fetch("select b from t where a = 1")

    async def client(connection):
        await read_until(connection, settle_s)
        before_ru = await used_ru(connection)
        await read_until(connection, end_s)
        return await used_ru(connection) - before_ru

    try:
        used = await asyncio.gather(*map(client, connections))
    finally:
        for connection in connections:
            await connection.close()
    return pids, (used[0], used[MANY])


def test_two_sql_processes_share_by_demand():
    """The busier process would be held to the same part as the one that does little; and who opens
    process after process would use more than is ever counted."""
    with Stack(config=CONFIG) as stack:
        stack.create_tenant("shared")
        stack.insula("limits", "set", "shared", "--rate", "300", "--burst", "0")
        with stack.connect("shared") as connection:
            connection.execute("create table t (a int primary key, b text)")
            connection.execute("insert into t select g, 'x' from generate_series(0, 9) g")
        pids, used = asyncio.run(read_on(stack, "shared", 8, 18))
        wait_until(lambda: not stack.sql_pids("shared"), 10, "both processes have ended")
        admin = stack.admin()
        counted_ru = admin.get_limits("shared")["consumed_ru"]
        days = admin.usage("shared", day_count=2, by_statement=False)
        admin.close()
    billed_ru = sum(day.micro_ru for day in days) / 1e6
    assert len(pids) == 2, pids
    figures = f"{used[0] / 10:.0f} and {used[1] / 10:.0f} RU/s of 300, {used[0] / used[1]:.2f} : 1"
    print(f"\n{figures}; {counted_ru:.1f} RU counted, {billed_ru:.1f} billed")
    assert used[0] / used[1] == pytest.approx(3, rel=0.15), figures
    assert counted_ru == pytest.approx(billed_ru, abs=5), "nothing is forgotten when they end"
