"""Two SQL processes of one limited tenant: who needs more gets more, and all they use is billed."""

import asyncio
import time

import asyncpg
import pytest

from tests.e2e.stack import Stack, wait_until

pytestmark = pytest.mark.e2e
MANY, FEW = 9, 3
# The tenth connection gets another process, and processes that are not used end soon.
CONFIG = f"[pool]\nsessions_per_process = {MANY}\nprocesses_per_tenant_max = 2\nidle_s = 0.5\n"


async def read_on(stack, tenant, seconds):
    """Read single rows on all connections; return when each process's reads ended."""
    connections = [await asyncpg.connect(stack.url(tenant)) for _ in range(MANY + FEW)]
    pids = stack.sql_pids(tenant)
    start_s, ends = time.monotonic(), ([], [])

    async def client(number, connection):
        while time.monotonic() - start_s < seconds:
            await connection.fetch("select b from t where a = $1", number % 10)
            ends[number >= MANY].append(time.monotonic() - start_s)

    try:
        await asyncio.gather(*(client(*numbered) for numbered in enumerate(connections)))
    finally:
        for connection in connections:
            await connection.close()
    return pids, ends


def test_two_sql_processes_share_by_demand():
    """The busier process would be held to the same part as the one that does little; and who opens
    process after process would use more than is ever counted."""
    settle_s, end_s = 8, 18
    with Stack(config=CONFIG) as stack:
        stack.create_tenant("shared")
        stack.insula("limits", "set", "shared", "--rate", "300", "--burst", "0")
        with stack.connect("shared") as connection:
            connection.execute("create table t (a int primary key, b text)")
            connection.execute("insert into t select g, 'x' from generate_series(0, 9) g")
        pids, ends = asyncio.run(read_on(stack, "shared", end_s))
        wait_until(lambda: not stack.sql_pids("shared"), 10, "both processes have ended")
        admin = stack.admin()
        counted_ru = admin.get_limits("shared")["consumed_ru"]
        days = admin.usage("shared", day_count=2, by_statement=False)
        admin.close()
    billed_ru = sum(day.micro_ru for day in days) / 1e6
    assert len(pids) == 2, pids
    counts = [sum(settle_s <= end < end_s for end in part) for part in ends]
    figures = f"{counts[0]} and {counts[1]} reads in {end_s - settle_s} s"
    print(f"\n{figures}, {counts[0] / counts[1]:.2f} : 1; {counted_ru:.1f} RU of {billed_ru:.1f}")
    assert counts[0] / counts[1] == pytest.approx(3, rel=0.15), figures
    assert counted_ru == pytest.approx(billed_ru, abs=5), "nothing is forgotten when they end"
