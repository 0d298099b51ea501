"""The quiet tenant's client: point reads and single-row commits at fixed rates, until SIGTERM.

    python -m bench.noisy.quiet --url URL [--url URL]... --rate R

**Model.** Two connections for each URL, one for either kind; requests are due at fixed times and a
latency runs from when its request was due (open loop), so that a stall counts for all that came
into it. Says `ready` on a line, and in the end JSON: kind → [[due_ns, took_ns], …], in times of
CLOCK_MONOTONIC, which other processes share.
"""

import argparse
import asyncio
import json
import random
import signal
from collections.abc import Callable
from time import monotonic_ns
from typing import Any, Final

import asyncpg
import uvloop

from bench.ticker import Ticker

KINDS: Final = ("read", "commit")
ROW_COUNT: Final = 1000
_TICK_S: Final = 0.0005
_STATEMENTS: Final = {
    "read": "select v from quiet where id = $1",
    "commit": "update quiet set v = v + 1 where id = $1 returning v",
}

Taken = list[tuple[int, int]]  # due, took; nanoseconds


async def prepare(url: str) -> None:
    """Create the table."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("create table quiet (id int primary key, v int)")
        fill = f"insert into quiet select g, 0 from generate_series(1, {ROW_COUNT}) g"
        await connection.execute(fill)
    finally:
        await connection.close()


class _Client:
    """One connection that does one kind of request, one at a time, in the order of their times."""

    def __init__(self, kind: str, statement: Any, taken: Taken) -> None:
        self._statement = statement
        self._taken = taken
        self._seed = random.Random(kind)
        self.due: asyncio.Queue[int] = asyncio.Queue()

    async def run(self) -> None:
        while True:
            due_ns = await self.due.get()
            await self._statement.fetchval(self._seed.randint(1, ROW_COUNT))
            self._taken.append((due_ns, monotonic_ns() - due_ns))


async def run(urls: list[str], rate_per_s: float) -> dict[str, Taken]:
    """Ask until SIGTERM; return what each request took."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    taken: dict[str, Taken] = {kind: [] for kind in KINDS}
    clients = []
    for url in urls:
        for kind in KINDS:
            connection = await asyncpg.connect(url)
            statement = await connection.prepare(_STATEMENTS[kind])
            await statement.fetchval(1)
            clients.append(_Client(kind, statement, taken[kind]))
    tasks = [asyncio.ensure_future(client.run()) for client in clients]
    print("ready", flush=True)
    await _schedule(clients, rate_per_s, stop.is_set)
    for task in tasks:
        if task.done():
            task.result()  # a request that failed; the measurement counts for nothing
        task.cancel()
    await asyncio.wait(tasks)
    return taken


Stopped = Callable[[], bool]


async def _schedule(clients: list[_Client], rate_per_s: float, stopped: Stopped) -> None:
    """Give each client a due time `rate_per_s` times a second; the clients take turns."""
    gap_ns, turn = 1e9 / rate_per_s / len(clients), 0
    start_ns = monotonic_ns()
    with Ticker(_TICK_S) as ticker:
        while not stopped():
            await ticker.wait()
            now_ns = monotonic_ns()
            while (at_ns := start_ns + int(turn * gap_ns)) <= now_ns:
                clients[turn % len(clients)].due.put_nowait(at_ns)
                turn += 1


def main() -> None:
    """Ask, and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", action="append", required=True)
    parser.add_argument(
        "--rate", type=float, required=True, help="of each kind and URL, per second"
    )
    arguments = parser.parse_args()
    print(json.dumps(uvloop.run(run(arguments.url, arguments.rate))))


if __name__ == "__main__":
    main()
