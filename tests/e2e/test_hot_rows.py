"""Contended rows queue up: no client sees an error, and the queue is not slower than one client."""

import asyncio
import re
import subprocess
import time

import psycopg
import pytest

pytestmark = pytest.mark.e2e
CLIENTS, TIMES = 32, 200
END_S_MAX = 300


async def _add(url, row, times):
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        for _ in range(times):
            await connection.execute("update hot set n = n + 1 where id = %s", (row,))


def _rate(stack, row, clients, times):
    async def run():
        start = time.perf_counter()
        async with asyncio.timeout(END_S_MAX):
            await asyncio.gather(*(_add(stack.url("acme"), row, times) for _ in range(clients)))
        return clients * times / (time.perf_counter() - start)

    return asyncio.run(run())


def test_thirty_two_clients_increment_one_row(stack):
    """A counter, a stock, a balance: with aborts instead of a queue nobody would get through."""
    with stack.connect("acme") as connection:
        connection.execute("create table hot (id int primary key, n int)")
        connection.execute("insert into hot values (1, 0), (2, 0)")
        _rate(stack, 2, 1, 50)  # everything is compiled and connected once
        alone = _rate(stack, 2, 1, 500)
        together = _rate(stack, 1, CLIENTS, TIMES)
        print(f"one client {alone:.0f}/s, {CLIENTS} clients on one row {together:.0f}/s")
        counted = connection.execute("select n from hot where id = 1").fetchone()[0]
        assert counted == CLIENTS * TIMES
    assert together >= alone / 2, f"{together:.0f}/s against {alone:.0f}/s alone"


@pytest.mark.long
@pytest.mark.parametrize("mode", ["simple", "prepared"])
def test_a_bank_with_one_branch(stack, pgbench, mode):
    """Everybody's transactions end in one row; each that failed would be a customer's."""

    def run(*words):
        command = [pgbench, *words, stack.url("acme")]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=END_S_MAX, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("-i", "-s", "1", "-q")
    report = run("-c", "16", "-T", "20", "-M", mode)
    print(re.search(r"^tps = .*", report, re.M)[0])
    assert re.search(r"^number of failed transactions: 0 ", report, re.M), report
    with stack.connect("acme") as connection:
        sums = {
            connection.execute(f"select sum({column}) from pgbench_{table}").fetchone()[0]
            for column, table in (
                ("abalance", "accounts"),
                ("bbalance", "branches"),
                ("tbalance", "tellers"),
                ("delta", "history"),
            )
        }
    assert len(sums) == 1
